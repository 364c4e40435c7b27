// What the fuzzed surfaces have in common. Each is a program of libFuzzer: it sets up a segment as honest
// peers would, and then takes its input for a story: operations of the victims, and between them lies,
// written into the memory they share. With a storm, a second thread lies all the time, so that values
// change between two reads of one operation, too.
//
// The sanitizers tell of accesses outside and of undefined behaviour, libFuzzer of hangs; insist() states
// what else a victim must be able to rely on, whatever its peers write.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <millrace/layout/header.hpp>
#include <millrace/os/mapping.hpp>
#include <millrace/os/nameless.hpp>
#include <millrace/place.hpp>

#include "../testing/random.hpp"

namespace millrace::fuzz {

inline void insist(bool holds, const char* what) noexcept {
  if (holds) return;
  (void)std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

// The bytes of a story, taken from the front. Behind the last one there are zeroes.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) noexcept : left_(data, size) {}

  [[nodiscard]] bool over() const noexcept { return left_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return left_.size(); }
  std::uint8_t byte() noexcept {
    if (left_.empty()) return 0;
    const std::uint8_t first = left_.front();
    left_ = left_.subspan(1);
    return first;
  }
  bool flag() noexcept { return (byte() & 1U) != 0; }
  // 0 to bound - 1.
  std::size_t below(std::size_t bound) noexcept {
    std::size_t value = byte();
    if (bound > 256) value = value << 8U | byte();
    return bound == 0 ? 0 : value % bound;
  }
  std::uint64_t word() noexcept {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i)
      value |= static_cast<std::uint64_t>(byte()) << (8 * i);
    return value;
  }
  std::span<const std::uint8_t> bytes(std::size_t most) noexcept {
    const auto taken = left_.first(std::min(most, left_.size()));
    left_ = left_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const std::uint8_t> left_;
};

// A range of words that lies are told about more often than about others.
struct Target {
  std::size_t from = 0;  // bytes from the start of the segment
  std::size_t words = 1;
};

// Writes into a segment what a broken or hostile peer would.
class Liar {
 public:
  Liar() = default;
  Liar(std::byte* base, std::size_t size, std::vector<Target> targets) noexcept
      : base_(base), size_(size), targets_(std::move(targets)) {}

  void lie(Input& input) {
    switch (input.below(10)) {
      case 0:
        set(place(input), input.word());
        break;
      case 1:
      case 2:
        add(place(input), input.byte() + std::uint64_t{1});
        break;
      case 3:
        add(place(input), ~std::uint64_t{input.byte()});
        break;
      case 4:
        flip(place(input), input.below(64));
        break;
      case 5: {  // what somebody else says
        const std::size_t from = place(input);
        set(place(input), get(from));
        break;
      }
      case 6:
        set(place(input), input.byte());
        break;
      case 7:
        set(place(input), ~std::uint64_t{input.byte()});
        break;
      case 8:
        set(place(input), std::uint64_t{1} << input.below(64));
        break;
      default:
        for (const std::uint8_t byte : input.bytes(16 + input.below(48)))
          put(at_++, byte);
    }
  }
  // The same from a generator.
  void lie(testing::Random& random) {
    std::array<std::uint8_t, 32> story{};
    for (std::size_t i = 0; i < story.size(); i += 8) {
      const std::uint64_t word = random.next();
      std::memcpy(story.data() + i, &word, sizeof word);
    }
    Input input(story.data(), story.size());
    lie(input);
  }
  // All of a range at once: `input` repeats.
  void overwrite(std::size_t from, std::span<const std::uint8_t> with) {
    for (std::size_t i = 0; i < with.size(); ++i)
      put(from + i, with[i]);
  }

 private:
  using Word = std::atomic_ref<std::uint64_t>;

