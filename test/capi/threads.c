/* What threads, signals and forks do to handles. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static char name[64];

static void nap(long milliseconds) {
  struct timespec time;
  time.tv_sec = 0;
  time.tv_nsec = milliseconds * 1000000;
  nanosleep(&time, NULL);
}

struct call {
  int32_t (*make)(void* handle);
  void* handle;
  int32_t code;
  pthread_t thread;
};
static void* make(void* given) {
  struct call* call = given;
  call->code = call->make(call->handle);
  return NULL;
}
static void begin(struct call* call, int32_t (*what)(void*), void* handle) {
  call->make = what;
  call->handle = handle;
  call->code = 12345;
  CHECK(pthread_create(&call->thread, NULL, make, call) == 0);
}
static int32_t end(struct call* call) {
  CHECK(pthread_join(call->thread, NULL) == 0);
  return call->code;
}

static int32_t pop(void* consumer) {
  char buffer[16];
  uint64_t length = 0;
  return millrace_queue_pop(consumer, buffer, sizeof buffer, &length, MILLRACE_FOREVER);
}
static int32_t lock(void* mutex) {
  return millrace_mutex_lock(mutex, MILLRACE_FOREVER);
}
static int32_t wait_event(void* event) {
  return millrace_event_wait(event, MILLRACE_FOREVER);
}
static int32_t wait_permit(void* semaphore) {
  return millrace_semaphore_wait(semaphore, MILLRACE_FOREVER);
}
static int32_t take(void* work) {
  millrace_job job;
  return millrace_work_take(work, MILLRACE_FOREVER, &job);
}

/* Until another thread is in the handle, which shows by BUSY. */
static void until_busy(millrace_queue_consumer* consumer) {
  int32_t code = MILLRACE_OK;
  while (code != MILLRACE_BUSY) {
    code = (int32_t)millrace_queue_consumer_discarded(consumer);
    nap(1);
  }
}

static void closing(void) {
  struct call call;
  millrace_queue_consumer* consumer = NULL;
  DONE(millrace_queue_consumer_open(name, NULL, &consumer));
  begin(&call, pop, consumer);
  until_busy(consumer);
  DONE(millrace_queue_consumer_close(consumer, 0));
  CHECK(end(&call) == MILLRACE_CLOSED);
  GIVES(MILLRACE_CLOSED, millrace_queue_consumer_close(consumer, 0));
  GIVES(MILLRACE_CLOSED, pop(consumer));
  GIVES(MILLRACE_CLOSED, millrace_queue_consumer_fd(consumer));
  millrace_queue_consumer_free(consumer);

  millrace_mutex* holder = NULL;
  millrace_mutex* waiter = NULL;
  DONE(millrace_mutex_open(name, NULL, &holder));
  DONE(millrace_mutex_open(name, NULL, &waiter));
  DONE(millrace_mutex_lock(holder, MILLRACE_FOREVER));
  begin(&call, lock, waiter);
  while (millrace_mutex_holder(waiter) != MILLRACE_BUSY)
    nap(1);
  DONE(millrace_mutex_close(waiter));
  CHECK(end(&call) == MILLRACE_CLOSED);
  DONE(millrace_mutex_unlock(holder, 0));
  DONE(millrace_mutex_try_lock(holder)); /* nobody is in line any more */
  millrace_mutex_free(waiter);
  millrace_mutex_free(holder);
  CHECK(millrace_unlink("mutex", name) >= 0);

  millrace_event* event = NULL;
  DONE(millrace_event_open(name, NULL, &event));
  begin(&call, wait_event, event);
  while (millrace_event_is_set(event) != MILLRACE_BUSY)
    nap(1);
  DONE(millrace_event_close(event));
  CHECK(end(&call) == MILLRACE_CLOSED);
  millrace_event_free(event);

  millrace_work* work = NULL;
  DONE(millrace_work_open(name, NULL, &work));
  begin(&call, take, work);
  while (millrace_work_max_bytes(work) != MILLRACE_BUSY)
    nap(1);
  DONE(millrace_work_close(work));
  CHECK(end(&call) == MILLRACE_CLOSED);
  millrace_work_free(work);

  /* Of a semaphore several threads may wait at once, and another one may post. */
  struct call second;
  millrace_semaphore* semaphore = NULL;
  DONE(millrace_semaphore_open(name, NULL, &semaphore));
  begin(&call, wait_permit, semaphore);
  begin(&second, wait_permit, semaphore);
  DONE(millrace_semaphore_post(semaphore, 1));
  nap(50);
  DONE(millrace_semaphore_close(semaphore));
  const int32_t one = end(&call);
  const int32_t other = end(&second);
  /* Either of the two may have had the permit; if neither came to wait in time, it is still there. */
  CHECK((one == MILLRACE_OK) + (other == MILLRACE_OK) <= 1);
  CHECK(one == MILLRACE_OK || one == MILLRACE_CLOSED);
  CHECK(other == MILLRACE_OK || other == MILLRACE_CLOSED);
  millrace_semaphore_free(semaphore);
  CHECK(millrace_unlink("semaphore", name) == 1);
}

