// What the locks cost beside those of the C library, in the same shape and in the same run.
//
//   millrace_bench_locks alone|contended LOCK TURNS
//
// Prints one JSON object; nanoseconds per turn, which is a lock and an unlock.
//   alone       by one process
//   contended   by two processes that want the lock all the time
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>

#include "millrace/sync/mutex.hpp"
#include "millrace/sync/rw_lock.hpp"

namespace {

using namespace millrace;

[[noreturn]] void fail(const std::string& what) {
  (void)std::fprintf(stderr, "millrace_bench_locks: %s\n", what.c_str());
  std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
}

// The C library's locks, in memory that both processes share.
struct Ground {
  pthread_mutex_t mutex;
  pthread_rwlock_t rwlock;
  alignas(128) std::atomic<std::uint64_t> turns[2];
  alignas(128) std::atomic<int> ready;
  std::atomic<bool> stop;
};

Ground* make_ground() {
  void* at =
      ::mmap(nullptr, sizeof(Ground), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) fail("mmap");
  auto* ground = new (at) Ground{};
  pthread_mutexattr_t mutex;
  pthread_mutexattr_init(&mutex);
  pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
#if !defined(__APPLE__)
  pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
#endif
  pthread_mutex_init(&ground->mutex, &mutex);
  pthread_rwlockattr_t rwlock;
  pthread_rwlockattr_init(&rwlock);
  pthread_rwlockattr_setpshared(&rwlock, PTHREAD_PROCESS_SHARED);
  pthread_rwlock_init(&ground->rwlock, &rwlock);
  return ground;
}

// Four ways to have a lock, each made in the process that uses it.
struct PthreadMutex {
  explicit PthreadMutex(Ground& ground, const std::string& /*name*/) : lock(&ground.mutex) {}
  void take() const {
    if (pthread_mutex_lock(lock) != 0) fail("pthread_mutex_lock");
  }
  void give() const { pthread_mutex_unlock(lock); }
  pthread_mutex_t* lock;
};
template <bool kWrites>
struct PthreadRwLock {
  explicit PthreadRwLock(Ground& ground, const std::string& /*name*/) : lock(&ground.rwlock) {}
  void take() const {
    const int failed = kWrites ? pthread_rwlock_wrlock(lock) : pthread_rwlock_rdlock(lock);
    if (failed != 0) fail("pthread_rwlock");
  }
  void give() const { pthread_rwlock_unlock(lock); }
  pthread_rwlock_t* lock;
};
template <typename Primitive>
std::unique_ptr<Primitive> open(const std::string& name) {
  PartyOptions options;
  options.place = Place(name);
  auto opened = Primitive::open(options, os::Deadline::after(5'000'000'000));
  if (!opened.ok()) fail(opened.error().message);
  return opened.take();
}
struct MillraceMutex {
  explicit MillraceMutex(Ground& /*ground*/, const std::string& name) : lock(open<Mutex>(name)) {}
  void take() const {
    if (lock->lock() != LockStatus::held) fail("Mutex::lock");
  }
  void give() const { lock->unlock(); }
  std::unique_ptr<Mutex> lock;
};
template <bool kWrites>
struct MillraceRwLock {
  explicit MillraceRwLock(Ground& /*ground*/, const std::string& name) : lock(open<RwLock>(name)) {}
  void take() const {
    if ((kWrites ? lock->write() : lock->read()) != LockStatus::held) fail("RwLock");
  }
  void give() const { lock->unlock(); }
  std::unique_ptr<RwLock> lock;
};

void work(int spins) {
  for (int i = 0; i < spins; ++i)
    os::spin_hint();
}

// Nanoseconds per turn.
using Measurement = double (*)(const std::string& name, std::uint64_t turns);

template <typename Way>
double alone(const std::string& name, std::uint64_t turns) {
  Ground* ground = make_ground();
  const Way way(*ground, name);
  std::uint64_t start = 0;
  for (std::uint64_t i = 0; i < turns + turns / 10; ++i) {
    if (i == turns / 10) start = os::monotonic_ns();
    way.take();
    way.give();
  }
  return static_cast<double>(os::monotonic_ns() - start) / static_cast<double>(turns);
}

template <typename Way>
double contended(const std::string& name, std::uint64_t turns) {
  Ground* ground = make_ground();
  pid_t children[2];
  for (int i = 0; i < 2; ++i) {
    children[i] = ::fork();
    if (children[i] != 0) continue;
    {
      const Way way(*ground, name);
      ground->ready.fetch_add(1);
      while (ground->ready.load() < 2)
        os::spin_hint();
      std::uint64_t mine = 0;
      while (!ground->stop.load(std::memory_order_relaxed)) {
        way.take();
        work(5);
        way.give();
        work(5);
        ground->turns[i].store(++mine, std::memory_order_relaxed);
      }
    }
    std::_Exit(0);
  }
  const auto done = [&] { return ground->turns[0].load() + ground->turns[1].load(); };
  while (done() < turns / 10)
    os::sleep_ns(100'000);
  const std::uint64_t before = done();
  const std::uint64_t start = os::monotonic_ns();
  while (done() < before + turns)
    os::sleep_ns(1'000'000);
  const std::uint64_t took = os::monotonic_ns() - start;
  const std::uint64_t made = done() - before;
  ground->stop.store(true);
  for (const pid_t child : children)
    ::waitpid(child, nullptr, 0);
  return static_cast<double>(took) / static_cast<double>(made);
}

struct Case {
  const char* lock;
  Measurement alone;
  Measurement contended;
};
template <typename Way>
constexpr Case case_of(const char* lock) {
  return {lock, alone<Way>, contended<Way>};
}
constexpr Case kCases[] = {
    case_of<PthreadMutex>("pthread-mutex"),        case_of<MillraceMutex>("mutex"),
    case_of<PthreadRwLock<false>>("pthread-read"), case_of<MillraceRwLock<false>>("read"),
    case_of<PthreadRwLock<true>>("pthread-write"), case_of<MillraceRwLock<true>>("write"),
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) fail("usage: millrace_bench_locks alone|contended LOCK TURNS");
  const std::string how = argv[1];
  const std::uint64_t turns = std::strtoull(argv[3], nullptr, 10);
  for (const Case& each : kCases) {
    if (std::string(argv[2]) != each.lock) continue;
    const Measurement measure = how == "alone" ? each.alone : each.contended;
    (void)std::printf("{\"perMessage\":%.1f}\n",
                      measure("bench." + std::to_string(::getpid()), turns));
    return 0;
  }
  fail(std::string("no lock is called ") + argv[2]);
}
