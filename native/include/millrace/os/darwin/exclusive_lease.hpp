// macOS does not tell who else has shared memory open.
#pragma once

#include "../exclusive_lease.hpp"

namespace millrace::os {

class ExclusiveLease {
 public:
  explicit ExclusiveLease(int /*fd*/) noexcept {}
  [[nodiscard]] LeaseState state() const noexcept { return LeaseState::unsupported; }
};

}  // namespace millrace::os
