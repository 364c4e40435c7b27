// How large topics are, and where each part of them lies. Everything follows from the geometry in the header; what is read there
// was judged before (judged()).
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <iterator>
#include <optional>

#include "../layout/topics.hpp"
#include "../os/mapping.hpp"

namespace millrace {

struct TopicShape {
  std::uint32_t seats = 64;
  std::uint32_t subscriptions = 64;
  std::uint32_t subjects = 1024;
  std::uint32_t messages = 1024;  // a power of two
  std::uint64_t bytes =
      std::uint64_t{512} * 1024;  // for messages that do not fit beside their slots

  friend bool operator==(const TopicShape&, const TopicShape&) = default;

  [[nodiscard]] std::uint32_t slots() const noexcept { return messages + subjects; }
  [[nodiscard]] std::uint32_t slot_groups() const noexcept { return (slots() + 63) / 64; }
  [[nodiscard]] std::uint32_t granules() const noexcept {
    return static_cast<std::uint32_t>(bytes / layout::kGranuleBytes);
  }
  [[nodiscard]] std::uint32_t seat_words() const noexcept { return (seats + 63) / 64; }
  // Of a row: a bit for each subscription.
  [[nodiscard]] std::uint32_t row_words() const noexcept { return (subscriptions + 63) / 64; }
  [[nodiscard]] std::uint32_t buckets() const noexcept { return std::bit_ceil(subjects); }

  [[nodiscard]] std::uint64_t control_at() const noexcept {
    return lines(layout::kRolesOffset + std::uint64_t{seats} * sizeof(layout::RoleRecord));
  }
  [[nodiscard]] std::uint64_t seat_records_at() const noexcept {
    return control_at() + sizeof(layout::TopicControl);
  }
  [[nodiscard]] std::uint64_t wait_lines_at() const noexcept {
    return seat_records_at() + std::uint64_t{seats} * sizeof(layout::TopicSeat);
  }
  [[nodiscard]] std::uint64_t entries_at() const noexcept {
    return wait_lines_at() + std::uint64_t{seats} * sizeof(layout::WaitLine);
  }
  [[nodiscard]] std::uint64_t rows_at() const noexcept {
    return entries_at() + std::uint64_t{subscriptions} * sizeof(layout::Entry);
  }
  [[nodiscard]] std::uint64_t subject_records_at() const noexcept {
    return lines(rows_at() + std::uint64_t{subjects} * row_words() * 8);
  }
  [[nodiscard]] std::uint64_t buckets_at() const noexcept {
    return lines(subject_records_at() + std::uint64_t{subjects} * sizeof(layout::SubjectRecord));
  }
  [[nodiscard]] std::uint64_t texts_at() const noexcept {
    return lines(buckets_at() + std::uint64_t{buckets()} * 4);
  }
  [[nodiscard]] std::uint64_t filters_at() const noexcept {
    return lines(texts_at() + std::uint64_t{subjects} * sizeof(layout::SubjectText));
  }
  [[nodiscard]] std::uint64_t cells_at() const noexcept {
    return lines(filters_at() + std::uint64_t{subscriptions} * sizeof(layout::FilterText));
  }
  [[nodiscard]] std::uint64_t slots_at() const noexcept {
    return lines(cells_at() + std::uint64_t{messages} * sizeof(layout::TopicCell));
  }
  // A bit for each group of 64 slots.
  [[nodiscard]] std::uint64_t free_groups_at() const noexcept {
    return lines(slots_at() + std::uint64_t{slots()} * sizeof(layout::TopicSlot));
  }
  [[nodiscard]] std::uint64_t owners_at() const noexcept {
    return lines(free_groups_at() + std::uint64_t{(slot_groups() + 63) / 64} * 8);
  }
  // What JavaScript is shown of the segment begins here.
  [[nodiscard]] std::uint64_t data_at() const noexcept {
    return os::round_up(owners_at() + std::uint64_t{granules()} * 8, os::page_size());
  }
  // From the beginning of the data.
  [[nodiscard]] std::uint64_t granules_at() const noexcept {
    return os::round_up(std::uint64_t{slots()} * layout::kTopicInlineBytes, layout::kGranuleBytes);
  }
  [[nodiscard]] std::uint64_t data_bytes() const noexcept {
    return os::round_up(granules_at() + std::uint64_t{granules()} * layout::kGranuleBytes,
                        os::page_size());
  }
  [[nodiscard]] std::uint64_t total_bytes() const noexcept { return data_at() + data_bytes(); }
  // The largest message: payload and headers.
  [[nodiscard]] std::uint64_t largest() const noexcept {
    return std::max<std::uint64_t>(std::uint64_t{granules()} * layout::kGranuleBytes,
                                   layout::kTopicInlineBytes);
  }

  [[nodiscard]] layout::Geometry geometry() const noexcept {
    layout::Geometry geometry{};
    geometry.total_bytes = total_bytes();
    geometry.values[layout::kTopicSeats] = seats | std::uint64_t{subscriptions} << 32U;
    geometry.values[layout::kTopicMessages] = messages;
    geometry.values[layout::kTopicSubjects] = subjects;
    geometry.values[layout::kTopicBytes] = bytes;
    return geometry;
  }
  static TopicShape of(const layout::Geometry& geometry) noexcept {
    TopicShape shape;
    shape.seats = static_cast<std::uint32_t>(geometry.values[layout::kTopicSeats]);
    shape.subscriptions = static_cast<std::uint32_t>(geometry.values[layout::kTopicSeats] >> 32U);
    shape.messages = static_cast<std::uint32_t>(geometry.values[layout::kTopicMessages]);
    shape.subjects = static_cast<std::uint32_t>(geometry.values[layout::kTopicSubjects]);
    shape.bytes = geometry.values[layout::kTopicBytes];
    return shape;
  }
  // What a geometry says that somebody else wrote; nothing if no topics have it.
  static std::optional<TopicShape> judged(const layout::Geometry& geometry) noexcept {
    const TopicShape shape = of(geometry);
    if (shape.impossible() != nullptr) return std::nullopt;
    const layout::Geometry same = shape.geometry();
    const bool equal =
        same.total_bytes == geometry.total_bytes &&
        std::equal(std::begin(same.values), std::end(same.values), std::begin(geometry.values));
    return equal ? std::optional<TopicShape>(shape) : std::nullopt;
  }
  // Why there cannot be such topics, by the names that the options have for users; nothing if there can. Nothing is computed from
  // numbers that are too large for it.
  [[nodiscard]] const char* impossible() const noexcept {
    constexpr std::uint64_t most_bytes = 1ULL << 36U;
    if (seats < 1 || seats > layout::kMaxTopicSeats) return "`seats` must be from 1 to 512";
    if (subscriptions < 1 || subscriptions > layout::kMaxSubscriptions)
      return "`subscriptions` must be from 1 to 512";
    if (subjects < 1 || subjects > layout::kMaxSubjects)
      return "`subjects` must be from 1 to 65536";
    if (messages < 8 || messages > layout::kMaxMessages || !std::has_single_bit(messages))
      return "`messages` must be from 1 to 524288";
    if (bytes > most_bytes)
      return "`bytes` must be at most 68719476736 (64 GiB): take fewer, or keep large payloads "
             "elsewhere and publish where they are";
    return nullptr;
  }

 private:
  static constexpr std::uint64_t lines(std::uint64_t bytes) noexcept {
    return (bytes + layout::kLine - 1) / layout::kLine * layout::kLine;
  }
};

}  // namespace millrace
