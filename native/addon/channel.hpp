// What all channel handles share: belonging to an environment, closing once, and functions whose data
// pointer is the handle itself (one function object per instance: no unwrapping on the hot path).
#pragma once

#include <napi.h>
#include <unistd.h>

#include <cstdint>

#include "environment.hpp"
#include "millrace/segment.hpp"
#include "shared_buffer.hpp"

namespace millrace::addon {

// Results of hot calls, shared with lib/addon/outcome.ts. Non-negative numbers are the call's own.
enum Outcome : std::int32_t {
  kWouldBlock = -1,  // full or empty
  kTooLarge = -2,    // the message, or the target too small
  kCorrupt = -3,
  kClosed = -4,
  kInvalid = -5,
  kTooManyHeld = -6,
  kLapped = -7,  // overwritten while it was read, again and again
};

inline napi_value number(napi_env env, std::int32_t value) noexcept {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}
inline napi_value number(napi_env env, std::int64_t value) noexcept {
  napi_value result = nullptr;
  napi_create_int64(env, value, &result);
  return result;
}
inline napi_value boolean(napi_env env, bool value) noexcept {
  napi_value result = nullptr;
  napi_get_boolean(env, value, &result);
  return result;
}

// The arguments of a hot call and the handle it belongs to.
template <typename Handle, std::size_t Count>
struct HotCall {
  HotCall(napi_env env, napi_callback_info info) noexcept {
    std::size_t count = Count;
    void* data = nullptr;
    napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
    handle = static_cast<Handle*>(data);
  }
  Handle* handle = nullptr;
  napi_value arguments[Count == 0 ? 1 : Count] = {};
};

template <typename Handle>
void define_hot(Napi::Object object, Handle* handle, const char* name, napi_callback callback) {
  napi_value function = nullptr;
  napi_create_function(object.Env(), name, NAPI_AUTO_LENGTH, callback, handle, &function);
  napi_set_named_property(object.Env(), object, name, function);
}

// damage() -> an error if somebody has shortened the segment, which is left then without touching it, and
// otherwise nothing. Asked before and during waits.
template <typename Leave>
Napi::Value damage_of(Environment& environment, Napi::Env env, const Segment& segment,
                      Leave&& leave) {
  if (segment.intact()) return env.Undefined();
  const Error error = segment.shortened();
  leave();
  return environment.error_of(error);
}

// The doorbell for a channel: known beforehand for a private one, and for one that is open to a group
// only when its segment tells which group.
class BellChoice {
 public:
  BellChoice(Environment& environment, mode_t mode)
      : environment_(environment), shared_with_group_((mode & 0060) == 0060) {}

  // To be passed to open(); 0: announce later.
  Result<std::uint64_t> before() {
    if (shared_with_group_) return std::uint64_t{0};
    return environment_.doorbell(os::BellTrust{::geteuid(), 0, false});
  }
  // The one to announce after open(); 0: nothing to do.
  Result<std::uint64_t> after(const os::BellTrust& trust) {
    if (!shared_with_group_) return std::uint64_t{0};
    return environment_.doorbell(trust);
  }

 private:
  Environment& environment_;
  bool shared_with_group_;
};

}  // namespace millrace::addon
