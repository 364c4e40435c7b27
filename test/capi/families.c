/* Every family of functions once, both sides in one process: what it does, and what it refuses. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static char name[64];
static char text[256];
static uint64_t length;

/* Is that descriptor readable, at once or soon? */
static int readable(int fd, int timeout_ms) {
  struct pollfd polled;
  polled.fd = fd;
  polled.events = POLLIN;
  polled.revents = 0;
  return poll(&polled, 1, timeout_ms) == 1;
}

static void errors(void) {
  const millrace_error* error = millrace_last_error();
  CHECK(error->code == MILLRACE_OK && error->message != NULL);
  CHECK(strcmp(millrace_code_name(MILLRACE_PEER_GONE), "PEER_GONE") == 0);
  CHECK(strcmp(millrace_code_name(MILLRACE_INTERRUPTED), "INTERRUPTED") == 0);
  CHECK(strcmp(millrace_code_name(-99), "UNKNOWN") == 0);
  CHECK(strlen(millrace_version()) >= 5);

  millrace_queue_producer* producer = NULL;
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_queue_producer_open(NULL, NULL, &producer));
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_queue_producer_open(name, NULL, NULL));
  GIVES(MILLRACE_INVALID_NAME, millrace_queue_producer_open("a/b", NULL, &producer));
  GIVES(MILLRACE_INVALID_NAME, millrace_queue_producer_open("", NULL, &producer));
  CHECK(producer == NULL);
  error = millrace_last_error();
  CHECK(error->code == MILLRACE_INVALID_NAME && strstr(error->message, "empty") != NULL);
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_queue_try_push(NULL, "x", 1));

  /* Options of another size. */
  millrace_queue_options options;
  memset(&options, 0, sizeof options);
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_queue_producer_open(name, &options, &producer));
  options.size = sizeof options;
  options.flags = MILLRACE_REPLACE;
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_queue_producer_open(name, &options, &producer));
  options.flags = 0;
  options.mode = 0666;
  CHECK(millrace_queue_producer_open(name, &options, &producer) < 0);
  options.mode = 0;
  struct {
    millrace_queue_options known;
    uint64_t later;
  } longer;
  memset(&longer, 0, sizeof longer);
  longer.known.size = sizeof longer;
  longer.later = 1;
  GIVES(MILLRACE_UNSUPPORTED_RUNTIME, millrace_queue_producer_open(name, &longer.known, &producer));
  longer.later = 0;
  DONE(millrace_queue_producer_open(name, &longer.known, &producer));
  millrace_queue_producer* second = NULL;
  GIVES(MILLRACE_ROLE_TAKEN, millrace_queue_producer_open(name, NULL, &second));
  millrace_peer peer;
  memset(&peer, 0, sizeof peer);
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_queue_producer_peer(producer, &peer));
  peer.size = sizeof peer;
  DONE(millrace_queue_producer_peer(producer, &peer));
  CHECK(peer.state == MILLRACE_PEER_ABSENT && peer.pid == 0 && peer.reason[0] == '\0');
  GIVES(MILLRACE_TIMEOUT, millrace_queue_producer_wait_peer(producer, 0));
  millrace_queue_producer_free(producer);
  millrace_queue_producer_free(NULL);
}

