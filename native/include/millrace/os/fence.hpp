// Chooses the platform's fence.
#pragma once

#if defined(__linux__)
#include "linux/fence.hpp"
#elif defined(__APPLE__)
#include "darwin/fence.hpp"
#else
#error "millrace supports Linux and macOS"
#endif
