/* The peer of these tests in C: peer ROLE NAME [ARGUMENT ...]. ../roles.ts says what the roles are and what they print. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
#define DONE(call) CHECK((call) == MILLRACE_OK)

enum { QUEUE_BYTES = 16384, SLOT_BYTES = 4096, MEMORY_BYTES = 20000, MOST_BYTES = 3008 };
static const int64_t patience = INT64_C(60) * 1000 * 1000 * 1000;

static char** arguments;
static uint64_t number(int at) {
  return strtoull(arguments[at], NULL, 10);
}

/* Each line ends with a point, so that half a line of one that was killed is told from a whole one. */
static void say(const char* word) {
  printf("%s .\n", word);
  fflush(stdout);
}
static void say_number(uint64_t value) {
  printf("%" PRIu64 " .\n", value);
  fflush(stdout);
}
/* So that others get the processor, and deaths come here as well. */
static void nap(long microseconds) {
  struct timespec time;
  time.tv_sec = microseconds / 1000000;
  time.tv_nsec = microseconds % 1000000 * 1000;
  nanosleep(&time, NULL);
}
static void stay(void) {
  nap(60 * 1000 * 1000L);
}

/* Message `n`: its number, and bytes that follow from it. */
static uint64_t fill(void* to, uint64_t n) {
  unsigned char* bytes = to;
  for (int i = 0; i < 8; ++i)
    bytes[i] = (unsigned char)(n >> (8 * i) & 0xFF);
  const uint64_t length = 8 + n * 7 % 3000;
  memset(bytes + 8, (int)(n % 251), length - 8);
  return length;
}
static uint64_t number_of(const void* from, uint64_t length) {
  const unsigned char* bytes = from;
  unsigned char whole[MOST_BYTES];
  uint64_t n = 0;
  CHECK(length >= 8);
  for (int i = 7; i >= 0; --i)
    n = n << 8 | bytes[i];
  CHECK(length == fill(whole, n));
  CHECK(memcmp(whole, bytes, length) == 0);
  return n;
}

static void push(const char* name) {
  millrace_queue_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.capacity = QUEUE_BYTES;
  millrace_queue_producer* producer = NULL;
  DONE(millrace_queue_producer_open(name, &options, &producer));
  const uint64_t first = number(0);
  char buffer[MOST_BYTES];
  for (uint64_t n = first; n < first + number(1); ++n) {
    const uint64_t length = fill(buffer, n);
    int32_t code = 0;
    while ((code = millrace_queue_push(producer, buffer, length, patience)) != MILLRACE_OK) {
      CHECK(code == MILLRACE_PEER_GONE || code == MILLRACE_CLOSED);
      DONE(millrace_queue_producer_wait_peer(producer, patience));
    }
    say_number(n);
  }
  DONE(millrace_queue_end(producer, patience));
  millrace_queue_producer_free(producer);
  say("end");
}
static void pop(const char* name) {
  millrace_queue_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.capacity = QUEUE_BYTES;
  millrace_queue_consumer* consumer = NULL;
  DONE(millrace_queue_consumer_open(name, &options, &consumer));
  say("ready");
  char buffer[MOST_BYTES];
  for (;;) {
    uint64_t length = 0;
    const int32_t code = millrace_queue_pop(consumer, buffer, sizeof buffer, &length, patience);
    if (code == MILLRACE_END) break;
    if (code == MILLRACE_PEER_GONE) {
      say("gone");
      DONE(millrace_queue_consumer_wait_peer(consumer, patience));
      continue;
    }
    CHECK(code == MILLRACE_OK);
    say_number(number_of(buffer, length));
  }
  millrace_queue_consumer_free(consumer);
  say("end");
}

