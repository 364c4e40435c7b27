// The records of a queue of durability `disk` (layout/record.hpp): written with each push, changed with whatever has to be
// known of a job after a power cut, and wiped when the job has ended. All of it in memory; disk_sync.hpp says when it is on the
// disk, and recovery.hpp reads it.
//
// A record belongs to who may change the slot's word and cannot lose that right: whoever pushes it, and whoever made the word
// `moving`. So no two ever write to one, and nobody writes to memory that has become another job's.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "../checksum.hpp"
#include "../crash_point.hpp"
#include "../layout/record.hpp"
#include "../os/clock.hpp"
#include "../words.hpp"
#include "memory.hpp"

namespace millrace {

namespace detail {

// A bijection, so that every mark of a record has one serial number.
inline constexpr std::uint64_t kOdd = 0x9E37'79B9'7F4A'7C15ULL;
constexpr std::uint64_t inverse_of_odd(std::uint64_t odd) noexcept {
  std::uint64_t found = odd;  // right in three bits; each round doubles them (Newton)
  for (int round = 0; round < 5; ++round)
    found *= 2 - odd * found;
  return found;
}
constexpr std::uint64_t scramble(std::uint64_t value) noexcept {
  value *= kOdd;
  value ^= value >> 32U;
  return value * kOdd;
}
constexpr std::uint64_t unscramble(std::uint64_t value) noexcept {
  value *= inverse_of_odd(kOdd);
  value ^= value >> 32U;
  return value * inverse_of_odd(kOdd);
}
static_assert(kOdd * inverse_of_odd(kOdd) == 1);
static_assert(unscramble(scramble(0x1234'5678'9ABC'DEF0ULL)) == 0x1234'5678'9ABC'DEF0ULL);

}  // namespace detail

// What a record says; its place and its numbers are judged, and its checksums hold.
struct Record {
  std::uint32_t granule = 0;
  std::uint32_t granules = 0;
  std::uint64_t serial = 0;
  std::uint64_t generation = 0;
  std::uint64_t pushed_at = 0;  // this and the next two: nanoseconds since 1970
  std::uint64_t at = 0;         // delayed until, 0: not; dead since
  std::uint64_t expires = 0;    // 0: never
  std::uint32_t content_check = 0;
  std::uint32_t length = 0;
  std::uint32_t headers_length = 0;
  std::uint16_t id_length = 0;
  std::uint16_t group_length = 0;
  std::uint8_t version = 0;
  std::uint8_t attempt = 0;
  std::uint8_t level = 0;
  std::uint8_t stage = 0;
  bool dead = false;
  layout::DeadReason reason = layout::DeadReason::none;
};

class Records {
 public:
  enum class Found { none, torn, whole };

  Records() = default;
  // `instance`: of the segment.
  Records(const WorkMemory& memory, std::uint64_t instance) noexcept
      : memory_(&memory),
        instance_(instance),
        on_(memory.shape().durability == layout::Durability::disk) {}

  // Has this queue records at all? Of one that has not, nothing here does anything.
  [[nodiscard]] bool on() const noexcept { return on_; }

  // The job in that slot is about to become what `word` says. All that belongs to it is written, its serial number included.
  void write(std::uint32_t index, const layout::Word& word) const noexcept {
    layout::Slot& slot = memory_->slot(index);
    layout::WorkControl& control = memory_->control();
    const std::optional<Place> place = place_of(slot);
    if (!place) return;
    Record record = described(slot, *place);
    // acquire: before anything is written, so not less than in a sync that misses it.
    record.generation = control.syncs_begun.load(std::memory_order_acquire);
    record.content_check = content_check(record);
    state(record, slot, word);
    put(record, 0);
    MILLRACE_CRASH_POINT("work.record.written");
    head(place->granule, 1).mark.store(0, std::memory_order_relaxed);
  }
  // What that job is has changed to what `word` says.
  void change(std::uint32_t index, const layout::Word& word) const noexcept {
    layout::Slot& slot = memory_->slot(index);
    const std::optional<Place> place = place_of(slot);
    if (!place) return;
    Record record;
    int side = 0;
    if (!latest(place->granule, record, side)) {
      // Somebody has written there who should not have. What is in memory is what there is.
      record = described(slot, *place);
      record.generation = memory_->control().syncs_begun.load(std::memory_order_acquire);
      record.content_check = content_check(record);
    }
    record.version = static_cast<std::uint8_t>(record.version + 1);
    state(record, slot, word);
    put(record, 1 - side);
    MILLRACE_CRASH_POINT("work.record.changed");
  }
  // That job has ended.
  void wipe(std::uint32_t index) const noexcept {
    const std::optional<Place> place = place_of(memory_->slot(index));
    if (!place) return;
    wipe_at(place->granule);
    MILLRACE_CRASH_POINT("work.record.wiped");
  }

  // --- for a recovery ---

  // What begins at that granule. `torn`: there is a head that counts, and what follows it is not what it should be.
  [[nodiscard]] Found find(std::uint32_t granule, Record& record) const noexcept {
    Record heads[2];
    const bool counts[2] = {read(granule, 0, heads[0]), read(granule, 1, heads[1])};
    const int first = counts[0] && (!counts[1] || !later(heads[1], heads[0])) ? 0 : 1;
    for (const int side : {first, 1 - first}) {
      if (!counts[side] || content_check(heads[side]) != heads[side].content_check) continue;
      record = heads[side];
      return Found::whole;
    }
    return counts[0] || counts[1] ? Found::torn : Found::none;
  }
  // Nothing that begins there counts from now on.
  void wipe_at(std::uint32_t granule) const noexcept {
    for (const int side : {0, 1}) {
      auto& mark = head(granule, side).mark;
      if (mark.load(std::memory_order_relaxed) != 0) mark.store(0, std::memory_order_relaxed);
    }
  }

 private:
  struct Place {
    std::uint32_t granule;
    std::uint32_t granules;
  };
  static constexpr std::uint64_t kSerials = 1ULL << 48U;

  [[nodiscard]] layout::RecordHead& head(std::uint32_t granule, int side) const noexcept {
    return reinterpret_cast<layout::RecordHead*>(memory_->data() + memory_->shape().granules_at() +
                                                 std::uint64_t{granule} *
                                                     layout::kGranuleBytes)[side];
  }
  // Where that slot says that its job is; the numbers are judged, since anybody may have written them.
  [[nodiscard]] std::optional<Place> place_of(const layout::Slot& slot) const noexcept {
    const Place place{slot.granule.load(std::memory_order_relaxed),
                      slot.granules.load(std::memory_order_relaxed)};
    const std::uint32_t all = memory_->shape().granules();
    if (place.granules == 0 || place.granule >= all || place.granules > all - place.granule)
      return std::nullopt;
    return place;
  }
  static std::uint64_t tail_at(const Record& record) noexcept {
    return (std::uint64_t{record.length} + 7) / 8 * 8;
  }
  static std::uint64_t tail_bytes(const Record& record) noexcept {
    return std::uint64_t{record.id_length} + record.group_length + record.headers_length;
  }
  static std::uint64_t bytes_of(const Record& record) noexcept {
    const std::uint64_t tail = tail_bytes(record);
    return layout::kRecordBytes + (tail == 0 ? record.length : tail_at(record) + tail);
  }

  [[nodiscard]] Record described(const layout::Slot& slot, const Place& place) const noexcept {
    Record record;
    record.granule = place.granule;
    record.granules = place.granules;
    record.serial = slot.serial.load(std::memory_order_relaxed);
    record.pushed_at = slot.pushed_at;
    record.length = slot.length;
    record.id_length = slot.id_length;
    record.group_length = slot.group_length;
    record.headers_length = slot.headers_length;
    record.expires = real_time(slot.expires.load(std::memory_order_relaxed));
    return record;
  }
  void state(Record& record, const layout::Slot& slot, const layout::Word& word) const noexcept {
    record.attempt = word.attempt;
    record.level = word.level;
    record.stage = slot.stage.load(std::memory_order_relaxed);
    record.dead = word.state == layout::SlotState::dead;
    record.reason =
        record.dead ? static_cast<layout::DeadReason>(slot.reason) : layout::DeadReason::none;
    // It may be over for good (redrive), but is never put off.
    if (slot.expires.load(std::memory_order_relaxed) == 0) record.expires = 0;
    record.at = 0;
    if (record.dead) {
      record.at = slot.dead_at.load(std::memory_order_relaxed);
    } else if (word.state == layout::SlotState::delayed) {
      record.at = real_time(slot.due.load(std::memory_order_relaxed));
    }
  }
  // Of a monotonic time, which ends with the boot. 0 stays 0.
  static std::uint64_t real_time(std::uint64_t monotonic) noexcept {
    if (monotonic == 0) return 0;
    const std::uint64_t now = os::monotonic_ns();
    const std::uint64_t real = os::real_ns();
    if (monotonic <= now) return real - std::min(real - 1, now - monotonic);
    return monotonic - now > ~0ULL - real ? ~0ULL : real + (monotonic - now);
  }

  [[nodiscard]] std::uint32_t content_check(const Record& record) const noexcept {
    if (bytes_of(record) > std::uint64_t{record.granules} * layout::kGranuleBytes)
      return ~record.content_check;  // nothing of that kind is written
    const std::byte* const at =
        reinterpret_cast<const std::byte*>(&head(record.granule, 0)) + layout::kRecordBytes;
    const std::uint32_t payload = crc32c(at, record.length);
    return crc32c(at + tail_at(record), static_cast<std::size_t>(tail_bytes(record)), payload);
  }

  // --- heads ---

  [[nodiscard]] std::uint64_t salt(std::uint32_t granule) const noexcept {
    return detail::scramble(instance_ + granule);
  }
  [[nodiscard]] std::uint32_t check_of(const layout::RecordHead& head,
                                       std::uint32_t granule) const noexcept {
    const std::uint64_t place[2] = {instance_, granule};
    std::byte bytes[sizeof head];
    std::memcpy(bytes, static_cast<const void*>(&head), sizeof head);
    std::memset(bytes + offsetof(layout::RecordHead, check), 0, sizeof head.check);
    return crc32c(bytes, sizeof bytes, crc32c(place, sizeof place));
  }
  void put(const Record& record, int side) const noexcept {
    layout::RecordHead built{};
    built.mark.store(detail::scramble(record.serial ^ salt(record.granule)),
                     std::memory_order_relaxed);
    built.content_check = record.content_check;
    built.generation = record.generation;
    built.pushed_at = record.pushed_at;
    built.at = record.at;
    built.expires = record.expires;
    built.length = record.length;
    built.headers_length = record.headers_length;
    built.id_length = record.id_length;
    built.group_length = record.group_length;
    built.version = record.version;
    built.attempt = record.attempt;
    built.what = static_cast<std::uint16_t>((record.level & 31U) | (record.stage & 15U) << 5U |
                                            (record.dead ? 1U : 0U) << 9U |
                                            (static_cast<unsigned>(record.reason) & 7U) << 10U);
    built.check = check_of(built, record.granule);
    // Word by word: what the system takes of it for the disk meanwhile is caught by the checksum.
    copy_to_shared(reinterpret_cast<SharedWord*>(&head(record.granule, side)),
                   reinterpret_cast<const std::byte*>(&built), sizeof built);
  }
  // Does that head count?
  [[nodiscard]] bool read(std::uint32_t granule, int side, Record& record) const noexcept {
    const layout::RecordHead& there = head(granule, side);
    const std::uint64_t mark = there.mark.load(std::memory_order_relaxed);
    if (mark == 0) return false;
    record.serial = detail::unscramble(mark) ^ salt(granule);
    if (record.serial == 0 || record.serial >= kSerials) return false;
    layout::RecordHead found;
    copy_from_shared(reinterpret_cast<std::byte*>(&found),
                     reinterpret_cast<const SharedWord*>(&there), sizeof found);
    if (found.mark.load(std::memory_order_relaxed) != mark ||
        found.check != check_of(found, granule))
      return false;
    record.granule = granule;
    record.generation = found.generation;
    record.pushed_at = found.pushed_at;
    record.at = found.at;
    record.expires = found.expires;
    record.content_check = found.content_check;
    record.length = found.length;
    record.headers_length = found.headers_length;
    record.id_length = found.id_length;
    record.group_length = found.group_length;
    record.version = found.version;
    record.attempt = found.attempt;
    record.level = static_cast<std::uint8_t>(found.what & 31U);
    record.stage = static_cast<std::uint8_t>(found.what >> 5U & 15U);
    record.dead = (found.what >> 9U & 1U) != 0;
    record.reason = static_cast<layout::DeadReason>(found.what >> 10U & 7U);
    const std::uint64_t granules =
        (bytes_of(record) + layout::kGranuleBytes - 1) / layout::kGranuleBytes;
    if (granules > memory_->shape().granules() - granule ||
        record.level >= memory_->shape().levels || record.stage >= memory_->shape().stages)
      return false;
    record.granules = static_cast<std::uint32_t>(granules);
    return true;
  }
  // Of the same place: was `one` written after `other`?
  static bool later(const Record& one, const Record& other) noexcept {
    if (one.serial != other.serial) return one.serial > other.serial;
    return static_cast<std::int8_t>(one.version - other.version) > 0;
  }
  [[nodiscard]] bool latest(std::uint32_t granule, Record& record, int& side) const noexcept {
    Record heads[2];
    const bool counts[2] = {read(granule, 0, heads[0]), read(granule, 1, heads[1])};
    if (!counts[0] && !counts[1]) return false;
    side = counts[0] && (!counts[1] || !later(heads[1], heads[0])) ? 0 : 1;
    record = heads[side];
    return true;
  }

  const WorkMemory* memory_ = nullptr;
  std::uint64_t instance_ = 0;
  bool on_ = false;
};

}  // namespace millrace
