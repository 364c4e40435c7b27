// An event as a JavaScript object.
#include "millrace/sync/event.hpp"

#include "addon.hpp"
#include "party.hpp"

namespace millrace::addon {

namespace {

class EventObject final : public Napi::ObjectWrap<EventObject> {
 public:
  using Handle = PartyHandle<Event>;

  // new Event({ place, mode, owner?, reset?: 'auto' | 'manual', keep })
  explicit EventObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<EventObject>(info), handle_(info.Env()) {
    const Options options(info[0]);
    const bool opened = handle_.open(info, options, [&](const PartyOptions& party) {
      EventSpec spec;
      static_cast<PartyOptions&>(spec) = party;
      const std::string reset = options.text("reset");
      if (reset == "manual") spec.reset = layout::Reset::manual;
      if (reset == "auto") spec.reset = layout::Reset::automatic;
      spec.keep = options.flag("keep");
      return Event::open(spec, os::Deadline::after(kEnterTimeoutNs));
    });
    if (!opened) return;
    Napi::Object self = info.This().As<Napi::Object>();
    self.Set("manual", Napi::Boolean::New(info.Env(), handle_.primitive()->manual()));
    define_hot(self, &handle_, "set", set);
    define_hot(self, &handle_, "tryWait", try_wait);
    define_hot(self, &handle_, "tryWaitSince", try_wait_since);
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Event",
                       {
                           InstanceMethod<&EventObject::reset>("reset"),
                           InstanceMethod<&EventObject::is_set>("isSet"),
                           InstanceMethod<&EventObject::begin_wait>("beginWait"),
                           InstanceMethod<&EventObject::end_wait>("endWait"),
                           InstanceMethod<&EventObject::park>("park"),
                           InstanceMethod<&EventObject::wait>("wait"),
                           InstanceMethod<&EventObject::unpark>("unpark"),
                           InstanceMethod<&EventObject::damage>("damage"),
                           InstanceMethod<&EventObject::wake_token>("wakeToken"),
                           InstanceMethod<&EventObject::watch>("watch"),
                           InstanceMethod<&EventObject::close>("close"),
                       });
  }

 private:
  // set() -> 0 or kClosed
  static napi_value set(napi_env env, napi_callback_info info) {
    const HotCall<Handle, 0> call(env, info);
    Event* event = call.handle->primitive();
    if (event == nullptr) return number(env, std::int32_t{kClosed});
    event->set();
    return number(env, 0);
  }
  // tryWait() -> 1 if it let us pass, 0 if not, or kClosed
  static napi_value try_wait(napi_env env, napi_callback_info info) {
    const HotCall<Handle, 0> call(env, info);
    Event* event = call.handle->primitive();
    if (event == nullptr) return number(env, std::int32_t{kClosed});
    return number(env, std::int32_t{event->try_wait()});
  }
  // tryWaitSince(mark): the same for a wait that beginWait() has begun
  static napi_value try_wait_since(napi_env env, napi_callback_info info) {
    const HotCall<Handle, 1> call(env, info);
    Event* event = call.handle->primitive();
    if (event == nullptr) return number(env, std::int32_t{kClosed});
    return number(env, std::int32_t{event->try_wait(natural(env, call.arguments[0], 0))});
  }

  // reset() -> 0 or kClosed
  Napi::Value reset(const Napi::CallbackInfo& info) {
    Event* event = handle_.primitive();
    if (event != nullptr) event->reset();
    return Napi::Number::New(info.Env(), event == nullptr ? kClosed : 0);
  }
  // isSet() -> 1 or 0, or kClosed
  Napi::Value is_set(const Napi::CallbackInfo& info) {
    Event* event = handle_.primitive();
    return Napi::Number::New(info.Env(),
                             event == nullptr ? std::int32_t{kClosed} : event->is_set());
  }
  // beginWait() -> what tryWaitSince() wants to know; endWait() when no wait is left
  Napi::Value begin_wait(const Napi::CallbackInfo& info) {
    Event* event = handle_.primitive();
    return Napi::Number::New(info.Env(),
                             event == nullptr ? 0 : static_cast<double>(event->begin_wait()));
  }
  void end_wait(const Napi::CallbackInfo& /*info*/) {
    if (handle_.primitive() != nullptr) handle_.primitive()->end_wait();
  }
  void park(const Napi::CallbackInfo& /*info*/) { handle_.park(); }
  // wait(spinMs, timeoutMs) -> true if something stirred; blocks for 20 ms at most
  Napi::Value wait(const Napi::CallbackInfo& info) {
    Event* event = handle_.primitive();
    const bool stirred = event == nullptr || event->wait_slice(nanoseconds(info.Env(), info[0]),
                                                               nanoseconds(info.Env(), info[1]));
    return Napi::Boolean::New(info.Env(), stirred);
  }
  void unpark(const Napi::CallbackInfo& /*info*/) { handle_.unpark(); }
  Napi::Value damage(const Napi::CallbackInfo& info) { return handle_.damage(info.Env()); }
  void wake_token(const Napi::CallbackInfo& info) { handle_.wake_token(info); }
  // Whoever is here may set the event, and die before it wakes anybody.
  Napi::Value watch(const Napi::CallbackInfo& info) {
    Event* event = handle_.primitive();
    return Napi::Boolean::New(info.Env(),
                              event != nullptr && handle_.watch(event->parties().present()));
  }
  void close(const Napi::CallbackInfo& /*info*/) { handle_.close(); }

  Handle handle_;
};

}  // namespace

Napi::Function define_event(Napi::Env env) {
  return EventObject::define(env);
}

}  // namespace millrace::addon