static void batches(void) {
  millrace_queue_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.capacity = 4096;
  millrace_queue_producer* producer = NULL;
  millrace_queue_consumer* consumer = NULL;
  DONE(millrace_queue_producer_open(name, &options, &producer));
  DONE(millrace_queue_consumer_open(name, NULL, &consumer));
  CHECK(millrace_queue_producer_capacity(producer) == 4096);
  CHECK(millrace_queue_producer_max_message(producer) == 4088);

  const uint32_t lengths[3] = {3, 0, 5};
  CHECK(millrace_queue_try_push_many(producer, "abcdefgh", 8, lengths, 3) == 3);
  uint32_t got[8];
  GIVES(MILLRACE_TOO_LARGE, millrace_queue_try_pop_many(consumer, text, 2, got, 8));
  CHECK(millrace_queue_try_pop_many(consumer, text, sizeof text, got, 8) == 3);
  CHECK(got[0] == 3 && got[1] == 0 && got[2] == 5 && memcmp(text, "abcdefgh", 8) == 0);
  GIVES(MILLRACE_WOULD_BLOCK, millrace_queue_try_pop_many(consumer, text, sizeof text, got, 8));
  CHECK(millrace_queue_try_push_many(producer, "abc", 3, lengths, 3) == 2);

  const void* message = NULL;
  DONE(millrace_queue_try_peek(consumer, &message, &length));
  CHECK(length == 3 && memcmp(message, "abc", 3) == 0);
  DONE(millrace_queue_release(consumer));
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_queue_release(consumer));
  DONE(millrace_queue_pop(consumer, NULL, 0, &length, 0));
  CHECK(length == 0);

  void* room = NULL;
  DONE(millrace_queue_reserve(producer, 100, 0, &room));
  memcpy(room, "in place", 8);
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_queue_commit(producer, 101));
  DONE(millrace_queue_commit(producer, 8));
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_queue_commit(producer, 8));
  DONE(millrace_queue_try_pop(consumer, text, sizeof text, &length));
  CHECK(length == 8 && memcmp(text, "in place", 8) == 0);

  /* Full, and room again. */
  int32_t code = MILLRACE_OK;
  int sent = 0;
  for (; code == MILLRACE_OK; ++sent)
    code = millrace_queue_try_push(producer, text, 200);
  CHECK(code == MILLRACE_WOULD_BLOCK && sent == 4096 / 208 + 1);
  GIVES(MILLRACE_TIMEOUT, millrace_queue_push(producer, text, 200, 1000));
  const int fd = millrace_queue_producer_fd(producer);
  DONE(millrace_queue_producer_arm(producer, 200));
  CHECK(!readable(fd, 0));
  DONE(millrace_queue_try_pop(consumer, text, sizeof text, &length));
  CHECK(readable(fd, 40000));
  DONE(millrace_queue_try_push(producer, text, 200));
  DONE(millrace_queue_producer_disarm(producer));
  CHECK(millrace_queue_consumer_available(consumer) == 208 * (4096 / 208));
  GIVES(MILLRACE_TIMEOUT, millrace_queue_end(producer, 0));
  DONE(millrace_queue_try_peek(consumer, &message, &length));
  DONE(millrace_queue_consumer_close(consumer, 0));
  CHECK(length == 200 && memcmp(message, text, 8) == 0); /* mapped until the free */
  GIVES(MILLRACE_CLOSED, millrace_queue_push(producer, text, 200, MILLRACE_FOREVER));
  millrace_queue_consumer_free(consumer);
  DONE(millrace_queue_producer_close(producer, 1));
  GIVES(MILLRACE_CLOSED, millrace_queue_try_push(producer, text, 1));
  millrace_queue_producer_free(producer);
}

