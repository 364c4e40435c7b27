// Everything the addon keeps for one JavaScript environment (the main thread or one worker): the doorbell
// it is woken by, the peers whose death it watches, the open channels, and the two JavaScript functions
// it calls: one that makes an error, one that passes wake-ups on. Nothing here is shared between
// environments; nothing is static.
#pragma once

#include <napi.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/os/doorbell.hpp"
#include "millrace/result.hpp"
#include "watcher.hpp"

namespace millrace::addon {

// A channel handle that must be closed before its environment ends.
class Closable {
 public:
  Closable() = default;
  Closable(const Closable&) = delete;
  Closable& operator=(const Closable&) = delete;
  virtual ~Closable() = default;
  // All channels of the environment are about to be closed: what takes time can begin.
  virtual void prepare_to_close() noexcept {}
  // Leaves the channel in good order. This or the next is called at most once; neither must run JavaScript.
  virtual void close_now() noexcept = 0;
  // The same because of a failure, which those learn who wait for it.
  virtual void fail_now(std::string_view /*reason*/) noexcept { close_now(); }
};

class Environment {
 public:
  explicit Environment(Napi::Env env);
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment();

  static Environment& of(napi_env env) { return *Napi::Env(env).GetInstanceData<Environment>(); }

  // makeError(code, message, syscall, errno, path) -> Error; onWake(count): tokens are in wakeList,
  // -1 means "look at everything".
  void configure(Napi::Function make_error, Napi::Function on_wake, bool allow_uv);
  [[nodiscard]] Napi::Value wake_list();

  // The class with that number in addon.cpp's table; empty until it is first asked for.
  Napi::FunctionReference& class_at(std::size_t index) {
    if (index >= classes_.size()) classes_.resize(index + 1);
    return classes_[index];
  }

  // Throws `error` as a MillraceError in JavaScript.
  void raise(const Error& error);

  // The same, as a value.
  Napi::Value error_of(const Error& error);

  // Calls a function of the library from an event. What it throws is an uncaught exception.
  void notify(const Napi::FunctionReference& function, const std::vector<napi_value>& arguments);
  // Watches descriptors of this environment. Fails where the runtime offers nothing for it, or the system
  // has no thread to give.
  Result<Watcher*> watcher();

  // The doorbell for channels of this trust, made at first use. An environment has at most one for
  // itself and one per group it shares channels with.
  Result<std::uint64_t> doorbell(const os::BellTrust& trust);
  os::BellRinger& ringer() noexcept { return ringer_; }
  // Gives doorbells that lost their name to somebody else a new FIFO under the same one; what is rung
  // meanwhile is made up for by looking at everything. Each once in 100 ms at most. False: not all of them
  // have one again; try later. See os/doorbell.hpp.
  bool mend_bells();
  // How often a doorbell was made anew: write ends that were opened before lead nowhere.
  [[nodiscard]] std::uint64_t renewals() const noexcept { return renewals_; }

  // Keeps the event loop alive while somebody waits.
  void hold(bool alive);

  // Passes `token` to onWake when the owner of that doorbell dies. False if that cannot be watched (it
  // has none, or is dead already).
  bool watch(std::uint32_t token, std::uint64_t bell, const os::BellTrust& trust);
  // Would that doorbell's death be told to `token`, by what watch() did before?
  [[nodiscard]] bool watches(std::uint32_t token, std::uint64_t bell) const {
    const auto known = peers_.find(bell);
    return known != peers_.end() && known->second.tokens.count(token) > 0;
  }
  void unwatch(std::uint32_t token);

  void add(Closable* channel) { channels_.insert(channel); }
  void remove(Closable* channel) { channels_.erase(channel); }
  // Leaves all channels; with a `failure`, by fail_now().
  void close_all(std::optional<std::string_view> failure) noexcept;
  // If the environment ends without close_all() having been called, that is why.
  void fail_at_end(std::string why) { failure_at_end_ = std::move(why); }

 private:
  struct OwnBell {
    os::Doorbell bell;
    Watcher::Watch* watch = nullptr;
    os::Allowance renewals{1, 100'000'000};
  };
  struct PeerWatch {
    os::Descriptor fd;
    Watcher::Watch* watch = nullptr;
    std::set<std::uint32_t> tokens;
  };

  bool watch_own(OwnBell& own);
  void on_bell(const os::Doorbell& bell);
  void on_peer_death(std::uint64_t bell);
  void deliver(const std::vector<std::uint32_t>& tokens);
  void call_on_wake(std::int32_t count);

  static constexpr std::size_t kWakeListLength = 1024;
  static constexpr std::size_t kMostPeers = 1024;  // watched at a time; more are looked at instead
  static constexpr int kBellsSwept = 64;  // looked at by a new environment; bounds its start

  Napi::Env env_;
  Napi::FunctionReference make_error_;
  Napi::FunctionReference on_wake_;
  Napi::Reference<Napi::Uint32Array> wake_list_;
  std::vector<Napi::FunctionReference> classes_;
  bool allow_uv_ = true;
  bool ended_ = false;
  bool held_ = false;
  std::optional<std::string> failure_at_end_;
  std::uint64_t renewals_ = 0;
  std::unique_ptr<Watcher> watcher_;
  std::map<std::pair<bool, gid_t>, OwnBell> bells_;  // by {open to a group, which}
  std::map<std::uint64_t, PeerWatch> peers_;
  os::BellRinger ringer_;
  std::set<Closable*> channels_;
};

}  // namespace millrace::addon
