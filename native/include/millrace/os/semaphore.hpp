// Chooses the platform's named semaphores.
#pragma once

#if defined(__linux__)
#include "linux/semaphore.hpp"
#elif defined(__APPLE__)
#include "darwin/semaphore.hpp"
#else
#error "millrace supports Linux and macOS"
#endif