static void cell(void) {
  millrace_cell_writer_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.max_bytes = 100;
  millrace_cell_writer* writer = NULL;
  millrace_cell_reader* reader = NULL;
  GIVES(MILLRACE_NOT_FOUND, millrace_cell_reader_open(name, NULL, &reader));
  DONE(millrace_cell_writer_open(name, &options, &writer));
  DONE(millrace_cell_reader_open(name, NULL, &reader));
  CHECK(millrace_cell_reader_max_bytes(reader) == 100);
  millrace_cell_value value;
  GIVES(MILLRACE_WOULD_BLOCK, millrace_cell_read(reader, text, sizeof text, &value));
  DONE(millrace_cell_write(writer, "first", 5));
  GIVES(MILLRACE_TOO_LARGE, millrace_cell_write(writer, text, 101));
  GIVES(MILLRACE_TOO_LARGE, millrace_cell_read(reader, text, 4, &value));
  CHECK(value.length == 5);
  DONE(millrace_cell_read(reader, text, sizeof text, &value));
  CHECK(value.version == 1 && value.length == 5 && memcmp(text, "first", 5) == 0);
  CHECK(value.timestamp != 0 && value.timestamp <= millrace_now());
  GIVES(MILLRACE_TIMEOUT,
        millrace_cell_read_next(reader, value.version, text, sizeof text, 0, &value));

  void* memory = NULL;
  uint64_t capacity = 0;
  DONE(millrace_cell_begin(writer, 1, &memory, &capacity));
  CHECK(capacity == 100 && memcmp(memory, "first", 5) == 0);
  memcpy(memory, "worst", 5);
  const int fd = millrace_cell_reader_fd(reader);
  DONE(millrace_cell_reader_arm(reader, 1));
  CHECK(!readable(fd, 0));
  DONE(millrace_cell_publish(writer, 5));
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_cell_publish(writer, 5));
  CHECK(readable(fd, 40000));
  DONE(millrace_cell_read_next(reader, 1, text, sizeof text, 0, &value));
  CHECK(value.version == 2 && memcmp(text, "worst", 5) == 0);
  GIVES(MILLRACE_READY, millrace_cell_reader_arm(reader, 1));
  DONE(millrace_cell_reader_disarm(reader));
  CHECK(millrace_cell_writer_version(writer) == 2 && millrace_cell_reader_version(reader) == 2);
  DONE(millrace_cell_writer_close(writer));
  GIVES(MILLRACE_END,
        millrace_cell_read_next(reader, 2, text, sizeof text, MILLRACE_FOREVER, &value));
  millrace_cell_writer_free(writer);
  millrace_cell_reader_free(reader);
}

static void locks(void) {
  millrace_mutex* one = NULL;
  millrace_mutex* other = NULL;
  DONE(millrace_mutex_open(name, NULL, &one));
  DONE(millrace_mutex_open(name, NULL, &other));
  DONE(millrace_mutex_lock(one, MILLRACE_FOREVER));
  GIVES(MILLRACE_BUSY, millrace_mutex_lock(one, MILLRACE_FOREVER));
  CHECK(millrace_mutex_holder(other) == (int32_t)getpid());
  GIVES(MILLRACE_WOULD_BLOCK, millrace_mutex_try_lock(other));
  GIVES(MILLRACE_TIMEOUT, millrace_mutex_lock(other, 1000));
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_mutex_unlock(other, 0));
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_mutex_poll(other));

  /* In line, for an event loop. */
  GIVES(MILLRACE_WOULD_BLOCK, millrace_mutex_begin(other));
  const int fd = millrace_mutex_fd(other);
  DONE(millrace_mutex_arm(other));
  CHECK(!readable(fd, 0));
  DONE(millrace_mutex_unlock(one, 1));
  CHECK(readable(fd, 40000));
  GIVES(MILLRACE_ABANDONED, millrace_mutex_poll(other));
  GIVES(MILLRACE_WOULD_BLOCK, millrace_mutex_begin(one));
  DONE(millrace_mutex_withdraw(one));
  DONE(millrace_mutex_disarm(other));
  DONE(millrace_mutex_close(other)); /* unlocks */
  DONE(millrace_mutex_try_lock(one));
  DONE(millrace_mutex_unlock(one, 0));
  millrace_mutex_free(one);
  millrace_mutex_free(other);

  millrace_rwlock* reader = NULL;
  millrace_rwlock* writer = NULL;
  DONE(millrace_rwlock_open(name, NULL, &reader));
  DONE(millrace_rwlock_open(name, NULL, &writer));
  DONE(millrace_rwlock_read(reader, MILLRACE_FOREVER));
  CHECK(millrace_rwlock_readers(writer) == 1 && millrace_rwlock_writer(writer) == 0);
  DONE(millrace_rwlock_try_read(writer));
  DONE(millrace_rwlock_unlock(writer, 0));
  GIVES(MILLRACE_WOULD_BLOCK, millrace_rwlock_try_write(writer));
  GIVES(MILLRACE_WOULD_BLOCK, millrace_rwlock_begin_write(writer));
  DONE(millrace_rwlock_arm(writer));
  DONE(millrace_rwlock_unlock(reader, 0));
  CHECK(readable(millrace_rwlock_fd(writer), 40000));
  DONE(millrace_rwlock_poll(writer));
  CHECK(millrace_rwlock_writer(reader) == (int32_t)getpid());
  GIVES(MILLRACE_TIMEOUT, millrace_rwlock_read(reader, 1000));
  millrace_rwlock_free(writer);
  millrace_rwlock_free(reader);
  CHECK(millrace_unlink("mutex", name) >= 0 && millrace_unlink("rwlock", name) >= 0);
}

