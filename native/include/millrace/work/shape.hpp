// How large a work queue is, and where each part of it lies. Everything follows from the geometry in the header; what is
// read there was judged before (judge()).
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>

#include "../layout/work.hpp"
#include "../os/mapping.hpp"
#include "../result.hpp"

namespace millrace {

struct WorkShape {
  std::uint32_t seats = 512;
  std::uint32_t levels = 32;
  std::uint32_t stages = 1;
  std::uint32_t jobs = 1024;
  std::uint32_t dead = 128;                         // dead letters there may be
  std::uint64_t bytes = std::uint64_t{192} * 1024;  // for payloads that do not fit into their slots
  std::uint64_t dead_bytes = std::uint64_t{64} * 1024;  // of these, for dead letters on top
  std::uint32_t keys = 0;                               // ids that are remembered at a time
  std::uint32_t groups = 128;                           // keys of jobs in order at a time
  std::uint64_t window_ms = 0;                          // for which an id is remembered
  std::uint64_t lease_ms = 0;
  std::uint8_t attempts = 5;  // 0: any number
  layout::Durability durability = layout::Durability::memory;
  std::uint64_t stages_print =
      0;  // of a pipeline: what the names of its stages are known by (stages.hpp)
  std::uint16_t ordered = 0;  // stages that jobs leave in order, a bit each; never the last one
  bool answers = false;       // they are calls, which get answers (rpc/)

  friend bool operator==(const WorkShape&, const WorkShape&) = default;

  [[nodiscard]] std::uint32_t slots() const noexcept { return jobs + dead; }
  [[nodiscard]] bool is_pipeline() const noexcept { return stages_print != 0; }
  [[nodiscard]] std::uint32_t lanes() const noexcept { return stages * levels; }
  // Places in each ring: those who are ready are jobs, and a full ring that has stale hints gives them up.
  [[nodiscard]] std::uint32_t capacity() const noexcept {
    return std::bit_ceil(std::max(jobs, 64U));
  }
  [[nodiscard]] std::uint32_t seat_words() const noexcept { return (seats + 63) / 64; }
  [[nodiscard]] std::uint32_t slot_words() const noexcept { return (slots() + 63) / 64; }
  [[nodiscard]] std::uint32_t links() const noexcept { return answers ? 0 : layout::kWorkLinks; }
  [[nodiscard]] std::uint32_t notes() const noexcept { return answers ? 0 : dead + 64; }
  [[nodiscard]] std::uint32_t granules() const noexcept {
    return static_cast<std::uint32_t>((bytes + dead_bytes) / layout::kGranuleBytes);
  }
  // In front of each payload on disk: the heads that a recovery judges it by. Then no payload is in its slot.
  [[nodiscard]] std::uint32_t head_bytes() const noexcept {
    return durability == layout::Durability::disk ? 128 : 0;
  }
  [[nodiscard]] std::uint32_t inline_most() const noexcept {
    return durability == layout::Durability::disk ? 0 : layout::kInlineBytes;
  }
  [[nodiscard]] std::uint32_t key_buckets() const noexcept {
    // Six of fifteen on average: one bucket in a thousand is full, and then forgets an id before its time.
    return keys == 0 ? 0 : std::bit_ceil((keys + 5) / 6);
  }
  [[nodiscard]] std::uint32_t group_buckets() const noexcept {
    // Four of fifteen: one bucket in a hundred thousand is full, and then has to refuse.
    return groups == 0 ? 0 : std::bit_ceil((groups + 3) / 4);
  }

