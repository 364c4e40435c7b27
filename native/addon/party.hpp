// What the handles of all primitives that many share have in common: a seat among the parties, waking
// and being woken, and two ways to end: close() in good order, or with the environment.
#pragma once

#include <napi.h>

#include <memory>
#include <utility>

#include "arguments.hpp"
#include "channel.hpp"
#include "millrace/sync/parties.hpp"

namespace millrace::addon {

// Primitive has parties(), close() (in good order), and abandon() (its environment ends, or its handle was
// lost: whatever it was in the middle of was cut). Both leave the parties. nullptr once closed.
template <typename Primitive>
class PartyHandle final : public Closable {
 public:
  explicit PartyHandle(Napi::Env env) : environment_(Environment::of(env)) {}
  ~PartyHandle() override { abandon(); }

  // `open_primitive(PartyOptions)` gives a Result<std::unique_ptr<Primitive>>. False with an exception
  // pending.
  template <typename OpenPrimitive>
  bool open(const Napi::CallbackInfo& info, const Options& options,
            OpenPrimitive&& open_primitive) {
    auto opened = try_open(options, open_primitive);
    if (!opened.ok()) {
      environment_.raise(opened.error());
      return false;
    }
    primitive_ = opened.take();
    primitive_->parties().use_ringer(&environment_.ringer());
    environment_.add(this);
    info.This().As<Napi::Object>().Set(
        "path", Napi::String::New(info.Env(), primitive_->parties().segment().path()));
    return true;
  }
  void close_now() noexcept override { abandon(); }
  void close() noexcept {
    if (auto ending = let_go()) ending->close();
  }

  [[nodiscard]] Primitive* primitive() noexcept { return primitive_.get(); }
  [[nodiscard]] Environment& environment() noexcept { return environment_; }

  // park(): others wake us from now on; the caller looks once more, then sleeps or calls unpark()
  void park() {
    if (!primitive_) return;
    auto bell = environment_.doorbell(trust());  // made long ago: open() asked for it
    if (bell.ok()) {
      primitive_->parties().sleeper().park_on_bell(WakeAddress{bell.value(), token_});
    }
  }
  void unpark() noexcept {
    if (primitive_) primitive_->parties().sleeper().unpark();
  }
  Napi::Value damage(Napi::Env env) {
    if (!primitive_) return env.Undefined();
    return damage_of(environment_, env, primitive_->parties().segment(), [this] { close(); });
  }
  void wake_token(const Napi::CallbackInfo& info) {
    token_ = small_natural(info.Env(), info[0], 0);
  }
  // Makes the death of those parties wake us, and of no others. False if that of one cannot be heard.
  bool watch(std::uint64_t seats) {
    if (!primitive_) return false;
    const Parties& parties = primitive_->parties();
    if (seats != watched_) environment_.unwatch(token_);
    watched_ = seats;
    bool all = true;
    detail::for_each_bit(seats & ~parties.bit(), [&](std::uint32_t seat) {
      if (!environment_.watch(token_, parties.doorbell(seat), trust())) all = false;
    });
    return all;
  }

 private:
  template <typename OpenPrimitive>
  Result<std::unique_ptr<Primitive>> try_open(const Options& options,
                                              OpenPrimitive&& open_primitive) {
    auto mode = options.mode();
    if (!mode.ok()) return mode.error();
    PartyOptions party;
    party.place = options.place();
    party.memory = options.memory();
    party.mode = mode.value();
    party.owner = options.user("owner");
    BellChoice bell(environment_, party.mode);
    auto known = bell.before();
    if (!known.ok()) return known.error();
    party.doorbell = known.value();
    Result<std::unique_ptr<Primitive>> opened = open_primitive(party);
    if (!opened.ok()) return opened;
    const Parties& parties = opened.value()->parties();
    auto late = bell.after(parties.segment().trust());
    if (!late.ok()) return late.error();
    if (late.value() != 0) parties.announce_doorbell(late.value());
    return opened;
  }
  [[nodiscard]] os::BellTrust trust() const noexcept {
    return primitive_->parties().segment().trust();
  }
  std::unique_ptr<Primitive> let_go() noexcept {
    if (primitive_) {
      environment_.remove(this);
      environment_.unwatch(token_);
    }
    return std::move(primitive_);
  }
  void abandon() noexcept {
    if (auto ending = let_go()) ending->abandon();
  }

  Environment& environment_;
  std::unique_ptr<Primitive> primitive_;
  std::uint64_t watched_ = 0;
  std::uint32_t token_ = 0;
};

}  // namespace millrace::addon
