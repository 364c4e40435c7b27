// What the system alone takes to create a queue, to open it once more, and to leave it twice: the limit
// that opening and closing in JavaScript is compared with. No code of millrace runs here.
//
//   millrace_bench_open_close CYCLES [CAPACITY]      CAPACITY: bytes of the ring, default 256 KiB
//
// The calls of a cycle, and what would be missing without each:
//
//   producer   shm_open(O_CREAT | O_EXCL)      the object, made by one process only
//              fcntl(lock 0)                   nobody else between "it is there" and "it is complete"
//              fstat                           did it lose its name while we waited for the lock?
//              fchmod                          the mode asked for, whatever the umask
//              posix_fallocate                 a full /dev/shm is an error now, not a SIGBUS later
//              mmap(header and control)
//              mmap(ring), mmap(ring again)    reserved first, so that both lie in a row: three calls
//              fcntl(lock 1)                   the producer's role: the kernel tells when its holder dies
//              fcntl(unlock 0)
//   consumer   shm_open                        a description of its own: locks belong to descriptions
//              fcntl(lock 0), fstat            as above; fstat also gives owner, mode and size
//              fcntl(query)                    is anybody alive on it, or is it left behind?
//              mmap, three times mmap          as above
//              fcntl(lock 2), fcntl(unlock 0)
//   leaving    fcntl(lock 0), fcntl(query)     is anybody else on it? (each side)
//              shm_unlink                      (the last one)
//              fcntl(unlock all)               a mapping that JavaScript still holds would keep the locks
//              munmap twice, close             (each side)
//
// No page is touched. One JSON object on stdout, times in nanoseconds: the median of several runs of CYCLES,
// the least and the most.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

constexpr std::size_t kControlBytes = 8192;
constexpr int kRuns = 7;

[[noreturn]] void fail(const char* call) {
  std::perror(call);
  std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
}

bool lock(int fd, int command, int type, off_t byte, off_t count = 1) {
  struct flock range {};
  range.l_type = static_cast<short>(type);
  range.l_whence = SEEK_SET;
  range.l_start = byte;
  range.l_len = count;
  if (::fcntl(fd, command, &range) != 0) fail("fcntl");
  return range.l_type != F_UNLCK;
}

struct Side {
  int fd = -1;
  void* control = nullptr;
  std::byte* ring = nullptr;
};

void map(Side& side, std::size_t capacity) {
  side.control = ::mmap(nullptr, kControlBytes, PROT_READ | PROT_WRITE, MAP_SHARED, side.fd, 0);
  void* reserved =
      ::mmap(nullptr, capacity * 2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (side.control == MAP_FAILED || reserved == MAP_FAILED) fail("mmap");
  side.ring = static_cast<std::byte*>(reserved);
  for (int half = 0; half < 2; ++half) {
    if (::mmap(side.ring + (half == 0 ? 0 : capacity), capacity, PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_FIXED, side.fd, kControlBytes) == MAP_FAILED) {
      fail("mmap");
    }
  }
}

void leave(Side& side, std::size_t capacity, const char* name) {
  lock(side.fd, F_OFD_SETLK, F_WRLCK, 0);
  const bool others = lock(side.fd, F_OFD_GETLK, F_WRLCK, 1, 0);
  if (!others && ::shm_unlink(name) != 0) fail("shm_unlink");
  lock(side.fd, F_OFD_SETLK, F_UNLCK, 0, 0);
  ::munmap(side.ring, capacity * 2);
  ::munmap(side.control, kControlBytes);
  ::close(side.fd);
}

void cycle(const char* name, std::size_t capacity) {
  struct stat status {};
  Side producer;
  producer.fd = ::shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (producer.fd < 0) fail("shm_open");
  lock(producer.fd, F_OFD_SETLK, F_WRLCK, 0);
  if (::fstat(producer.fd, &status) != 0) fail("fstat");
  if (::fchmod(producer.fd, 0600) != 0) fail("fchmod");
  if (::posix_fallocate(producer.fd, 0, static_cast<off_t>(kControlBytes + capacity)) != 0) {
    fail("posix_fallocate");
  }
  map(producer, capacity);
  lock(producer.fd, F_OFD_SETLK, F_WRLCK, 1);
  lock(producer.fd, F_OFD_SETLK, F_UNLCK, 0);

  Side consumer;
  consumer.fd = ::shm_open(name, O_RDWR | O_CLOEXEC, 0);
  if (consumer.fd < 0) fail("shm_open");
  lock(consumer.fd, F_OFD_SETLK, F_WRLCK, 0);
  if (::fstat(consumer.fd, &status) != 0) fail("fstat");
  if (!lock(consumer.fd, F_OFD_GETLK, F_WRLCK, 1, 0)) fail("nobody is on it");
  map(consumer, capacity);
  lock(consumer.fd, F_OFD_SETLK, F_WRLCK, 2);
  lock(consumer.fd, F_OFD_SETLK, F_UNLCK, 0);

  leave(consumer, capacity, name);
  leave(producer, capacity, name);
}

}  // namespace

int main(int count, char** arguments) {
  const long cycles = count > 1 ? std::atol(arguments[1]) : 0;
  const long capacity = count > 2 ? std::atol(arguments[2]) : 256L * 1024;
  if (cycles <= 0 || capacity <= 0) {
    (void)std::fprintf(stderr, "usage: millrace_bench_open_close CYCLES [CAPACITY]\n");
    return 2;
  }
  const std::string name = "/millrace-bench-open-" + std::to_string(::getpid());
  for (long i = 0; i < cycles / 4; ++i)
    cycle(name.c_str(), static_cast<std::size_t>(capacity));
  std::array<double, kRuns> runs{};
  for (double& run : runs) {
    const auto begun = std::chrono::steady_clock::now();
    for (long i = 0; i < cycles; ++i)
      cycle(name.c_str(), static_cast<std::size_t>(capacity));
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - begun;
    run = taken.count() / static_cast<double>(cycles);
  }
  std::sort(runs.begin(), runs.end());
  (void)std::printf("{\"p50\":%.1f,\"min\":%.1f,\"max\":%.1f}\n", runs[kRuns / 2], runs.front(),
                    runs.back());
  return 0;
}
