// What the hardware and the kernel allow, without millrace.
//
//   millrace_bench_limits cache-line BYTES WARM-UP STRETCH   a cache line that two processes pass to and fro
//   millrace_bench_limits memcpy BYTES WARM-UP STRETCH       one copies into shared memory, the other out of it, both
//                                                            at the same time; per block of the slower
//   millrace_bench_limits open-close BYTES WARM-UP STRETCH   the system calls of opening and closing both sides
//                                                            of a queue in one process (Linux)
//
// WARM-UP and STRETCH in milliseconds.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <atomic>
#include <cstring>
#include <new>
#include <string_view>

#include "measuring.hpp"

namespace {

using namespace millrace;
using namespace millrace::bench;

// Shared with the second process.
template <typename T>
T* share(std::size_t extra = 0) {
  void* at =
      ::mmap(nullptr, sizeof(T) + extra, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) fail("mmap");
  return new (at) T{};
}

struct Line {
  alignas(128) std::atomic<std::uint64_t> turn{0};
};
constexpr std::uint64_t kEnd = ~std::uint64_t{0};

void cache_line(const Times& times) {
  Line* line = share<Line>();
  // Odd numbers are for the second process to answer.
  const pid_t child = start_follower([&] {
    for (std::uint64_t mine = 1;; mine += 2) {
      std::uint64_t turn = 0;
      while ((turn = line->turn.load(std::memory_order_acquire)) != mine) {
        if (turn == kEnd) return;
      }
      line->turn.store(mine + 1, std::memory_order_release);
    }
  });
  std::uint64_t turn = 0;
  measure_turns(times, child, kTripsPerSample, [&] {
    for (std::uint64_t i = 0; i < kTripsPerSample; ++i) {
      line->turn.store(turn + 1, std::memory_order_release);
      turn += 2;
      while (line->turn.load(std::memory_order_acquire) != turn) {
      }
    }
  });
  line->turn.store(kEnd, std::memory_order_release);
  end_follower(child);
}

enum class Phase : int { warm_up, counting, over };
struct Copying {
  alignas(128) std::atomic<Phase> phase{Phase::warm_up};
  // Of each side: the middle of the times it took to go through the region once, and the mean.
  alignas(128) std::atomic<std::uint64_t> median_ns[2];
  std::atomic<std::uint64_t> mean_ns[2];
};
constexpr std::size_t kBlocks = 64;

// Copies block after block, through all of the region again and again.
void copy_blocks(Copying& state, int side, std::byte* region, std::size_t bytes) {
  std::vector<std::byte> own(bytes, std::byte{1});
  std::vector<std::uint64_t> passes;
  passes.reserve(1 << 16);
  std::uint64_t before = os::monotonic_ns();
  for (;;) {
    for (std::size_t i = 0; i < kBlocks; ++i) {
      std::byte* shared = region + i * bytes;
      std::memcpy(side == 0 ? shared : own.data(), side == 0 ? own.data() : shared, bytes);
      // Whatever was read is used.
      asm volatile("" ::"r"(own.data()) : "memory");
    }
    const std::uint64_t now = os::monotonic_ns();
    const Phase phase = state.phase.load(std::memory_order_relaxed);
    if (phase == Phase::over) break;
    if (phase == Phase::counting) passes.push_back(now - before);
    before = now;
  }
  if (passes.empty()) fail("the stretch is too short");
  std::uint64_t sum = 0;
  for (const std::uint64_t pass : passes)
    sum += pass;
  std::sort(passes.begin(), passes.end());
  state.median_ns[side].store(passes[passes.size() / 2]);
  state.mean_ns[side].store(sum / passes.size());
}

void memory_copies(std::size_t bytes, const Times& times) {
  auto* state = share<Copying>(kBlocks * bytes);
  auto* region = reinterpret_cast<std::byte*>(state + 1);
  const pid_t reader = start_follower([&] { copy_blocks(*state, 1, region, bytes); });
  const pid_t clock = ::fork();
  if (clock < 0) fail("fork");
  if (clock == 0) {
    os::sleep_ns(times.warm_up_ns);
    state->phase.store(Phase::counting);
    os::sleep_ns(times.stretch_ns);
    state->phase.store(Phase::over);
    std::_Exit(0);
  }
  copy_blocks(*state, 0, region, bytes);
  end_follower(reader);
  end_follower(clock);
  const auto slower = [](const std::atomic<std::uint64_t>(&sides)[2]) {
    return static_cast<double>(std::max(sides[0].load(), sides[1].load())) / kBlocks;
  };
  (void)std::printf("{\"p50\":%.3f,\"mean\":%.3f}\n", slower(state->median_ns),
                    slower(state->mean_ns));
}

#if defined(__linux__)

// The calls that both sides of a queue cannot do without, and what would be missing without each:
//
//   open                  the object (O_EXCL: made by one process only), and a description that owns the locks
//   fcntl lock, unlock 0  nobody else between "it is there" and "it is complete", and none who leaves meanwhile
//   fstat                 did it lose its name while we waited? is it whole? whose is it?
//   fallocate             a full /dev/shm is an error now, not a SIGBUS later
//   mmap                  header and control; a touch of it, because a queue has a header
//   mmap, mmap            the ring twice in a row: the second cuts off the half of the first that reaches too far
//   fcntl lock, unlock n  the role: the kernel tells others when its holder dies
//   fcntl query           (leaving) is anybody else on it? if not: unlink
//   munmap, munmap, close
//
// What millrace makes beyond that, to be safe from others and from crashes, is not here: a look first whether the name
// is there, the mode whatever the umask, more looks at the object, a random number for the header.
class BareSide {
 public:
  BareSide(const char* path, bool creates, short role) : path_(path), role_(role) {
    fd_ = ::open(path, creates ? O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC : O_RDWR | O_CLOEXEC, 0600);
    if (fd_ < 0) fail("open");
    lock(F_WRLCK, 0);
    struct stat facts {};
    if (::fstat(fd_, &facts) != 0) fail("fstat");
    if (creates && ::fallocate(fd_, 0, 0, kHeader + kRing) != 0) fail("fallocate");
    header_ = map(nullptr, kHeader, 0, 0);
    *static_cast<volatile char*>(header_) = 1;
    ring_ = map(nullptr, 2 * kRing, 0, kHeader);
    (void)map(static_cast<char*>(ring_) + kRing, kRing, MAP_FIXED, kHeader);
    lock(F_WRLCK, role_);
    lock(F_UNLCK, 0);
  }
  BareSide(const BareSide&) = delete;
  BareSide& operator=(const BareSide&) = delete;

