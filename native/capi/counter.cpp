// Counters. Their calls may be made by several threads at once.
#include "millrace/sync/counter.hpp"

#include "handle.hpp"

using millrace::Counter;
using millrace::CounterSpec;
namespace capi = millrace::capi;

struct millrace_counter : capi::Handle<Counter> {
  using Handle::Handle;
};

using capi::fail;
using capi::no_argument;
using capi::Shared;

int32_t millrace_counter_open(const char* place, const millrace_counter_options* options,
                              millrace_counter** counter) {
  if (counter == nullptr) return no_argument("counter");
  auto read = capi::options_of(options, MILLRACE_KEEP | MILLRACE_HAS_OWNER);
  if (!read.ok()) return fail(read.error());
  CounterSpec spec;
  spec.initial = read.value().initial;
  return capi::open_handle(
      "counter", place, read.value(), counter, spec,
      [](const CounterSpec& wanted) { return Counter::open(wanted, capi::soon()); });
}
int32_t millrace_counter_get(millrace_counter* counter, int64_t* value) {
  if (value == nullptr) return no_argument("value");
  const Shared inside(counter);
  if (!inside) return inside.code();
  *value = counter->core->get();
  return MILLRACE_OK;
}
int32_t millrace_counter_set(millrace_counter* counter, int64_t value) {
  const Shared inside(counter);
  if (!inside) return inside.code();
  counter->core->set(value);
  return MILLRACE_OK;
}
int32_t millrace_counter_add(millrace_counter* counter, int64_t delta, int64_t* result) {
  const Shared inside(counter);
  if (!inside) return inside.code();
  const int64_t after = counter->core->add(delta);
  if (result != nullptr) *result = after;
  return MILLRACE_OK;
}
int32_t millrace_counter_exchange(millrace_counter* counter, int64_t value, int64_t* before) {
  const Shared inside(counter);
  if (!inside) return inside.code();
  const int64_t found = counter->core->exchange(value);
  if (before != nullptr) *before = found;
  return MILLRACE_OK;
}
int32_t millrace_counter_compare_exchange(millrace_counter* counter, int64_t expected,
                                          int64_t value, int64_t* before) {
  const Shared inside(counter);
  if (!inside) return inside.code();
  const int64_t found = counter->core->compare_exchange(expected, value);
  if (before != nullptr) *before = found;
  return found == expected ? 1 : 0;
}
int32_t millrace_counter_close(millrace_counter* counter) {
  return capi::close_handle(counter, [](Counter& core) { core.close(); });
}
void millrace_counter_free(millrace_counter* counter) {
  capi::free_handle(counter, [](Counter& core) { core.close(); });
}
