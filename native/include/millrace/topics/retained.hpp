// What a new subscription gets of what was there: the last message of each subject that it is interested in, as of its join. They are
// copied while it joins, into memory of its own, so nobody's room is kept by who is slow to read them.
//
//   (P1) the position is the log's tail, or the floor if that was raised further while the subscription joined: what is behind it
//        stays until it is read there (entries.hpp)
//   (P2) for each message before it that is in the log: the last message of its subject, as who evicts does (keeping.hpp)
//   (P3) each subject's last message: copied  (P4) acquire fence, the last message once more
//
// A message before the position was committed before (P1). Either it is in the log still, and (P2) sees to it that no older one is its
// subject's last; or it was evicted, and who did so has seen to that. So (P3) finds the newest one before the position, or one behind
// the position, which is read in the log: nothing twice, and nothing between them is lost. (P4) as (R3) in reading.hpp: a slot is used
// again only after its message was the last no longer, and who writes there has fenced since.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "../compact_sort.hpp"
#include "../crash_point.hpp"
#include "../words.hpp"
#include "entries.hpp"
#include "facts.hpp"
#include "keeping.hpp"
#include "log.hpp"
#include "memory.hpp"
#include "reading.hpp"

namespace millrace {

// Of one subscription, in the order of the log.
class TopicRetained {
 public:
  [[nodiscard]] bool empty() const noexcept { return next_ == messages_.size(); }
  // The size of the next one, headers included. Only if there is one.
  [[nodiscard]] std::uint64_t next_bytes() const noexcept { return bytes_of(messages_[next_]); }

  // (P2) to (P4), by whoever has just joined at that position.
  void collect(const TopicMemory& memory, std::uint32_t entry, std::uint64_t position,
               TopicKeeping& keeping, TopicLog& log, const TopicEntries& entries,
               const TopicReading& reading) {
    drop();
    // No more than there can be, whatever the segment says.
    const std::uint64_t first = position - std::min<std::uint64_t>(position, log.capacity());
    for (std::uint64_t at = std::max(log.head(), first); at < position; ++at) {
      const std::uint64_t cell = log.cell(at, std::memory_order_seq_cst);
      if (log.age_of(cell, at) != TopicLog::Age::full) continue;
      const std::uint32_t slot = layout::slot_of_topic_cell(cell);
      if (slot < memory.shape().slots()) keeping.help_last(slot, at, cell);
    }
    MILLRACE_CRASH_POINT("topics.retained.helped");
    const std::uint32_t subjects = memory.subject_count();
    for (std::uint32_t subject = 0; subject < subjects; ++subject)
      if (entries.wants(entry, subject)) copy(memory, subject, position, reading);
    compact_sort(messages_, [](const TopicMessage& one, const TopicMessage& other) {
      return one.index < other.index;
    });
  }
  // The next ones, `most` at most, as far as there is room for them.
  std::uint32_t read(TopicMessage* to, std::uint32_t most, std::span<std::byte> target) noexcept {
    std::uint32_t count = 0;
    std::uint64_t used = 0;
    for (; count < most && !empty(); ++count, ++next_) {
      const TopicMessage& its = messages_[next_];
      const std::uint64_t bytes = bytes_of(its);
      if (bytes > target.size() - used) break;
      if (bytes != 0) std::copy_n(bytes_.data() + its.at, bytes, target.data() + used);
      to[count] = its;
      to[count].at = used;
      used = std::min<std::uint64_t>(padded(used + bytes), target.size());
    }
    if (empty()) drop();
    return count;
  }
  void drop() noexcept {
    messages_ = {};
    bytes_ = {};
    next_ = 0;
  }

 private:
  // New ones come quicker than they are copied: then they are behind the position.
  static constexpr int kTries = 64;

  static std::uint64_t padded(std::uint64_t bytes) noexcept { return (bytes + 7) / 8 * 8; }
  static std::uint64_t bytes_of(const TopicMessage& message) noexcept {
    return message.headers_length == 0 ? message.length
                                       : padded(message.length) + message.headers_length;
  }

  void copy(const TopicMemory& memory, std::uint32_t subject, std::uint64_t position,
            const TopicReading& reading) {
    const auto& last = memory.subject(subject).last;
    const std::size_t begin = padded(bytes_.size());
    for (int tries = 0; tries < kTries; ++tries) {
      // (P3) seq_cst: after those of (P2).
      const std::uint64_t found = last.load(std::memory_order_seq_cst);
      const std::uint64_t number = layout::number_of_last(found);
      const std::uint32_t slot = layout::slot_of_last(found);
      if (number == 0 || number > position || slot >= memory.shape().slots()) return;
      const TopicReading::Facts facts = reading.facts_of(slot);
      MILLRACE_CRASH_POINT("topics.retained.found");
      bytes_.resize(begin);
      if (facts.valid && facts.subject == subject) {
        bytes_.resize(begin + facts.bytes());
        copy_from_shared(bytes_.data() + begin, memory.words_at(facts.at), facts.bytes());
      }
      // (P4) Pairs with the fence of who claims the slot next (slots.hpp).
      std::atomic_thread_fence(std::memory_order_acquire);
      if (last.load(std::memory_order_relaxed) != found) continue;
      if (!facts.valid || facts.subject != subject) return;  // a lie
      TopicMessage message;
      message.index = number - 1;
      message.subject = subject;
      message.at = begin;
      message.length = facts.length;
      message.headers_length = facts.headers_length;
      message.published_at = facts.published_at;
      messages_.push_back(message);
      return;
    }
  }

  std::vector<TopicMessage> messages_;
  std::vector<std::byte> bytes_;
  std::size_t next_ = 0;
};

}  // namespace millrace
