// Chooses the platform's way to write to a pipe.
#pragma once

#if defined(__linux__)
#include "linux/quiet_pipe.hpp"
#elif defined(__APPLE__)
#include "darwin/quiet_pipe.hpp"
#else
#error "millrace supports Linux and macOS"
#endif
