// A counter as a JavaScript object. Values are bigints: JavaScript numbers hold 53 bits.
#include "millrace/sync/counter.hpp"

#include <cmath>

#include "addon.hpp"
#include "arguments.hpp"
#include "channel.hpp"

namespace millrace::addon {

namespace {

class CounterObject final : public Napi::ObjectWrap<CounterObject>, public Closable {
 public:
  // new Counter({ name, initial, mode, owner?, keep })
  explicit CounterObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<CounterObject>(info), environment_(Environment::of(info.Env())) {
    auto opened = open(info);
    if (!opened.ok()) {
      environment_.raise(opened.error());
      return;
    }
    counter_ = opened.take();
    environment_.add(this);
    Napi::Object self = info.This().As<Napi::Object>();
    self.Set("path", Napi::String::New(info.Env(), counter_->segment().path()));
    define_hot(self, this, "get", get);
    define_hot(self, this, "add", add);
    define_hot(self, this, "exchange", exchange);
    define_hot(self, this, "compareExchange", compare_exchange);
  }
  ~CounterObject() override { leave(); }

  void close_now() noexcept override { leave(); }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Counter", {InstanceMethod<&CounterObject::close>("close")});
  }

 private:
  static Result<std::unique_ptr<Counter>> open(const Napi::CallbackInfo& info) {
    const Options options(info[0]);
    auto mode = options.mode();
    if (!mode.ok()) return mode.error();
    CounterSpec spec;
    spec.place = options.place();
    spec.mode = mode.value();
    spec.owner = options.user("owner");
    spec.keep = options.flag("keep");
    if (info[0].IsObject()) {
      spec.initial = integer(info.Env(), info[0].As<Napi::Object>().Get("initial")).value_or(0);
    }
    return Counter::open(spec, os::Deadline::after(kEnterTimeoutNs));
  }

  // A bigint of 64 bits, or a whole number.
  static std::optional<std::int64_t> integer(napi_env env, napi_value value) noexcept {
    double number = 0;
    if (napi_get_value_double(env, value, &number) == napi_ok) {
      if (!(std::abs(number) <= 9007199254740991.0) || number != std::trunc(number)) {
        return std::nullopt;
      }
      return static_cast<std::int64_t>(number);
    }
    std::int64_t integer = 0;
    bool lossless = false;
    if (napi_get_value_bigint_int64(env, value, &integer, &lossless) != napi_ok || !lossless) {
      return std::nullopt;
    }
    return integer;
  }
  static napi_value bigint(napi_env env, std::int64_t value) noexcept {
    napi_value result = nullptr;
    napi_create_bigint_int64(env, value, &result);
    return result;
  }

  // get(), add(delta), exchange(value), compareExchange(expected, replacement) -> bigint; or kClosed,
  // kInvalid
  static napi_value get(napi_env env, napi_callback_info info) {
    const HotCall<CounterObject, 0> call(env, info);
    Counter* counter = call.handle->counter_.get();
    if (counter == nullptr) return number(env, std::int32_t{kClosed});
    return bigint(env, counter->get());
  }
  static napi_value add(napi_env env, napi_callback_info info) {
    const HotCall<CounterObject, 1> call(env, info);
    Counter* counter = call.handle->counter_.get();
    if (counter == nullptr) return number(env, std::int32_t{kClosed});
    const auto delta = integer(env, call.arguments[0]);
    if (!delta) return number(env, std::int32_t{kInvalid});
    return bigint(env, counter->add(*delta));
  }
  static napi_value exchange(napi_env env, napi_callback_info info) {
    const HotCall<CounterObject, 1> call(env, info);
    Counter* counter = call.handle->counter_.get();
    if (counter == nullptr) return number(env, std::int32_t{kClosed});
    const auto replacement = integer(env, call.arguments[0]);
    if (!replacement) return number(env, std::int32_t{kInvalid});
    return bigint(env, counter->exchange(*replacement));
  }
  static napi_value compare_exchange(napi_env env, napi_callback_info info) {
    const HotCall<CounterObject, 2> call(env, info);
    Counter* counter = call.handle->counter_.get();
    if (counter == nullptr) return number(env, std::int32_t{kClosed});
    const auto expected = integer(env, call.arguments[0]);
    const auto replacement = integer(env, call.arguments[1]);
    if (!expected || !replacement) return number(env, std::int32_t{kInvalid});
    return bigint(env, counter->compare_exchange(*expected, *replacement));
  }

  void close(const Napi::CallbackInfo& /*info*/) { leave(); }
  void leave() noexcept {
    if (!counter_) return;
    environment_.remove(this);
    counter_->close();
    counter_.reset();
  }

  Environment& environment_;
  std::unique_ptr<Counter> counter_;
};

}  // namespace

Napi::Function define_counter(Napi::Env env) {
  return CounterObject::define(env);
}

}  // namespace millrace::addon
