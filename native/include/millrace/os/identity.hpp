// Chooses the platform's identity.
#pragma once

#if defined(__linux__)
#include "linux/identity.hpp"
#elif defined(__APPLE__)
#include "darwin/identity.hpp"
#else
#error "millrace supports Linux and macOS"
#endif
