// What this process finds out about the dead and does about it, for whoever tells it on: who was buried, whose role was taken
// over, which job was given up. Noted where it is done, which nobody else does a second time; taken out by whoever has listeners.
//
// One list for all threads of the process, under a lock: it is about the dead, and they are few. It keeps the newest; who takes
// them out is told how many had no room. Without anybody who does, nothing grows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "layout/header.hpp"
#include "os/clock.hpp"

namespace millrace {

enum class HappeningWhat : std::uint8_t { buried, taken_over, dead_lettered };

// What is known of it.
struct HappeningFacts {
  HappeningWhat what{};
  layout::Kind kind{};
  std::uint32_t pid = 0;     // of the dead
  std::uint32_t reason = 0;  // layout::DeadReason of what was given up
  std::uint32_t attempts = 0;
};

struct Happening {
  HappeningFacts facts;
  std::uint64_t at_ns = 0;       // since 1970
  std::array<char, 256> name{};  // ends with a zero: longer ones are cut
};

class Happenings {
 public:
  [[gnu::cold, gnu::noinline]] static void note(const HappeningFacts& facts,
                                                std::string_view name) noexcept {
    const std::scoped_lock locked(mutex);
    Happening& place = list[(first + count) % list.size()];
    place.facts = facts;
    place.at_ns = os::exact_real_ns();
    place.name[name.copy(place.name.data(), place.name.size() - 1)] = '\0';
    if (count < list.size()) {
      ++count;
    } else {
      ++lost;
      first = (first + 1) % list.size();
    }
  }
  // The oldest that was noted and not taken yet.
  [[nodiscard]] static std::optional<Happening> take() noexcept {
    const std::scoped_lock locked(mutex);
    if (count == 0) return std::nullopt;
    const Happening& oldest = list[first];
    first = (first + 1) % list.size();
    --count;
    return oldest;
  }
  // How many had no room since this was asked last.
  [[nodiscard]] static std::uint32_t take_lost() noexcept {
    const std::scoped_lock locked(mutex);
    return std::exchange(lost, 0U);
  }

 private:
  static inline std::mutex mutex;
  static inline std::array<Happening, 64> list;
  static inline std::size_t first = 0;
  static inline std::size_t count = 0;
  static inline std::uint32_t lost = 0;
};

}  // namespace millrace
