// There are no time namespaces here: everybody's clock is the host's.
#pragma once

#include <cstdint>

namespace millrace::os {

[[nodiscard]] inline std::int64_t monotonic_offset_ns() noexcept {
  return 0;
}

}  // namespace millrace::os
