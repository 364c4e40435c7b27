// Chooses the platform's way to find a FIFO that has lost its name.
#pragma once

#if defined(__linux__)
#include "linux/lost_bell.hpp"
#elif defined(__APPLE__)
#include "darwin/lost_bell.hpp"
#else
#error "millrace supports Linux and macOS"
#endif
