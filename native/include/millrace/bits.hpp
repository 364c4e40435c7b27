// Going through the bits of a 64-bit set.
#pragma once

#include <bit>
#include <cstdint>

namespace millrace::detail {

// Calls each(i) for every set bit, from the lowest on.
template <typename Each>
void for_each_bit(std::uint64_t bits, Each&& each) {
  while (bits != 0) {
    each(static_cast<std::uint32_t>(std::countr_zero(bits)));
    bits &= bits - 1;
  }
}

}  // namespace millrace::detail