static void event(void) {
  millrace_event_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.reset = MILLRACE_RESET_MANUAL;
  millrace_event* setter = NULL;
  millrace_event* waiter = NULL;
  DONE(millrace_event_open(name, &options, &setter));
  options.reset = MILLRACE_RESET_AUTO;
  GIVES(MILLRACE_GEOMETRY, millrace_event_open(name, &options, &waiter));
  DONE(millrace_event_open(name, NULL, &waiter));
  CHECK(millrace_event_is_set(waiter) == 0);
  GIVES(MILLRACE_WOULD_BLOCK, millrace_event_try_wait(waiter));
  GIVES(MILLRACE_TIMEOUT, millrace_event_wait(waiter, 1000));
  DONE(millrace_event_arm(waiter));
  const int fd = millrace_event_fd(waiter);
  CHECK(!readable(fd, 0));
  DONE(millrace_event_set(setter));
  CHECK(readable(fd, 40000));
  DONE(millrace_event_reset_now(setter));
  DONE(millrace_event_try_wait(waiter)); /* it was set after the wait began */
  GIVES(MILLRACE_WOULD_BLOCK, millrace_event_try_wait(waiter));
  millrace_event_free(setter);
  millrace_event_free(waiter);

  DONE(millrace_event_open(name, &options, &setter));
  DONE(millrace_event_open(name, NULL, &waiter));
  DONE(millrace_event_set(setter));
  DONE(millrace_event_wait(waiter, MILLRACE_FOREVER));
  GIVES(MILLRACE_WOULD_BLOCK, millrace_event_try_wait(waiter));
  millrace_event_free(setter);
  millrace_event_free(waiter);
}

static void semaphore(void) {
  millrace_semaphore_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.initial = 2;
  options.flags = MILLRACE_CREATE_ONLY;
  millrace_semaphore* permits = NULL;
  DONE(millrace_semaphore_open(name, &options, &permits));
  millrace_semaphore* again = NULL;
  GIVES(MILLRACE_EXISTS, millrace_semaphore_open(name, &options, &again));
  DONE(millrace_semaphore_wait(permits, MILLRACE_FOREVER));
  DONE(millrace_semaphore_try_wait(permits));
  GIVES(MILLRACE_WOULD_BLOCK, millrace_semaphore_try_wait(permits));
  GIVES(MILLRACE_TIMEOUT, millrace_semaphore_wait(permits, 1000));
  DONE(millrace_semaphore_arm(permits));
  const int fd = millrace_semaphore_fd(permits);
  DONE(millrace_semaphore_open(name, NULL, &again));
  DONE(millrace_semaphore_post(again, 1));
  CHECK(readable(fd, 40000));
  GIVES(MILLRACE_READY, millrace_semaphore_arm(permits));
  DONE(millrace_semaphore_try_wait(permits));
  GIVES(MILLRACE_WOULD_BLOCK, millrace_semaphore_try_wait(permits));
  DONE(millrace_semaphore_post(permits, 3));
  GIVES(MILLRACE_READY, millrace_semaphore_arm(permits));
  DONE(millrace_semaphore_disarm(permits)); /* what was found goes back */
  DONE(millrace_semaphore_wait(again, patience));
  DONE(millrace_semaphore_wait(again, patience));
  DONE(millrace_semaphore_wait(again, patience));
  GIVES(MILLRACE_TOO_LARGE, millrace_semaphore_post(permits, UINT32_MAX));
  millrace_semaphore_free(permits);
  millrace_semaphore_free(again);
  CHECK(millrace_unlink("semaphore", name) == 1);
  CHECK(millrace_unlink("semaphore", name) == 0);
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_unlink("nothing", name));
}

