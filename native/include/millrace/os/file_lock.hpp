// Chooses the platform's file_lock.
#pragma once

#if defined(__linux__)
#include "linux/file_lock.hpp"
#elif defined(__APPLE__)
#include "darwin/file_lock.hpp"
#else
#error "millrace supports Linux and macOS"
#endif
