// Chooses the platform's map of a reader.
#pragma once

#if defined(__linux__)
#include "linux/reader_map.hpp"
#elif defined(__APPLE__)
#include "darwin/reader_map.hpp"
#else
#error "millrace supports Linux and macOS"
#endif
