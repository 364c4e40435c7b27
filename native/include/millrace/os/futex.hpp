// Chooses the platform's futex.
#pragma once

#if defined(__linux__)
#include "linux/futex.hpp"
#elif defined(__APPLE__)
#include "darwin/futex.hpp"
#else
#error "millrace supports Linux and macOS"
#endif