static void write_frames(const char* name) {
  millrace_frame_writer_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.slot_bytes = SLOT_BYTES;
  options.slots = 8;
  options.readers = 8;
  millrace_frame_writer* writer = NULL;
  DONE(millrace_frame_writer_open(name, &options, &writer));
  DONE(millrace_frame_writer_wait_readers(writer, (uint32_t)number(0), patience));
  for (uint64_t i = 0; i < number(1); ++i) {
    millrace_slot slot;
    DONE(millrace_frame_acquire(writer, patience, &slot));
    const uint64_t sequence = (uint64_t)millrace_frame_writer_sequence(writer) + 1;
    unsigned char whole[MOST_BYTES];
    (void)fill(whole, sequence);
    memcpy(slot.header, whole, 8);
    uint64_t published = 0;
    DONE(millrace_frame_publish(writer, &slot, fill(slot.data, sequence), 0, &published));
    CHECK(published == sequence);
    say_number(sequence);
  }
  millrace_frame_writer_free(writer);
  say("end");
}
static void read_frames(const char* name) {
  millrace_frame_reader* reader = NULL;
  DONE(millrace_frame_reader_open(name, NULL, patience, &reader));
  say("ready");
  for (;;) {
    millrace_frame frame;
    const int32_t code = millrace_frame_next(reader, patience, &frame);
    if (code == MILLRACE_END) break;
    if (code == MILLRACE_PEER_GONE) {
      say("gone");
      millrace_peer peer;
      memset(&peer, 0, sizeof peer);
      peer.size = sizeof peer;
      do {
        nap(1000);
        DONE(millrace_frame_reader_peer(reader, &peer));
      } while (peer.state != MILLRACE_PEER_ATTACHED);
      continue;
    }
    CHECK(code == MILLRACE_OK);
    CHECK(number_of(frame.data, frame.length) == frame.sequence);
    CHECK(memcmp(frame.data, frame.header, 8) == 0);
    const uint64_t sequence = frame.sequence;
    DONE(millrace_frame_release(reader, &frame));
    say_number(sequence);
  }
  millrace_frame_reader_free(reader);
  say("end");
}

static void write_cell(const char* name) {
  millrace_cell_writer_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.max_bytes = SLOT_BYTES;
  millrace_cell_writer* writer = NULL;
  DONE(millrace_cell_writer_open(name, &options, &writer));
  char buffer[MOST_BYTES];
  for (uint64_t i = 0; i < number(0); ++i) {
    const uint64_t version = (uint64_t)millrace_cell_writer_version(writer) + 1;
    DONE(millrace_cell_write(writer, buffer, fill(buffer, version)));
    say_number(version);
    nap(200);
  }
  millrace_cell_writer_free(writer);
  say("end");
}
static void read_cell(const char* name) {
  millrace_cell_reader* reader = NULL;
  int32_t code = 0;
  while ((code = millrace_cell_reader_open(name, NULL, &reader)) == MILLRACE_NOT_FOUND)
    nap(1000);
  CHECK(code == MILLRACE_OK);
  say("ready");
  char buffer[SLOT_BYTES];
  millrace_cell_value value;
  memset(&value, 0, sizeof value);
  for (;;) {
    code = millrace_cell_read_next(reader, value.version, buffer, sizeof buffer, patience, &value);
    if (code == MILLRACE_END) break;
    if (code == MILLRACE_PEER_GONE) {
      say("gone");
      millrace_peer peer;
      memset(&peer, 0, sizeof peer);
      peer.size = sizeof peer;
      do {
        nap(1000);
        DONE(millrace_cell_reader_peer(reader, &peer));
      } while (peer.state != MILLRACE_PEER_ATTACHED);
      continue;
    }
    CHECK(code == MILLRACE_OK);
    CHECK(number_of(buffer, value.length) == value.version);
    say_number(value.version);
  }
  millrace_cell_reader_free(reader);
  say("end");
}

static void push_jobs(const char* name) {
  millrace_work* work = NULL;
  DONE(millrace_work_open(name, NULL, &work));
  const uint64_t first = number(0);
  char buffer[MOST_BYTES];
  char id[32];
  char group[32];
  for (uint64_t n = first; n < first + number(1); ++n) {
    millrace_push_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    snprintf(id, sizeof id, "job-%" PRIu64, n);
    options.id = id;
    options.id_length = (uint32_t)strlen(id);
    options.priority = (uint32_t)(n % 3);
    snprintf(group, sizeof group, "group-%" PRIu64, n % 3);
    if (n % 4 == 0) {
      options.group = group;
      options.group_length = (uint32_t)strlen(group);
    }
    CHECK(millrace_work_push(work, buffer, fill(buffer, n), &options, patience) >= 0);
    say_number(n);
    nap(200);
  }
  millrace_work_free(work);
  say("end");
}
static void do_work(const char* name) {
  millrace_work* work = NULL;
  DONE(millrace_work_open(name, NULL, &work));
  say("ready");
  char text[32];
  for (;;) {
    millrace_job job;
    DONE(millrace_work_take(work, patience, &job));
    const uint64_t n = number_of(job.data, job.length);
    snprintf(text, sizeof text, "job-%" PRIu64, n);
    CHECK(job.id_length == strlen(text) && memcmp(job.id, text, job.id_length) == 0);
    CHECK(job.priority == n % 3);
    snprintf(text, sizeof text, "group-%" PRIu64, n % 3);
    if (n % 4 == 0)
      CHECK(job.group_length == strlen(text) && memcmp(job.group, text, job.group_length) == 0);
    else
      CHECK(job.group == NULL);
    printf("took %" PRIu64 " %" PRIu32 " .\n", n, job.attempt);
    fflush(stdout);
    nap(200);
    if (n % 5 == 0 && job.attempt == 1) {
      DONE(millrace_work_retry(work, &job, 0, "once more"));
      printf("retried %" PRIu64 " .\n", n);
    } else {
      DONE(millrace_work_complete(work, &job));
      printf("done %" PRIu64 " .\n", n);
    }
    fflush(stdout);
  }
}

