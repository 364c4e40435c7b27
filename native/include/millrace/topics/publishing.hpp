// Publishing: a slot and granules, what is written there, the commit, and room for all of these.
//
// Room. First the oldest messages go, as far as every subscription allows (entries.hpp). Then of the last messages of subjects that
// are no longer in the log the oldest. Then there is none, until a reader reads.
//
// A publisher that dies before the commit has published nothing, and its slot and granules are freed by whoever buries it. Dead after
// it, it has published: what it may have left out is the last message of the subject, which who evicts and who buries make good,
// and to wake who sleeps, which who buries does.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "../crash_point.hpp"
#include "../words.hpp"
#include "entries.hpp"
#include "facts.hpp"
#include "keeping.hpp"
#include "log.hpp"
#include "memory.hpp"

namespace millrace {

class TopicPublishing {
 public:
  TopicPublishing() = default;
  TopicPublishing(const TopicMemory& memory, std::uint16_t seat, std::uint32_t pid,
                  TopicKeeping& keeping, TopicLog& log, TopicEntries& entries) noexcept
      : memory_(&memory),
        seat_(seat),
        pid_(pid),
        keeping_(&keeping),
        log_(&log),
        entries_(&entries) {}

  [[nodiscard]] static std::uint64_t padded(std::uint64_t bytes) noexcept {
    return (bytes + 7) / 8 * 8;
  }
  [[nodiscard]] static std::uint64_t room_of(std::uint64_t bytes, std::uint64_t headers) noexcept {
    return headers == 0 ? bytes : padded(bytes) + headers;
  }

  // A slot of ours, and memory for so many bytes in all.
  Published reserve(std::uint32_t subject, std::uint64_t bytes, std::uint64_t headers,
                    TopicLoan& loan) noexcept {
    if (subject >= memory_->subject_count()) return Published::bad_subject;
    if (headers > layout::kTopicHeadersMost || bytes > memory_->shape().largest() ||
        room_of(bytes, headers) > memory_->shape().largest()) {
      return Published::too_large;
    }
    const std::uint64_t room = room_of(bytes, headers);
    auto claim = keeping_->slots().claim();
    while (!claim) {
      if (!make_space()) return Published::full;
      claim = keeping_->slots().claim();
    }
    loan = TopicLoan{};
    loan.slot = claim->slot;
    loan.word = pack(claim->word);
    loan.subject = subject;
    loan.room = layout::kTopicInlineBytes;
    layout::TopicSlot& its = memory_->slot(loan.slot);
    // relaxed, as all of what is written to a slot: the commit publishes it.
    its.granules.store(0, std::memory_order_relaxed);
    if (room > layout::kTopicInlineBytes) {
      const auto granules =
          static_cast<std::uint32_t>((room + layout::kGranuleBytes - 1) / layout::kGranuleBytes);
      auto first = keeping_->arena().claim(loan.slot, claim->word.token, granules);
      while (!first) {
        if (!make_space(granules)) {
          (void)cancel(loan);
          return Published::full;
        }
        first = keeping_->arena().claim(loan.slot, claim->word.token, granules);
      }
      MILLRACE_CRASH_POINT("topics.reserve.granules");
      loan.granule = *first;
      loan.granules = granules;
      loan.room = std::uint64_t{granules} * layout::kGranuleBytes;
      its.granule.store(loan.granule, std::memory_order_relaxed);
      its.granules.store(loan.granules, std::memory_order_relaxed);
    }
    loan.at = memory_->message_at(loan.slot, loan.granules, loan.granule);
    return Published::yes;
  }
  // True: that made room.
  bool cancel(TopicLoan& loan) noexcept {
    if (!loan) return false;
    const bool done = keeping_->cancel(loan.slot, loan.word, loan.granule, loan.granules);
    loan = TopicLoan{};
    return done;
  }
  // What was written there becomes a message of that time.
  Published publish(TopicLoan& loan, std::uint64_t length, std::span<const std::byte> headers,
                    std::uint64_t time_ns, std::uint64_t& index) noexcept {
    if (!loan || length > loan.room || headers.size() > layout::kTopicHeadersMost ||
        room_of(length, headers.size()) > loan.room) {
      return Published::too_large;
    }
    layout::TopicSlot& its = memory_->slot(loan.slot);
    its.subject.store(loan.subject, std::memory_order_relaxed);
    its.length.store(static_cast<std::uint32_t>(length), std::memory_order_relaxed);
    its.headers_length.store(static_cast<std::uint32_t>(headers.size()), std::memory_order_relaxed);
    its.published_at.store(time_ns, std::memory_order_relaxed);
    its.publisher.store(pid_, std::memory_order_relaxed);
    if (!headers.empty())
      copy_to_shared(memory_->words_at(loan.at + padded(length)), headers.data(), headers.size());
    const std::uint32_t token = layout::unpack_topic(loan.word).token;
    if (!entries_->has_depth(loan.subject)) return Published::full;
    for (std::uint32_t tries = 0; tries < kTries; ++tries) {
      switch (log_->commit(loan.slot, token, index)) {
        case TopicLog::Commit::yes:
          keeping_->make_last(loan.slot, loan.subject, index);
          MILLRACE_CRASH_POINT("topics.publish.last");
          loan = TopicLoan{};
          return Published::yes;
        case TopicLog::Commit::full:
          if (!evict(index - log_->capacity())) return Published::full;
          break;
        case TopicLog::Commit::damaged:
          return Published::full;
      }
    }
    return Published::full;
  }
  // Is there a place in the log for one more, or can one be made? For who does not want to copy in vain.
  [[nodiscard]] bool make_place(std::uint32_t subject) noexcept {
    if (subject < memory_->subject_count() && !entries_->has_depth(subject)) return false;
    const std::uint64_t tail = log_->tail();
    const std::uint64_t found = log_->cell(tail, std::memory_order_acquire);
    if (log_->age_of(found, tail) != TopicLog::Age::earlier) return true;
    return evict(tail - log_->capacity());
  }

 private:
  // Others fill what we emptied; each time that is somebody's progress.
  static constexpr std::uint32_t kTries = 4096;

  bool evict(std::uint64_t index) noexcept {
    if (!entries_->may_evict(index)) return false;
    log_->evict(index);
    count(layout::TopicCount::evicted);
    return true;
  }
  // Frees something: a slot, or some granules, by and by.
  bool make_space() noexcept {
    const std::uint64_t head = log_->head();
    const std::uint64_t found = log_->cell(head, std::memory_order_acquire);
    if (log_->age_of(found, head) == TopicLog::Age::full && evict(head)) return true;
    if (!keeping_->drop_retained(head)) return false;
    count(layout::TopicCount::retained_dropped);
    return true;
  }
  // The same until so many granules have been freed by us: a search for them is dear.
  bool make_space(std::uint32_t granules) noexcept {
    const std::uint64_t before = keeping_->freed_granules();
    bool some = false;
    while (keeping_->freed_granules() - before < granules && make_space())
      some = true;
    return some;
  }
  void count(layout::TopicCount what) const noexcept {
    auto& counter = memory_->seat(seat_).counters[static_cast<std::size_t>(what)];
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  const TopicMemory* memory_ = nullptr;
  std::uint16_t seat_ = 0;
  std::uint32_t pid_ = 0;
  TopicKeeping* keeping_ = nullptr;
  TopicLog* log_ = nullptr;
  TopicEntries* entries_ = nullptr;
};

}  // namespace millrace