  void close(bool last) {
    lock(F_WRLCK, 0);
    lock(F_UNLCK, role_);
    struct flock others = whole(F_WRLCK, 3 - role_);
    (void)::fcntl(fd_, F_OFD_GETLK, &others);
    if (last && ::unlink(path_) != 0) fail("unlink");
    ::munmap(ring_, 2 * kRing);
    lock(F_UNLCK, 0);
    ::munmap(header_, kHeader);
    ::close(fd_);
  }

 private:
  static constexpr std::size_t kHeader = 8192;
  static constexpr std::size_t kRing = 262144;

  static struct flock whole(int kind, int byte) {
    struct flock range {};
    range.l_type = static_cast<short>(kind);
    range.l_whence = SEEK_SET;
    range.l_start = byte;
    range.l_len = 1;
    return range;
  }
  void lock(int kind, int byte) const {
    struct flock range = whole(kind, byte);
    if (::fcntl(fd_, F_OFD_SETLK, &range) != 0) fail("fcntl");
  }
  void* map(void* at, std::size_t bytes, int flags, off_t from) const {
    void* mapped = ::mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd_, from);
    if (mapped == MAP_FAILED) fail("mmap");
    return mapped;
  }

  const char* path_;
  int role_;
  int fd_ = -1;
  void* header_ = nullptr;
  void* ring_ = nullptr;
};

void open_close(const Times& times) {
  const std::string path = "/dev/shm/bench.limits." + std::to_string(::getpid());
  measure_turns(times, 0, 1, [&] {
    BareSide producer(path.c_str(), true, 1);
    BareSide consumer(path.c_str(), false, 2);
    producer.close(false);
    consumer.close(true);
  });
}

#else

void open_close(const Times& /*times*/) {
  fail("open-close is measured on Linux only");
}

#endif

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) fail("usage: cache-line|memcpy|open-close BYTES WARM-UP STRETCH");
  const std::string_view what = argv[1];
  const auto bytes = static_cast<std::size_t>(std::strtoull(argv[2], nullptr, 10));
  const Times times = times_of(argc, argv);
  if (what == "cache-line") {
    cache_line(times);
  } else if (what == "memcpy" && bytes > 0) {
    memory_copies(bytes, times);
  } else if (what == "open-close") {
    open_close(times);
  } else {
    fail("unknown benchmark");
  }
  return 0;
}
