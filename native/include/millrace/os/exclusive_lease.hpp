// Is anybody else on a file, whoever it is and however it got there?
#pragma once

namespace millrace::os {

enum class LeaseState { granted, refused, unsupported };

}  // namespace millrace::os

#if defined(__linux__)
#include "linux/exclusive_lease.hpp"
#elif defined(__APPLE__)
#include "darwin/exclusive_lease.hpp"
#endif
