// When an object came into being.
#pragma once

#if defined(__linux__)
#include "linux/birth.hpp"
#elif defined(__APPLE__)
#include "darwin/birth.hpp"
#endif
