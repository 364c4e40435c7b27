// What the tests of blocking calls share.
#pragma once

#include <millrace/blocking.hpp>

#include "fixture.hpp"

namespace millrace::test {

inline const BlockingOptions at_most_a_minute{60 * kSecond, 0};
inline const BlockingOptions briefly{30 * kMillisecond, kMillisecond};

Code code_of(const auto& result) {
  REQUIRE_FALSE(result.ok());
  return result.error().code;
}

}  // namespace millrace::test
