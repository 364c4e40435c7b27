// Which objects there are, by their names, and how to read one without mapping it.
#pragma once

#if defined(__linux__)
#include "linux/inventory.hpp"
#elif defined(__APPLE__)
#include "darwin/inventory.hpp"
#endif
