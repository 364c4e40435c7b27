// A barrier as a JavaScript object.
#include "millrace/sync/barrier.hpp"

#include "addon.hpp"
#include "party.hpp"

namespace millrace::addon {

namespace {

class BarrierObject final : public Napi::ObjectWrap<BarrierObject> {
 public:
  using Handle = PartyHandle<Barrier>;

  // new Barrier({ place, mode, owner?, parties })
  explicit BarrierObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<BarrierObject>(info), handle_(info.Env()) {
    const Options options(info[0]);
    const bool opened = handle_.open(info, options, [&](const PartyOptions& party) {
      BarrierSpec spec;
      static_cast<PartyOptions&>(spec) = party;
      spec.parties = options.small("parties", 0);
      return Barrier::open(spec, os::Deadline::after(kEnterTimeoutNs));
    });
    if (!opened) return;
    Napi::Object self = info.This().As<Napi::Object>();
    auto facts = Napi::Float64Array::New(info.Env(), 2);
    facts_ = Napi::Persistent(facts);
    fact_words_ = facts.Data();
    self.Set("facts", facts);
    define_hot(self, this, "arrive", arrive);
    define_hot(self, this, "look", look);
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Barrier",
                       {
                           InstanceMethod<&BarrierObject::withdraw>("withdraw"),
                           InstanceMethod<&BarrierObject::reset>("reset"),
                           InstanceMethod<&BarrierObject::arrived>("arrived"),
                           InstanceMethod<&BarrierObject::park>("park"),
                           InstanceMethod<&BarrierObject::wait>("wait"),
                           InstanceMethod<&BarrierObject::unpark>("unpark"),
                           InstanceMethod<&BarrierObject::damage>("damage"),
                           InstanceMethod<&BarrierObject::wake_token>("wakeToken"),
                           InstanceMethod<&BarrierObject::watch>("watch"),
                           InstanceMethod<&BarrierObject::close>("close"),
                       });
  }

 private:
  // arrive() and look(thorough) -> a BarrierTurn::Status, with `facts` = {generation, serial} or {pid, 0}; kClosed
  static napi_value arrive(napi_env env, napi_callback_info info) {
    const HotCall<BarrierObject, 0> call(env, info);
    Barrier* barrier = call.handle->handle_.primitive();
    if (barrier == nullptr) return number(env, std::int32_t{kClosed});
    return call.handle->answer(env, barrier->arrive());
  }
  static napi_value look(napi_env env, napi_callback_info info) {
    const HotCall<BarrierObject, 1> call(env, info);
    Barrier* barrier = call.handle->handle_.primitive();
    if (barrier == nullptr) return number(env, std::int32_t{kClosed});
    bool thorough = false;
    napi_get_value_bool(env, call.arguments[0], &thorough);
    return call.handle->answer(env, barrier->look(thorough));
  }
  napi_value answer(napi_env env, const BarrierTurn& turn) const {
    const bool complete = turn.status == BarrierTurn::Status::complete;
    fact_words_[0] = complete ? static_cast<double>(turn.generation) : turn.pid;
    fact_words_[1] = turn.serial ? 1 : 0;
    return number(env, static_cast<std::int32_t>(turn.status));
  }

  // withdraw() -> false: too late, all have arrived
  Napi::Value withdraw(const Napi::CallbackInfo& info) {
    Barrier* barrier = handle_.primitive();
    return Napi::Boolean::New(info.Env(), barrier == nullptr || barrier->withdraw());
  }
  // reset() -> 0 or kClosed
  Napi::Value reset(const Napi::CallbackInfo& info) {
    Barrier* barrier = handle_.primitive();
    if (barrier != nullptr) barrier->reset();
    return Napi::Number::New(info.Env(), barrier == nullptr ? kClosed : 0);
  }
  // arrived() -> how many wait
  Napi::Value arrived(const Napi::CallbackInfo& info) {
    Barrier* barrier = handle_.primitive();
    return Napi::Number::New(info.Env(), barrier == nullptr ? 0 : barrier->arrived());
  }
  void park(const Napi::CallbackInfo& /*info*/) { handle_.park(); }
  // wait(spinMs, timeoutMs) -> true if something stirred; blocks for 20 ms at most
  Napi::Value wait(const Napi::CallbackInfo& info) {
    Barrier* barrier = handle_.primitive();
    const bool stirred =
        barrier == nullptr ||
        barrier->wait_slice(nanoseconds(info.Env(), info[0]), nanoseconds(info.Env(), info[1]));
    return Napi::Boolean::New(info.Env(), stirred);
  }
  void unpark(const Napi::CallbackInfo& /*info*/) { handle_.unpark(); }
  Napi::Value damage(const Napi::CallbackInfo& info) { return handle_.damage(info.Env()); }
  void wake_token(const Napi::CallbackInfo& info) { handle_.wake_token(info); }
  Napi::Value watch(const Napi::CallbackInfo& info) {
    Barrier* barrier = handle_.primitive();
    return Napi::Boolean::New(info.Env(),
                              barrier != nullptr && handle_.watch(barrier->parties().present()));
  }
  void close(const Napi::CallbackInfo& /*info*/) { handle_.close(); }

  Handle handle_;
  Napi::Reference<Napi::Float64Array> facts_;
  double* fact_words_ = nullptr;
};

}  // namespace

Napi::Function define_barrier(Napi::Env env) {
  return BarrierObject::define(env);
}

}  // namespace millrace::addon
