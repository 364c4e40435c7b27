// What the objects of all classes have in common that JavaScript opens and closes: the core object behind them, opening
// it with the doorbell it is woken by, leaving once, and being woken.
//
// A class of its own is
//
//   class EventObject final : public WaitingObject<EventObject, Event> {
//    public:
//     explicit EventObject(const Napi::CallbackInfo& info) : WaitingObject(info) {
//       const Options options(info[0]);
//       if (!open<EventSpec>(options, [&](EventSpec& spec) { return Event::open(spec, soon()); })) return;
//       define_hot<&EventObject::set>("set");                       // called for every message
//     }
//     static Napi::Function define(Napi::Env env) {
//       return define_class(env, "Event", {method<&EventObject::reset>("reset")});
//     }
//    private:
//     ...                                                           // member functions: see method.hpp
//   };
//
// and a line each in addon.cpp, addon.hpp and ../addon.cpp, and its typed interface in lib/addon.
#pragma once

#include <napi.h>
#include <unistd.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "arguments.hpp"
#include "environment.hpp"
#include "method.hpp"
#include "millrace/segment.hpp"
#include "millrace/waiting.hpp"
#include "shared_buffer.hpp"

namespace millrace::addon {

// Creating or joining a channel takes microseconds; this bounds the wait for a process that is stopped
// in the middle of it.
inline os::Deadline soon() noexcept {
  return os::Deadline::after(2'000'000'000);
}

// The part of a core object that has the segment, the doorbell, and the sleeper.
template <typename Core>
auto& channel_of(Core& core) noexcept {
  if constexpr (requires { core.side(); }) {
    return core.side();
  } else if constexpr (requires { core.parties(); }) {
    return core.parties();
  } else {
    return core;
  }
}

// The memory that JavaScript works in. The classes that copy have none.
template <typename Core>
decltype(auto) memory_of(Core& core) noexcept {
  auto& channel = channel_of(core);
  if constexpr (requires { channel.data(); }) {
    return channel.data();
  } else if constexpr (requires { channel.pool(); }) {
    return channel.pool();
  } else if constexpr (requires { channel.memory(); }) {
    return channel.memory();
  }
}
template <typename Core>
concept HasSegment = requires(Core& core) {
  channel_of(core).segment();
};
template <typename Core>
concept HasMemory = !std::is_void_v<decltype(memory_of(std::declval<Core&>()))>;

// The fields that specs of all classes share, as far as this one has them.
template <typename Spec>
void read_common(Spec& spec, const Options& options, mode_t mode) {
  spec.place = options.place();
  spec.mode = mode;
  if constexpr (requires { spec.memory; }) spec.memory = options.memory();
  if constexpr (requires { spec.owner; }) spec.owner = options.user("owner");
  if constexpr (requires { spec.keep; }) spec.keep = options.flag("keep");
  if constexpr (requires { spec.schema; }) spec.schema = options.schema();
}

// How a core object is left: in good order, with what is unread thrown away (queues alone have such), cut off in the
// middle of whatever it was doing (primitives that many share tell of that), or because of a failure, which those tell
// whose peers would take the end for a good one.
enum class Ending { close, discard, abandon, fail };

template <typename Core>
void leave(Core& core, Ending how, std::string_view reason) noexcept {
  if constexpr (requires { core.abort(reason); }) {
    if (how == Ending::fail) return core.abort(reason);
  }
  if constexpr (requires { core.abandon(); }) {
    how == Ending::close ? core.close() : core.abandon();
  } else if constexpr (requires { core.close(true); }) {
    core.close(how == Ending::discard);
  } else {
    core.close();
  }
}

// Core is what the object stands for. It is there from open() to close(); nullptr means closed.
template <typename Object, typename Core>
class HandleObject : public Napi::ObjectWrap<Object>, public Closable {
 public:
  ~HandleObject() override { end(Ending::abandon); }
  // The environment ends. Buffers are not detached: that would need JavaScript.
  void close_now() noexcept final { end(Ending::abandon); }
  void fail_now(std::string_view reason) noexcept final { end(Ending::fail, reason); }

  // For JavaScript:

  void close() {
    end(Ending::close);
    self().detach_buffers();
  }
  // abort(reason): closes, and says that it failed
  void abort(const Arguments<1>& given) {
    const std::string reason = text_of(Napi::Value(given.env, given[0]));
    end(Ending::fail, reason);
    self().detach_buffers();
  }
  // whole() -> false if somebody has shortened the segment, which must not be touched then
  bool whole() { return !core_ || channel_of(*core_).segment().intact(); }
  // damage() -> an error if somebody has shortened the segment, which is left then without touching it, and
  // otherwise nothing. Asked before and during waits, and by properties that look into the memory.
  Napi::Value damage() {
    const Napi::Env env = this->Env();
    if (whole()) return env.Undefined();
    const Error error = channel_of(*core_).segment().shortened();
    close();
    return environment_.error_of(error);
  }
  // The memory of the messages, frames or values; undefined once closed.
  Napi::Value buffer() {
    return core_ ? buffer_.get(this->Env(), memory_of(*core_)) : this->Env().Undefined();
  }

  // For define_class(): what each such class has. A base adds its own to that of its base.
  static void add_common(std::vector<Method>& methods) {
    methods.push_back(method<&Object::close>("close"));
    if constexpr (HasSegment<Core>) {
      methods.push_back(method<&Object::whole>("whole"));
      methods.push_back(method<&Object::damage>("damage"));
    }
    if constexpr (HasMemory<Core>) methods.push_back(method<&Object::buffer>("buffer"));
    if constexpr (requires(Core & core) { core.abort(std::string_view()); }) {
      methods.push_back(method<&Object::abort>("abort"));
    }
  }

 protected:
  explicit HandleObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Object>(info), environment_(Environment::of(info.Env())) {}

  // `open_core(spec)` gives a Result<std::unique_ptr<Core>>; what all specs share has been read from `options`. False
  // with an exception pending.
  template <typename Spec, typename OpenCore>
  bool open(const Options& options, OpenCore&& open_core) {
    auto opened = try_open<Spec>(options, open_core);
    if (!opened.ok()) {
      environment_.raise(opened.error());
      return false;
    }
    core_ = opened.take();
    auto& channel = channel_of(*core_);
    if constexpr (requires { channel.use_ringer(nullptr); }) {
      channel.use_ringer(&environment_.ringer());
    }
    environment_.add(this);
    if constexpr (HasSegment<Core>) {
      tell("path", channel.segment().path());
    } else {
      tell("path", core_->path());
    }
    return true;
  }

  // A property that never changes.
  template <typename Value>
  void tell(const char* name, const Value& value) {
    napi_set_named_property(this->Env(), this->Value(), name, to_js(this->Env(), value));
  }
  template <auto member>
  void define_hot(const char* name) {
    addon::define_hot<Object, member>(this->Value(), &self(), name);
  }
  template <auto member>
  void define_instead(const char* name) {
    addon::define_instead<Object, member>(this->Value(), &self(), name);
  }
  template <auto member>
  static Method method(const char* name) {
    return method_of<Object, member>(name);
  }
  // With the methods that the bases bring along.
  static Napi::Function define_class(Napi::Env env, const char* name,
                                     std::initializer_list<Method> own) {
    std::vector<Method> methods(own);
    Object::add_common(methods);
    const std::vector<Napi::ClassPropertyDescriptor<Object>> all(methods.begin(), methods.end());
    return Napi::ObjectWrap<Object>::DefineClass(env, name, all);
  }

  [[nodiscard]] Core* core() const noexcept { return core_.get(); }
  [[nodiscard]] Environment& environment() const noexcept { return environment_; }
  [[nodiscard]] Object& self() noexcept { return static_cast<Object&>(*this); }

  // Once.
  void end(Ending how, std::string_view reason = {}) noexcept {
    if (!core_) return;
    environment_.remove(this);
    if (token_ != 0) environment_.unwatch(token_);
    leave(*core_, how, reason);
    core_.reset();
  }
  void detach_buffers() { buffer_.detach(); }

  std::uint32_t token_ = 0;

 private:
  template <typename Spec, typename OpenCore>
  Result<std::unique_ptr<Core>> try_open(const Options& options, OpenCore&& open_core) {
    const auto mode = options.mode();
    if (!mode.ok()) return mode.error();
    Spec spec;
    read_common(spec, options, mode.value());
    if constexpr (!requires { spec.doorbell; }) {
      return open_core(spec);
    } else {
      // That of a private channel is known beforehand. Of one that is open to a group only the segment tells which
      // group.
      const bool of_group = (spec.mode & 0060) == 0060;
      if (!of_group) {
        const auto own = environment_.doorbell(os::BellTrust{::geteuid(), 0, false});
        if (!own.ok()) return own.error();
        spec.doorbell = own.value();
      }
      Result<std::unique_ptr<Core>> opened = open_core(spec);
      if (!opened.ok() || !of_group) return opened;
      auto& channel = channel_of(*opened.value());
      const auto late = environment_.doorbell(channel.segment().trust());
      if (!late.ok()) return late.error();
      channel.announce_doorbell(late.value());
      return opened;
    }
  }

  Environment& environment_;
  std::unique_ptr<Core> core_;
  SharedBuffer buffer_;
};

// One that can wait in the event loop: others ring its doorbell, and their deaths are heard.
template <typename Object, typename Core>
class WaitingObject : public HandleObject<Object, Core> {
  using Base = HandleObject<Object, Core>;

 public:
  // For JavaScript:

  // wakeToken(token): what wake-ups for this object are called
  void wake_token(const Arguments<1>& given) {
    this->token_ = small_natural(given.env, given[0], 0);
  }
  // park(): others wake us from now on; the caller looks once more, then sleeps or calls unpark()
  void park() {
    if (const auto address = wake_address()) {
      channel_of(*this->core()).sleeper().park_on_bell(*address);
    }
  }
  void unpark() noexcept {
    if (this->core() != nullptr) channel_of(*this->core()).sleeper().unpark();
  }
  // The one peer of a side, that of a reader being the writer: peer() -> a Peer
  std::int32_t peer() {
    if (this->core() == nullptr) return static_cast<std::int32_t>(Peer::closed);
    auto& channel = channel_of(*this->core());
    if constexpr (requires { channel.peer(); }) {
      return static_cast<std::int32_t>(channel.peer());
    } else {
      return static_cast<std::int32_t>(channel.writer());
    }
  }
  // peerPid() -> its process id, 0 if there never was one
  std::uint32_t peer_pid() {
    if (this->core() == nullptr) return 0;
    auto& channel = channel_of(*this->core());
    if constexpr (requires { channel.peer_pid(); }) {
      return channel.peer_pid();
    } else {
      return channel.writer_pid();
    }
  }
  // peerReason() -> why it failed, when peer() says so
  std::string peer_reason() {
    if (this->core() == nullptr) return {};
    auto& channel = channel_of(*this->core());
    if constexpr (requires { channel.peer_reason(); }) {
      return channel.peer_reason();
    } else {
      return channel.writer_reason();
    }
  }
  // watchPeer() -> will its death wake us?
  bool watch_peer() { return this->core() != nullptr && watch(doorbell_of_peer()); }

  static void add_common(std::vector<Method>& methods) {
    Base::add_common(methods);
    methods.push_back(Base::template method<&Object::wake_token>("wakeToken"));
    methods.push_back(Base::template method<&Object::park>("park"));
    methods.push_back(Base::template method<&Object::unpark>("unpark"));
  }

 protected:
  explicit WaitingObject(const Napi::CallbackInfo& info) : Base(info) {}

  // Where others wake us. Nothing once closed.
  std::optional<WakeAddress> wake_address() {
    if (this->core() == nullptr) return std::nullopt;
    const auto bell = this->environment().doorbell(trust());  // made long ago: open() asked for it
    if (!bell.ok()) return std::nullopt;
    return WakeAddress{bell.value(), this->token_};
  }
  // Makes the death of the owner of that doorbell wake us. False if it cannot be heard.
  bool watch(std::uint64_t doorbell) {
    return this->environment().watch(this->token_, doorbell, trust());
  }
  [[nodiscard]] std::uint64_t doorbell_of_peer() const {
    auto& channel = channel_of(*this->core());
    if constexpr (requires { channel.peer_doorbell(); }) {
      return channel.peer_doorbell();
    } else {
      return channel.writer_doorbell();
    }
  }
  [[nodiscard]] os::BellTrust trust() const noexcept {
    return channel_of(*this->core()).segment().trust();
  }

  static void add_peer(std::vector<Method>& methods) {
    methods.push_back(Base::template method<&Object::peer>("peer"));
    methods.push_back(Base::template method<&Object::peer_pid>("peerPid"));
    methods.push_back(Base::template method<&Object::watch_peer>("watchPeer"));
  }
};

}  // namespace millrace::addon
