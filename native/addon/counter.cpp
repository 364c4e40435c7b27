// A counter as a JavaScript object. Values are bigints: JavaScript numbers hold 53 bits.
//
// lib/sync/counter.ts makes its steps itself, in the memory that record() lends it. The calls here are for runtimes that
// do not allow that.
#include "millrace/sync/counter.hpp"

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
    (void)opened;  // an exception is pending if not
  }

  static Napi::Function define(Napi::Env env) {
    return define_class(env, "Counter",
                        {
                            method<&CounterObject::record>("record"),
                            method<&CounterObject::get>("get"),
                            method<&CounterObject::add>("add"),
                            method<&CounterObject::exchange>("exchange"),
                            method<&CounterObject::compare_exchange>("compareExchange"),
                        });
  }

  void detach_buffers() {
    HandleObject::detach_buffers();
    record_.detach();
  }

 private:
  // A bigint of 64 bits.
  static std::optional<std::int64_t> integer(napi_env env, napi_value value) noexcept {
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

  // record() -> the memory of the CounterRecord, which begins with the value; undefined once closed
  Napi::Value record() {
    if (core() == nullptr) return Env().Undefined();
    return record_.get(Env(), core()->segment().control(), layout::kCounterOffset,
                       sizeof(layout::CounterRecord));
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

  SharedBuffer record_;
};

}  // namespace

Napi::Function define_counter(Napi::Env env) {
  return CounterObject::define(env);
}

}  // namespace millrace::addon
