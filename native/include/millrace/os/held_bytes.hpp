// Bytes of a file that somebody has locked, of those that were asked about.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <limits>

namespace millrace::os {

struct HeldBytes {
  off_t from = 0;
  off_t to = 0;  // the first one behind them

  // `count` 0: to the end.
  [[nodiscard]] static constexpr off_t end_of(off_t from, off_t count) noexcept {
    return count == 0 ? std::numeric_limits<off_t>::max() : from + count;
  }
  [[nodiscard]] static constexpr HeldBytes all_of(off_t from, off_t count) noexcept {
    return {from, end_of(from, count)};
  }
  // What of the bytes asked about a lock of [start, start + length) covers. A system that names other bytes than it was asked
  // about has said only that some are held.
  [[nodiscard]] static constexpr HeldBytes within(off_t from, off_t count, off_t start,
                                                  off_t length) noexcept {
    const HeldBytes asked = all_of(from, count);
    const HeldBytes held{std::max(start, asked.from), std::min(end_of(start, length), asked.to)};
    return held.from < held.to ? held : asked;
  }
};

}  // namespace millrace::os
