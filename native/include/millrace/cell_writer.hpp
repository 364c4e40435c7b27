// The writing side of a cell: each value goes to the next slot and is then published. Wait-free; the
// algorithm is in cell.hpp.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "bits.hpp"
#include "cell_segment.hpp"
#include "crash_point.hpp"
#include "cursor.hpp"
#include "layout/cell.hpp"
#include "os/clock.hpp"
#include "os/mapping.hpp"
#include "segment.hpp"
#include "waiting.hpp"
#include "words.hpp"

namespace millrace {

inline constexpr std::uint32_t kDefaultCellSlots = 4;

struct CellWriterSpec {
  Place place;
  std::uint64_t max_bytes = 0;  // of a value
  std::uint32_t slots = 0;      // 0: what is there, or the default for a new cell
  mode_t mode = 0600;
  std::optional<uid_t> owner;
  bool keep = false;         // the value stays when everybody has gone
  bool timestamps = true;    // false: values say 0 instead of when they were written
  std::uint64_t schema = 0;  // see SegmentSpec
  std::uint64_t doorbell = 0;
};

// What the writer alone knows, whatever shared memory says: lib/cell writes in JavaScript, over the same cursor.
struct CellCursor {
  std::uint64_t version = 0;  // of the newest value
  std::uint64_t length = 0;   // of the newest value, in bytes
  std::uint64_t slot = 0;     // of the next version
};

class CellWriter {
 public:
  // Creates the cell, or goes on with the one that is there, after its newest version.
  static Result<std::unique_ptr<CellWriter>> open(const CellWriterSpec& spec,
                                                  const os::Deadline& deadline) {
    auto asked =
        detail::plan_cell(spec.max_bytes, spec.slots == 0 ? kDefaultCellSlots : spec.slots);
    if (!asked.ok()) return asked.error();
    SegmentSpec wanted = detail::CellSegment::spec_of(spec);
    wanted.keep = spec.keep;
    wanted.geometry = detail::CellSegment::geometry_of(asked.value());
    detail::CellPlan plan;
    auto entered = Segment::enter(
        wanted, Entry::attach_or_create, deadline,
        [&](const layout::Geometry& found) -> Result<std::uint64_t> {
          auto there = detail::CellSegment::judge(found, spec.place.title());
          if (!there.ok()) return there.error();
          plan = there.value();
          const bool other_slots = spec.slots != 0 && plan.slots != spec.slots;
          if (plan.max_bytes != spec.max_bytes || other_slots) {
            return make_error(Code::geometry,
                              "cell '" + spec.place.title() + "' exists with maxBytes " +
                                  std::to_string(plan.max_bytes) + " and " +
                                  std::to_string(plan.slots) +
                                  " slots; open it with the same, or unlink it first");
          }
          return plan.pool_offset;
        });
    if (!entered.ok()) return entered.error();
    std::unique_ptr<CellWriter> self(new CellWriter);
    const bool created = entered.value().created();
    if (auto bound = self->cell_.bind(entered.take(), plan, true); !bound.ok()) {
      return bound.error();
    }
    auto taken = self->take_role(spec);
    if (!taken.ok()) {
      if (created) self->cell_.segment().unlink();
      return taken.error();
    }
    self->cell_.segment().settle();
    MILLRACE_CRASH_POINT("cell.enter.settled");
    self->wake_readers();  // they wait for news of us, too
    return self;
  }
  CellWriter(const CellWriter&) = delete;
  CellWriter& operator=(const CellWriter&) = delete;
  ~CellWriter() { close(); }

  // Publishes a copy. At most max_bytes.
  void write(const std::byte* value, std::uint64_t length) {
    begin();
    copy_to_shared(cell_.words(next_slot()), value, static_cast<std::size_t>(length));
    MILLRACE_CRASH_POINT("cell.write.copied");
    publish(length);
  }