static void publish(const char* name) {
  millrace_topics* topics = NULL;
  DONE(millrace_topics_open(name, NULL, &topics));
  char text[32];
  uint32_t subjects[2];
  snprintf(text, sizeof text, "m.%" PRIu64 ".even", number(0));
  DONE(millrace_topics_subject(topics, text, &subjects[0]));
  snprintf(text, sizeof text, "m.%" PRIu64 ".odd", number(0));
  DONE(millrace_topics_subject(topics, text, &subjects[1]));
  char buffer[MOST_BYTES];
  const uint64_t first = number(1);
  for (uint64_t n = first; n < first + number(2); ++n) {
    snprintf(text, sizeof text, "%" PRIu64, n);
    millrace_header header;
    header.name = "number";
    header.name_length = 6;
    header.value = text;
    header.value_length = (uint32_t)strlen(text);
    CHECK(millrace_topics_publish(topics, subjects[n % 2], buffer, fill(buffer, n), &header, 1,
                                  patience) >= 0);
    say_number(n);
    nap(200);
  }
  millrace_topics_free(topics);
  say("end");
}
static void subscribe(const char* name) {
  millrace_topics* topics = NULL;
  DONE(millrace_topics_open(name, NULL, &topics));
  const int waits = strcmp(arguments[0], "wait") == 0;
  const char* filters[1];
  filters[0] = arguments[2];
  millrace_subscribe_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.policy = waits ? MILLRACE_TOPIC_WAIT : MILLRACE_TOPIC_OVERWRITE;
  options.depth = (uint32_t)number(1);
  uint32_t subscription = 0;
  DONE(millrace_topics_subscribe(topics, filters, 1, &options, &subscription));
  say("ready");
  char buffer[8192];
  char subject[64];
  char text[32];
  for (;;) {
    millrace_message message;
    CHECK(millrace_topics_read(topics, subscription, buffer, sizeof buffer, &message, 1, patience,
                               NULL) == 1);
    const uint64_t n = number_of(message.data, message.length);
    CHECK(millrace_topics_subject_text(topics, message.subject, subject, sizeof subject) > 0);
    if (strncmp(subject, "m.3.", 4) != 0) {
      uint64_t at = 0;
      millrace_header header;
      CHECK(millrace_headers_next(message.headers, message.headers_length, &at, NULL, &header) ==
            1);
      snprintf(text, sizeof text, "%" PRIu64, n);
      CHECK(header.name_length == 6 && memcmp(header.name, "number", 6) == 0);
      CHECK(header.value_length == strlen(text) &&
            memcmp(header.value, text, header.value_length) == 0);
    }
    DONE(millrace_topics_release(topics, &message));
    printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 " .\n", subject, n, message.index, message.missed);
    fflush(stdout);
    if (!waits) nap(1000);
  }
}

/* Two words that are equal unless somebody is inside; changed with the lock held. */
static volatile uint64_t* opened_halves(const char* name) {
  millrace_memory* memory = NULL;
  DONE(millrace_memory_open(name, NULL, &memory));
  return millrace_memory_data(memory);
}
static void change(volatile uint64_t* halves, int32_t locked) {
  CHECK(locked >= 0);
  CHECK(halves[0] == halves[1] || locked == MILLRACE_ABANDONED);
  if (locked == MILLRACE_ABANDONED) say("abandoned");
  halves[1] = halves[0];
  halves[0] = halves[0] + 1;
  nap(200);
  halves[1] = halves[1] + 1;
}
static void take_mutex(const char* name) {
  millrace_mutex* mutex = NULL;
  DONE(millrace_mutex_open(name, NULL, &mutex));
  volatile uint64_t* halves = opened_halves(name);
  for (;;) {
    change(halves, millrace_mutex_lock(mutex, patience));
    DONE(millrace_mutex_unlock(mutex, 0));
    say("turn");
    nap(200);
  }
}
static void take_rwlock(const char* name) {
  millrace_rwlock* lock = NULL;
  DONE(millrace_rwlock_open(name, NULL, &lock));
  volatile uint64_t* halves = opened_halves(name);
  for (;;) {
    const int32_t reads = millrace_rwlock_read(lock, patience);
    CHECK(reads >= 0);
    CHECK(halves[0] == halves[1] || reads == MILLRACE_ABANDONED);
    DONE(millrace_rwlock_unlock(lock, 0));
    change(halves, millrace_rwlock_write(lock, patience));
    DONE(millrace_rwlock_unlock(lock, 0));
    say("turn");
    nap(200);
  }
}
static void hold_mutex(const char* name) {
  millrace_mutex* mutex = NULL;
  DONE(millrace_mutex_open(name, NULL, &mutex));
  const int32_t code = millrace_mutex_lock(mutex, patience);
  CHECK(code >= 0);
  say(code == MILLRACE_ABANDONED ? "abandoned" : "held");
  stay();
}
static void hold_rwlock(const char* name) {
  millrace_rwlock* lock = NULL;
  DONE(millrace_rwlock_open(name, NULL, &lock));
  const int32_t code = millrace_rwlock_write(lock, patience);
  CHECK(code >= 0);
  say(code == MILLRACE_ABANDONED ? "abandoned" : "held");
  stay();
}

