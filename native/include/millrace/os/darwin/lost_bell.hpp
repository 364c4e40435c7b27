// A FIFO that has lost its name cannot be opened through the process that has it. Its owner, who looks at
// its peers every 50 ms here, does not depend on being rung.
#pragma once

#include <sys/types.h>

#include <string>

#include "../descriptor.hpp"

namespace millrace::os {

[[nodiscard]] inline Descriptor open_lost_bell(pid_t /*owner*/, const std::string& /*path*/) {
  return {};
}

}  // namespace millrace::os
