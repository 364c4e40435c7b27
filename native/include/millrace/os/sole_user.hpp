// Is anybody else on a file, whoever it is and however it got there?
#pragma once

namespace millrace::os {

enum class Alone { yes, no, unknown };

}  // namespace millrace::os

#if defined(__linux__)
#include "linux/sole_user.hpp"
#elif defined(__APPLE__)
#include "darwin/sole_user.hpp"
#endif