static void counter_and_memory(void) {
  millrace_counter_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.initial = 40;
  millrace_counter* counter = NULL;
  DONE(millrace_counter_open(name, &options, &counter));
  int64_t value = 0;
  DONE(millrace_counter_add(counter, 2, &value));
  CHECK(value == 42);
  DONE(millrace_counter_exchange(counter, INT64_MAX, &value));
  CHECK(value == 42);
  DONE(millrace_counter_add(counter, 1, &value));
  CHECK(value == INT64_MIN);
  CHECK(millrace_counter_compare_exchange(counter, 7, 8, &value) == 0 && value == INT64_MIN);
  CHECK(millrace_counter_compare_exchange(counter, INT64_MIN, 8, NULL) == 1);
  DONE(millrace_counter_get(counter, &value));
  CHECK(value == 8);
  DONE(millrace_counter_close(counter));
  GIVES(MILLRACE_CLOSED, millrace_counter_get(counter, &value));
  millrace_counter_free(counter);

  millrace_memory* owner = NULL;
  millrace_memory* user = NULL;
  DONE(millrace_memory_create(name, 5000, NULL, &owner));
  CHECK(millrace_memory_size(owner) == 5000);
  memcpy(millrace_memory_data(owner), "shared", 6);
  GIVES(MILLRACE_EXISTS, millrace_memory_create(name, 5000, NULL, &user));
  millrace_options open;
  memset(&open, 0, sizeof open);
  open.size = sizeof open;
  open.flags = MILLRACE_READ_ONLY;
  DONE(millrace_memory_open(name, &open, &user));
  CHECK(memcmp(millrace_memory_data(user), "shared", 6) == 0);
  DONE(millrace_memory_check(user));
  DONE(millrace_memory_flush(user));
  DONE(millrace_memory_close(owner));
  CHECK(millrace_memory_data(owner) == NULL && millrace_memory_size(owner) == 0);
  millrace_memory_free(owner);
  millrace_memory_free(user);
  GIVES(MILLRACE_NOT_FOUND, millrace_memory_open(name, NULL, &user));
}

