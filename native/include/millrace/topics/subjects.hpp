// Subjects: each text has a number, for as long as there are these topics. The table only grows. It is looked at without a lock; who
// makes a subject does so under TopicControl::subjects_lock, as who joins or leaves:
//
//   record, text and row of the next number ─► counted ─► in its bucket
//
// The row has a bit for each entry whose filters match. As entries begin to join, and leave, under the same lock, none is forgotten: who
// joins sees to the subjects that were counted before (interest.hpp). Whoever dies before the subject is counted has made none; after
// that its undertaker puts it into its bucket.
//
// A subject is known by a hash of 128 bits with a key of the segment's own (store/id_hash.hpp); nothing else of it is compared.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "../crash_point.hpp"
#include "../failure.hpp"
#include "../result.hpp"
#include "../store/id_hash.hpp"
#include "../store/seat_lock.hpp"
#include "../words.hpp"
#include "filters.hpp"
#include "memory.hpp"

namespace millrace {

namespace detail {

// The filters of an entry, as they are in the segment: copied, as anybody may write there.
class FilterTexts {
 public:
  FilterTexts(const TopicMemory& memory, std::uint32_t entry) noexcept {
    const layout::Entry& its = memory.entry(entry);
    const std::uint32_t count = its.filters.load(std::memory_order_relaxed);
    const std::uint32_t bytes = its.filter_bytes.load(std::memory_order_relaxed);
    if (bytes > layout::kFilterMost) return;
    copy_from_shared(reinterpret_cast<std::byte*>(text_.data()), memory.filters(entry).words,
                     bytes);
    std::string_view left(text_.data(), bytes);
    while (count_ < count && count_ < layout::kFiltersMost) {
      const std::size_t end = left.find('\0');
      if (end == std::string_view::npos) return;
      filters_[count_++] = left.substr(0, end);
      left.remove_prefix(end + 1);
    }
  }
  FilterTexts(const FilterTexts&) = delete;
  FilterTexts& operator=(const FilterTexts&) = delete;

  [[nodiscard]] bool match(std::string_view subject) const noexcept {
    for (std::uint32_t i = 0; i < count_; ++i)
      if (matches(filters_[i], subject)) return true;
    return false;
  }

 private:
  std::uint32_t count_ = 0;
  std::array<std::string_view, layout::kFiltersMost> filters_;
  // Not set up: who makes a subject copies those of all entries, and most are short.
  std::array<char, layout::kFilterMost> text_;  // NOLINT(cppcoreguidelines-pro-type-member-init)
};

// The text of a subject, whose length is judged.
class TextOfSubject {
 public:
  TextOfSubject(const TopicMemory& memory, std::uint32_t subject) noexcept {
    const std::uint32_t length = memory.subject(subject).length.load(std::memory_order_relaxed);
    if (length > layout::kSubjectMost) return;
    length_ = length;
    copy_from_shared(reinterpret_cast<std::byte*>(text_.data()), memory.text(subject).words,
                     length);
  }
  [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), length_}; }

 private:
  std::uint32_t length_ = 0;
  std::array<char, layout::kSubjectMost + 1>
      text_;  // NOLINT(cppcoreguidelines-pro-type-member-init)
};

// Puts a subject into its bucket, unless it is there. Under the lock.
inline void link_subject(const TopicMemory& memory, std::uint32_t subject) noexcept {
  layout::SubjectRecord& its = memory.subject(subject);
  auto& bucket =
      memory
          .buckets()[its.hash[0].load(std::memory_order_relaxed) & (memory.shape().buckets() - 1)];
  const std::uint32_t first = bucket.load(std::memory_order_relaxed);
  std::uint32_t at = first;
  for (std::uint32_t i = 0; i < memory.shape().subjects && at != 0; ++i) {
    if (at == subject + 1) return;
    if (at > memory.shape().subjects) break;
    at = memory.subject(at - 1).next.load(std::memory_order_relaxed);
  }
  its.next.store(first, std::memory_order_relaxed);
  // release: pairs with the acquire of find().
  bucket.store(subject + 1, std::memory_order_release);
}

}  // namespace detail

class Subjects {
 public:
  Subjects(const TopicMemory& memory, std::uint16_t seat) : memory_(&memory), seat_(seat) {}

