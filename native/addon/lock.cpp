// The lock behind Mutex and RwLock as a JavaScript object.
#include "millrace/sync/lock.hpp"

#include "addon.hpp"
#include "arguments.hpp"
#include "party.hpp"

namespace millrace::addon {

namespace {

// What lock calls return: these, or kWouldBlock, kCorrupt, kClosed, kInvalid (the handle holds it or waits
// for it already).
enum Taken : std::int32_t { kHeld = 0, kHeldAbandoned = 1 };

std::int32_t outcome_of(LockStatus status) noexcept {
  switch (status) {
    case LockStatus::held:
      return kHeld;
    case LockStatus::abandoned:
      return kHeldAbandoned;
    case LockStatus::busy:
      return kWouldBlock;
    case LockStatus::misused:
      return kInvalid;
    case LockStatus::corrupt:
      return kCorrupt;
  }
  return kCorrupt;
}

class LockObject final : public Napi::ObjectWrap<LockObject> {
 public:
  using Handle = PartyHandle<detail::Lock>;

  explicit LockObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<LockObject>(info), handle_(info.Env()) {
    const Options options(info[0]);
    const auto kind = options.flag("shared") ? layout::Kind::rwlock : layout::Kind::mutex;
    const bool opened = handle_.open(
        info, options, [&](const PartyOptions& party) -> Result<std::unique_ptr<detail::Lock>> {
          auto lock = std::make_unique<detail::Lock>();
          auto done = lock->open(party, kind, os::Deadline::after(kEnterTimeoutNs));
          if (!done.ok()) return done.error();
          return lock;
        });
    if (!opened) return;
    Napi::Object self = info.This().As<Napi::Object>();
    define_hot(self, &handle_, "tryLock", try_lock);
    define_hot(self, &handle_, "unlock", unlock);
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Lock",
                       {
                           InstanceMethod<&LockObject::begin>("begin"),
                           InstanceMethod<&LockObject::look>("look"),
                           InstanceMethod<&LockObject::give_up>("giveUp"),
                           InstanceMethod<&LockObject::wait>("wait"),
                           InstanceMethod<&LockObject::park>("park"),
                           InstanceMethod<&LockObject::unpark>("unpark"),
                           InstanceMethod<&LockObject::damage>("damage"),
                           InstanceMethod<&LockObject::wake_token>("wakeToken"),
                           InstanceMethod<&LockObject::watch>("watch"),
                           InstanceMethod<&LockObject::writer_waits>("writerWaits"),
                           InstanceMethod<&LockObject::holder>("holder"),
                           InstanceMethod<&LockObject::readers>("readers"),
                           InstanceMethod<&LockObject::close>("close"),
                       });
  }

 private:
  static LockMode mode_of(napi_env env, napi_value exclusive) noexcept {
    bool value = true;
    napi_get_value_bool(env, exclusive, &value);
    return value ? LockMode::exclusive : LockMode::shared;
  }

  // tryLock(exclusive) -> an outcome
  static napi_value try_lock(napi_env env, napi_callback_info info) {
    const HotCall<Handle, 1> call(env, info);
    detail::Lock* lock = call.handle->primitive();
    if (lock == nullptr) return number(env, std::int32_t{kClosed});
    return number(env, outcome_of(lock->try_lock(mode_of(env, call.arguments[0]))));
  }
  // unlock(finished) -> kHeld, kCorrupt, kClosed, kInvalid (this handle does not hold it)
  static napi_value unlock(napi_env env, napi_callback_info info) {
    const HotCall<Handle, 1> call(env, info);
    detail::Lock* lock = call.handle->primitive();
    if (lock == nullptr) return number(env, std::int32_t{kClosed});
    bool finished = true;
    napi_get_value_bool(env, call.arguments[0], &finished);
    return number(env, outcome_of(lock->unlock(finished ? LockEnding::finished : LockEnding::cut)));
  }

  // begin(exclusive) -> an outcome; kWouldBlock: in line. Then look() until it says something else, or
  // giveUp().
  Napi::Value begin(const Napi::CallbackInfo& info) {
    detail::Lock* lock = handle_.primitive();
    if (lock == nullptr) return Napi::Number::New(info.Env(), kClosed);
    return Napi::Number::New(info.Env(), outcome_of(lock->begin(mode_of(info.Env(), info[0]))));
  }
  // look(thorough) -> an outcome
  Napi::Value look(const Napi::CallbackInfo& info) {
    detail::Lock* lock = handle_.primitive();
    if (lock == nullptr) return Napi::Number::New(info.Env(), kClosed);
    return Napi::Number::New(info.Env(), outcome_of(lock->look(truth(info.Env(), info[0]))));
  }
  // giveUp(): out of the line; what was granted in that instant is passed on
  void give_up(const Napi::CallbackInfo& /*info*/) {
    if (handle_.primitive() != nullptr) handle_.primitive()->give_up();
  }
  // wait(spinMs, timeoutMs) -> true if something stirred; blocks for 20 ms at most
  Napi::Value wait(const Napi::CallbackInfo& info) {
    detail::Lock* lock = handle_.primitive();
    const bool stirred = lock == nullptr || lock->wait(nanoseconds(info.Env(), info[0]),
                                                       nanoseconds(info.Env(), info[1]));
    return Napi::Boolean::New(info.Env(), stirred);
  }
  // watch(): the death of the holders, and of those before us in line, wakes us. Always false: who else
  // comes to hold the lock before us is not told, so a look from time to time is needed, too.
  Napi::Value watch(const Napi::CallbackInfo& info) {
    if (handle_.primitive() != nullptr) (void)handle_.watch(handle_.primitive()->obstacles());
    return Napi::Boolean::New(info.Env(), false);
  }
  // writerWaits() -> does somebody stand in line for writing?
  Napi::Value writer_waits(const Napi::CallbackInfo& info) {
    detail::Lock* lock = handle_.primitive();
    return Napi::Boolean::New(info.Env(), lock != nullptr && lock->writer_waits());
  }
  // holder() -> process id of the exclusive holder, 0 if there is none
  Napi::Value holder(const Napi::CallbackInfo& info) {
    detail::Lock* lock = handle_.primitive();
    return Napi::Number::New(info.Env(), lock == nullptr ? 0 : lock->holder());
  }
  // readers() -> how many hold it shared
  Napi::Value readers(const Napi::CallbackInfo& info) {
    detail::Lock* lock = handle_.primitive();
    return Napi::Number::New(info.Env(), lock == nullptr ? 0 : lock->readers());
  }
  void park(const Napi::CallbackInfo& /*info*/) { handle_.park(); }
  void unpark(const Napi::CallbackInfo& /*info*/) { handle_.unpark(); }
  Napi::Value damage(const Napi::CallbackInfo& info) { return handle_.damage(info.Env()); }
  void wake_token(const Napi::CallbackInfo& info) { handle_.wake_token(info); }
  void close(const Napi::CallbackInfo& /*info*/) { handle_.close(); }

  Handle handle_;
};

}  // namespace

Napi::Function define_lock(Napi::Env env) {
  return LockObject::define(env);
}

}  // namespace millrace::addon
