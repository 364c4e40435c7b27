// An event as a JavaScript object.
#include "millrace/sync/event.hpp"

#include "addon.hpp"
#include "party.hpp"

namespace millrace::addon {

namespace {

class EventObject final : public PartyObject<EventObject, Event> {
 public:
  // new Event({ place, mode, owner?, reset?: 'auto' | 'manual', keep })
  explicit EventObject(const Napi::CallbackInfo& info) : PartyObject(info) {
    const Options options(info[0]);
    const bool opened = open<EventSpec>(options, [&](EventSpec& spec) {
      const std::string reset = options.text("reset");
      if (reset == "manual") spec.reset = layout::Reset::manual;
      if (reset == "auto") spec.reset = layout::Reset::automatic;
      return Event::open(spec, soon());
    });
    if (!opened) return;
    tell("manual", core()->manual());
    define_hot<&EventObject::set>("set");
    define_hot<&EventObject::try_wait>("tryWait");
    define_hot<&EventObject::try_wait_since>("tryWaitSince");
  }

  static Napi::Function define(Napi::Env env) {
    return define_class(env, "Event",
                        {
                            method<&EventObject::reset>("reset"),
                            method<&EventObject::is_set>("isSet"),
                            method<&EventObject::begin_wait>("beginWait"),
                            method<&EventObject::end_wait>("endWait"),
                            method<&EventObject::wait>("wait"),
                        });
  }

 private:
  // set() -> 0 or kClosed
  std::int32_t set() {
    if (core() == nullptr) return kClosed;
    core()->set();
    return 0;
  }
  // tryWait() -> 1 if it let us pass, 0 if not, or kClosed
  std::int32_t try_wait() { return core() == nullptr ? kClosed : std::int32_t{core()->try_wait()}; }
  // tryWaitSince(mark): the same for a wait that beginWait() has begun
  std::int32_t try_wait_since(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    return std::int32_t{core()->try_wait(natural(given.env, given[0], 0))};
  }

  // reset() -> 0 or kClosed
  std::int32_t reset() {
    if (core() == nullptr) return kClosed;
    core()->reset();
    return 0;
  }
  // isSet() -> 1 or 0, or kClosed
  std::int32_t is_set() { return core() == nullptr ? kClosed : std::int32_t{core()->is_set()}; }
  // beginWait() -> what tryWaitSince() wants to know; endWait() when no wait is left
  double begin_wait() { return core() == nullptr ? 0 : static_cast<double>(core()->begin_wait()); }
  void end_wait() {
    if (core() != nullptr) core()->end_wait();
  }
  // wait(spinMs, timeoutMs) -> true if something stirred; blocks for 20 ms at most
  bool wait(const Arguments<2>& given) {
    return core() == nullptr ||
           core()->wait_slice(nanoseconds(given.env, given[0]), nanoseconds(given.env, given[1]));
  }
};

}  // namespace

Napi::Function define_event(Napi::Env env) {
  return EventObject::define(env);
}

}  // namespace millrace::addon