  Result<std::uint32_t> intern(std::string_view text) {
    known_text_.assign(text);
    if (const auto known = known_.find(known_text_); known != known_.end()) return known->second;
    if (const auto flaw = flaw_of_subject(text))
      return make_error(Code::invalid_argument, why_no_text("subject", text, *flaw));
    const IdHash hash = id_hash(text, memory_->seed(), kUse);
    std::uint32_t subject = find(hash);
    if (subject == kNone) {
      auto made = make(text, hash);
      if (!made.ok()) return made;
      subject = made.value();
    }
    known_.emplace(known_text_, subject);
    return subject;
  }
  [[nodiscard]] std::string text(std::uint32_t subject) const {
    return subject < memory_->subject_count()
               ? std::string(detail::TextOfSubject(*memory_, subject).view())
               : std::string();
  }

 private:
  static constexpr std::uint32_t kNone = ~0U;
  static constexpr std::uint64_t kUse = 3;  // of the hash; jobs' ids and groups have others

  [[nodiscard]] std::uint32_t find(const IdHash& hash) const noexcept {
    // acquire, both: pair with the release of link_subject(): the record is there.
    std::uint32_t at = memory_->buckets()[hash.low & (memory_->shape().buckets() - 1)].load(
        std::memory_order_acquire);
    const std::uint32_t count = memory_->subject_count();
    for (std::uint32_t i = 0; i <= count && at != 0 && at <= count; ++i) {
      const layout::SubjectRecord& its = memory_->subject(at - 1);
      if (its.hash[0].load(std::memory_order_relaxed) == hash.low &&
          its.hash[1].load(std::memory_order_relaxed) == hash.high) {
        return at - 1;
      }
      at = its.next.load(std::memory_order_acquire);
    }
    return kNone;
  }
  Result<std::uint32_t> make(std::string_view text, const IdHash& hash) {
    MILLRACE_CRASH_POINT("topics.subject.unknown");
    const SeatLockHold held = SeatLockHold::lock(memory_->control().subjects_lock, seat_);
    if (!held) {
      return make_error(Code::timeout,
                        "somebody else is in the middle of making a subject: try again");
    }
    if (const std::uint32_t subject = find(hash); subject != kNone) return subject;
    const std::uint32_t subject = memory_->control().subjects.load(std::memory_order_relaxed);
    if (subject >= memory_->shape().subjects) {
      return make_error(Code::no_lane,
                        "there are " + std::to_string(memory_->shape().subjects) +
                            " subjects, as many as there may be: let whoever creates the topics "
                            "state more `subjects`, or publish under fewer");
    }
    layout::SubjectRecord& its = memory_->subject(subject);
    its.last.store(0, std::memory_order_relaxed);
    its.hash[0].store(hash.low, std::memory_order_relaxed);
    its.hash[1].store(hash.high, std::memory_order_relaxed);
    its.length.store(static_cast<std::uint32_t>(text.size()), std::memory_order_relaxed);
    copy_to_shared(memory_->text(subject).words, reinterpret_cast<const std::byte*>(text.data()),
                   text.size());
    MILLRACE_CRASH_POINT("topics.subject.written");
    for (std::uint32_t word = 0; word < memory_->shape().row_words(); ++word)
      memory_->row(subject)[word].store(interested(word, text), std::memory_order_relaxed);
    // release: pairs with the acquire of subject_count().
    memory_->control().subjects.store(subject + 1, std::memory_order_release);
    MILLRACE_CRASH_POINT("topics.subject.counted");
    detail::link_subject(*memory_, subject);
    MILLRACE_CRASH_POINT("topics.subject.linked");
    return subject;
  }
  // Of 64 entries those whose filters match.
  [[nodiscard]] std::uint64_t interested(std::uint32_t word, std::string_view text) const noexcept {
    std::uint64_t bits = 0;
    for (std::uint32_t bit = 0; bit < 64; ++bit) {
      const std::uint32_t entry = word * 64 + bit;
      if (entry >= memory_->shape().subscriptions) break;
      const auto info =
          layout::unpack_entry(memory_->entry(entry).info.load(std::memory_order_relaxed));
      if (info.state != layout::EntryState::live && info.state != layout::EntryState::joining)
        continue;
      if (detail::FilterTexts(*memory_, entry).match(text)) bits |= 1ULL << bit;
    }
    return bits;
  }

  const TopicMemory* memory_;
  std::uint16_t seat_;
  std::unordered_map<std::string, std::uint32_t> known_;
  std::string known_text_;
};

}  // namespace millrace
