/* The header is C and C++: what both are is compiled as either. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  millrace_counter* counter = NULL;
  millrace_counter_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.initial = 5;
  char name[64];
  snprintf(name, sizeof name, "capi-header-%lu", (unsigned long)getpid());
  DONE(millrace_counter_open(name, &options, &counter));
  int64_t value = 0;
  DONE(millrace_counter_add(counter, 1, &value));
  CHECK(value == 6);
  millrace_counter_free(counter);
  printf("ok\n");
  return 0;
}
