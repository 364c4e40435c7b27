/* What the C programs of these tests share. */
#ifndef MILLRACE_TEST_CHECK_H
#define MILLRACE_TEST_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "millrace.h"

/* Ends the program if it is not so, and says where, and what the library said last. */
#define CHECK(condition)                                                             \
  do {                                                                               \
    if (!(condition)) {                                                              \
      fprintf(stderr, "%s:%d: %s; last error: %s\n", __FILE__, __LINE__, #condition, \
              millrace_last_error_message());                                        \
      exit(1);                                                                       \
    }                                                                                \
  } while (0)

/* A call that must be done, or give exactly that code. */
#define DONE(call) CHECK((call) == MILLRACE_OK)
#define GIVES(code, call) CHECK((call) == (code))

/* What the last call that failed has told. */
#define SAYS(text) CHECK(strcmp(millrace_last_error_message(), text) == 0)

/* More than any stall of a machine. */
static const int64_t patience __attribute__((unused)) = INT64_C(40) * 1000 * 1000 * 1000;

#endif