  [[nodiscard]] std::uint64_t control_at() const noexcept {
    return lines(layout::kRolesOffset + std::uint64_t{seats} * sizeof(layout::RoleRecord));
  }
  [[nodiscard]] std::uint64_t seat_records_at() const noexcept {
    return control_at() + sizeof(layout::WorkControl);
  }
  [[nodiscard]] std::uint64_t wait_lines_at() const noexcept {
    return lines(seat_records_at() + std::uint64_t{seats} * sizeof(layout::SeatRecord));
  }
  // Sleepers: a set of seats for each stage, and one for room.
  [[nodiscard]] std::uint64_t sleepers_at() const noexcept {
    return wait_lines_at() + std::uint64_t{seats} * sizeof(layout::WaitLine);
  }
  [[nodiscard]] std::uint64_t returned_at() const noexcept {
    return lines(sleepers_at() + std::uint64_t{stages + 1} * seat_words() * 8);
  }
  // A bit for each group of 64 slots.
  [[nodiscard]] std::uint64_t free_groups_at() const noexcept {
    return lines(returned_at() + std::uint64_t{slot_words()} * 8);
  }
  // The earliest due time of each group of 64 slots.
  [[nodiscard]] std::uint64_t due_groups_at() const noexcept {
    return lines(free_groups_at() + std::uint64_t{(slot_words() + 63) / 64} * 8);
  }
  [[nodiscard]] std::uint64_t ring_ends_at() const noexcept {
    return lines(due_groups_at() + std::uint64_t{slot_words()} * 8);
  }
  [[nodiscard]] std::uint64_t cells_at() const noexcept {
    return ring_ends_at() + std::uint64_t{lanes()} * sizeof(layout::RingEnds);
  }
  [[nodiscard]] std::uint64_t links_at() const noexcept {
    return lines(cells_at() + std::uint64_t{lanes()} * capacity() * sizeof(layout::Cell));
  }
  [[nodiscard]] std::uint64_t slots_at() const noexcept {
    return links_at() + std::uint64_t{links()} * sizeof(layout::WorkLink);
  }
  [[nodiscard]] std::uint64_t notes_at() const noexcept {
    return slots_at() + std::uint64_t{slots()} * sizeof(layout::Slot);
  }
  [[nodiscard]] std::uint64_t keys_at() const noexcept {
    return notes_at() + std::uint64_t{notes()} * sizeof(layout::Note);
  }
  [[nodiscard]] std::uint64_t groups_at() const noexcept {
    return keys_at() + std::uint64_t{key_buckets()} * sizeof(layout::KeyBucket);
  }
  [[nodiscard]] std::uint64_t owners_at() const noexcept {
    return groups_at() + std::uint64_t{group_buckets()} * sizeof(layout::GroupBucket);
  }
  [[nodiscard]] std::uint64_t stage_names_at() const noexcept {
    return lines(owners_at() + std::uint64_t{granules()} * 8);
  }
  [[nodiscard]] std::uint64_t order_at() const noexcept {
    return lines(stage_names_at() +
                 (is_pipeline() ? std::uint64_t{stages} * sizeof(layout::StageName) : 0));
  }
  [[nodiscard]] std::uint64_t order_ring_at() const noexcept {
    return order_at() + (ordered != 0 ? std::uint64_t{stages} * sizeof(layout::OrderControl) : 0);
  }
  // What JavaScript is shown of the segment begins here.
  [[nodiscard]] std::uint64_t data_at() const noexcept {
    return os::round_up(order_ring_at() + (ordered != 0 ? std::uint64_t{capacity()} * 8 : 0),
                        os::page_size());
  }
  [[nodiscard]] std::uint64_t inline_bytes() const noexcept {
    return std::uint64_t{slots()} * layout::kInlineBytes;
  }
  // From the beginning of the data.
  [[nodiscard]] std::uint64_t granules_at() const noexcept {
    return os::round_up(inline_bytes(), layout::kGranuleBytes);
  }
  [[nodiscard]] std::uint64_t data_bytes() const noexcept {
    return os::round_up(answered_at() + (answers ? std::uint64_t{seats} * answered_words() * 8 : 0),
                        os::page_size());
  }
  // Of calls: as many bytes for the answer of each slot as for what is asked, and behind them
  [[nodiscard]] std::uint64_t answers_at() const noexcept {
    return granules_at() + std::uint64_t{granules()} * layout::kGranuleBytes;
  }
  // of each seat a bit for each slot: something has become of it that the seat is to know.
  [[nodiscard]] std::uint64_t answered_at() const noexcept {
    return answers_at() + (answers ? inline_bytes() : 0);
  }
  [[nodiscard]] std::uint32_t answered_words() const noexcept {
    constexpr std::uint32_t words_of_line = layout::kLine / 8;
    return (slot_words() + words_of_line - 1) / words_of_line * words_of_line;
  }
  [[nodiscard]] std::uint64_t total_bytes() const noexcept { return data_at() + data_bytes(); }