static void on_signal(int number) {
  (void)number;
  millrace_interrupt();
}

static void interrupts(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  struct call call;
  millrace_queue_consumer* consumer = NULL;
  DONE(millrace_queue_consumer_open(name, NULL, &consumer));
  begin(&call, pop, consumer);
  until_busy(consumer);
  nap(30); /* it counts from the moment in which it waits */
  CHECK(pthread_kill(call.thread, SIGUSR1) == 0);
  CHECK(end(&call) == MILLRACE_INTERRUPTED);
  /* It concerns nobody who comes later. */
  char buffer[16];
  uint64_t length = 0;
  GIVES(MILLRACE_TIMEOUT, millrace_queue_pop(consumer, buffer, sizeof buffer, &length, 1000000));

  /* Any other signal is none of our business. */
  action.sa_handler = SIG_IGN;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  begin(&call, pop, consumer);
  until_busy(consumer);
  CHECK(pthread_kill(call.thread, SIGUSR1) == 0);
  millrace_queue_producer* producer = NULL;
  DONE(millrace_queue_producer_open(name, NULL, &producer));
  DONE(millrace_queue_push(producer, "x", 1, MILLRACE_FOREVER));
  CHECK(end(&call) == MILLRACE_OK);
  millrace_queue_producer_free(producer);
  millrace_queue_consumer_free(consumer);
}

