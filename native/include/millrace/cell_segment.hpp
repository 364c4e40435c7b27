// What the writer and the readers of a cell share: how a cell is cut up, its segment, the views into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "layout/cell.hpp"
#include "os/mapping.hpp"
#include "segment.hpp"
#include "words.hpp"

namespace millrace::detail {

// How a cell is cut up.
struct CellPlan {
  std::uint64_t max_bytes = 0;
  std::uint32_t slots = 0;
  std::uint64_t stride = 0;
  std::uint64_t pool_offset = 0;
  std::uint64_t pool_bytes = 0;
};

inline Result<CellPlan> plan_cell(std::uint64_t max_bytes, std::uint64_t slots) {
  const auto refuse = [](const std::string& what) {
    return make_error(Code::invalid_argument, what);
  };
  if (max_bytes < 1 || max_bytes > layout::kMaxCellBytes) {
    return refuse("maxBytes is " + std::to_string(max_bytes) + "; use 1 to " +
                  std::to_string(layout::kMaxCellBytes));
  }
  if (slots < layout::kMinCellSlots || slots > layout::kMaxCellSlots) {
    return refuse("slots is " + std::to_string(slots) + "; use " +
                  std::to_string(layout::kMinCellSlots) + " to " +
                  std::to_string(layout::kMaxCellSlots));
  }
  CellPlan plan;
  plan.max_bytes = max_bytes;
  plan.slots = static_cast<std::uint32_t>(slots);
  plan.stride = os::round_up(max_bytes, 64);
  plan.pool_offset =
      os::round_up(layout::kCellSlotsOffset + slots * sizeof(layout::CellSlot), os::page_size());
  plan.pool_bytes = plan.stride * slots;
  if (plan.pool_bytes > layout::kMaxCellPool) {
    return refuse("slots × maxBytes is " + std::to_string(plan.pool_bytes) +
                  " bytes; a cell holds at most 4 GiB");
  }
  return plan;
}

// What writer and readers of a cell share: the segment and the views into it.
class CellSegment {
 public:
  static layout::Geometry geometry_of(const CellPlan& plan) {
    layout::Geometry geometry{};
    geometry.total_bytes = plan.pool_offset + plan.pool_bytes;
    geometry.values[layout::kCellMaxBytes] = plan.max_bytes;
    geometry.values[layout::kCellSlots] = plan.slots;
    geometry.values[layout::kCellPoolOffset] = plan.pool_offset;
    return geometry;
  }
  // Recomputes the plan from a segment's geometry; no offset is taken on trust.
  static Result<CellPlan> judge(const layout::Geometry& found, const std::string& name) {
    auto plan = plan_cell(found.values[layout::kCellMaxBytes], found.values[layout::kCellSlots]);
    if (!plan.ok() || found.values[layout::kCellPoolOffset] != plan.value().pool_offset ||
        found.total_bytes != plan.value().pool_offset + plan.value().pool_bytes) {
      return make_error(Code::corrupt, "cell '" + name + "' has an impossible geometry; remove it");
    }
    return plan;
  }
  template <typename Spec>  // of a writer or a reader
  static SegmentSpec spec_of(const Spec& spec) {
    SegmentSpec wanted;
    wanted.kind = layout::Kind::cell;
    wanted.letter = 'c';
    wanted.place = spec.place;
    wanted.mode = spec.mode;
    wanted.owner = spec.owner;
    wanted.schema = spec.schema;
    wanted.bury = bury_all;
    return wanted;
  }
  // Removes the doorbells of dead holders. Only under the lifecycle lock, when nobody else is alive.
  static void bury_all(const Segment& stale) {
    stale.bury(*stale.at<layout::RoleRecord>(layout::kRolesOffset));
    const auto* lanes = stale.at<layout::CellLane>(layout::kCellLanesOffset);
    for (std::uint32_t lane = 0; lane < layout::kCellLanes; ++lane)
      stale.bury(lanes[lane].role);
  }

  // Maps the values: shared for the writer, privately for readers.
  Result<void> bind(Segment segment, const CellPlan& plan, bool writable) {
    auto mapped = writable ? segment.map_shared(plan.pool_offset, plan.pool_bytes)
                           : segment.map_private(plan.pool_offset, plan.pool_bytes);
    if (!mapped.ok()) {
      if (segment.created()) segment.unlink();
      return mapped.error();
    }
    segment_ = std::move(segment);
    plan_ = plan;
    pool_ = mapped.take();
    return {};
  }
  // Removes the name, if nobody is left and nobody wanted it kept. Under the lifecycle lock.
  void remove_if_last() {
    if (segment_.anyone_else()) return;
    bury_all(segment_);
    if (!segment_.kept()) segment_.unlink();
  }
  // Leaves it without touching it if that must not be touched.
  [[nodiscard]] bool forsaken() noexcept {
    if (segment_.intact()) return false;
    pool_.reset();
    segment_.forsake();
    return true;
  }
  void reset() noexcept {
    pool_.reset();
    segment_ = Segment();
  }

  [[nodiscard]] Segment& segment() noexcept { return segment_; }
  [[nodiscard]] const Segment& segment() const noexcept { return segment_; }
  [[nodiscard]] const CellPlan& plan() const noexcept { return plan_; }
  [[nodiscard]] const os::MappingPtr& pool() const noexcept { return pool_; }
  [[nodiscard]] layout::RoleRecord& writer_record() const noexcept {
    return *segment_.at<layout::RoleRecord>(layout::kRolesOffset);
  }
  [[nodiscard]] layout::CellControl& control() const noexcept {
    return *segment_.at<layout::CellControl>(layout::kCellControlOffset);
  }
  [[nodiscard]] layout::CellLane& lane(std::uint32_t index) const noexcept {
    return segment_.at<layout::CellLane>(layout::kCellLanesOffset)[index];
  }
  [[nodiscard]] std::uint64_t slot_of(std::uint64_t version) const noexcept {
    return version % plan_.slots;
  }
  [[nodiscard]] layout::CellSlot& slot(std::uint64_t index) const noexcept {
    return segment_.at<layout::CellSlot>(layout::kCellSlotsOffset)[index];
  }
  [[nodiscard]] SharedWord* words(std::uint64_t index) const noexcept {
    return reinterpret_cast<SharedWord*>(pool_->data() + plan_.stride * index);
  }

 private:
  Segment segment_;
  CellPlan plan_;
  os::MappingPtr pool_;
};

}  // namespace millrace::detail