  [[nodiscard]] layout::Geometry geometry() const noexcept {
    layout::Geometry geometry{};
    geometry.total_bytes = total_bytes();
    auto* const value = geometry.values;
    value[layout::kWorkSeats] =
        seats | std::uint64_t{levels} << 16U | std::uint64_t{stages} << 24U |
        static_cast<std::uint64_t>(durability) << 32U | (answers ? 1ULL : 0) << 39U |
        std::uint64_t{attempts} << 40U | std::uint64_t{ordered} << 48U;
    value[layout::kWorkSlots] = jobs | std::uint64_t{dead} << 32U;
    value[layout::kWorkBytes] = bytes;
    value[layout::kWorkDeadBytes] = dead_bytes;
    value[layout::kWorkKeys] = keys | std::uint64_t{groups} << 32U;
    value[layout::kWorkWindow] = window_ms | (stages_print & kHalfPrint) << layout::kWorkTimeBits;
    value[layout::kWorkLease] = lease_ms | stages_print >> 24U << layout::kWorkTimeBits;
    return geometry;
  }
  static WorkShape of(const layout::Geometry& geometry) noexcept {
    const auto* const value = geometry.values;
    WorkShape shape;
    shape.seats = static_cast<std::uint32_t>(value[layout::kWorkSeats] & 0xFFFFU);
    shape.levels = static_cast<std::uint32_t>(value[layout::kWorkSeats] >> 16U & 0xFFU);
    shape.stages = static_cast<std::uint32_t>(value[layout::kWorkSeats] >> 24U & 0xFFU);
    shape.durability = static_cast<layout::Durability>(value[layout::kWorkSeats] >> 32U & 0x7FU);
    shape.answers = (value[layout::kWorkSeats] >> 39U & 1U) != 0;
    shape.attempts = static_cast<std::uint8_t>(value[layout::kWorkSeats] >> 40U);
    shape.jobs = static_cast<std::uint32_t>(value[layout::kWorkSlots]);
    shape.dead = static_cast<std::uint32_t>(value[layout::kWorkSlots] >> 32U);
    shape.bytes = value[layout::kWorkBytes];
    shape.dead_bytes = value[layout::kWorkDeadBytes];
    shape.keys = static_cast<std::uint32_t>(value[layout::kWorkKeys]);
    shape.groups = static_cast<std::uint32_t>(value[layout::kWorkKeys] >> 32U);
    shape.window_ms = value[layout::kWorkWindow] & kMostMs;
    shape.lease_ms = value[layout::kWorkLease] & kMostMs;
    shape.stages_print = value[layout::kWorkWindow] >> layout::kWorkTimeBits |
                         value[layout::kWorkLease] >> layout::kWorkTimeBits << 24U;
    shape.ordered = static_cast<std::uint16_t>(value[layout::kWorkSeats] >> 48U);
    return shape;
  }
  // What a geometry says that somebody else wrote; nothing if no work queue has it (no calls, if they are
  // what has answers).
  static std::optional<WorkShape> judged(const layout::Geometry& geometry,
                                         bool answers = false) noexcept {
    const WorkShape shape = of(geometry);
    if (!shape.possible() || shape.answers != answers) return std::nullopt;
    const layout::Geometry same = shape.geometry();
    const bool equal =
        same.total_bytes == geometry.total_bytes &&
        std::equal(std::begin(same.values), std::end(same.values), std::begin(geometry.values));
    return equal ? std::optional<WorkShape>(shape) : std::nullopt;
  }
  // Can there be such a queue? Nothing is computed from numbers that are too large for it.
  [[nodiscard]] bool possible() const noexcept { return impossible() == nullptr; }
  // Why there cannot be one, by the names that its options have for users; nothing if there can.
  [[nodiscard]] const char* impossible() const noexcept {
    constexpr std::uint64_t most_bytes = 1ULL << 40U;
    constexpr std::uint64_t most_granules = 1ULL << 28U;
    if (seats < 1 || seats > layout::kMaxWorkSeats) return "`seats` must be from 1 to 2048";
    if (levels < 1 || levels > layout::kMaxLevels) return "`priorities` must be from 1 to 32";
    if (stages < 1 || stages > layout::kMaxStages) return "it must have 1 to 16 stages";
    if (jobs < 1 || jobs > layout::kMaxWorkSlots || dead > layout::kMaxWorkSlots - jobs) {
      return "`jobs` must be 1 or more, and with `deadLetters.jobs` at most 1048576";
    }
    if (bytes > most_bytes || dead_bytes > most_bytes ||
        (bytes + dead_bytes) / layout::kGranuleBytes > most_granules) {
      return "`bytes` and `deadLetters.bytes` together must be at most 68719476736 (64 GiB): take "
             "smaller ones, or keep large "
             "payloads elsewhere and push where they are";
    }
    if (keys > layout::kMaxWorkSlots * 16) return "`dedupIds` must be at most 16777216";
    if (groups > layout::kMaxWorkSlots) return "`groups` must be at most 1048576";
    if (window_ms > kMostMs) return "`dedupWindow` is too long";
    if (lease_ms > kMostMs) return "`leaseTimeout` is too long";
    if (durability > layout::Durability::disk) return "there is no such `durability`";
    if (stages_print >= 1ULL << 48U || ordered >> (stages - 1) != 0)
      return "the stages named `ordered` must be there, and not be the last";
    // Calls have a shape of fewer properties (rpc/call_spec.hpp).
    if (answers && (levels != 1 || stages != 2 || dead != 0 || dead_bytes != 0 || keys != 0 ||
                    groups != 0 || window_ms != 0 || lease_ms != 0 || attempts != 0 ||
                    durability != layout::Durability::memory || stages_print != 0 || ordered != 0))
      return "calls have none of what only jobs have";
    // The place in the order is not on disk.
    if (durability == layout::Durability::disk && (ordered != 0 || is_pipeline()))
      return "stages and durability `disk` do not go together: take `file`";
    return nullptr;
  }

 private:
  static constexpr std::uint64_t kMostMs = (1ULL << layout::kWorkTimeBits) - 1;
  static constexpr std::uint64_t kHalfPrint = (1ULL << 24U) - 1;
  static constexpr std::uint64_t lines(std::uint64_t bytes) noexcept {
    return (bytes + layout::kLine - 1) / layout::kLine * layout::kLine;
  }
};

}  // namespace millrace
