// Errors as C sees them: a code, and what this thread was told last.
#pragma once

#include <cstdint>

#include "millrace.h"
#include "millrace/result.hpp"

namespace millrace::capi {

// Larger structs of options are none.
inline constexpr std::uint64_t kMostOptions = 4096;

[[nodiscard]] std::int32_t number_of(Code code) noexcept;
// Notes it for this thread, and returns its code.
[[gnu::cold]] std::int32_t fail(const Error& error) noexcept;
// The same with one of the codes that the core does not know.
[[gnu::cold]] std::int32_t fail_as(std::int32_t code, const char* message) noexcept;
// Apart: most calls do not come here.
[[nodiscard, gnu::cold]] std::int32_t no_handle() noexcept;
[[nodiscard, gnu::cold]] std::int32_t no_argument(const char* what) noexcept;
// A number of things that is 0, and what to do instead.
[[nodiscard, gnu::cold]] std::int32_t none_of(const char* what, const char* cure) noexcept;

}  // namespace millrace::capi
