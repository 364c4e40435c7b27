// What writer and readers of a frame channel share: geometry, the views into control memory, the pool.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "bits.hpp"
#include "failure.hpp"
#include "lane_queue.hpp"
#include "layout/frames.hpp"
#include "segment.hpp"

namespace millrace {

inline constexpr std::uint64_t kMaxPoolBytes = 1ULL << 32U;  // one ArrayBuffer holds the whole pool

struct FramesGeometry {
  std::uint64_t slot_bytes = 0;
  std::uint32_t slots = 8;
  std::uint32_t readers = 8;
  std::uint32_t history = 0;
  std::uint64_t alignment = 64;  // a power of two from 64 to the page size
};

// Checks a geometry and lays it out.
inline Result<layout::FramesPlan> plan_frames(const FramesGeometry& asked) {
  const auto refuse = [](const std::string& what) {
    return make_error(Code::invalid_argument, what);
  };
  if (asked.slot_bytes == 0)
    return refuse("slotBytes is 0; give the size of the largest frame in bytes");
  if (asked.slots < 2 || asked.slots > layout::kMaxSlots) {
    return refuse("slots is " + std::to_string(asked.slots) + "; use 2 to " +
                  std::to_string(layout::kMaxSlots));
  }
  if (asked.readers < 1 || asked.readers > layout::kMaxReaders) {
    return refuse("readers is " + std::to_string(asked.readers) + "; use 1 to " +
                  std::to_string(layout::kMaxReaders));
  }
  if (asked.history > asked.slots - 2) {
    return refuse("history is " + std::to_string(asked.history) + "; with " +
                  std::to_string(asked.slots) + " slots at most " +
                  std::to_string(asked.slots - 2) + " frames can be kept");
  }
  if (!std::has_single_bit(asked.alignment) || asked.alignment < 64 ||
      asked.alignment > os::page_size()) {
    return refuse("alignment is " + std::to_string(asked.alignment) +
                  "; use a power of two from 64 to " + std::to_string(os::page_size()));
  }
  if (asked.slot_bytes > kMaxPoolBytes) return refuse("slotBytes is more than 4 GiB");
  const layout::FramesPlan plan =
      layout::plan_frames(asked.slot_bytes, asked.slots, asked.readers, asked.history,
                          asked.alignment, os::page_size());
  if (plan.pool_bytes > kMaxPoolBytes) {
    return refuse("slots × slotBytes is " + std::to_string(plan.pool_bytes) +
                  " bytes; a pool holds at most 4 GiB: use fewer or smaller slots");
  }
  return plan;
}

namespace detail {

class FrameChannel {
 public:
  FrameChannel() = default;

