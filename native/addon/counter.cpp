// A counter as a JavaScript object. Values are bigints: JavaScript numbers hold 53 bits.
#include "millrace/sync/counter.hpp"

#include <cmath>

#include "addon.hpp"
#include "handle.hpp"

namespace millrace::addon {

namespace {

class CounterObject final : public HandleObject<CounterObject, Counter> {
 public:
  // new Counter({ place, initial, mode, owner?, keep })
  explicit CounterObject(const Napi::CallbackInfo& info) : HandleObject(info) {
    const bool opened = open<CounterSpec>(Options(info[0]), [&](CounterSpec& spec) {
      if (info[0].IsObject()) {
        spec.initial = integer(info.Env(), info[0].As<Napi::Object>().Get("initial")).value_or(0);
      }
      return Counter::open(spec, soon());
    });
    if (!opened) return;
    define_hot<&CounterObject::get>("get");
    define_hot<&CounterObject::add>("add");
    define_hot<&CounterObject::exchange>("exchange");
    define_hot<&CounterObject::compare_exchange>("compareExchange");
  }

  static Napi::Function define(Napi::Env env) { return define_class(env, "Counter", {}); }

 private:
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
  napi_value get() {
    return core() == nullptr ? to_js(Env(), kClosed) : bigint(Env(), core()->get());
  }
  napi_value add(const Arguments<1>& given) {
    if (core() == nullptr) return to_js(given.env, kClosed);
    const auto delta = integer(given.env, given[0]);
    return delta ? bigint(given.env, core()->add(*delta)) : to_js(given.env, kInvalid);
  }
  napi_value exchange(const Arguments<1>& given) {
    if (core() == nullptr) return to_js(given.env, kClosed);
    const auto replacement = integer(given.env, given[0]);
    if (!replacement) return to_js(given.env, kInvalid);
    return bigint(given.env, core()->exchange(*replacement));
  }
  napi_value compare_exchange(const Arguments<2>& given) {
    if (core() == nullptr) return to_js(given.env, kClosed);
    const auto expected = integer(given.env, given[0]);
    const auto replacement = integer(given.env, given[1]);
    if (!expected || !replacement) return to_js(given.env, kInvalid);
    return bigint(given.env, core()->compare_exchange(*expected, *replacement));
  }
};

}  // namespace

Napi::Function define_counter(Napi::Env env) {
  return CounterObject::define(env);
}

}  // namespace millrace::addon
