// The lock behind Mutex and RwLock as a JavaScript object.
#include "millrace/sync/lock.hpp"

#include "addon.hpp"
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

class LockObject final : public PartyObject<LockObject, detail::Lock> {
 public:
  // new Lock({ place, mode, owner?, shared: is it an RwLock? })
  explicit LockObject(const Napi::CallbackInfo& info) : PartyObject(info) {
    const Options options(info[0]);
    const auto kind = options.flag("shared") ? layout::Kind::rwlock : layout::Kind::mutex;
    using Opened = Result<std::unique_ptr<detail::Lock>>;
    const bool opened = open<PartyOptions>(options, [&](const PartyOptions& party) -> Opened {
      auto lock = std::make_unique<detail::Lock>();
      auto done = lock->open(party, kind, soon());
      if (!done.ok()) return done.error();
      return lock;
    });
    if (!opened) return;
    define_hot<&LockObject::try_lock>("tryLock");
    define_hot<&LockObject::unlock>("unlock");
  }

  static Napi::Function define(Napi::Env env) {
    return define_class(env, "Lock",
                        {
                            method<&LockObject::begin>("begin"),
                            method<&LockObject::look>("look"),
                            method<&LockObject::give_up>("giveUp"),
                            method<&LockObject::wait>("wait"),
                            method<&LockObject::writer_waits>("writerWaits"),
                            method<&LockObject::holder>("holder"),
                            method<&LockObject::readers>("readers"),
                            method<&LockObject::holders>("holders"),
                        });
  }

  // watch(): the death of the holders, and of those before us in line, wakes us. Always false: who else
  // comes to hold the lock before us is not told, so a look from time to time is needed, too.
  bool watch() {
    if (core() != nullptr) (void)watch_seats(core()->obstacles());
    return false;
  }

 private:
  static LockMode mode_of(napi_env env, napi_value exclusive) noexcept {
    bool value = true;
    napi_get_value_bool(env, exclusive, &value);
    return value ? LockMode::exclusive : LockMode::shared;
  }

  // tryLock(exclusive) -> an outcome
  std::int32_t try_lock(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    return outcome_of(core()->try_lock(mode_of(given.env, given[0])));
  }
  // unlock(finished) -> kHeld, kCorrupt, kClosed, kInvalid (this handle does not hold it)
  std::int32_t unlock(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    bool finished = true;
    napi_get_value_bool(given.env, given[0], &finished);
    return outcome_of(core()->unlock(finished ? LockEnding::finished : LockEnding::cut));
  }

  // begin(exclusive) -> an outcome; kWouldBlock: in line. Then look() until it says something else, or
  // giveUp().
  std::int32_t begin(const Arguments<1>& given) {
    return core() == nullptr ? kClosed : outcome_of(core()->begin(mode_of(given.env, given[0])));
  }
  // look(thorough) -> an outcome
  std::int32_t look(const Arguments<1>& given) {
    return core() == nullptr ? kClosed : outcome_of(core()->look(truth(given.env, given[0])));
  }
  // giveUp(): out of the line; what was granted in that instant is passed on
  void give_up() {
    if (core() != nullptr) core()->give_up();
  }
  // wait(spinMs, timeoutMs) -> true if something stirred; blocks for 20 ms at most
  bool wait(const Arguments<2>& given) {
    return core() == nullptr ||
           core()->wait(nanoseconds(given.env, given[0]), nanoseconds(given.env, given[1]));
  }
  // writerWaits() -> does somebody stand in line for writing?
  bool writer_waits() { return core() != nullptr && core()->writer_waits(); }
  // holder() -> process id of the exclusive holder, 0 if there is none
  std::uint32_t holder() { return core() == nullptr ? 0 : core()->holder(); }
  // holders() -> those who have it, beside this handle, as list_of
  Napi::Value holders() {
    return list_of([](const detail::Lock& lock) { return lock.holders(); });
  }
  // readers() -> how many hold it shared
  std::uint32_t readers() { return core() == nullptr ? 0 : core()->readers(); }
};

}  // namespace

Napi::Function define_lock(Napi::Env env) {
  return LockObject::define(env);
}

}  // namespace millrace::addon
