// A barrier as a JavaScript object.
#include "millrace/sync/barrier.hpp"

#include "addon.hpp"
#include "facts.hpp"
#include "party.hpp"

namespace millrace::addon {

namespace {

class BarrierObject final : public PartyObject<BarrierObject, Barrier> {
 public:
  // new Barrier({ place, mode, owner?, parties })
  explicit BarrierObject(const Napi::CallbackInfo& info) : PartyObject(info) {
    const Options options(info[0]);
    const bool opened = open<BarrierSpec>(options, [&](BarrierSpec& spec) {
      spec.parties = options.small("parties", 0);
      return Barrier::open(spec, soon());
    });
    if (!opened) return;
    facts_.give(Value(), 2);
    define_hot<&BarrierObject::arrive>("arrive");
    define_hot<&BarrierObject::look>("look");
  }

  static Napi::Function define(Napi::Env env) {
    return define_class(env, "Barrier",
                        {
                            method<&BarrierObject::withdraw>("withdraw"),
                            method<&BarrierObject::reset>("reset"),
                            method<&BarrierObject::arrived>("arrived"),
                            method<&BarrierObject::absent>("absent"),
                            method<&BarrierObject::wait>("wait"),
                        });
  }

 private:
  // arrive() and look(thorough) -> a BarrierTurn::Status, with `facts` = {generation, serial} or {pid, 0}; kClosed
  std::int32_t arrive() { return core() == nullptr ? kClosed : answer(core()->arrive()); }
  std::int32_t look(const Arguments<1>& given) {
    return core() == nullptr ? kClosed : answer(core()->look(truth(given.env, given[0])));
  }
  std::int32_t answer(const BarrierTurn& turn) {
    const bool complete = turn.status == BarrierTurn::Status::complete;
    facts_[0] = complete ? static_cast<double>(turn.generation) : turn.pid;
    facts_[1] = turn.serial ? 1 : 0;
    return static_cast<std::int32_t>(turn.status);
  }

  // withdraw() -> false: too late, all have arrived
  bool withdraw() { return core() == nullptr || core()->withdraw(); }
  // reset() -> 0 or kClosed
  std::int32_t reset() {
    if (core() == nullptr) return kClosed;
    core()->reset();
    return 0;
  }
  // arrived() -> how many wait
  std::uint32_t arrived() { return core() == nullptr ? 0 : core()->arrived(); }
  // absent() -> those who have it open and have not arrived, beside this handle, as list_of
  Napi::Value absent() {
    return list_of([](const Barrier& barrier) { return barrier.absent(); });
  }
  // wait(spinMs, timeoutMs) -> true if something stirred; blocks for 20 ms at most
  bool wait(const Arguments<2>& given) {
    return core() == nullptr ||
           core()->wait_slice(nanoseconds(given.env, given[0]), nanoseconds(given.env, given[1]));
  }

  Facts<Napi::Float64Array> facts_;
};

}  // namespace

Napi::Function define_barrier(Napi::Env env) {
  return BarrierObject::define(env);
}

}  // namespace millrace::addon
