// How a member function of C++ becomes a function of JavaScript. The member function takes what the call gives,
//   std::int32_t room();                              no arguments
//   bool wait(const Arguments<2>& given);             two, as Node-API values; those left out are undefined
// and what it returns becomes what the call returns: bool, a number, nothing (undefined), or a Node-API value.
// lib/ has validated the arguments, and the member function validates them again: see arguments.hpp.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

namespace millrace::addon {

// Results of calls, shared with lib/addon/outcome.ts. Non-negative numbers are the call's own.
enum Outcome : std::int32_t {
  kWouldBlock = -1,  // full or empty
  kTooLarge = -2,    // the message, or the target too small
  kCorrupt = -3,
  kClosed = -4,
  kInvalid = -5,
  kTooManyHeld = -6,
  kLapped = -7,  // overwritten while it was read, again and again
  kBusy = -8,    // somebody is in the middle of what only one can do at a time: soon
};

template <std::size_t Count>
struct Arguments {
  napi_env env = nullptr;
  napi_value values[Count == 0 ? 1 : Count] = {};

  napi_value operator[](std::size_t index) const noexcept { return values[index]; }
};

inline napi_value to_js(napi_env /*env*/, napi_value value) noexcept {
  return value;
}
inline napi_value to_js(napi_env env, std::int32_t value) noexcept {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}
inline napi_value to_js(napi_env env, std::uint32_t value) noexcept {
  napi_value result = nullptr;
  napi_create_uint32(env, value, &result);
  return result;
}
inline napi_value to_js(napi_env env, std::int64_t value) noexcept {
  napi_value result = nullptr;
  napi_create_int64(env, value, &result);
  return result;
}
inline napi_value to_js(napi_env env, double value) noexcept {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}
inline napi_value to_js(napi_env env, bool value) noexcept {
  napi_value result = nullptr;
  napi_get_boolean(env, value, &result);
  return result;
}
inline napi_value to_js(napi_env env, const std::string& value) noexcept {
  napi_value result = nullptr;
  napi_create_string_utf8(env, value.data(), value.size(), &result);
  return result;
}
// Nothing is undefined.
template <typename Value>
napi_value to_js(napi_env env, const std::optional<Value>& value) noexcept {
  return value ? to_js(env, *value) : nullptr;
}

namespace binding {

// How many arguments `member` takes.
template <typename Object, auto member, std::size_t Count = 0>
constexpr std::size_t argument_count() noexcept {
  if constexpr (std::is_invocable_v<decltype(member), Object&> ||
                std::is_invocable_v<decltype(member), Object&, const Arguments<Count>&>) {
    return Count;
  } else {
    static_assert(Count < 10, "a method takes nothing, or const Arguments<N>&");
    return argument_count<Object, member, Count + 1>();
  }
}

template <auto member, typename Object, std::size_t Count>
decltype(auto) invoke(Object& object, const Arguments<Count>& given) {
  if constexpr (Count == 0) {
    return (object.*member)();
  } else {
    return (object.*member)(given);
  }
}

template <auto member, typename Object, std::size_t Count>
napi_value run(Object& object, const Arguments<Count>& given) {
  if constexpr (std::is_void_v<decltype(invoke<member>(object, given))>) {
    invoke<member>(object, given);
    return nullptr;
  } else {
    return to_js(given.env, invoke<member>(object, given));
  }
}

// The object behind `this`, and the arguments. One function for all methods: there are a hundred.
[[gnu::noinline]] inline void* object_of(napi_env env, napi_callback_info info, napi_value* values,
                                         std::size_t count) noexcept {
  napi_value self = nullptr;
  void* object = nullptr;
  napi_get_cb_info(env, info, &count, values, &self, nullptr);
  return napi_unwrap(env, self, &object) == napi_ok ? object : nullptr;
}

// For a function of the prototype: the object is `this`.
template <typename Object, auto member>
napi_value call_on_this(napi_env env, napi_callback_info info) {
  constexpr std::size_t count = argument_count<Object, member>();
  Arguments<count> given{env};
  auto* object = static_cast<Object*>(object_of(env, info, given.values, count));
  return object == nullptr ? nullptr : run<member>(*object, given);
}

// For a function that belongs to one object: nothing to unwrap.
template <typename Object, auto member>
napi_value call_on_data(napi_env env, napi_callback_info info) {
  Arguments<argument_count<Object, member>()> given{env};
  std::size_t count = argument_count<Object, member>();
  void* object = nullptr;
  napi_get_cb_info(env, info, &count, given.values, nullptr, &object);
  return run<member>(*static_cast<Object*>(object), given);
}

}  // namespace binding

// A function of the prototype, for DefineClass().
using Method = napi_property_descriptor;

template <typename Object, auto member>
Method method_of(const char* name) {
  Method method{};
  method.utf8name = name;
  method.method = binding::call_on_this<Object, member>;
  return method;
}

// What is called for every message: a function object of its own in each instance saves the unwrapping. It keeps its object
// alive, whoever keeps the function. One function for all of them, as they are many.
[[gnu::noinline]] inline napi_value hot_function(napi_env env, napi_value self, void* object,
                                                 const char* name, napi_callback call) noexcept {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, call, object, &function);
  napi_property_descriptor owner{};
  owner.utf8name = "owner";
  owner.value = self;  // which nobody can take away: neither writable nor configurable
  napi_define_properties(env, function, 1, &owner);
  return function;
}
[[gnu::noinline]] inline void set_hot(napi_env env, napi_value self, void* object, const char* name,
                                      napi_callback call) noexcept {
  napi_set_named_property(env, self, name, hot_function(env, self, object, name, call));
}
[[gnu::noinline]] inline void set_instead(napi_env env, napi_value self, void* object,
                                          const char* name, napi_callback call) noexcept {
  napi_property_descriptor method{};
  method.utf8name = name;
  method.value = hot_function(env, self, object, name, call);
  method.attributes = napi_default_jsproperty;
  napi_define_properties(env, self, 1, &method);
}
template <typename Object, auto member>
void define_hot(Napi::Object self, Object* object, const char* name) {
  set_hot(self.Env(), self, object, name, binding::call_on_data<Object, member>);
}
// The same in the place of what the object has by this name, perhaps from its prototype, which cannot be assigned to.
template <typename Object, auto member>
void define_instead(Napi::Object self, Object* object, const char* name) {
  set_instead(self.Env(), self, object, name, binding::call_on_data<Object, member>);
}

}  // namespace millrace::addon
