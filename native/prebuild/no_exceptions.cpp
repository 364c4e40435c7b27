// The part of the C++ runtime that prebuilt binaries do not need, replaced by abort().
//
// They bring their C++ library along, so that they load where there is none, or another one. Nothing here throws
// (-fno-exceptions), but the library was built to: linked as it is, it brings the unwinder, and a demangler for the
// last words of an exception that nobody catches. That is 180 KB, half of the binary. What would have thrown
// std::bad_alloc ends the process, as it would have without a handler.
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <new>

// NOLINTBEGIN: names and shapes are those of the Itanium C++ ABI and of the unwinder
#define MILLRACE_NEVER(name) \
  [[noreturn]] void name() { \
    std::abort();            \
  }

extern "C" {

char* __cxa_demangle(const char*, char*, std::size_t*, int* status) {
  if (status != nullptr) *status = -1;
  return nullptr;
}

MILLRACE_NEVER(__cxa_allocate_exception)
MILLRACE_NEVER(__cxa_begin_catch)
MILLRACE_NEVER(__cxa_current_exception_type)
MILLRACE_NEVER(__cxa_current_primary_exception)
MILLRACE_NEVER(__cxa_decrement_exception_refcount)
MILLRACE_NEVER(__cxa_end_catch)
MILLRACE_NEVER(__cxa_free_exception)
MILLRACE_NEVER(__cxa_get_globals)
MILLRACE_NEVER(__cxa_get_globals_fast)
MILLRACE_NEVER(__cxa_increment_exception_refcount)
MILLRACE_NEVER(__cxa_init_primary_exception)
MILLRACE_NEVER(__cxa_pure_virtual)
MILLRACE_NEVER(__cxa_rethrow)
MILLRACE_NEVER(__cxa_rethrow_primary_exception)
MILLRACE_NEVER(__cxa_throw)
MILLRACE_NEVER(__cxa_uncaught_exception)
MILLRACE_NEVER(__cxa_uncaught_exceptions)
MILLRACE_NEVER(__gxx_personality_v0)
MILLRACE_NEVER(_Unwind_Resume)
#if defined(__arm__)  // its own ABI for exceptions
MILLRACE_NEVER(__aeabi_unwind_cpp_pr0)
MILLRACE_NEVER(__aeabi_unwind_cpp_pr1)
MILLRACE_NEVER(__aeabi_unwind_cpp_pr2)
MILLRACE_NEVER(__cxa_begin_cleanup)
MILLRACE_NEVER(__cxa_end_cleanup)
MILLRACE_NEVER(__cxa_type_match)
#endif

}  // extern "C"

[[noreturn]] void std::terminate() noexcept {
  std::abort();
}

void* operator new(std::size_t size) {
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  std::abort();
}
void* operator new[](std::size_t size) {
  return operator new(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
// NOLINTEND
