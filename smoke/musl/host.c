// host ADDON produce|consume NAME: messages and frames through the addon, without JavaScript. The consumer prints what it
// got as JSON; the producer is killed in the end, which the consumer has to notice. host ADDON all NAME: a call or two
// of everything else that the addon exports.
//
// The contents, the order and the names are those of programs/plain.mjs, so that either side may be Node.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

enum { MESSAGES = 1500, FRAMES = 60, SLOT_BYTES = 16384, WOULD_BLOCK = -1, PEER_GONE = 3 };
enum { PATIENCE_MS = 60000 };

static napi_value exports;
static const char* name;
static int woken;

static void fail(const char* what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

// xorshift32 and FNV-1a, as programs/story.mjs has them.
static void fill(uint8_t* bytes, int32_t seed, size_t length) {
  uint32_t state = ((uint32_t)seed * 0x9e3779b1U) | 1U;
  for (size_t i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    bytes[i] = (uint8_t)state;
  }
}
static uint32_t fold(uint32_t digest, const uint8_t* bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    digest = (digest ^ bytes[i]) * 0x01000193U;
  return digest;
}
static size_t length_of(int i) {
  return (size_t)(i * 37) % 1500;
}

static napi_value make_error(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value values[2];
  napi_value error = NULL;
  napi_get_cb_info(env, info, &count, values, NULL, NULL);
  napi_create_error(env, values[0], values[1], &error);
  return error;
}
static napi_value on_wake(napi_env env, napi_callback_info info) {
  (void)env, (void)info;
  woken++;
  return NULL;
}

static double call(napi_value self, const char* method, size_t count, const napi_value* values) {
  return engine_to_number(engine_call(self, method, count, values));
}

static napi_value options(void) {
  napi_value made = engine_object();
  engine_set(made, "place", engine_string(name));
  engine_set(made, "name", engine_string(name));
  engine_set(made, "memory", engine_object());
  engine_set(made, "schema", engine_bigint(0));
  engine_set(made, "mode", engine_number(0600));
  engine_set(made, "keep", engine_boolean(false));
  return made;
}
static napi_value open_with(const char* type, napi_value wanted, double token) {
  napi_value made = engine_new(engine_get(exports, type), wanted);
  napi_value number = engine_number(token);
  engine_call(made, "wakeToken", 1, &number);
  return made;
}
static napi_value open_queue(const char* type) {
  napi_value wanted = options();
  engine_set(wanted, "capacity", engine_number(32768));
  return open_with(type, wanted, 1);
}

// Calls until the answer is no longer "would block", and sleeps in between until the peer rings.
static double wait_for(napi_value side, const char* method, size_t count,
                       const napi_value* values) {
  const double end = milliseconds() + PATIENCE_MS;
  for (;;) {
    double result = call(side, method, count, values);
    if (result != WOULD_BLOCK) return result;
    engine_call(side, "park", 0, NULL);
    result = call(side, method, count, values);
    if (result != WOULD_BLOCK) {
      engine_call(side, "unpark", 0, NULL);
      return result;
    }
    engine_turn(500);
    engine_call(side, "unpark", 0, NULL);
    if (milliseconds() > end) fail(method);
  }
}

static void produce(void) {
  napi_value queue = open_queue("QueueProducer");
  for (int i = 0; i < MESSAGES; i++) {
    napi_value message = engine_bytes(length_of(i));
    fill(engine_data(message, NULL), i, length_of(i));
    if (wait_for(queue, "tryPush", 1, &message) != 0) fail("tryPush");
  }

  napi_value wanted = options();
  engine_set(wanted, "slotBytes", engine_number(SLOT_BYTES));
  engine_set(wanted, "slots", engine_number(4));
  engine_set(wanted, "maxReaders", engine_number(4));
  engine_set(wanted, "history", engine_number(0));
  engine_set(wanted, "alignment", engine_number(64));
  engine_set(wanted, "replace", engine_boolean(false));
  napi_value writer = open_with("FrameWriter", wanted, 2);
  const size_t first = (size_t)engine_to_number(engine_get(writer, "payloadOffset"));
  const size_t stride = (size_t)engine_to_number(engine_get(writer, "slotStride"));
  const double end = milliseconds() + PATIENCE_MS;
  while (call(writer, "readers", 0, NULL) < 1) {
    if (milliseconds() > end) fail("nobody reads the frames");
    engine_turn(1);
  }
  // lib/frames/facts.ts says what lies where; publish() may have loaned the slot for the next frame.
  int32_t* facts = (int32_t*)engine_data(engine_get(writer, "facts"), NULL);
  for (int i = 0; i < FRAMES; i++) {
    const double slot = i > 0 && facts[6] >= 0 ? facts[6] : wait_for(writer, "tryLoan", 0, NULL);
    if (slot < 0) fail("tryLoan");
    facts[6] = facts[7] = -1;  // taken
    if (i % 2 == 0) {          // in place
      uint8_t* pool = engine_data(engine_call(writer, "buffer", 0, NULL), NULL);
      fill(pool + first + stride * (size_t)slot, -i, SLOT_BYTES);
    } else {
      napi_value bytes = engine_bytes(SLOT_BYTES);
      fill(engine_data(bytes, NULL), -i, SLOT_BYTES);
      napi_value values[] = {engine_number(slot), engine_number(0), bytes};
      if (call(writer, "write", 3, values) != SLOT_BYTES) fail("write");
    }
    facts[0] = (int32_t)slot;
    facts[2] = SLOT_BYTES;
    facts[1] = facts[3] = 0;
    engine_call(writer, "publish", 0, NULL);
    if (facts[4] != i + 1) fail("publish");
  }
  napi_value last = engine_bytes(10);
  memcpy(engine_data(last, NULL), "last words", 10);
  if (wait_for(queue, "tryPush", 1, &last) != 0) fail("tryPush");
  while (call(queue, "drained", 0, NULL) == 0) {
    if (milliseconds() > end) fail("the last words are not heard");
    engine_turn(1);
  }
  kill(getpid(), SIGKILL);
}

static void consume(void) {
  uint32_t digest = 0;
  uint8_t expected[SLOT_BYTES];
  napi_value queue = open_queue("QueueConsumer");
  napi_value target = engine_bytes(4096);
  napi_value into[] = {target, engine_number(0)};
  for (int i = 0; i < MESSAGES; i++) {
    const double length = wait_for(queue, "popInto", 2, into);
    fill(expected, i, length_of(i));
    if (length != (double)length_of(i)) fail("a message has another length");
    if (memcmp(engine_data(target, NULL), expected, length_of(i)) != 0) fail("other bytes");
    digest = fold(digest, expected, length_of(i));
  }

  napi_value wanted = options();
  engine_set(wanted, "policy", engine_number(0));
  engine_set(wanted, "depth", engine_number(0));
  engine_set(wanted, "history", engine_number(0));
  engine_set(wanted, "maxHeld", engine_number(0));
  char path[512];
  snprintf(path, sizeof path, "/dev/shm/millrace.f.%s", name);
  const double end = milliseconds() + PATIENCE_MS;
  while (access(path, F_OK) != 0) {
    if (milliseconds() > end) fail("nobody writes frames");
    engine_turn(1);
  }
  engine_turn(50);  // it may be there and not ready yet
  napi_value reader = open_with("FrameReader", wanted, 2);
  const size_t first = (size_t)engine_to_number(engine_get(reader, "payloadOffset"));
  const size_t stride = (size_t)engine_to_number(engine_get(reader, "slotStride"));
  const int32_t* facts = (const int32_t*)engine_data(engine_get(reader, "facts"), NULL);
  for (int i = 0; i < FRAMES; i++) {
    for (engine_call(reader, "receive", 0, NULL); facts[0] == -1;
         engine_call(reader, "receive", 0, NULL)) {
      if (milliseconds() > end) fail("no frame comes");
      engine_turn(1);
    }
    const double slot = facts[0];
    if (slot < 0) fail("receive");
    fill(expected, -i, SLOT_BYTES);
    const uint8_t* pool = engine_data(engine_call(reader, "buffer", 0, NULL), NULL);
    if (memcmp(pool + first + stride * (size_t)slot, expected, SLOT_BYTES) != 0) {
      fail("a frame has other bytes");
    }
    napi_value copy = engine_bytes(SLOT_BYTES);
    napi_value read[] = {engine_number(slot), engine_number(i + 1), engine_number(0), copy};
    if (call(reader, "read", 4, read) != SLOT_BYTES) fail("read");
    digest = fold(digest, engine_data(copy, NULL), SLOT_BYTES);
    if (facts[2] != i + 1) fail("a frame has another number");
    engine_call(reader, "release", 0, NULL);
  }

  if (wait_for(queue, "popInto", 2, into) != 10) fail("no last words");
  if (memcmp(engine_data(target, NULL), "last words", 10) != 0) fail("other last words");
  // Its death has to wake us: watched by the doorbell's hang-up.
  while (call(queue, "peer", 0, NULL) != PEER_GONE) {
    engine_call(queue, "park", 0, NULL);
    engine_call(queue, "watchPeer", 0, NULL);
    if (call(queue, "peer", 0, NULL) != PEER_GONE) engine_turn(500);
    engine_call(queue, "unpark", 0, NULL);
    if (milliseconds() > end) fail("the death was not noticed");
  }
  engine_call(reader, "close", 0, NULL);
  napi_value discard = engine_boolean(true);
  engine_call(queue, "close", 1, &discard);
  printf("{\"digest\":%d,\"woken\":%s,\"ending\":\"ERR_MILLRACE_PEER_GONE\"}\n", (int32_t)digest,
         woken > 0 ? "true" : "false");
}

// A work queue with two handles: what one pushes the other completes, tries again, gives up, and hands on.
static void jobs(void) {
  napi_value wanted = options();
  engine_set(wanted, "jobs", engine_number(8));
  engine_set(wanted, "attempts", engine_number(2));
  napi_value pusher = open_with("Work", wanted, 7);
  napi_value worker = open_with("Work", wanted, 8);
  int32_t* facts = (int32_t*)engine_data(engine_get(worker, "facts"), NULL);
  const char* const texts[] = {"completed", "tried", "given up", "handed on"};
  for (int i = 0; i < 4; i++) {
    napi_value bytes = engine_bytes(strlen(texts[i]));
    memcpy(engine_data(bytes, NULL), texts[i], strlen(texts[i]));
    if (call(pusher, "tryPush", 1, &bytes) != 0) fail("Work: push");
  }
  const uint8_t* payloads = engine_data(engine_call(worker, "buffer", 0, NULL), NULL);
  napi_value reason = engine_string("never");
  napi_value again[] = {engine_number(0), reason};
  // lib/addon/work.ts says what lies where in the facts.
  for (int i = 0; i < 4; i++) {
    engine_call(worker, "take", 0, NULL);
    if (facts[0] < 0 || facts[5] != (int32_t)strlen(texts[i])) fail("Work: take");
    if (memcmp(payloads + facts[3], texts[i], strlen(texts[i])) != 0) fail("Work: other bytes");
    if (i == 1) {
      if (call(worker, "retry", 2, again) != 1) fail("Work: retry");
      engine_call(worker, "take", 0, NULL);
      if (facts[6] != 2) fail("Work: it is not the second time");
    }
    napi_value bytes = engine_bytes(7);
    napi_value onward[] = {
        bytes, pusher, engine_number(0), engine_number(0), engine_number(0), engine_string("")};
    const double done = i == 2   ? call(worker, "reject", 1, &reason)
                        : i == 3 ? call(worker, "forward", 6, onward)
                                 : call(worker, "complete", 0, NULL);
    if (done != 1) fail("Work: it cannot be settled");
  }
  engine_call(worker, "take", 0, NULL);
  if (facts[0] < 0 || facts[5] != 7) fail("Work: the result");
  engine_call(worker, "close", 0, NULL);
  // Whoever takes it next has it in its place.
  facts = (int32_t*)engine_data(engine_get(pusher, "facts"), NULL);
  engine_call(pusher, "take", 0, NULL);
  if (facts[0] < 0 || facts[6] != 2 || call(pusher, "complete", 0, NULL) != 1) {
    fail("Work: what was in hand does not come back");
  }
  engine_call(pusher, "take", 0, NULL);
  if (facts[0] != WOULD_BLOCK) fail("Work: a job too many");
  engine_call(pusher, "flushNow", 0, NULL);
  engine_call(pusher, "close", 0, NULL);
  napi_value where[] = {engine_string("j"), engine_string(name)};
  engine_call(exports, "unlinkChannel", 2, where);  // a dead letter is in it
}

static void everything_else(void) {
  napi_value bytes = engine_bytes(64);
  uint8_t* data = engine_data(bytes, NULL);

  napi_value wanted = options();
  engine_set(wanted, "initial", engine_bigint(40));
  napi_value counter = engine_new(engine_get(exports, "Counter"), wanted);
  napi_value two = engine_bigint(2);
  if (engine_to_bigint(engine_call(counter, "add", 1, &two)) != 42) fail("Counter");
  engine_call(counter, "close", 0, NULL);

  wanted = options();
  engine_set(wanted, "shared", engine_boolean(false));
  napi_value lock = open_with("Lock", wanted, 3);
  napi_value other = open_with("Lock", wanted, 4);
  napi_value exclusive = engine_boolean(true);
  if (call(lock, "tryLock", 1, &exclusive) != 0) fail("Lock: it is not free");
  if (call(other, "tryLock", 1, &exclusive) >= 0) fail("Lock: two have it");
  napi_value finished = engine_boolean(true);
  engine_call(lock, "unlock", 1, &finished);
  if (call(other, "tryLock", 1, &exclusive) != 0) fail("Lock: it is still not free");
  engine_call(other, "unlock", 1, &finished);
  engine_call(lock, "close", 0, NULL);
  engine_call(other, "close", 0, NULL);

  wanted = options();
  engine_set(wanted, "initial", engine_number(1));
  engine_set(wanted, "how", engine_string("create"));
  napi_value semaphore = open_with("Semaphore", wanted, 5);
  if (call(semaphore, "tryWait", 0, NULL) != 1) fail("Semaphore: no permit");
  if (call(semaphore, "tryWait", 0, NULL) != 0) fail("Semaphore: one too many");
  napi_value one = engine_number(1);
  engine_call(semaphore, "post", 1, &one);
  if (call(semaphore, "value", 0, NULL) != 1) fail("Semaphore: value");
  engine_call(semaphore, "close", 0, NULL);
  napi_value title = engine_string(name);
  engine_call(exports, "unlinkSemaphore", 1, &title);

  wanted = options();
  engine_set(wanted, "maxBytes", engine_number(64));
  engine_set(wanted, "slots", engine_number(4));
  napi_value writer = engine_new(engine_get(exports, "CellWriter"), wanted);
  memset(data, 7, 64);
  engine_call(writer, "write", 1, &bytes);
  napi_value reader = open_with("CellReader", options(), 6);
  memset(data, 0, 64);
  if (call(reader, "readInto", 1, &bytes) != 64 || data[63] != 7) fail("Cell");
  engine_call(reader, "close", 0, NULL);
  engine_call(writer, "close", 0, NULL);

  wanted = options();
  engine_set(wanted, "size", engine_number(4096));
  engine_set(wanted, "create", engine_boolean(true));
  engine_set(wanted, "readOnly", engine_boolean(false));
  napi_value memory = engine_new(engine_get(exports, "SharedMemory"), wanted);
  data[0] = 9;
  napi_value write[] = {engine_number(100), bytes};
  if (call(memory, "write", 2, write) != 64) fail("SharedMemory");
  napi_value buffer = engine_call(memory, "buffer", 0, NULL);
  size_t length = 0;
  if (engine_data(buffer, &length)[100] != 9 || length != 4096) fail("SharedMemory: buffer");
  engine_call(memory, "close", 0, NULL);
  engine_data(buffer, &length);
  if (length != 0) fail("SharedMemory: the buffer is not detached");
  engine_call(exports, "unlinkMemory", 1, &title);

  jobs();

  napi_value prefix = engine_string(name);
  engine_call(exports, "list", 1, &prefix);
  if (engine_to_bigint(engine_call(exports, "monotonicNs", 0, NULL)) <= 0) fail("monotonicNs");
  printf("{\"all\":true,\"pageBytes\":%.0f}\n", engine_to_number(engine_get(exports, "pageBytes")));
}

int main(int count, char** arguments) {
  if (count != 4) fail("usage: host ADDON produce|consume|all NAME");
  setvbuf(stdout, NULL, _IOLBF, 0);
  exports = engine_load(arguments[1]);
  name = arguments[3];
  napi_value services = engine_object();
  engine_set(services, "makeError", engine_function(make_error));
  engine_set(services, "onWake", engine_function(on_wake));
  engine_set(services, "uv", engine_boolean(false));
  engine_call(exports, "configure", 1, &services);
  if (strcmp(arguments[2], "produce") == 0)
    produce();
  else if (strcmp(arguments[2], "consume") == 0)
    consume();
  else
    everything_else();
  engine_end();
  return 0;
}