  static layout::Geometry geometry_of(const layout::FramesPlan& plan) {
    layout::Geometry geometry{};
    geometry.total_bytes = plan.total_bytes;
    geometry.values[layout::kSlotBytes] = plan.slot_bytes;
    geometry.values[layout::kSlots] = plan.slots;
    geometry.values[layout::kReaders] = plan.readers;
    geometry.values[layout::kHistory] = plan.history;
    geometry.values[layout::kAlignment] = plan.alignment;
    geometry.values[layout::kPoolOffset] = plan.pool_offset;
    return geometry;
  }
  // What either side asks of the segment alike.
  template <typename Spec>
  static SegmentSpec segment_spec(const Spec& spec) {
    SegmentSpec wanted;
    wanted.kind = layout::Kind::frames;
    wanted.letter = 'f';
    wanted.place = spec.place;
    wanted.memory = spec.memory;
    wanted.mode = spec.mode;
    wanted.schema = spec.schema;
    wanted.bury = bury_all;
    return wanted;
  }
  // Recomputes the plan from a segment's geometry; no offset is taken on trust.
  static Result<layout::FramesPlan> judge(const layout::Geometry& found, const std::string& name) {
    const auto narrow = [](std::uint64_t value) {
      return static_cast<std::uint32_t>(std::min<std::uint64_t>(value, 0xFFFF'FFFFU));
    };
    FramesGeometry asked;
    asked.slot_bytes = found.values[layout::kSlotBytes];
    asked.slots = narrow(found.values[layout::kSlots]);
    asked.readers = narrow(found.values[layout::kReaders]);
    asked.history = narrow(found.values[layout::kHistory]);
    asked.alignment = found.values[layout::kAlignment];
    auto plan = millrace::plan_frames(asked);
    if (!plan.ok() || plan.value().total_bytes != found.total_bytes ||
        plan.value().pool_offset != found.values[layout::kPoolOffset]) {
      return make_error(Code::corrupt,
                        "frame channel '" + name + "' has an impossible geometry; remove it");
    }
    return plan;
  }

  // Removes the doorbells of dead holders. Only under the lifecycle lock, when nobody else is alive.
  static void bury_all(const Segment& stale) {
    auto plan = judge(stale.geometry(), stale.name());
    if (!plan.ok()) return;
    stale.bury(*stale.at<layout::RoleRecord>(layout::kRolesOffset));
    const layout::FramesPlan& there = plan.value();
    for (std::uint64_t lane = 0; lane < there.readers; ++lane) {
      stale.bury(stale.at<layout::Lane>(there.lanes_offset + there.lane_stride * lane)->join.role);
    }
  }

  // Removes the name, if nobody is left and nobody wanted it kept. Under the lifecycle lock.
  static void remove_if_last(Segment& segment) {
    if (segment.anyone_else()) return;
    bury_all(segment);
    if (!segment.kept()) segment.unlink();
  }

  void bind(const Segment* segment, const layout::FramesPlan& plan) noexcept {
    segment_ = segment;
    plan_ = plan;
    control_ = segment->at<layout::WriterControl>(layout::kWriterControlOffset);
    slots_ = segment->at<layout::SlotRecord>(plan.slots_offset);
  }

  [[nodiscard]] const layout::FramesPlan& plan() const noexcept { return plan_; }
  [[nodiscard]] layout::WriterControl& control() const noexcept { return *control_; }
  [[nodiscard]] layout::SlotRecord& slot(std::uint32_t index) const noexcept {
    return slots_[index];
  }
  // Takes these pins off a slot. release: pairs with the acquire in FrameLedger::is_free: what was done by them is over.
  void unpin(std::uint32_t index, std::uint64_t pins) const noexcept {
    slots_[index].holders.fetch_and(~pins, std::memory_order_acq_rel);
  }
  [[nodiscard]] layout::RoleRecord& writer_record() const noexcept {
    return *segment_->at<layout::RoleRecord>(layout::kRolesOffset);
  }
  [[nodiscard]] ReasonPlace writer_reason_place() const noexcept {
    return {control_->sequence.reason, control_->lanes.reason_rest};
  }
  [[nodiscard]] LaneView lane(std::uint32_t index) const noexcept {
    auto* lane = segment_->at<layout::Lane>(plan_.lanes_offset + plan_.lane_stride * index);
    auto* cells = reinterpret_cast<std::atomic<std::uint64_t>*>(lane + 1);
    return LaneView{lane, cells, cells + plan_.cells, plan_.cells - 1};
  }
  // `length` payload bytes of a slot, and its user header, in a map of the pool. Empty without a map.
  [[nodiscard]] std::span<std::byte> payload(const os::MappingPtr& pool, std::uint32_t slot,
                                             std::uint64_t length) const noexcept {
    if (!pool) return {};
    return {pool->data() + plan_.payload_offset + plan_.slot_stride * slot,
            static_cast<std::size_t>(length)};
  }
  [[nodiscard]] static std::span<std::byte> user_header(const os::MappingPtr& pool,
                                                        std::uint32_t slot) noexcept {
    if (!pool) return {};
    return {pool->data() + layout::kUserHeaderBytes * slot, layout::kUserHeaderBytes};
  }
  static std::uint32_t role_of_lane(std::uint32_t index) noexcept {
    return layout::kFirstReaderRole + index;
  }
  // Lanes that exist, as a mask for words read from shared memory.
  [[nodiscard]] std::uint64_t lane_bits() const noexcept { return (1ULL << plan_.readers) - 1; }

 private:
  const Segment* segment_ = nullptr;
  layout::FramesPlan plan_;
  layout::WriterControl* control_ = nullptr;
  layout::SlotRecord* slots_ = nullptr;
};

}  // namespace detail
}  // namespace millrace
