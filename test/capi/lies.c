/* Nothing that a caller may get wrong crashes: each function of the header is called with NULL, on a handle that is closed, with wrong
 * sizes, and with structs that hold anything. lies.inc, which scripts/capi-lies.mjs writes, has a function for each of them. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

#define REFUSED(call) CHECK((call) < 0)
/* Of functions that give no code. */
#define NOTHING(call) CHECK((call) == 0)

static char name[64];
static char held[80];

/* Where a list goes, which is the caller's to free. */
static millrace_dead_letters* list;
static millrace_dead_letters** letters(void) {
  millrace_dead_letters_free(list);
  list = NULL;
  return &list;
}
static const char* const texts[1] = {"x"};

enum { ARGUMENTS = 8, BYTES = 16384 };
static union {
  unsigned char bytes[BYTES];
  uint64_t words[BYTES / 8];
} memory[ARGUMENTS];

/* A struct of options that says how long it is, or anything else of zeroes. */
static void* of_size(uint64_t size) {
  memset(memory[0].bytes, 0, BYTES);
  memory[0].words[0] = size;
  return memory[0].bytes;
}
static void* zeroes(int argument) {
  memset(memory[argument].bytes, 0, BYTES);
  memory[argument].words[0] = 1024;
  return memory[argument].bytes;
}
static void* anything(int argument) {
  memset(memory[argument].bytes, 0xFF, BYTES);
  return memory[argument].bytes;
}

/* Of each kind one that is in order. */
static millrace_queue_producer* open_queue_producer(void) {
  millrace_queue_producer* handle = NULL;
  DONE(millrace_queue_producer_open(name, NULL, &handle));
  return handle;
}
static millrace_queue_consumer* open_queue_consumer(void) {
  millrace_queue_consumer* handle = NULL;
  DONE(millrace_queue_consumer_open(name, NULL, &handle));
  return handle;
}
static millrace_frame_writer* writer_of_frames(const char* place) {
  millrace_frame_writer_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.slot_bytes = 64;
  millrace_frame_writer* handle = NULL;
  DONE(millrace_frame_writer_open(place, &options, &handle));
  return handle;
}
static millrace_frame_writer* open_frame_writer(void) {
  return writer_of_frames(name);
}
static millrace_frame_reader* open_frame_reader(void) {
  millrace_frame_reader* handle = NULL;
  DONE(millrace_frame_reader_open(held, NULL, 0, &handle));
  return handle;
}
static millrace_cell_writer* writer_of_cell(const char* place) {
  millrace_cell_writer_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.max_bytes = 64;
  millrace_cell_writer* handle = NULL;
  DONE(millrace_cell_writer_open(place, &options, &handle));
  return handle;
}
static millrace_cell_writer* open_cell_writer(void) {
  return writer_of_cell(name);
}
static millrace_cell_reader* open_cell_reader(void) {
  millrace_cell_reader* handle = NULL;
  DONE(millrace_cell_reader_open(held, NULL, &handle));
  return handle;
}
static millrace_memory* open_memory(void) {
  millrace_memory* handle = NULL;
  DONE(millrace_memory_create(name, 64, NULL, &handle));
  return handle;
}
#define OPENS(kind)                                    \
  static millrace_##kind* open_##kind(void) {          \
    millrace_##kind* handle = NULL;                    \
    DONE(millrace_##kind##_open(name, NULL, &handle)); \
    return handle;                                     \
  }                                                    \
  CLOSES(kind)
#define CLOSES(kind)                                     \
  static int32_t close_##kind(millrace_##kind* handle) { \
    return millrace_##kind##_close(handle);              \
  }
OPENS(mutex)
OPENS(rwlock)
OPENS(event)
OPENS(semaphore)
OPENS(counter)
OPENS(work)
OPENS(topics)
CLOSES(frame_writer)
CLOSES(frame_reader)
CLOSES(cell_writer)
CLOSES(cell_reader)
CLOSES(memory)
static int32_t close_queue_producer(millrace_queue_producer* handle) {
  return millrace_queue_producer_close(handle, 1);
}
static int32_t close_queue_consumer(millrace_queue_consumer* handle) {
  return millrace_queue_consumer_close(handle, 1);
}

#include "lies.inc"

/* A copy of a loan is none any more when the loan was pushed. */
static void push_twice(void) {
  millrace_work* work = NULL;
  DONE(millrace_work_open(held, NULL, &work));
  millrace_work_loan loan;
  DONE(millrace_work_reserve(work, 8, 0, &loan));
  memset(loan.data, 1, 8);
  millrace_work_loan copy = loan;
  DONE(millrace_work_push_loan(work, &loan, 8, NULL));
  millrace_work_loan again = copy;
  GIVES(MILLRACE_RELEASED, millrace_work_push_loan(work, &copy, 8, NULL));
  GIVES(MILLRACE_RELEASED, millrace_work_cancel(work, &again));
  millrace_job job;
  DONE(millrace_work_take(work, 0, &job));
  DONE(millrace_work_complete(work, &job));
  GIVES(MILLRACE_WOULD_BLOCK, millrace_work_try_take(work, &job));
  millrace_work_free(work);
}

int main(void) {
  snprintf(name, sizeof name, "capi-lies-%lu", (unsigned long)getpid());
  snprintf(held, sizeof held, "%s-held", name);
  millrace_frame_writer* frames = writer_of_frames(held);
  millrace_cell_writer* cell = writer_of_cell(held);
  tell_all_lies();
  push_twice();
  (void)letters();
  millrace_frame_writer_free(frames);
  millrace_cell_writer_free(cell);
  (void)millrace_unlink("semaphore", name);
  (void)millrace_unlink("work", name);
  printf("ok\n");
  return 0;
}