static void work(void) {
  millrace_work_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.jobs = 4;
  options.max_attempts = 2;
  options.dedup_window_ms = 600000;
  millrace_work* queue = NULL;
  millrace_work* second = NULL;
  DONE(millrace_work_open(name, &options, &queue));
  DONE(millrace_work_open(name, NULL, &second));
  millrace_job job;
  GIVES(MILLRACE_WOULD_BLOCK, millrace_work_try_take(queue, &job));

  millrace_push_options push;
  memset(&push, 0, sizeof push);
  push.size = sizeof push;
  push.id = "one";
  push.id_length = 3;
  push.priority = 7;
  push.group = "letters";
  push.group_length = 7;
  push.traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
  push.traceparent_length = 55;
  DONE(millrace_work_push(queue, "payload", 7, &push, 0));
  GIVES(MILLRACE_DUPLICATE, millrace_work_try_push(second, "payload", 7, &push));
  push.priority = 32;
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_work_try_push(second, "payload", 7, &push));
  push.priority = 7;
  push.traceparent_length = 54;
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_work_try_push(second, "payload", 7, &push));

  DONE(millrace_work_take(second, patience, &job));
  CHECK(job.length == 7 && memcmp(job.data, "payload", 7) == 0);
  CHECK(job.id_length == 3 && memcmp(job.id, "one", 3) == 0);
  CHECK(job.group_length == 7 && memcmp(job.group, "letters", 7) == 0);
  CHECK(job.priority == 7 && job.attempt == 1 && job.acquired == 1);
  CHECK(strcmp(job.traceparent, push.traceparent) == 0);
  CHECK(millrace_work_holds(second, &job) == 1);
  DONE(millrace_work_extend(second, &job, 1000000));
  DONE(millrace_work_retry(second, &job, 0, "not yet"));
  GIVES(MILLRACE_RELEASED, millrace_work_complete(second, &job));
  DONE(millrace_work_take(queue, patience, &job));
  CHECK(job.attempt == 2);
  DONE(millrace_work_retry(queue, &job, 0, "never"));
  GIVES(MILLRACE_WOULD_BLOCK, millrace_work_try_take(queue, &job));

  millrace_dead_letters* letters = NULL;
  DONE(millrace_work_dead_letters(queue, 0, &letters));
  CHECK(millrace_dead_letters_count(letters) == 1);
  const millrace_dead_letter* letter = millrace_dead_letters_at(letters, 0);
  CHECK(letter->length == 7 && memcmp(letter->data, "payload", 7) == 0);
  CHECK(strcmp(letter->id, "one") == 0 && strcmp(letter->group, "letters") == 0);
  CHECK(strcmp(letter->error, "never") == 0 && letter->reason == MILLRACE_DEAD_ATTEMPTS);
  CHECK(millrace_dead_letters_at(letters, 1) == NULL);
  CHECK(millrace_work_redrive(queue, letter) == 1);
  CHECK(millrace_work_purge(queue, letter) == 0);
  millrace_dead_letters_free(letters);
  DONE(millrace_work_take(queue, patience, &job));
  CHECK(job.attempt == 1);

  /* Onward. */
  char there[80];
  snprintf(there, sizeof there, "%s-on", name);
  millrace_work* onward = NULL;
  DONE(millrace_work_open(there, NULL, &onward));
  DONE(millrace_work_forward(queue, &job, onward, "result", 6, NULL));
  GIVES(MILLRACE_RELEASED, millrace_work_forward(queue, &job, onward, "result", 6, NULL));
  DONE(millrace_work_take(onward, patience, &job));
  CHECK(job.length == 6 && memcmp(job.data, "result", 6) == 0);
  DONE(millrace_work_reject(onward, &job, "no good"));
  DONE(millrace_work_dead_letters(onward, 1, &letters));
  CHECK(millrace_dead_letters_at(letters, 0)->reason == MILLRACE_DEAD_REJECTED);
  CHECK(millrace_work_purge(onward, millrace_dead_letters_at(letters, 0)) == 1);
  millrace_dead_letters_free(letters);
  millrace_work_free(onward);

  /* In place, and full. */
  millrace_work_loan loan;
  DONE(millrace_work_reserve(queue, 50, 0, &loan));
  CHECK(loan.capacity >= 50);
  memcpy(loan.data, "loan", 4);
  DONE(millrace_work_push_loan(queue, &loan, 4, NULL));
  GIVES(MILLRACE_RELEASED, millrace_work_push_loan(queue, &loan, 4, NULL));
  DONE(millrace_work_reserve(queue, 50, 0, &loan));
  DONE(millrace_work_cancel(queue, &loan));
  int32_t code = MILLRACE_OK;
  while (code == MILLRACE_OK)
    code = millrace_work_try_push(queue, "more", 4, NULL);
  CHECK(code == MILLRACE_WOULD_BLOCK);
  GIVES(MILLRACE_TIMEOUT, millrace_work_push(queue, "more", 4, NULL, 1000));
  GIVES(MILLRACE_TOO_LARGE, millrace_work_try_push(queue, text, UINT64_C(1) << 30, NULL));

  millrace_work_counts counts;
  memset(&counts, 0, sizeof counts);
  counts.size = sizeof counts;
  DONE(millrace_work_counts_of(queue, &counts));
  CHECK(counts.ready == 4 && counts.handles == 2 && counts.dead == 0 && counts.duplicates == 1);

  /* The descriptor: for room, and for jobs. */
  const int fd = millrace_work_fd(queue);
  DONE(millrace_work_arm(queue, MILLRACE_FOR_ROOM));
  GIVES(MILLRACE_WOULD_BLOCK, millrace_work_try_push(queue, "more", 4, NULL));
  DONE(millrace_work_try_take(second, &job));
  CHECK(memcmp(job.data, "loan", 4) == 0);
  DONE(millrace_work_complete(second, &job));
  CHECK(readable(fd, 40000));
  while (millrace_work_try_take(second, &job) == MILLRACE_OK)
    DONE(millrace_work_complete(second, &job));
  int32_t armed = millrace_work_arm(queue, MILLRACE_FOR_MESSAGES);
  CHECK(armed == MILLRACE_OK);
  DONE(millrace_work_try_push(second, "ring", 4, NULL));
  CHECK(readable(fd, 40000));
  DONE(millrace_work_try_take(queue, &job));
  DONE(millrace_work_release(queue, &job, 0));
  GIVES(MILLRACE_READY, millrace_work_arm(queue, MILLRACE_FOR_MESSAGES));
  DONE(millrace_work_disarm(queue));
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_work_arm(queue, 4));
  DONE(millrace_work_flush(queue));
  DONE(millrace_work_try_take(queue, &job));
  DONE(millrace_work_complete(queue, &job));
  millrace_work_free(queue);
  millrace_work_free(second);
  CHECK(millrace_unlink("work", name) >= 0 && millrace_unlink("work", there) >= 0);
}

