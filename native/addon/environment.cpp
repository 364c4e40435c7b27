#include "environment.hpp"

#include <utility>

namespace millrace::addon {

Environment::Environment(Napi::Env env) : env_(env) {
  auto list = Napi::Uint32Array::New(env, kWakeListLength);
  wake_list_ = Napi::Persistent(list);
  ringer_.keep_reserve();
  // Runs when a worker ends (also by terminate()) and when the main thread's loop drains; not on
  // process.exit() of the main thread, where the 'exit' listener of the library calls closeAll().
  napi_add_env_cleanup_hook(
      env,
      [](void* self) {
        auto* environment = static_cast<Environment*>(self);
        environment->ended_ = true;
        environment->close_all(environment->failure_at_end_);
      },
      this);
}

Environment::~Environment() = default;

void Environment::configure(Napi::Function make_error, Napi::Function on_wake, bool allow_uv) {
  make_error_ = Napi::Persistent(make_error);
  on_wake_ = Napi::Persistent(on_wake);
  allow_uv_ = allow_uv;
}

Napi::Value Environment::wake_list() {
  return wake_list_.Value();
}

void Environment::raise(const Error& error) {
  const Napi::Value made = error_of(error);
  if (env_.IsExceptionPending()) return;
  napi_throw(env_, made);
}

Napi::Value Environment::error_of(const Error& error) {
  if (make_error_.IsEmpty()) return Napi::Error::New(env_, error.message).Value();
  const Napi::Value undefined = env_.Undefined();
  return make_error_.Call({
      Napi::String::New(env_, code_name(error.code)),
      Napi::String::New(env_, error.message),
      error.syscall != nullptr ? Napi::String::New(env_, error.syscall) : undefined,
      error.syscall != nullptr ? Napi::Number::New(env_, error.number) : undefined,
      error.path.empty() ? undefined : Napi::String::New(env_, error.path),
  });
}

Result<Watcher*> Environment::watcher() {
  if (ended_) return make_error(Code::closed, "this environment is about to end");
  if (!watcher_ && allow_uv_) watcher_ = make_uv_watcher(env_);
  if (!watcher_) {
    auto made = make_thread_watcher(env_);
    if (!made.ok()) return made.error();
    watcher_ = made.take();
  }
  return watcher_.get();
}

Result<std::uint64_t> Environment::doorbell(const os::BellTrust& trust) {
  const auto key =
      std::make_pair(trust.group_allowed, trust.group_allowed ? trust.group : gid_t{0});
  const auto known = bells_.find(key);
  if (known != bells_.end()) return known->second.bell.id();
  if (bells_.empty()) os::sweep_dead_bells(kBellsSwept);
  if (auto watched = watcher(); !watched.ok()) return watched.error();
  auto made = os::Doorbell::create(trust);
  if (!made.ok()) return made.error();
  OwnBell& own = bells_[key];
  own.bell = made.take();
  if (!watch_own(own)) {
    bells_.erase(key);
    return make_error(Code::unsupported_runtime, "this runtime refuses to poll a FIFO");
  }
  return own.bell.id();
}

bool Environment::watch_own(OwnBell& own) {
  const os::Doorbell* bell = &own.bell;  // map nodes do not move
  own.watch = watcher_->start(bell->fd(), Interest::readable, [this, bell] { on_bell(*bell); });
  if (own.watch != nullptr && held_) watcher_->hold(own.watch, true);
  return own.watch != nullptr;
}

bool Environment::mend_bells() {
  if (ended_ || !watcher_) return true;
  bool whole = true;
  for (auto& [key, own] : bells_) {
    if (own.bell.has_name()) continue;
    // Peers of all our channels are hung up on: nobody can make us do that to them again and again.
    if (!own.renewals.take()) {
      whole = false;
      continue;
    }
    auto old = own.bell.renew();
    if (!old.ok()) {  // as it was: peers that cannot ring are left to their own looking
      whole = false;
      continue;
    }
    watcher_->stop(own.watch);
    (void)watch_own(own);
    ++renewals_;
  }
  return whole;
}

void Environment::hold(bool alive) {
  if (held_ == alive) return;
  held_ = alive;
  // Only what is watched keeps a loop alive: of an environment that has nothing open yet, a doorbell.
  if (alive && bells_.empty()) (void)doorbell(os::BellTrust{::geteuid(), 0, false});
  if (!watcher_) return;
  for (auto& [key, own] : bells_)
    watcher_->hold(own.watch, alive);
}

bool Environment::watch(std::uint32_t token, std::uint64_t bell, const os::BellTrust& trust) {
  if (bell == 0 || ended_) return false;
  for (const auto& [key, own] : bells_) {
    if (own.bell.id() == bell) return true;  // ourselves: our end is theirs
  }
  if (!os::kHangUpIsHeard) return false;
  auto known = peers_.find(bell);
  if (known == peers_.end()) {
    // A peer that names ever new doorbells cannot use up our descriptors.
    if (peers_.size() >= kMostPeers) return false;
    os::Descriptor fd = os::open_bell(bell, trust);
    if (!fd) return false;
    auto watcher = this->watcher();
    if (!watcher.ok()) return false;
    Watcher::Watch* watch =
        watcher.value()->start(fd.get(), Interest::hang_up, [this, bell] { on_peer_death(bell); });
    if (watch == nullptr) return false;
    known = peers_.emplace(bell, PeerWatch{std::move(fd), watch, {}}).first;
  }
  known->second.tokens.insert(token);
  return true;
}

void Environment::unwatch(std::uint32_t token) {
  for (auto at = peers_.begin(); at != peers_.end();) {
    at->second.tokens.erase(token);
    if (at->second.tokens.empty()) {
      if (watcher_) watcher_->stop(at->second.watch);
      at = peers_.erase(at);
    } else {
      ++at;
    }
  }
}

void Environment::close_all(std::optional<std::string_view> failure) noexcept {
  for (Closable* channel : channels_)
    channel->prepare_to_close();
  while (!channels_.empty()) {
    Closable* channel = *channels_.begin();
    channels_.erase(channels_.begin());
    if (failure) {
      channel->fail_now(*failure);
    } else {
      channel->close_now();
    }
  }
  for (auto& [bell, peer] : peers_) {
    if (watcher_) watcher_->stop(peer.watch);
  }
  peers_.clear();
  for (auto& [key, own] : bells_) {
    if (watcher_) watcher_->stop(own.watch);
  }
  bells_.clear();
}

void Environment::on_bell(const os::Doorbell& bell) {
  std::vector<std::uint32_t> tokens;
  const bool look_at_all = bell.drain([&](std::uint64_t token) {
    if (token <= 0xFFFF'FFFFU) tokens.push_back(static_cast<std::uint32_t>(token));
  });
  if (look_at_all) {
    (void)mend_bells();  // perhaps it was rung by somebody who did not find its name
    const Napi::HandleScope scope(env_);
    call_on_wake(-1);
  } else {
    deliver(tokens);
  }
}

void Environment::on_peer_death(std::uint64_t bell) {
  const auto known = peers_.find(bell);
  if (known == peers_.end()) return;
  const std::vector<std::uint32_t> tokens(known->second.tokens.begin(), known->second.tokens.end());
  watcher_->stop(known->second.watch);
  peers_.erase(known);
  ringer_.forget(bell);
  os::remove_dead_bell(bell);
  deliver(tokens);
}

void Environment::deliver(const std::vector<std::uint32_t>& tokens) {
  if (tokens.empty() || ended_) return;
  const Napi::HandleScope scope(env_);
  auto list = wake_list_.Value();
  for (std::size_t from = 0; from < tokens.size(); from += kWakeListLength) {
    const std::size_t count = std::min(kWakeListLength, tokens.size() - from);
    for (std::size_t i = 0; i < count; ++i)
      list[i] = tokens[from + i];
    call_on_wake(static_cast<std::int32_t>(count));
  }
}

void Environment::call_on_wake(std::int32_t count) {
  notify(on_wake_, {Napi::Number::New(env_, count)});
}

void Environment::notify(const Napi::FunctionReference& function,
                         const std::vector<napi_value>& arguments) {
  if (ended_ || function.IsEmpty()) return;
  napi_value result = nullptr;
  // make_callback, not call_function: the microtasks of the awakened waiters run before we return.
  const napi_status status = napi_make_callback(env_, nullptr, env_.Global(), function.Value(),
                                                arguments.size(), arguments.data(), &result);
  if (status == napi_pending_exception) {
    napi_value exception = nullptr;
    if (napi_get_and_clear_last_exception(env_, &exception) == napi_ok) {
      napi_fatal_exception(env_, exception);
    }
  }
}

}  // namespace millrace::addon
