// What the locks cost beside those of the C library, in the same shape and in the same run.
//
//   millrace_bench_locks [SECONDS]      per measurement; default 1
//
// One JSON object per line; times in nanoseconds.
//   uncontended   lock and unlock by one party
//   hand-off      two processes that want the lock all the time; per turn, with time inside and outside
//   readers       two processes that read all the time
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
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

void print(const char* what, const char* lock, double ns, double fairness) {
  (void)std::printf(R"({"what":"%s","lock":"%s","ns":%.1f,"leastShare":%.2f})"
                    "\n",
                    what, lock, ns, fairness);
}

template <typename Way>
void uncontended(const char* lock, const std::string& name) {
  Ground* ground = make_ground();
  const Way way(*ground, name);
  constexpr int kTurns = 2'000'000;
  std::uint64_t best = ~std::uint64_t{0};
  for (int round = 0; round < 5; ++round) {
    const std::uint64_t start = os::monotonic_ns();
    for (int i = 0; i < kTurns; ++i) {
      way.take();
      way.give();
    }
    best = std::min(best, os::monotonic_ns() - start);
  }
  print("uncontended", lock, static_cast<double>(best) / kTurns, 1);
}

template <typename Way>
void contended(const char* what, const char* lock, const std::string& name, double seconds) {
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
      std::uint64_t turns = 0;
      while (!ground->stop.load(std::memory_order_relaxed)) {
        way.take();
        work(5);
        way.give();
        work(5);
        ground->turns[i].store(++turns, std::memory_order_relaxed);
      }
    }
    std::_Exit(0);
  }
  while (ground->ready.load() < 2)
    os::sleep_ns(100'000);
  const auto wanted = static_cast<std::uint64_t>(seconds * 1e9);
  const std::uint64_t start = os::monotonic_ns();
  os::sleep_ns(wanted);
  const std::uint64_t a = ground->turns[0].load();
  const std::uint64_t b = ground->turns[1].load();
  const std::uint64_t took = os::monotonic_ns() - start;
  ground->stop.store(true);
  for (const pid_t child : children)
    ::waitpid(child, nullptr, 0);
  const double sum = static_cast<double>(a + b);
  print(what, lock, static_cast<double>(took) / sum, static_cast<double>(std::min(a, b)) / sum);
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::strtod(argv[1], nullptr) : 1;
  const std::string name = "bench." + std::to_string(::getpid());
  uncontended<PthreadMutex>("pthread robust mutex", name);
  uncontended<MillraceMutex>("millrace mutex", name);
  uncontended<PthreadRwLock<false>>("pthread rwlock, read", name);
  uncontended<MillraceRwLock<false>>("millrace rwlock, read", name);
  uncontended<PthreadRwLock<true>>("pthread rwlock, write", name);
  uncontended<MillraceRwLock<true>>("millrace rwlock, write", name);
  contended<PthreadMutex>("hand-off", "pthread robust mutex", name, seconds);
  contended<MillraceMutex>("hand-off", "millrace mutex", name, seconds);
  contended<PthreadRwLock<true>>("hand-off", "pthread rwlock, write", name, seconds);
  contended<MillraceRwLock<true>>("hand-off", "millrace rwlock, write", name, seconds);
  contended<PthreadRwLock<false>>("readers", "pthread rwlock, read", name, seconds);
  contended<MillraceRwLock<false>>("readers", "millrace rwlock, read", name, seconds);
  return 0;
}
