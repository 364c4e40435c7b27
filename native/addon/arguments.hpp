// Reading JavaScript arguments. lib/ has validated them; here they are validated again, because a wrong
// pointer in native code is not an exception but a crash.
#pragma once

#include <napi.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "millrace/os/object.hpp"
#include "millrace/place.hpp"
#include "millrace/result.hpp"

namespace millrace::addon {

struct Bytes {
  std::byte* data = nullptr;
  std::size_t size = 0;
};

// The bytes of a typed array of a kind that this build, or the Node-API of this runtime, has no number for.
// What it says about itself is believed only as far as its buffer goes.
inline std::optional<Bytes> bytes_of_new_kind(napi_env env, napi_value value, void* data,
                                              std::size_t length) noexcept {
  napi_value text = nullptr;
  napi_value buffer = nullptr;
  double unit = 0;
  if (napi_get_named_property(env, value, "BYTES_PER_ELEMENT", &text) != napi_ok ||
      napi_get_value_double(env, text, &unit) != napi_ok || !(unit >= 1 && unit <= 64)) {
    return std::nullopt;
  }
  void* start = nullptr;
  std::size_t offset = 0;
  std::size_t whole = 0;
  napi_typedarray_type type{};
  if (napi_get_typedarray_info(env, value, &type, nullptr, nullptr, &buffer, &offset) != napi_ok ||
      napi_get_arraybuffer_info(env, buffer, &start, &whole) != napi_ok) {
    return std::nullopt;
  }
  const std::size_t size = length * static_cast<std::size_t>(unit);
  if (offset > whole || size > whole - offset) return std::nullopt;
  return Bytes{static_cast<std::byte*>(data), size};
}

// Any typed array, Buffer or DataView, as bytes. Nothing for everything else.
inline std::optional<Bytes> bytes_of(napi_env env, napi_value value) noexcept {
  // A runtime that knows more kinds than its Node-API leaves this as it is.
  constexpr auto no_kind = static_cast<napi_typedarray_type>(15);
  napi_typedarray_type type = no_kind;
  std::size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) == napi_ok)
      [[likely]] {
    std::size_t unit = 1;
    switch (type) {
      case napi_int8_array:
      case napi_uint8_array:
      case napi_uint8_clamped_array:
        break;
      case napi_int16_array:
      case napi_uint16_array:
        unit = 2;
        break;
      case napi_int32_array:
      case napi_uint32_array:
      case napi_float32_array:
        unit = 4;
        break;
      case napi_float64_array:
      case napi_bigint64_array:
      case napi_biguint64_array:
        unit = 8;
        break;
      default:  // Float16Array, and whatever comes after it
        return bytes_of_new_kind(env, value, data, length);
    }
    return Bytes{static_cast<std::byte*>(data), length * unit};
  }
  if (napi_get_dataview_info(env, value, &length, &data, nullptr, nullptr) == napi_ok) {
    return Bytes{static_cast<std::byte*>(data), length};
  }
  return std::nullopt;
}

// A whole number from 0 to 2^53 - 1; everything else (also NaN, negatives, other types) gives `otherwise`.
inline std::uint64_t natural(napi_env env, napi_value value, std::uint64_t otherwise) noexcept {
  double number = 0;
  if (napi_get_value_double(env, value, &number) != napi_ok) return otherwise;
  if (!(number >= 0) || number > 9007199254740991.0) return otherwise;
  return static_cast<std::uint64_t>(number);
}
inline std::uint32_t small_natural(napi_env env, napi_value value,
                                   std::uint32_t otherwise) noexcept {
  const std::uint64_t number = natural(env, value, otherwise);
  return number > std::numeric_limits<std::uint32_t>::max() ? otherwise
                                                            : static_cast<std::uint32_t>(number);
}
// Milliseconds (also fractions, also Infinity) as nanoseconds.
inline std::uint64_t nanoseconds(napi_env env, napi_value milliseconds) noexcept {
  double number = 0;
  if (napi_get_value_double(env, milliseconds, &number) != napi_ok || !(number > 0)) return 0;
  const double ns = number * 1e6;
  return ns >= 9e18 ? std::uint64_t{9'000'000'000'000'000'000U} : static_cast<std::uint64_t>(ns);
}

// The two below convert nothing: in a worker that is being terminated conversions fail at any instant, and the empty
// value that comes of it ends the process when it is asked for what it holds.

