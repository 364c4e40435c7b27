// Where the parts of topics are in this process: the layout as pointers. Indices are the caller's to check.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "../layout/topics.hpp"
#include "../words.hpp"
#include "shape.hpp"

namespace millrace {

class TopicMemory {
 public:
  TopicMemory() = default;
  // `base`: the segment's first byte, mapped as far as shape.data_at(); `data`: the rest. `seed`: of the segment, random.
  TopicMemory(std::byte* base, std::byte* data, const TopicShape& shape,
              std::uint64_t seed) noexcept
      : shape_(shape),
        seed_(seed),
        data_(data),
        control_(at<layout::TopicControl>(base, shape.control_at())),
        seats_(at<layout::TopicSeat>(base, shape.seat_records_at())),
        lines_(at<layout::WaitLine>(base, shape.wait_lines_at())),
        entries_(at<layout::Entry>(base, shape.entries_at())),
        rows_(at<std::atomic<std::uint64_t>>(base, shape.rows_at())),
        subjects_(at<layout::SubjectRecord>(base, shape.subject_records_at())),
        buckets_(at<std::atomic<std::uint32_t>>(base, shape.buckets_at())),
        texts_(at<layout::SubjectText>(base, shape.texts_at())),
        filters_(at<layout::FilterText>(base, shape.filters_at())),
        cells_(at<layout::TopicCell>(base, shape.cells_at())),
        slots_(at<layout::TopicSlot>(base, shape.slots_at())),
        free_groups_(at<std::atomic<std::uint64_t>>(base, shape.free_groups_at())),
        owners_(at<std::atomic<std::uint64_t>>(base, shape.owners_at())) {}

  [[nodiscard]] const TopicShape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
  [[nodiscard]] layout::TopicControl& control() const noexcept { return *control_; }
  [[nodiscard]] layout::TopicSeat& seat(std::uint32_t index) const noexcept {
    return seats_[index];
  }
  [[nodiscard]] layout::WaitLine& line(std::uint32_t seat) const noexcept { return lines_[seat]; }
  [[nodiscard]] layout::Entry& entry(std::uint32_t index) const noexcept { return entries_[index]; }
  // Of a subject: shape().row_words() words.
  [[nodiscard]] std::atomic<std::uint64_t>* row(std::uint32_t subject) const noexcept {
    return rows_ + std::uint64_t{subject} * shape_.row_words();
  }
  [[nodiscard]] layout::SubjectRecord& subject(std::uint32_t index) const noexcept {
    return subjects_[index];
  }
  [[nodiscard]] std::atomic<std::uint32_t>* buckets() const noexcept { return buckets_; }
  [[nodiscard]] layout::SubjectText& text(std::uint32_t subject) const noexcept {
    return texts_[subject];
  }
  [[nodiscard]] layout::FilterText& filters(std::uint32_t entry) const noexcept {
    return filters_[entry];
  }
  [[nodiscard]] std::atomic<std::uint64_t>& cell(std::uint64_t index) const noexcept {
    return cells_[index & (shape_.messages - 1)].word;
  }
  [[nodiscard]] layout::TopicSlot& slot(std::uint32_t index) const noexcept {
    return slots_[index];
  }
  [[nodiscard]] std::atomic<std::uint64_t>* free_groups() const noexcept { return free_groups_; }
  [[nodiscard]] std::atomic<std::uint64_t>* owners() const noexcept { return owners_; }
  [[nodiscard]] std::byte* data() const noexcept { return data_; }

  // How many subjects there are, whatever the segment says. acquire: pairs with the release of who made the last one.
  [[nodiscard]] std::uint32_t subject_count() const noexcept {
    const std::uint32_t count = control_->subjects.load(std::memory_order_acquire);
    return count < shape_.subjects ? count : shape_.subjects;
  }
  // Small messages of that slot are going to be written. With thousands of subjects each has a slot that nobody has touched for long.
  void expect_bytes(std::uint32_t slot) const noexcept {
    __builtin_prefetch(data_ + std::uint64_t{slot} * layout::kTopicInlineBytes, 1);
  }
  // Of a message, from the beginning of the data.
  [[nodiscard]] std::uint64_t message_at(std::uint32_t slot, std::uint32_t granules,
                                         std::uint32_t granule) const noexcept {
    if (granules == 0) return std::uint64_t{slot} * layout::kTopicInlineBytes;
    return shape_.granules_at() + std::uint64_t{granule} * layout::kGranuleBytes;
  }
  [[nodiscard]] SharedWord* words_at(std::uint64_t offset) const noexcept {
    return reinterpret_cast<SharedWord*>(data_ + offset);
  }

 private:
  template <typename T>
  static T* at(std::byte* base, std::uint64_t offset) noexcept {
    return reinterpret_cast<T*>(base + offset);
  }

  TopicShape shape_;
  std::uint64_t seed_ = 0;
  std::byte* data_ = nullptr;
  layout::TopicControl* control_ = nullptr;
  layout::TopicSeat* seats_ = nullptr;
  layout::WaitLine* lines_ = nullptr;
  layout::Entry* entries_ = nullptr;
  std::atomic<std::uint64_t>* rows_ = nullptr;
  layout::SubjectRecord* subjects_ = nullptr;
  std::atomic<std::uint32_t>* buckets_ = nullptr;
  layout::SubjectText* texts_ = nullptr;
  layout::FilterText* filters_ = nullptr;
  layout::TopicCell* cells_ = nullptr;
  layout::TopicSlot* slots_ = nullptr;
  std::atomic<std::uint64_t>* free_groups_ = nullptr;
  std::atomic<std::uint64_t>* owners_ = nullptr;
};

}  // namespace millrace
