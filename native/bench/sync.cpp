// Cells, counters, events and barriers beside what a C program would use instead, in the same run.
//
//   millrace_bench_sync cell-write|seqlock-write BYTES COUNT    nobody reads
//   millrace_bench_sync cell-read|seqlock-read BYTES COUNT      while another process writes
//   millrace_bench_sync counter-add|atomic-add 8 COUNT          uncontended
//   millrace_bench_sync event-rtt|cond-rtt 8 COUNT              two processes, asleep
//   millrace_bench_sync barrier|pthread-barrier 8 COUNT         two processes, asleep
//
// One JSON object on stdout; nanoseconds per call, or percentiles of a round trip or generation.
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "measuring.hpp"
#include "millrace/cell.hpp"
#include "millrace/sync/barrier.hpp"
#include "millrace/sync/counter.hpp"
#include "millrace/sync/event.hpp"

// macOS has none.
#if defined(_POSIX_BARRIERS) && _POSIX_BARRIERS > 0
#define HAS_PTHREAD_BARRIER 1
#else
#define HAS_PTHREAD_BARRIER 0
#endif

namespace {

using namespace millrace;

[[noreturn]] void fail(const std::string& what) {
  (void)std::fprintf(stderr, "millrace_bench_sync: %s\n", what.c_str());
  std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
}
template <typename T>
T must(Result<T> result) {
  if (!result.ok()) fail(result.error().message);
  return result.take();
}
os::Deadline soon() {
  return os::Deadline::after(10'000'000'000);
}

// What a C program would lay into shared memory.
struct Ground {
  std::atomic<bool> stop;
  alignas(128) std::atomic<std::uint64_t> number;
  alignas(128) std::atomic<std::uint32_t> sequence;  // of the seqlock
  alignas(128) pthread_mutex_t mutex;
  pthread_cond_t changed[2];
  bool set[2];
#if HAS_PTHREAD_BARRIER
  pthread_barrier_t barrier;
#endif
  alignas(128) unsigned char value[1U << 20U];
};
Ground* make_ground() {
  void* at =
      ::mmap(nullptr, sizeof(Ground), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) fail("mmap");
  auto* ground = new (at) Ground;
  pthread_mutexattr_t mutex;
  pthread_mutexattr_init(&mutex);
  pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&ground->mutex, &mutex);
  pthread_condattr_t changed;
  pthread_condattr_init(&changed);
  pthread_condattr_setpshared(&changed, PTHREAD_PROCESS_SHARED);
  for (int which : {0, 1})
    pthread_cond_init(&ground->changed[which], &changed);
#if HAS_PTHREAD_BARRIER
  pthread_barrierattr_t barrier;
  pthread_barrierattr_init(&barrier);
  pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&ground->barrier, &barrier, 2);
#endif
  return ground;
}

struct Task {
  std::string name;
  std::size_t bytes;
  std::uint64_t count;
  Ground* ground;
};

// Times `count` calls after a tenth of them to warm up.
template <typename Call>
void measure(std::uint64_t count, Call&& call) {
  for (std::uint64_t i = 0; i < count / 10; ++i)
    call();
  const std::uint64_t start = os::monotonic_ns();
  for (std::uint64_t i = 0; i < count; ++i)
    call();
  const std::uint64_t elapsed = os::monotonic_ns() - start;
  (void)std::printf("{\"perMessage\":%.2f}\n",
                    static_cast<double>(elapsed) / static_cast<double>(count));
}
// The same where a call is long enough to be timed by itself.
template <typename Call>
void measure_each(std::uint64_t count, Call&& call) {
  for (std::uint64_t i = 0; i < count / 10; ++i)
    call();
  std::vector<std::uint64_t> times(count);
  for (std::uint64_t& time : times) {
    const std::uint64_t start = os::monotonic_ns();
    call();
    time = os::monotonic_ns() - start;
  }
  bench::print_times(times, 1, 0, "");
}
// The other process: does `body`, which says when it is ready.
template <typename Body>
pid_t beside(Body&& body) {
  const pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    body();
    std::_Exit(0);
  }
  return child;
}