  std::size_t place(Input& input) {
    const std::size_t choice = input.below(targets_.size() + 1);
    if (choice == targets_.size()) {
      at_ = input.below(0x10000) % size_;
      return at_ / 8 * 8;
    }
    const Target& target = targets_[choice];
    at_ = target.from + 8 * input.below(target.words);
    return at_;
  }
  [[nodiscard]] Word word(std::size_t at) const noexcept {
    at = at + 8 <= size_ ? at : 0;
    return Word(*reinterpret_cast<std::uint64_t*>(base_ + at));
  }
  [[nodiscard]] std::uint64_t get(std::size_t at) const noexcept {
    return word(at).load(std::memory_order_relaxed);
  }
  void set(std::size_t at, std::uint64_t value) noexcept {
    word(at).store(value, std::memory_order_relaxed);
  }
  void add(std::size_t at, std::uint64_t value) noexcept {
    word(at).fetch_add(value, std::memory_order_relaxed);
  }
  void flip(std::size_t at, std::size_t bit) noexcept {
    word(at).fetch_xor(std::uint64_t{1} << bit, std::memory_order_relaxed);
  }
  void put(std::size_t at, std::uint8_t value) noexcept {
    if (at >= size_) return;
    std::atomic_ref<unsigned char>(reinterpret_cast<unsigned char&>(base_[at]))
        .store(value, std::memory_order_relaxed);
  }

  std::byte* base_ = nullptr;
  std::size_t size_ = 0;
  std::vector<Target> targets_;
  std::size_t at_ = 0;  // where the last lie was told
};

// Nameless memory for one story, and this process's own look at all of it.
class Memory {
 public:
  Memory() {
    auto made = os::create_nameless(0600, false);
    insist(made.ok(), "memfd_create");
    fd_ = made.take();
  }
  [[nodiscard]] Place place() const { return Place::nameless(fd_.get()); }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  // Once it has a size.
  Liar& liar(std::vector<Target> targets) {
    struct stat status {};
    insist(::fstat(fd_.get(), &status) == 0 && status.st_size > 0, "a size");
    auto mapped = os::map_shared(fd_.get(), 0, static_cast<std::uint64_t>(status.st_size), {});
    insist(mapped.ok(), "mmap");
    map_ = mapped.take();
    liar_ = Liar(map_->data(), map_->size(), std::move(targets));
    return liar_;
  }
  [[nodiscard]] const os::MappingPtr& map() const noexcept { return map_; }

 private:
  os::Descriptor fd_;
  os::MappingPtr map_;
  Liar liar_;
};

// Lies on a thread of its own, as long as it lives.
class Storm {
 public:
  Storm(Liar& liar, std::uint64_t seed)
      : thread_([this, &liar, seed] {
          testing::Random random(seed);
          while (!over_.load(std::memory_order_relaxed)) {
            for (int i = 0; i < 16; ++i)
              liar.lie(random);
            std::this_thread::yield();
          }
        }) {}
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;
  ~Storm() {
    over_.store(true, std::memory_order_relaxed);
    thread_.join();
  }

 private:
  std::atomic<bool> over_{false};
  std::thread thread_;
};

// One story in eight has a storm: threads cost more than most stories.
inline void weather(std::optional<Storm>& storm, Liar& liar, Input& input) {
  const std::uint8_t sky = input.byte();
  if (sky % 8 == 7) storm.emplace(liar, sky);
}

// Reads every byte, so that the sanitizers and the kernel have their say.
inline void read_all(std::span<const std::byte> bytes) noexcept {
  unsigned sum = 0;
  for (const std::byte byte : bytes)
    sum += static_cast<unsigned>(byte);
  asm volatile("" : : "r"(sum));
}
inline void write_all(std::span<std::byte> bytes) noexcept {
  if (!bytes.empty()) std::memset(bytes.data(), 0x5a, bytes.size());
}
// Does it lie within the map?
inline void insist_within(const os::MappingPtr& map, std::span<const std::byte> bytes) noexcept {
  insist(map != nullptr, "a map");
  insist(bytes.data() >= map->data() && bytes.data() + bytes.size() <= map->data() + map->size(),
         "what was handed out lies within its map");
}

}  // namespace millrace::fuzz
