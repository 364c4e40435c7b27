// Where the parts of a work queue are in this process: the layout as pointers. Indices are the caller's to check.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "../layout/work.hpp"
#include "shape.hpp"

namespace millrace {

class WorkMemory {
 public:
  WorkMemory() = default;
  // `base`: the segment's first byte, mapped as far as shape.data_at(); `data`: the rest.
  WorkMemory(std::byte* base, std::byte* data, const WorkShape& shape) noexcept
      : shape_(shape),
        capacity_(shape.capacity()),
        data_(data),
        control_(at<layout::WorkControl>(base, shape.control_at())),
        returned_(at<std::atomic<std::uint64_t>>(base, shape.returned_at())),
        free_groups_(at<std::atomic<std::uint64_t>>(base, shape.free_groups_at())),
        due_groups_(at<std::atomic<std::uint64_t>>(base, shape.due_groups_at())),
        ring_ends_(at<layout::RingEnds>(base, shape.ring_ends_at())),
        cells_(at<layout::Cell>(base, shape.cells_at())),
        links_(at<layout::WorkLink>(base, shape.links_at())),
        slots_(at<layout::Slot>(base, shape.slots_at())),
        notes_(at<layout::Note>(base, shape.notes_at())),
        keys_(at<layout::KeyBucket>(base, shape.keys_at())),
        groups_(at<layout::GroupBucket>(base, shape.groups_at())),
        owners_(at<std::atomic<std::uint64_t>>(base, shape.owners_at())),
        stage_names_(at<layout::StageName>(base, shape.stage_names_at())),
        order_(at<layout::OrderControl>(base, shape.order_at())),
        order_ring_(at<std::atomic<std::uint64_t>>(base, shape.order_ring_at())) {}

  [[nodiscard]] const WorkShape& shape() const noexcept { return shape_; }
  [[nodiscard]] layout::WorkControl& control() const noexcept { return *control_; }
  [[nodiscard]] std::atomic<std::uint64_t>* returned() const noexcept { return returned_; }
  [[nodiscard]] std::atomic<std::uint64_t>* free_groups() const noexcept { return free_groups_; }
  [[nodiscard]] std::atomic<std::uint64_t>* due_groups() const noexcept { return due_groups_; }
  [[nodiscard]] layout::RingEnds& ring_ends(std::uint32_t lane) const noexcept {
    return ring_ends_[lane];
  }
  [[nodiscard]] layout::Cell* cells(std::uint32_t lane) const noexcept {
    return cells_ + std::uint64_t{lane} * capacity_;
  }
  [[nodiscard]] layout::WorkLink* links() const noexcept { return links_; }
  [[nodiscard]] layout::Slot& slot(std::uint32_t index) const noexcept { return slots_[index]; }
  [[nodiscard]] layout::Slot* all_slots() const noexcept { return slots_; }
  [[nodiscard]] layout::Note& note(std::uint32_t index) const noexcept { return notes_[index]; }
  [[nodiscard]] layout::KeyBucket* keys() const noexcept { return keys_; }
  [[nodiscard]] layout::GroupBucket* groups() const noexcept { return groups_; }
  [[nodiscard]] std::atomic<std::uint64_t>* owners() const noexcept { return owners_; }

  // Of a pipeline.
  [[nodiscard]] layout::StageName* stage_names() const noexcept { return stage_names_; }
  // Where there are ordered stages.
  [[nodiscard]] layout::OrderControl& order(std::uint32_t stage) const noexcept {
    return order_[stage];
  }
  [[nodiscard]] std::atomic<std::uint64_t>* order_ring() const noexcept { return order_ring_; }

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::uint32_t lane(std::uint32_t stage, std::uint32_t level) const noexcept {
    return stage * shape_.levels + level;
  }
  // Of the slot's payload, from the beginning of the data. A slot that lies leads somewhere inside it: see WorkQueue::facts.
  [[nodiscard]] std::uint64_t payload_at(std::uint32_t index, std::uint32_t granules,
                                         std::uint32_t granule) const noexcept {
    if (granules == 0) return std::uint64_t{index} * layout::kInlineBytes;
    return shape_.granules_at() + std::uint64_t{granule} * layout::kGranuleBytes +
           shape_.head_bytes();
  }

 private:
  template <typename T>
  static T* at(std::byte* base, std::uint64_t offset) noexcept {
    return reinterpret_cast<T*>(base + offset);
  }

  WorkShape shape_;
  std::uint32_t capacity_ = 0;  // of each ring
  std::byte* data_ = nullptr;
  layout::WorkControl* control_ = nullptr;
  std::atomic<std::uint64_t>* returned_ = nullptr;
  std::atomic<std::uint64_t>* free_groups_ = nullptr;
  std::atomic<std::uint64_t>* due_groups_ = nullptr;
  layout::RingEnds* ring_ends_ = nullptr;
  layout::Cell* cells_ = nullptr;
  layout::WorkLink* links_ = nullptr;
  layout::Slot* slots_ = nullptr;
  layout::Note* notes_ = nullptr;
  layout::KeyBucket* keys_ = nullptr;
  layout::GroupBucket* groups_ = nullptr;
  std::atomic<std::uint64_t>* owners_ = nullptr;
  layout::StageName* stage_names_ = nullptr;
  layout::OrderControl* order_ = nullptr;
  std::atomic<std::uint64_t>* order_ring_ = nullptr;
};

}  // namespace millrace
