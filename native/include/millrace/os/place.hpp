// Chooses the platform's place.
#pragma once

#if defined(__linux__)
#include "linux/place.hpp"
#elif defined(__APPLE__)
#include "darwin/place.hpp"
#else
#error "millrace supports Linux and macOS"
#endif
