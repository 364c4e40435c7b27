/* The other side of capi.test.ts: takes one part per run, through an event loop where there is one, and says what it found.
 *
 *   peer ROLE NAME [COUNT]
 *
 * Message i is what fill() makes of it, in C and in TypeScript alike. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static char text[4096];

/* "message 17 xxxxxxxxxxxxxxxxx": a text of its own for each number, of many lengths. */
static uint64_t fill(char* to, uint64_t i) {
  int length = sprintf(to, "message %" PRIu64 " ", i);
  const uint64_t tail = i * 7 % 300;
  memset(to + length, 'x', tail);
  return (uint64_t)length + tail;
}
static void check(const void* data, uint64_t length, uint64_t i) {
  const uint64_t wanted = fill(text, i);
  if (length != wanted || memcmp(data, text, length) != 0) {
    fprintf(stderr, "message %" PRIu64 " is '%.*s'\n", i, (int)length, (const char*)data);
    exit(1);
  }
}
static void say(const char* line) {
  puts(line);
  fflush(stdout);
}
static void say_count(const char* what, uint64_t count) {
  printf("%s %" PRIu64 "\n", what, count);
  fflush(stdout);
}
/* Sleeps until a descriptor is readable, as an event loop would. */
static void rest(int fd) {
  struct pollfd polled;
  polled.fd = fd;
  polled.events = POLLIN;
  CHECK(fd >= 0 && poll(&polled, 1, 40000) == 1);
}

static void queue_in(const char* name, uint64_t count) {
  millrace_queue_consumer* consumer = NULL;
  DONE(millrace_queue_consumer_open(name, NULL, &consumer));
  say("ready");
  char buffer[512];
  uint64_t length = 0;
  uint64_t got = 0;
  for (;;) {
    const int32_t code = millrace_queue_try_pop(consumer, buffer, sizeof buffer, &length);
    if (code == MILLRACE_OK) {
      check(buffer, length, got++);
    } else if (code == MILLRACE_WOULD_BLOCK) {
      if (millrace_queue_consumer_arm(consumer) == MILLRACE_OK)
        rest(millrace_queue_consumer_fd(consumer));
    } else {
      printf("%s\n", millrace_code_name(code));
      break;
    }
  }
  CHECK(count == 0 || got == count);
  say_count("received", got);
  millrace_queue_consumer_free(consumer);
}
static void queue_out(const char* name, uint64_t count) {
  millrace_queue_producer* producer = NULL;
  DONE(millrace_queue_producer_open(name, NULL, &producer));
  say("ready");
  char buffer[512];
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t length = fill(buffer, i);
    for (;;) {
      const int32_t code = millrace_queue_try_push(producer, buffer, length);
      if (code == MILLRACE_OK) break;
      if (code != MILLRACE_WOULD_BLOCK) {
        printf("%s\n", millrace_code_name(code));
        millrace_queue_producer_free(producer);
        return;
      }
      const int32_t armed = millrace_queue_producer_arm(producer, length);
      CHECK(armed >= 0);
      if (armed == MILLRACE_OK) rest(millrace_queue_producer_fd(producer));
    }
  }
  DONE(millrace_queue_end(producer, patience));
  say("ended");
  millrace_queue_producer_free(producer);
}

static void frames_in(const char* name, uint64_t count) {
  millrace_frame_reader* reader = NULL;
  DONE(millrace_frame_reader_open(name, NULL, patience, &reader));
  say("ready");
  uint64_t got = 0;
  for (;;) {
    millrace_frame frame;
    const int32_t code = millrace_frame_try_next(reader, &frame);
    if (code == MILLRACE_OK) {
      check(frame.data, frame.length, frame.sequence);
      uint32_t fact = 0;
      memcpy(&fact, frame.header, sizeof fact);
      CHECK(frame.sequence == ++got && fact == (uint32_t)got && frame.missed == 0);
      DONE(millrace_frame_release(reader, &frame));
    } else if (code == MILLRACE_WOULD_BLOCK) {
      if (millrace_frame_reader_arm(reader) == MILLRACE_OK) rest(millrace_frame_reader_fd(reader));
    } else {
      printf("%s\n", millrace_code_name(code));
      break;
    }
  }
  CHECK(count == 0 || got == count);
  say_count("received", got);
  millrace_frame_reader_free(reader);
}
static void frames_out(const char* name, uint64_t count) {
  millrace_frame_writer_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.slot_bytes = 512;
  options.slots = 4;
  millrace_frame_writer* writer = NULL;
  DONE(millrace_frame_writer_open(name, &options, &writer));
  say("ready");
  DONE(millrace_frame_writer_wait_readers(writer, 1, patience));
  for (uint64_t i = 1; i <= count; ++i) {
    millrace_slot slot;
    int32_t code = 0;
    while ((code = millrace_frame_try_acquire(writer, &slot)) == MILLRACE_WOULD_BLOCK) {
      if (millrace_frame_writer_arm(writer) == MILLRACE_OK) rest(millrace_frame_writer_fd(writer));
    }
    CHECK(code == MILLRACE_OK);
    const uint32_t fact = (uint32_t)i;
    memcpy(slot.header, &fact, sizeof fact);
    DONE(millrace_frame_publish(writer, &slot, fill(slot.data, i), 0, NULL));
  }
  millrace_frame_writer_free(writer);
  say("ended");
}