static void forks(void) {
  millrace_queue_producer* producer = NULL;
  millrace_queue_consumer* consumer = NULL;
  millrace_counter* counter = NULL;
  DONE(millrace_queue_producer_open(name, NULL, &producer));
  DONE(millrace_queue_consumer_open(name, NULL, &consumer));
  DONE(millrace_counter_open(name, NULL, &counter));
  CHECK(millrace_queue_consumer_fd(consumer) >= 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    int64_t value = 0;
    GIVES(MILLRACE_FORKED, millrace_queue_try_push(producer, "x", 1));
    GIVES(MILLRACE_FORKED, pop(consumer));
    GIVES(MILLRACE_FORKED, millrace_queue_consumer_arm(consumer));
    GIVES(MILLRACE_FORKED, millrace_counter_get(counter, &value));
    GIVES(MILLRACE_FORKED, millrace_queue_producer_close(producer, 0));
    millrace_queue_producer_free(producer);
    millrace_queue_consumer_free(consumer);
    millrace_counter_free(counter);
    /* What it opens itself is its own. */
    millrace_counter* own = NULL;
    DONE(millrace_counter_open(name, NULL, &own));
    DONE(millrace_counter_add(own, 1, NULL));
    millrace_counter_free(own);
    exit(0);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  /* The parent's are as they were, its roles too. */
  millrace_queue_producer* second = NULL;
  GIVES(MILLRACE_ROLE_TAKEN, millrace_queue_producer_open(name, NULL, &second));
  DONE(millrace_queue_try_push(producer, "x", 1));
  DONE(pop(consumer));
  int64_t value = 0;
  DONE(millrace_counter_get(counter, &value));
  CHECK(value == 1);
  millrace_queue_producer_free(producer);
  millrace_queue_consumer_free(consumer);
  millrace_counter_free(counter);
}

/* Two threads over one queue, each with its side, in blocking calls. */
static int32_t produce(void* producer) {
  for (uint32_t i = 0; i < 20000; ++i) {
    const int32_t code = millrace_queue_push(producer, &i, sizeof i, patience);
    if (code != MILLRACE_OK) return code;
  }
  return millrace_queue_end(producer, patience);
}
static void traffic(void) {
  millrace_queue_producer* producer = NULL;
  millrace_queue_consumer* consumer = NULL;
  millrace_queue_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.capacity = 4096;
  DONE(millrace_queue_producer_open(name, &options, &producer));
  DONE(millrace_queue_consumer_open(name, NULL, &consumer));
  struct call call;
  begin(&call, produce, producer);
  uint32_t wanted = 0;
  for (;;) {
    uint32_t value = 0;
    uint64_t length = 0;
    const int32_t code = millrace_queue_pop(consumer, &value, sizeof value, &length, patience);
    if (code == MILLRACE_END) break;
    CHECK(code == MILLRACE_OK && length == sizeof value && value == wanted);
    ++wanted;
  }
  CHECK(wanted == 20000);
  CHECK(end(&call) == MILLRACE_OK);
  millrace_queue_producer_free(producer);
  millrace_queue_consumer_free(consumer);
}

enum { late_messages = 60, longest_spin_ms = 5 };
static void* push_late(void* producer) {
  int i = 0;
  for (; i < late_messages; ++i) {
    nap(2L * longest_spin_ms);
    DONE(millrace_queue_push(producer, "late", 4, patience));
  }
  return NULL;
}
static int64_t processor_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Whoever has time for a spin only has it, and no sleep. Whoever spins in vain gives that up, and tries it seldom. */
static void spinning(void) {
  const int64_t spin_ns = (int64_t)longest_spin_ms * 1000000;
  const int spins = 20;
  millrace_queue_options options;
  millrace_queue_producer* producer = NULL;
  millrace_queue_consumer* consumer = NULL;
  pthread_t sender;
  char buffer[16];
  uint64_t length = 0;
  int64_t began = 0;
  int64_t one_spin = 0;
  int i = 0;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.spin_us = longest_spin_ms * 1000;
  DONE(millrace_queue_producer_open(name, NULL, &producer));
  DONE(millrace_queue_consumer_open(name, &options, &consumer));
  began = processor_ns();
  for (; i < spins; ++i) {
    GIVES(MILLRACE_TIMEOUT, millrace_queue_pop(consumer, buffer, sizeof buffer, &length, spin_ns));
  }
  /* What of it this thread gets where others want the processor, too. */
  one_spin = (processor_ns() - began) / spins;
  CHECK(one_spin > spin_ns / 20);

  CHECK(pthread_create(&sender, NULL, push_late, producer) == 0);
  began = processor_ns();
  for (i = 0; i < late_messages; ++i) {
    DONE(millrace_queue_pop(consumer, buffer, sizeof buffer, &length, patience));
  }
  CHECK(processor_ns() - began < late_messages * one_spin / 2);
  CHECK(pthread_join(sender, NULL) == 0);
  millrace_queue_consumer_free(consumer);
  millrace_queue_producer_free(producer);
}

int main(void) {
  snprintf(name, sizeof name, "capi-threads-%ld", (long)getpid());
  closing();
  interrupts();
  forks();
  traffic();
  spinning();
  printf("ok\n");
  return 0;
}