static void topics(void) {
  millrace_topics_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.messages = 8;
  millrace_topics* bus = NULL;
  millrace_topics* other = NULL;
  DONE(millrace_topics_open(name, &options, &bus));
  DONE(millrace_topics_open(name, NULL, &other));
  const char* filters[2] = {"sensor.*.heat", "log.>"};
  uint32_t all = 0;
  DONE(millrace_topics_subscribe(other, filters, 2, NULL, &all));
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_topics_subscribe(other, filters, 0, NULL, &all));
  SAYS("filter_count is 0; name one filter at least");
  uint32_t heat = 0;
  uint32_t cold = 0;
  DONE(millrace_topics_subject(bus, "sensor.3.heat", &heat));
  DONE(millrace_topics_subject(bus, "sensor.3.cold", &cold));
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_topics_subject(bus, "a..b", &cold));

  millrace_header headers[2];
  headers[0].name = "unit";
  headers[0].name_length = 4;
  headers[0].value = "K";
  headers[0].value_length = 1;
  headers[1].name = "empty";
  headers[1].name_length = 5;
  headers[1].value = NULL;
  headers[1].value_length = 0;
  CHECK(millrace_topics_publish(bus, heat, "300", 3, headers, 2, MILLRACE_FOREVER) == 1);
  CHECK(millrace_topics_publish(bus, cold, "3", 1, NULL, 0, MILLRACE_FOREVER) == 0);
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_topics_try_publish(bus, 100000, "3", 1, NULL, 0));
  headers[0].value_length = 2000;
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_topics_try_publish(bus, heat, "3", 1, headers, 1));

  millrace_message messages[4];
  char buffer[4096];
  uint64_t needed = 0;
  GIVES(MILLRACE_TOO_LARGE, millrace_topics_try_read(other, all, buffer, 2, messages, 4, &needed));
  CHECK(needed > 3);
  GIVES(MILLRACE_INVALID_ARGUMENT,
        millrace_topics_try_read(other, all, buffer, sizeof buffer, messages, 0, NULL));
  SAYS("most is 0; say how many messages there is room for");
  GIVES(MILLRACE_INVALID_ARGUMENT,
        millrace_topics_read(other, all, buffer, sizeof buffer, NULL, 4, patience, NULL));
  SAYS("messages is NULL; it must point to something");
  CHECK(millrace_topics_read(other, all, buffer, sizeof buffer, messages, 4, patience, NULL) == 1);
  CHECK(messages[0].length == 3 && memcmp(messages[0].data, "300", 3) == 0);
  CHECK(messages[0].subject == heat && messages[0].missed == 0 && messages[0].published_at > 0);
  CHECK(millrace_topics_subject_text(other, heat, text, sizeof text) == 13);
  CHECK(strcmp(text, "sensor.3.heat") == 0);
  GIVES(MILLRACE_TOO_LARGE, millrace_topics_subject_text(other, heat, text, 13));
  uint64_t at = 0;
  millrace_header header;
  CHECK(millrace_headers_next(messages[0].headers, messages[0].headers_length, &at, NULL,
                              &header) == 1);
  CHECK(header.name_length == 4 && memcmp(header.name, "unit", 4) == 0);
  CHECK(header.value_length == 1 && header.value[0] == 'K');
  CHECK(millrace_headers_next(messages[0].headers, messages[0].headers_length, &at, NULL,
                              &header) == 1);
  CHECK(header.name_length == 5 && header.value_length == 0);
  CHECK(millrace_headers_next(messages[0].headers, messages[0].headers_length, &at, NULL,
                              &header) == 0);
  at = 0;
  GIVES(MILLRACE_CORRUPT, millrace_headers_next("\xFF\x01", 2, &at, NULL, &header));
  DONE(millrace_topics_release(other, &messages[0]));
  GIVES(MILLRACE_WOULD_BLOCK,
        millrace_topics_try_read(other, all, buffer, sizeof buffer, messages, 4, NULL));

  /* A long one stays where it is; the descriptor tells of it. */
  char long_text[2000];
  memset(long_text, 'x', sizeof long_text);
  const int fd = millrace_topics_fd(other);
  DONE(millrace_topics_arm(other, MILLRACE_FOR_MESSAGES));
  CHECK(!readable(fd, 0));
  CHECK(millrace_topics_try_publish(bus, heat, long_text, sizeof long_text, NULL, 0) == 1);
  CHECK(readable(fd, 40000));
  CHECK(millrace_topics_try_read(other, all, buffer, sizeof buffer, messages, 4, NULL) == 1);
  CHECK(messages[0].length == sizeof long_text && messages[0].pin != UINT32_MAX);
  CHECK(memcmp(messages[0].data, long_text, sizeof long_text) == 0);
  DONE(millrace_topics_release(other, &messages[0]));
  DONE(millrace_topics_disarm(other));

  /* Who waits is waited for, and who overwrites is told what it missed. */
  millrace_subscribe_options lossy;
  memset(&lossy, 0, sizeof lossy);
  lossy.size = sizeof lossy;
  lossy.policy = MILLRACE_TOPIC_OVERWRITE;
  uint32_t newest = 0;
  DONE(millrace_topics_subscribe(other, filters, 1, &lossy, &newest));
  int32_t code = 1;
  int published = 0;
  while (code >= 0 && published < 100) {
    code = millrace_topics_try_publish(bus, heat, "n", 1, NULL, 0);
    if (code >= 0) ++published;
  }
  CHECK(code == MILLRACE_WOULD_BLOCK && published == 8);
  GIVES(MILLRACE_TIMEOUT, millrace_topics_publish(bus, heat, "n", 1, NULL, 0, 1000));
  DONE(millrace_topics_unsubscribe(other, all));
  GIVES(MILLRACE_INVALID_ARGUMENT, millrace_topics_unsubscribe(other, all));
  GIVES(MILLRACE_INVALID_ARGUMENT,
        millrace_topics_try_read(other, all, buffer, sizeof buffer, messages, 4, NULL));
  for (int i = 0; i < 4; ++i)
    CHECK(millrace_topics_publish(bus, heat, "m", 1, NULL, 0, patience) == 1);
  CHECK(millrace_topics_missed(other, newest) == 4);
  CHECK(millrace_topics_try_read(other, newest, buffer, sizeof buffer, messages, 1, NULL) == 1);
  CHECK(messages[0].missed == 4);

  millrace_topics_counts counts;
  memset(&counts, 0, sizeof counts);
  counts.size = sizeof counts;
  DONE(millrace_topics_counts_of(bus, &counts));
  CHECK(counts.handles == 2 && counts.subscriptions == 1 && counts.published == 15);
  CHECK(counts.evicted >= 4);
  millrace_topics_free(bus);
  millrace_topics_free(other);
}

int main(void) {
  snprintf(name, sizeof name, "capi-families-%ld", (long)getpid());
  errors();
  batches();
  cell();
  locks();
  event();
  semaphore();
  counter_and_memory();
  work();
  topics();
  printf("ok\n");
  return 0;
}