static void cell_in(const char* name, uint64_t count) {
  millrace_cell_reader* reader = NULL;
  DONE(millrace_cell_reader_open(name, NULL, &reader));
  say("ready");
  char buffer[512];
  millrace_cell_value value;
  memset(&value, 0, sizeof value);
  while (value.version < count) {
    DONE(millrace_cell_read_next(reader, value.version, buffer, sizeof buffer, patience, &value));
    check(buffer, value.length, value.version);
  }
  say_count("version", value.version);
  millrace_cell_reader_free(reader);
}
static void cell_out(const char* name, uint64_t count) {
  millrace_cell_writer_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.max_bytes = 512;
  millrace_cell_writer* writer = NULL;
  DONE(millrace_cell_writer_open(name, &options, &writer));
  char buffer[512];
  for (uint64_t i = 1; i <= count; ++i)
    DONE(millrace_cell_write(writer, buffer, fill(buffer, i)));
  say("ready");
  while (fgets(text, sizeof text, stdin) != NULL) {
  }
  millrace_cell_writer_free(writer);
}

/* Adds to a number in plain memory, one at a time, with the lock held. */
static void lock_add(const char* name, uint64_t count) {
  millrace_mutex* mutex = NULL;
  millrace_memory* memory = NULL;
  DONE(millrace_mutex_open(name, NULL, &mutex));
  DONE(millrace_memory_open(name, NULL, &memory));
  say("ready");
  int32_t* number = millrace_memory_data(memory);
  for (uint64_t i = 0; i < count; ++i) {
    DONE(millrace_mutex_lock(mutex, patience));
    const int32_t before = *(volatile int32_t*)number;
    if (i % 64 == 0) poll(NULL, 0, 1);
    *(volatile int32_t*)number = before + 1;
    DONE(millrace_mutex_unlock(mutex, 0));
  }
  say("ended");
  millrace_mutex_free(mutex);
  millrace_memory_free(memory);
}
static void lock_hold(const char* name, uint64_t how) {
  millrace_mutex* mutex = NULL;
  DONE(millrace_mutex_open(name, NULL, &mutex));
  const int32_t code = millrace_mutex_lock(mutex, patience);
  CHECK(code >= 0);
  say(code == MILLRACE_ABANDONED ? "abandoned" : "held");
  if (how != 0) {
    DONE(millrace_mutex_unlock(mutex, 0));
  } else {
    while (fgets(text, sizeof text, stdin) != NULL) {
    }
  }
  millrace_mutex_free(mutex);
}

/* Waits for each ball, and plays it back: an event, a semaphore, and what is counted. */
static void pong(const char* name, uint64_t count) {
  char other[80];
  snprintf(other, sizeof other, "%s-back", name);
  millrace_event* ping = NULL;
  millrace_semaphore* back = NULL;
  millrace_counter* counter = NULL;
  DONE(millrace_event_open(name, NULL, &ping));
  DONE(millrace_semaphore_open(other, NULL, &back));
  DONE(millrace_counter_open(name, NULL, &counter));
  say("ready");
  for (uint64_t i = 0; i < count; ++i) {
    while (millrace_event_try_wait(ping) == MILLRACE_WOULD_BLOCK) {
      if (millrace_event_arm(ping) == MILLRACE_OK) rest(millrace_event_fd(ping));
    }
    DONE(millrace_counter_add(counter, -1, NULL));
    DONE(millrace_semaphore_post(back, 1));
  }
  say("ended");
  millrace_event_free(ping);
  millrace_semaphore_free(back);
  millrace_counter_free(counter);
}