// A boolean; everything else gives false.
inline bool truth(napi_env env, napi_value value) noexcept {
  bool result = false;
  return napi_get_value_bool(env, value, &result) == napi_ok && result;
}
// A string; everything else gives an empty one.
inline std::string text_of(const Napi::Value& value) {
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

// Fields of an options object.
class Options {
 public:
  explicit Options(const Napi::Value& value)
      : object_(value.IsObject() ? value.As<Napi::Object>() : Napi::Object()) {}

  [[nodiscard]] std::string text(const char* key) const { return text_of(get(key)); }
  // A name, the descriptor of a nameless segment, or { file: path }.
  [[nodiscard]] Place place() const {
    const Napi::Value value = get("place");
    if (value.IsNumber()) return Place::nameless(value.As<Napi::Number>().Int32Value());
    if (value.IsObject()) return Place::file(Options(value).text("file"));
    return text("place");
  }
  // { hugePages, lock, prefault, zeroOnClose, numa: { policy, nodes } }
  [[nodiscard]] os::MemoryOptions memory() const {
    const Options given(get("memory"));
    os::MemoryOptions memory;
    memory.huge_pages = given.flag("hugePages");
    memory.lock = given.flag("lock");
    memory.prefault = given.flag("prefault");
    memory.zero_on_close = given.flag("zeroOnClose");
    const Options numa(given.get("numa"));
    const std::string policy = numa.text("policy");
    if (policy == "bind") memory.numa = os::NumaPolicy::bind;
    if (policy == "preferred") memory.numa = os::NumaPolicy::preferred;
    if (policy == "interleave") memory.numa = os::NumaPolicy::interleave;
    memory.nodes = numa.small_list("nodes");
    return memory;
  }
  // Whole numbers; whatever else is in the list is left out.
  [[nodiscard]] std::vector<std::uint32_t> small_list(const char* key) const {
    std::vector<std::uint32_t> list;
    each(key, [&](const Napi::Value& value) {
      if (value.IsNumber()) list.push_back(small_natural(value.Env(), value, 0xFFFF'FFFFU));
    });
    return list;
  }
  [[nodiscard]] std::vector<std::string> text_list(const char* key) const {
    std::vector<std::string> list;
    each(key, [&](const Napi::Value& value) {
      if (value.IsString()) list.push_back(value.As<Napi::String>().Utf8Value());
    });
    return list;
  }
  [[nodiscard]] std::uint64_t number(const char* key, std::uint64_t otherwise) const {
    const Napi::Value value = get(key);
    return value.IsNumber() ? natural(value.Env(), value, otherwise) : otherwise;
  }
  [[nodiscard]] std::uint32_t small(const char* key, std::uint32_t otherwise) const {
    const std::uint64_t value = number(key, otherwise);
    return static_cast<std::uint32_t>(value > std::numeric_limits<std::uint32_t>::max()
                                          ? std::numeric_limits<std::uint32_t>::max()
                                          : value);
  }
  [[nodiscard]] std::optional<std::uint64_t> number_if_any(const char* key) const {
    constexpr std::uint64_t none = ~std::uint64_t{0};  // no number of JavaScript's is as large
    const std::uint64_t value = number(key, none);
    return value == none ? std::nullopt : std::optional(value);
  }
  [[nodiscard]] std::optional<std::uint32_t> small_if_any(const char* key) const {
    const auto number = number_if_any(key);
    if (!number) return std::nullopt;
    return *number > std::numeric_limits<std::uint32_t>::max()
               ? std::numeric_limits<std::uint32_t>::max()
               : static_cast<std::uint32_t>(*number);
  }
  [[nodiscard]] bool flag(const char* key) const {
    const Napi::Value value = get(key);
    return value.IsBoolean() && value.As<Napi::Boolean>().Value();
  }
  [[nodiscard]] std::optional<uid_t> user(const char* key) const {
    const Napi::Value value = get(key);
    if (!value.IsNumber()) return std::nullopt;
    return static_cast<uid_t>(value.As<Napi::Number>().Uint32Value());
  }
  [[nodiscard]] std::optional<std::uint64_t> bits_if_any(const char* key) const {
    const Napi::Value value = get(key);
    bool lossless = false;
    if (!value.IsBigInt()) return std::nullopt;
    return value.As<Napi::BigInt>().Uint64Value(&lossless);
  }
  // The fingerprint of a schema; 0: none.
  [[nodiscard]] std::uint64_t schema() const { return bits_if_any("schema").value_or(0); }
  [[nodiscard]] Result<mode_t> mode() const {
    return os::check_mode(static_cast<unsigned>(number("mode", 0600)));
  }
  [[nodiscard]] std::uint64_t timeout_ns(const char* key, std::uint64_t otherwise) const {
    const Napi::Value value = get(key);
    return value.IsNumber() ? nanoseconds(value.Env(), value) : otherwise;
  }

 private:
  [[nodiscard]] Napi::Value get(const char* key) const {
    return object_.IsEmpty() ? Napi::Value() : object_.Get(key);
  }
  template <typename Each>
  void each(const char* key, Each&& each) const {
    const Napi::Value value = get(key);
    if (!value.IsArray()) return;
    const auto list = value.As<Napi::Array>();
    for (std::uint32_t i = 0; i < list.Length(); ++i)
      each(list.Get(i));
  }

  Napi::Object object_;
};

}  // namespace millrace::addon