  // In place: begin(), write to next_bytes(), publish(). Without publish() nothing happened.
  void begin() noexcept {
    layout::CellSlot& slot = cell_.slot(next_slot());
    // release: pairs with the acquire loads of a reader that is still busy with what was here; it sees
    // `published` at least as we stored it, and so starts again instead of finding us corrupt.
    slot.sequence.store(layout::writing(cursor_->version + 1), std::memory_order_release);
    MILLRACE_CRASH_POINT("cell.begin.marked");
    // No word of the new value before that: pairs with the acquire fence in CellReader::read. A reader
    // that copied one of them then finds the sequence changed.
    std::atomic_thread_fence(std::memory_order_release);
  }
  // After begin(): makes the next value start as the newest one, length() bytes.
  void copy_newest() noexcept {
    if (cursor_->version == 0) return;
    copy_between_shared(cell_.words(next_slot()), cell_.words(cell_.slot_of(cursor_->version)),
                        static_cast<std::size_t>(cursor_->length));
  }
  void publish(std::uint64_t length) {
    layout::CellSlot& slot = cell_.slot(next_slot());
    slot.length.store(length, std::memory_order_relaxed);
    slot.timestamp.store(timestamps_ ? os::monotonic_ns() : 0, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("cell.publish.described");
    const std::uint64_t version = ++cursor_->version;
    cursor_->length = length;
    cursor_->slot = next_slot() + 1 == plan().slots ? 0 : next_slot() + 1;
    // release: pairs with the acquire of the sequence in CellReader::read: who sees this version as
    // complete sees all of it.
    slot.sequence.store(layout::complete(version), std::memory_order_release);
    MILLRACE_CRASH_POINT("cell.publish.complete");
    // release: pairs with the acquire of `published` in CellReader: the sequence comes with it.
    cell_.control().writer.published.store(version, std::memory_order_release);
    MILLRACE_CRASH_POINT("cell.publish.published");
    wake_readers();
  }

  // Three steps when nobody waits: fence, look, return. See waiting.hpp for the fence: `published` -> fence
  // -> `waiting` here, `waiting` -> heavy fence -> `published` in CellReader::park.
  void wake_readers() {
    auto& line = cell_.control().readers;
    if (line.needs_full_fence.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    } else {
      os::light_fence();
    }
    if (line.waiting.load(std::memory_order_relaxed) == 0) [[likely]]
      return;
    // acquire: pairs with the release of the bit in CellReader: how it sleeps is there.
    std::uint64_t lanes = line.waiting.exchange(0, std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("cell.wake.owed");
    lanes &= (1ULL << layout::kCellLanes) - 1;
    detail::for_each_bit(lanes, [this](std::uint32_t lane) {
      wakers_[lane].wake(ringer_ != nullptr ? *ringer_ : own_ringer_, cell_.segment().trust());
    });
  }

  [[nodiscard]] std::uint64_t next_slot() const noexcept { return cursor_->slot; }
  [[nodiscard]] std::byte* next_bytes() const noexcept {
    return reinterpret_cast<std::byte*>(cell_.words(next_slot()));
  }
  [[nodiscard]] std::uint64_t version() const noexcept { return cursor_->version; }
  [[nodiscard]] std::uint64_t length() const noexcept { return cursor_->length; }
  [[nodiscard]] bool has_readers() const noexcept {
    return cell_.segment().role_held(layout::kCellReadersRole);
  }

  // For who publishes by itself over this cursor.
  [[nodiscard]] CursorPlace<CellCursor>& cursor() noexcept { return cursor_; }

  [[nodiscard]] const detail::CellPlan& plan() const noexcept { return cell_.plan(); }
  [[nodiscard]] const os::MappingPtr& pool() const noexcept { return cell_.pool(); }
  [[nodiscard]] const Segment& segment() const noexcept { return cell_.segment(); }
  void use_ringer(os::BellRinger* ringer) noexcept { ringer_ = ringer; }
  // For a writer that learns only from the segment which doorbell suits it.
  void announce_doorbell(std::uint64_t doorbell) const noexcept {
    cell_.writer_record().doorbell.store(doorbell, std::memory_order_relaxed);
  }

  void close() noexcept {
    if (!entered_) return;
    entered_ = false;
    if (cell_.forsaken()) return;
    const bool locked = cell_.segment().lock_lifecycle(os::Deadline::after(1'000'000'000)).ok();
    cell_.segment().resign(cell_.writer_record(), layout::kCellWriterRole);
    MILLRACE_CRASH_POINT("cell.leave.resigned");
    wake_readers();
    if (locked) cell_.remove_if_last();
    cell_.reset();
  }

 private:
  CellWriter() = default;

  Result<void> take_role(const CellWriterSpec& spec) {
    auto claimed = cell_.segment().claim(cell_.writer_record(), layout::kCellWriterRole,
                                         spec.doorbell, "writer");
    if (!claimed.ok()) return claimed;
    entered_ = true;  // from here on close() undoes everything, and wakes whoever seems to wait
    for (std::uint32_t i = 0; i < layout::kCellLanes; ++i)
      wakers_[i] = Waker(&cell_.lane(i).wait);
    MILLRACE_CRASH_POINT("cell.enter.claimed");
    if (spec.keep) cell_.segment().set_flag(layout::kKeep, true);
    // What a predecessor was writing when it died was never published: we write over it.
    const std::uint64_t version = cell_.control().writer.published.load(std::memory_order_relaxed);
    std::uint64_t length = 0;
    if (version != 0) {
      const layout::CellSlot& newest = cell_.slot(cell_.slot_of(version));
      length = newest.length.load(std::memory_order_relaxed);
      if (version >= layout::kMaxCellVersion || length > plan().max_bytes ||
          newest.sequence.load(std::memory_order_relaxed) != layout::complete(version)) {
        return make_error(Code::corrupt, "cell '" + spec.place.title() +
                                             "' holds impossible versions; unlink it, then "
                                             "open it again");
      }
    }
    cursor_->version = version;
    cursor_->length = length;
    cursor_->slot = cell_.slot_of(version + 1);
    timestamps_ = spec.timestamps;
    return {};
  }

  detail::CellSegment cell_;
  bool entered_ = false;
  CursorPlace<CellCursor> cursor_;
  bool timestamps_ = true;
  std::array<Waker, layout::kCellLanes> wakers_;
  os::BellRinger* ringer_ = nullptr;
  os::BellRinger own_ringer_;
};

}  // namespace millrace