// The seqlock of the textbook: one place, which a dead writer leaves locked.
void seqlock_write(Ground& ground, const unsigned char* from, std::size_t bytes) {
  const std::uint32_t sequence = ground.sequence.load(std::memory_order_relaxed);
  ground.sequence.store(sequence + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  std::memcpy(ground.value, from, bytes);
  ground.sequence.store(sequence + 2, std::memory_order_release);
}
void seqlock_read(const Ground& ground, unsigned char* to, std::size_t bytes) {
  for (;;) {
    const std::uint32_t before = ground.sequence.load(std::memory_order_acquire);
    if (before % 2 == 0) {
      std::memcpy(to, ground.value, bytes);
      std::atomic_thread_fence(std::memory_order_acquire);
      if (ground.sequence.load(std::memory_order_relaxed) == before) return;
    }
    os::spin_hint();
  }
}
std::unique_ptr<CellWriter> writer(const Task& task) {
  CellWriterSpec spec;
  spec.place = task.name;
  spec.max_bytes = task.bytes;
  return must(CellWriter::open(spec, soon()));
}

void cell_write(const Task& task) {
  auto cell = writer(task);
  std::vector<std::byte> value(task.bytes);
  measure(task.count, [&] { cell->write(value.data(), value.size()); });
}
void plain_seqlock_write(const Task& task) {
  std::vector<unsigned char> value(task.bytes);
  measure(task.count, [&] { seqlock_write(*task.ground, value.data(), value.size()); });
}
// Writers that write once in a microsecond: a reader meets them now and then, as in real programs.
void pause_a_little() {
  const std::uint64_t end = os::monotonic_ns() + 1000;
  while (os::monotonic_ns() < end)
    os::spin_hint();
}
void cell_read(const Task& task) {
  auto cell = writer(task);
  CellReaderSpec spec;
  spec.place = task.name;
  auto reader = must(CellReader::open(spec, soon()));
  std::vector<std::byte> value(task.bytes);
  cell->write(value.data(), value.size());
  const pid_t other = beside([&] {
    while (!task.ground->stop.load(std::memory_order_relaxed)) {
      cell->write(value.data(), value.size());
      pause_a_little();
    }
  });
  measure(task.count, [&] {
    if (reader->read(value.data(), value.size()).status != CellRead::Status::ok) fail("read");
  });
  task.ground->stop.store(true);
  ::waitpid(other, nullptr, 0);
}
void plain_seqlock_read(const Task& task) {
  std::vector<unsigned char> value(task.bytes);
  const pid_t other = beside([&] {
    while (!task.ground->stop.load(std::memory_order_relaxed)) {
      seqlock_write(*task.ground, value.data(), value.size());
      pause_a_little();
    }
  });
  measure(task.count, [&] { seqlock_read(*task.ground, value.data(), value.size()); });
  task.ground->stop.store(true);
  ::waitpid(other, nullptr, 0);
}

void counter_add(const Task& task) {
  CounterSpec spec;
  spec.place = task.name;
  auto counter = must(Counter::open(spec, soon()));
  measure(task.count, [&] { (void)counter->add(1); });
}
void atomic_add(const Task& task) {
  measure(task.count, [&] { task.ground->number.fetch_add(1); });
}

std::unique_ptr<Event> event(const std::string& name) {
  EventSpec spec;
  spec.place = name;
  return must(Event::open(spec, soon()));
}
void event_round_trips(const Task& task) {
  auto there = event(task.name + ".there");
  auto back = event(task.name + ".back");
  const std::uint64_t all = task.count + task.count / 10;
  const pid_t other = beside([&] {
    auto mine = event(task.name + ".there");
    auto answer = event(task.name + ".back");
    for (std::uint64_t i = 0; i < all; ++i) {
      if (!mine->wait(soon())) fail("wait");
      answer->set();
    }
    mine->close();
    answer->close();
  });
  measure_each(task.count, [&] {
    there->set();
    if (!back->wait(soon())) fail("wait");
  });
  ::waitpid(other, nullptr, 0);
}
void signal(Ground& ground, int which) {
  pthread_mutex_lock(&ground.mutex);
  ground.set[which] = true;
  pthread_cond_signal(&ground.changed[which]);
  pthread_mutex_unlock(&ground.mutex);
}
void wait(Ground& ground, int which) {
  pthread_mutex_lock(&ground.mutex);
  while (!ground.set[which])
    pthread_cond_wait(&ground.changed[which], &ground.mutex);
  ground.set[which] = false;
  pthread_mutex_unlock(&ground.mutex);
}
void cond_round_trips(const Task& task) {
  const std::uint64_t all = task.count + task.count / 10;
  const pid_t other = beside([&] {
    for (std::uint64_t i = 0; i < all; ++i) {
      wait(*task.ground, 0);
      signal(*task.ground, 1);
    }
  });
  measure_each(task.count, [&] {
    signal(*task.ground, 0);
    wait(*task.ground, 1);
  });
  ::waitpid(other, nullptr, 0);
}

std::unique_ptr<Barrier> barrier(const std::string& name) {
  BarrierSpec spec;
  spec.place = name;
  spec.parties = 2;
  return must(Barrier::open(spec, soon()));
}
void pass(Barrier& barrier) {
  if (barrier.wait(soon()).status != BarrierTurn::Status::complete) fail("barrier");
}
void barrier_turns(const Task& task) {
  auto mine = barrier(task.name);
  const std::uint64_t all = task.count + task.count / 10;
  const pid_t other = beside([&] {
    auto theirs = barrier(task.name);
    for (std::uint64_t i = 0; i < all; ++i)
      pass(*theirs);
    theirs->close();
  });
  measure_each(task.count, [&] { pass(*mine); });
  ::waitpid(other, nullptr, 0);
}
#if HAS_PTHREAD_BARRIER
void pthread_barrier_turns(const Task& task) {
  const std::uint64_t all = task.count + task.count / 10;
  const pid_t other = beside([&] {
    for (std::uint64_t i = 0; i < all; ++i)
      pthread_barrier_wait(&task.ground->barrier);
  });
  measure_each(task.count, [&] { pthread_barrier_wait(&task.ground->barrier); });
  ::waitpid(other, nullptr, 0);
}
#endif

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) fail("usage: millrace_bench_sync WHAT BYTES COUNT");
  const std::string_view what = argv[1];
  const Task task{"bench.sync." + std::to_string(::getpid()),
                  static_cast<std::size_t>(std::strtoull(argv[2], nullptr, 10)),
                  std::strtoull(argv[3], nullptr, 10), make_ground()};
  if (task.bytes == 0 || task.bytes > sizeof(Ground::value) || task.count == 0) {
    fail("BYTES must be 1 to 1048576, COUNT 1 or more");
  }
  constexpr struct {
    std::string_view name;
    void (*run)(const Task&);
  } kinds[] = {
    {"cell-write", cell_write},
    {"seqlock-write", plain_seqlock_write},
    {"cell-read", cell_read},
    {"seqlock-read", plain_seqlock_read},
    {"counter-add", counter_add},
    {"atomic-add", atomic_add},
    {"event-rtt", event_round_trips},
    {"cond-rtt", cond_round_trips},
    {"barrier", barrier_turns},
#if HAS_PTHREAD_BARRIER
    {"pthread-barrier", pthread_barrier_turns},
#endif
  };
  for (const auto& kind : kinds) {
    if (kind.name != what) continue;
    kind.run(task);
    return 0;
  }
  fail("unknown benchmark");
}