static void work_in(const char* name, uint64_t count) {
  millrace_work* work = NULL;
  DONE(millrace_work_open(name, NULL, &work));
  say("ready");
  for (uint64_t done = 0; done < count;) {
    millrace_job job;
    const int32_t code = millrace_work_try_take(work, &job);
    if (code == MILLRACE_WOULD_BLOCK) {
      if (millrace_work_arm(work, MILLRACE_FOR_MESSAGES) == MILLRACE_OK)
        rest(millrace_work_fd(work));
      continue;
    }
    CHECK(code == MILLRACE_OK);
    check(job.data, job.length, done);
    snprintf(text, sizeof text, "id-%" PRIu64, done);
    CHECK(job.id_length == strlen(text) && memcmp(job.id, text, job.id_length) == 0);
    CHECK(job.priority == 3 && job.attempt == 1);
    DONE(millrace_work_complete(work, &job));
    ++done;
  }
  say_count("done", count);
  millrace_work_free(work);
}
static void work_out(const char* name, uint64_t count) {
  millrace_work* work = NULL;
  DONE(millrace_work_open(name, NULL, &work));
  say("ready");
  char buffer[512];
  char id[32];
  for (uint64_t i = 0; i < count; ++i) {
    millrace_push_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    snprintf(id, sizeof id, "id-%" PRIu64, i);
    options.id = id;
    options.id_length = (uint32_t)strlen(id);
    options.priority = 3;
    options.group = "group";
    options.group_length = 5;
    options.traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
    options.traceparent_length = 55;
    DONE(millrace_work_push(work, buffer, fill(buffer, i), &options, patience));
  }
  say("ended");
  millrace_work_free(work);
}
/* Has a job in hand until it is killed. */
static void work_hold(const char* name, uint64_t how) {
  millrace_work* work = NULL;
  DONE(millrace_work_open(name, NULL, &work));
  millrace_job job;
  DONE(millrace_work_take(work, patience, &job));
  printf("attempt %" PRIu32 "\n", job.attempt);
  fflush(stdout);
  if (how != 0) {
    DONE(millrace_work_complete(work, &job));
  } else {
    while (fgets(text, sizeof text, stdin) != NULL) {
    }
  }
  millrace_work_free(work);
}

static void topics_in(const char* name, uint64_t count) {
  millrace_topics* topics = NULL;
  DONE(millrace_topics_open(name, NULL, &topics));
  const char* filters[1] = {"numbers.*"};
  uint32_t subscription = 0;
  DONE(millrace_topics_subscribe(topics, filters, 1, NULL, &subscription));
  say("ready");
  uint64_t got = 0;
  char buffer[8192];
  millrace_message messages[16];
  while (got < count) {
    const int32_t read =
        millrace_topics_try_read(topics, subscription, buffer, sizeof buffer, messages, 16, NULL);
    if (read == MILLRACE_WOULD_BLOCK) {
      if (millrace_topics_arm(topics, MILLRACE_FOR_MESSAGES) == MILLRACE_OK)
        rest(millrace_topics_fd(topics));
      continue;
    }
    CHECK(read > 0);
    for (int32_t i = 0; i < read; ++i) {
      check(messages[i].data, messages[i].length, got);
      uint64_t at = 0;
      millrace_header header;
      CHECK(millrace_headers_next(messages[i].headers, messages[i].headers_length, &at, NULL,
                                  &header) == 1);
      snprintf(text, sizeof text, "%" PRIu64, got);
      CHECK(header.name_length == 6 && memcmp(header.name, "number", 6) == 0);
      CHECK(header.value_length == strlen(text) &&
            memcmp(header.value, text, header.value_length) == 0);
      CHECK(millrace_topics_subject_text(topics, messages[i].subject, text, sizeof text) > 0);
      CHECK(strcmp(text, got % 2 == 0 ? "numbers.even" : "numbers.odd") == 0);
      DONE(millrace_topics_release(topics, &messages[i]));
      ++got;
    }
  }
  say_count("received", got);
  millrace_topics_free(topics);
}
static void topics_out(const char* name, uint64_t count) {
  millrace_topics* topics = NULL;
  DONE(millrace_topics_open(name, NULL, &topics));
  uint32_t subjects[2];
  DONE(millrace_topics_subject(topics, "numbers.even", &subjects[0]));
  DONE(millrace_topics_subject(topics, "numbers.odd", &subjects[1]));
  say("ready");
  char buffer[512];
  char number[32];
  for (uint64_t i = 0; i < count; ++i) {
    snprintf(number, sizeof number, "%" PRIu64, i);
    millrace_header header;
    header.name = "number";
    header.name_length = 6;
    header.value = number;
    header.value_length = (uint32_t)strlen(number);
    CHECK(millrace_topics_publish(topics, subjects[i % 2], buffer, fill(buffer, i), &header, 1,
                                  patience) == 1);
  }
  say("ended");
  millrace_topics_free(topics);
}

static const struct {
  const char* name;
  void (*play)(const char* name, uint64_t count);
} roles[] = {
    {"queue-in", queue_in},     {"queue-out", queue_out},   {"frames-in", frames_in},
    {"frames-out", frames_out}, {"cell-in", cell_in},       {"cell-out", cell_out},
    {"lock-add", lock_add},     {"lock-hold", lock_hold},   {"pong", pong},
    {"work-in", work_in},       {"work-out", work_out},     {"work-hold", work_hold},
    {"topics-in", topics_in},   {"topics-out", topics_out},
};

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const uint64_t count = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
  for (size_t i = 0; i < sizeof roles / sizeof roles[0]; ++i) {
    if (strcmp(argv[1], roles[i].name) != 0) continue;
    roles[i].play(argv[2], count);
    return 0;
  }
  return 2;
}
