/* Queues and frames through the C interface, both sides in one process. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static char name[64];

static void queue(void) {
  millrace_queue_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.capacity = 4096;
  millrace_queue_producer* producer = NULL;
  millrace_queue_consumer* consumer = NULL;
  CHECK(millrace_queue_producer_open(name, &options, &producer) == MILLRACE_OK);
  CHECK(millrace_queue_consumer_open(name, NULL, &consumer) == MILLRACE_OK);

  char text[64];
  uint64_t length = 0;
  CHECK(millrace_queue_try_pop(consumer, text, sizeof text, &length) == MILLRACE_WOULD_BLOCK);
  CHECK(millrace_queue_push(producer, "hello", 5, MILLRACE_FOREVER) == MILLRACE_OK);
  CHECK(millrace_queue_pop(consumer, text, 3, &length, 0) == MILLRACE_TOO_LARGE);
  CHECK(length == 5);
  CHECK(millrace_queue_pop(consumer, text, sizeof text, &length, 0) == MILLRACE_OK);
  CHECK(length == 5 && memcmp(text, "hello", 5) == 0);
  CHECK(millrace_queue_pop(consumer, text, sizeof text, &length, 1000000) == MILLRACE_TIMEOUT);
  CHECK(strcmp(millrace_code_name(millrace_last_error()->code), "TIMEOUT") == 0);
  CHECK(millrace_queue_try_push(producer, text, 1000000) == MILLRACE_TOO_LARGE);

  /* The descriptor. */
  struct pollfd polled;
  polled.fd = millrace_queue_consumer_fd(consumer);
  polled.events = POLLIN;
  CHECK(polled.fd >= 0);
  CHECK(millrace_queue_consumer_arm(consumer) == MILLRACE_OK);
  CHECK(poll(&polled, 1, 0) == 0);
  CHECK(millrace_queue_try_push(producer, "ring", 4) == MILLRACE_OK);
  CHECK(poll(&polled, 1, 10000) == 1);
  CHECK(millrace_queue_try_pop(consumer, text, sizeof text, &length) == MILLRACE_OK);
  CHECK(millrace_queue_consumer_arm(consumer) == MILLRACE_OK);
  CHECK(poll(&polled, 1, 0) == 0);
  CHECK(millrace_queue_consumer_disarm(consumer) == MILLRACE_OK);

  CHECK(millrace_queue_producer_abort(producer, "disk full") == MILLRACE_OK);
  CHECK(millrace_queue_producer_close(producer, 0) == MILLRACE_CLOSED);
  CHECK(millrace_queue_pop(consumer, text, sizeof text, &length, MILLRACE_FOREVER) ==
        MILLRACE_PEER_FAILED);
  CHECK(strstr(millrace_last_error_message(), "disk full") != NULL);
  CHECK(millrace_queue_consumer_close(consumer, 0) == MILLRACE_OK);
  millrace_queue_producer_free(producer);
  millrace_queue_consumer_free(consumer);
}

static void frames(void) {
  millrace_frame_writer_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.slot_bytes = 1024;
  options.slots = 4;
  millrace_frame_writer* writer = NULL;
  millrace_frame_reader* reader = NULL;
  CHECK(millrace_frame_reader_open(name, NULL, 0, &reader) == MILLRACE_NOT_FOUND);
  CHECK(millrace_frame_reader_open(name, NULL, 2000000, &reader) == MILLRACE_NOT_FOUND);
  CHECK(strstr(millrace_last_error_message(), "within 2 ms: start it, or allow more") != NULL);
  CHECK(millrace_frame_writer_open(name, &options, &writer) == MILLRACE_OK);
  CHECK(millrace_frame_reader_open(name, NULL, MILLRACE_FOREVER, &reader) == MILLRACE_OK);
  CHECK(millrace_frame_writer_wait_readers(writer, 1, 0) == MILLRACE_OK);

  millrace_slot slot;
  CHECK(millrace_frame_acquire(writer, MILLRACE_FOREVER, &slot) == MILLRACE_OK);
  CHECK(slot.capacity == 1024);
  memset(slot.data, 7, 100);
  memset(slot.header, 9, 64);
  uint64_t sequence = 0;
  CHECK(millrace_frame_publish(writer, &slot, 100, 0, &sequence) == MILLRACE_OK);
  CHECK(sequence == 1);
  CHECK(millrace_frame_publish(writer, &slot, 100, 0, NULL) == MILLRACE_INVALID_ARGUMENT);

  millrace_frame frame;
  CHECK(millrace_frame_next(reader, MILLRACE_FOREVER, &frame) == MILLRACE_OK);
  CHECK(frame.length == 100 && frame.sequence == 1 && frame.missed == 0);
  CHECK(((const char*)frame.data)[99] == 7 && ((const char*)frame.header)[63] == 9);
  CHECK(millrace_frame_release(reader, &frame) == MILLRACE_OK);
  CHECK(millrace_frame_release(reader, &frame) == MILLRACE_RELEASED);
  CHECK(millrace_frame_writer_close(writer) == MILLRACE_OK);
  CHECK(millrace_frame_next(reader, MILLRACE_FOREVER, &frame) == MILLRACE_END);
  millrace_frame_writer_free(writer);
  millrace_frame_reader_free(reader);
}

int main(void) {
  snprintf(name, sizeof name, "capi-first-%ld", (long)getpid());
  queue();
  frames();
  printf("ok %s\n", millrace_version());
  return 0;
}
