// One descriptor for several, and for a point in time. A system's own way is in a file of its own.
#pragma once

#if defined(__linux__)
#include "linux/poll_set.hpp"
#elif defined(__APPLE__)
#include "darwin/poll_set.hpp"
#endif
