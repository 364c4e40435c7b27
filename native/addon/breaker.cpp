// A circuit breaker as a JavaScript object. Whoever enters gets a ticket, and says with it how its call ended:
//
//   generation × 2, + 1 if it is the trial
#include "millrace/sync/breaker.hpp"

#include "addon.hpp"
#include "party.hpp"

namespace millrace::addon {

namespace {

class BreakerObject final : public PartyObject<BreakerObject, Breaker> {
 public:
  // new Breaker({ place, mode, owner?, failures?, openMs?, windowMs? })
  explicit BreakerObject(const Napi::CallbackInfo& info) : PartyObject(info) {
    const Options options(info[0]);
    const bool opened = open<BreakerSpec>(options, [&](BreakerSpec& spec) {
      if (const auto failures = options.small_if_any("failures")) {
        spec.rules =
            BreakerRules{*failures, options.number("openMs", 0), options.number("windowMs", 0)};
      }
      return Breaker::open(spec, soon());
    });
    if (!opened) return;
    const BreakerRules& rules = core()->rules();
    tell("failures", rules.failures);
    tell("openMs", static_cast<double>(rules.open_ms));
    tell("windowMs", static_cast<double>(rules.window_ms));
    define_hot<&BreakerObject::try_enter>("tryEnter");
    define_hot<&BreakerObject::succeed>("succeed");
  }

  static Napi::Function define(Napi::Env env) {
    return define_class(env, "Breaker",
                        {
                            method<&BreakerObject::fail>("fail"),
                            method<&BreakerObject::release>("release"),
                            method<&BreakerObject::set>("set"),
                            method<&BreakerObject::state>("state"),
                            method<&BreakerObject::wait>("wait"),
                        });
  }

 private:
  // tryEnter() -> a ticket; -16 - ms if it is open for so long (0: another has the trial); or kClosed, kCorrupt
  double try_enter() {
    if (core() == nullptr) return kClosed;
    const BreakerEntry entry = core()->try_enter();
    switch (entry.status) {
      case BreakerEntry::Status::passes:
        return 2.0 * entry.generation;
      case BreakerEntry::Status::trial:
        return 2.0 * entry.generation + 1;
      case BreakerEntry::Status::refused:
        return -16.0 - static_cast<double>(entry.left_ms);
      default:
        return kCorrupt;
    }
  }
  static std::uint32_t generation_of(const Arguments<1>& given) noexcept {
    return small_natural(given.env, given[0], 0) / 2;
  }
  // succeed(ticket), fail(ticket), release(ticket) -> 0 or kClosed
  std::int32_t succeed(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    core()->succeed(generation_of(given));
    return 0;
  }
  std::int32_t fail(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    core()->fail(generation_of(given));
    return 0;
  }
  std::int32_t release(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    core()->release(generation_of(given));
    return 0;
  }
  // set(open) -> 0 or kClosed
  std::int32_t set(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    truth(given.env, given[0]) ? core()->trip() : core()->reset();
    return 0;
  }
  // state() -> [phase, generation, failures, ms until a trial, pid that has the trial or 0], or nothing once closed
  Napi::Value state() {
    if (core() == nullptr) return Env().Undefined();
    const layout::BreakerView view = core()->view();
    const bool tried =
        view.phase == layout::BreakerPhase::half_open && view.seat < layout::kMaxParties;
    Napi::Array facts = Napi::Array::New(Env());
    facts[0U] = to_js(Env(), static_cast<std::uint32_t>(view.phase));
    facts[1U] = to_js(Env(), view.generation);
    facts[2U] = to_js(Env(), view.failures);
    facts[3U] = to_js(Env(), static_cast<double>(core()->left_ms()));
    facts[4U] = to_js(Env(), tried ? core()->parties().pid(view.seat) : 0U);
    return facts;
  }
  // wait(generation, spinMs, timeoutMs) -> true if it is another one; blocks for 20 ms at most
  bool wait(const Arguments<3>& given) {
    return core() == nullptr ||
           core()->wait_slice(small_natural(given.env, given[0], 0),
                              nanoseconds(given.env, given[1]), nanoseconds(given.env, given[2]));
  }
};

}  // namespace

Napi::Function define_breaker(Napi::Env env) {
  return BreakerObject::define(env);
}

}  // namespace millrace::addon
