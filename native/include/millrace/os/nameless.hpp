// Memory without a name, reached by a descriptor only, whose size is sealed for good: see linux/nameless.hpp.
#pragma once

#if defined(__linux__)
#include "linux/nameless.hpp"
#elif defined(__APPLE__)
#include "darwin/nameless.hpp"
#endif
