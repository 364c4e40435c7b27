// macOS has no memory whose size can be sealed, and nothing that re-opens a descriptor.
#pragma once

#include <string>

#include "../../result.hpp"
#include "../descriptor.hpp"
#include "../object.hpp"

namespace millrace::os {

inline constexpr bool kNamelessMemory = false;

inline Error no_nameless_memory() {
  return make_error(Code::unsupported_platform,
                    "nameless segments need memfd_create, which only Linux has; use a name, or a "
                    "mapped file");
}

inline Result<Descriptor> create_nameless(mode_t /*mode*/, bool /*huge_pages*/) {
  return no_nameless_memory();
}
[[nodiscard]] inline bool is_nameless(int /*fd*/) noexcept {
  return false;
}
[[nodiscard]] inline bool size_is_sealed(int /*fd*/) noexcept {
  return false;
}
inline Result<void> seal_size(int /*fd*/, const std::string& /*path*/) {
  return no_nameless_memory();
}
inline Result<Descriptor> reopen(int /*fd*/, Access /*access*/, const std::string& /*path*/) {
  return no_nameless_memory();
}
[[nodiscard]] inline std::uint64_t page_bytes_of(int /*fd*/) noexcept {
  return page_size();
}
inline Result<void> allocate_nameless(int /*fd*/, std::uint64_t /*size*/,
                                      const std::string& /*path*/) {
  return no_nameless_memory();
}
inline Result<void> empty_nameless(int /*fd*/, const std::string& /*path*/) {
  return no_nameless_memory();
}

}  // namespace millrace::os
