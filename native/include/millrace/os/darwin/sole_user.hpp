// macOS does not tell who else has shared memory open.
#pragma once

#include "../sole_user.hpp"

namespace millrace::os {

class SoleUser {
 public:
  explicit SoleUser(int /*fd*/) noexcept {}
  [[nodiscard]] Alone alone() const noexcept { return Alone::unknown; }
};

}  // namespace millrace::os