/* Adds one to the counter; returns who is next. */
static int counted(millrace_counter* counter, int64_t* count) {
  DONE(millrace_counter_add(counter, 1, count));
  const char* route = arguments[1];
  return route[(size_t)*count % strlen(route)] - '0';
}
static void say_relayed(int64_t count, int next) {
  printf("%" PRId64 " %d .\n", count, next);
  fflush(stdout);
}
static void relay_event(const char* name) {
  millrace_event* events[4];
  millrace_counter* counter = NULL;
  char own[80];
  for (int at = 0; at < 4; ++at) {
    snprintf(own, sizeof own, "%s-%d", name, at);
    DONE(millrace_event_open(own, NULL, &events[at]));
  }
  DONE(millrace_counter_open(name, NULL, &counter));
  say("ready");
  for (;;) {
    DONE(millrace_event_wait(events[number(0)], patience));
    int64_t count = 0;
    const int next = counted(counter, &count);
    DONE(millrace_event_set(events[next]));
    say_relayed(count, next);
  }
}
static void relay_semaphore(const char* name) {
  millrace_semaphore_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.flags = MILLRACE_OPEN_ONLY;
  millrace_semaphore* semaphores[4];
  millrace_counter* counter = NULL;
  char own[80];
  for (int at = 0; at < 4; ++at) {
    snprintf(own, sizeof own, "%s-%d", name, at);
    DONE(millrace_semaphore_open(own, &options, &semaphores[at]));
  }
  DONE(millrace_counter_open(name, NULL, &counter));
  say("ready");
  for (;;) {
    DONE(millrace_semaphore_wait(semaphores[number(0)], patience));
    int64_t count = 0;
    const int next = counted(counter, &count);
    DONE(millrace_semaphore_post(semaphores[next], 1));
    say_relayed(count, next);
  }
}

static unsigned char byte_of(uint64_t seed, uint64_t at) {
  return (unsigned char)((seed * 31 + at * 7) & 0xFF);
}
static void own_memory(const char* name) {
  millrace_memory* memory = NULL;
  DONE(millrace_memory_create(name, MEMORY_BYTES, NULL, &memory));
  unsigned char* bytes = millrace_memory_data(memory);
  for (uint64_t i = 0; i < MEMORY_BYTES; ++i)
    bytes[i] = byte_of(number(0), i);
  say("made");
  stay();
}
static void use_memory(const char* name) {
  millrace_memory* memory = NULL;
  DONE(millrace_memory_open(name, NULL, &memory));
  CHECK(millrace_memory_size(memory) == MEMORY_BYTES);
  unsigned char* bytes = millrace_memory_data(memory);
  for (uint64_t i = 0; i < MEMORY_BYTES; ++i)
    CHECK(bytes[i] == byte_of(number(0), i));
  for (uint64_t i = 0; i < MEMORY_BYTES; ++i)
    bytes[i] = byte_of(number(0) + 1, i);
  say("seen");
  stay();
}

static const struct {
  const char* name;
  void (*play)(const char* name);
} roles[] = {
    {"push", push},
    {"pop", pop},
    {"write-frames", write_frames},
    {"read-frames", read_frames},
    {"write-cell", write_cell},
    {"read-cell", read_cell},
    {"push-jobs", push_jobs},
    {"work", do_work},
    {"publish", publish},
    {"subscribe", subscribe},
    {"mutex", take_mutex},
    {"rwlock", take_rwlock},
    {"hold-mutex", hold_mutex},
    {"hold-rwlock", hold_rwlock},
    {"relay-event", relay_event},
    {"relay-semaphore", relay_semaphore},
    {"own-memory", own_memory},
    {"use-memory", use_memory},
};

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  arguments = argv + 3;
  for (size_t i = 0; i < sizeof roles / sizeof roles[0]; ++i) {
    if (strcmp(argv[1], roles[i].name) != 0) continue;
    roles[i].play(argv[2]);
    return 0;
  }
  return 2;
}
