// Reading an entry: copying messages out of the log, or pinning them, and moving the entry's position over them.
//
//   (R1) cell: which slot  (R2) copy  (R3) acquire fence, the cell once more  (R4) position, by compare-and-swap
//
// What was copied is the message if (R3) finds the cell as (R1) did: its slot is used again only after the cell was emptied, and
// who writes there has fenced since. It is the entry's to be delivered if (R4) succeeds: whoever evicts it under the entry has moved
// the position before, and has counted it; then all is thrown away, and read again. (R4) alone would not do: what was published
// before an entry had joined may be evicted without a look at it (entries.hpp).
//
// In place: the pin is stored before (R3), which is sequentially consistent then (keeping.hpp).
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

class TopicReading {
 public:
  TopicReading() = default;
  TopicReading(const TopicMemory& memory, TopicKeeping& keeping, TopicLog& log,
               TopicEntries& entries) noexcept
      : memory_(&memory), keeping_(&keeping), log_(&log), entries_(&entries) {}

  struct Outcome {
    std::uint32_t count = 0;
    bool moved = false;  // the position, from and to these
    std::uint64_t from = 0;
    std::uint64_t to = 0;
  };
  // `owed`: what the reader of this entry has not been told yet of what was missed; this call takes from it, or adds to it.
  // `marks`: TopicMarks of a reader that counts how long messages took, or none.
  template <typename... Marks>
  Outcome read(std::uint32_t entry, TopicMessage* to, std::uint32_t most,
               std::span<std::byte> target, bool in_place, std::uint64_t& owed,
               Marks&... marks) noexcept {
    layout::Entry& its = memory_->entry(entry);
    // All of the log, however often it is looked at anew; a position that somebody made up leads no further.
    std::uint64_t left = 4 * std::uint64_t{log_->capacity()} + kMostLooks;
    Outcome outcome;
    for (int tries = 0; tries < kTries; ++tries) {
      // acquire: pairs with who moved it.
      std::uint64_t bits = its.position.load(std::memory_order_acquire);
      layout::Position position = layout::unpack_position(bits);
      const std::uint64_t from = TopicEntries::index_of(position.at, log_->hint_of_tail());
      Walk walk{from, 0, 0, false};
      const std::uint64_t limit = from + kMostLooks;
      while (walk.count < most && walk.at < limit &&
             step(entry, to, target, in_place, walk, marks...)) {
      }
      MILLRACE_CRASH_POINT("topics.read.copied");
      if (walk.at != from) {
        const std::uint64_t missed = position.missed;
        position.at = walk.at & ((1ULL << layout::kPositionBits) - 1);
        position.missed = 0;
        // release: what we read there we read before whoever evicts it sees that we have. seq_cst: before the look at who waits for
        // room.
        if (its.position.compare_exchange_strong(bits, pack(position), std::memory_order_seq_cst,
                                                 std::memory_order_relaxed)) {
          MILLRACE_CRASH_POINT("topics.read.moved");
          if (missed != 0) {
            owed += missed;
            its.missed.store(its.missed.load(std::memory_order_relaxed) + missed,
                             std::memory_order_relaxed);
          }
          if (walk.count != 0) {
            to[0].missed = owed;
            owed = 0;
            its.received.store(its.received.load(std::memory_order_relaxed) + walk.count,
                               std::memory_order_relaxed);
          }
          outcome = {walk.count, true, outcome.moved ? outcome.from : from, walk.at};
          // So many in a row that it does not want: not all of the log at a time.
          if (walk.count != 0 || walk.at < limit || left < kMostLooks) return outcome;
          left -= kMostLooks;
          tries = 0;
          continue;
        }
      }
      for (std::uint32_t i = 0; i < walk.count; ++i)
        if (to[i].pin != TopicMessage::kCopied) (void)keeping_->unpin(to[i].pin);
      if (walk.at == from && !walk.again) return outcome;
    }
    return outcome;
  }
  // The next messages of an entry, copied, without moving its position: that is for finish() to do.
  std::uint32_t peek(std::uint32_t entry, TopicMessage* to, std::uint32_t most,
                     std::span<std::byte> target) noexcept {
    layout::Entry& its = memory_->entry(entry);
    const std::uint64_t most_looks = 4 * std::uint64_t{log_->capacity()} + kMostLooks;
    for (std::uint64_t looks = 0; looks < most_looks; looks += kMostLooks / kTries) {
      // acquire: pairs with who moved it.
      const std::uint64_t bits = its.position.load(std::memory_order_acquire);
      const std::uint64_t from =
          TopicEntries::index_of(layout::unpack_position(bits).at, log_->hint_of_tail());
      Walk walk{from, 0, 0, false};
      const std::uint64_t limit = from + kMostLooks;
      while (walk.count < most && walk.at < limit && step(entry, to, target, false, walk)) {
      }
      if (walk.count != 0) return walk.count;
      if (walk.at != from && !finish(entry, walk.at)) continue;
      if (!walk.again && walk.at < limit) return 0;
    }
    return 0;
  }
  // All before that index has been dealt with. False: somebody has moved the entry meanwhile.
  bool finish(std::uint32_t entry, std::uint64_t index) noexcept {
    layout::Entry& its = memory_->entry(entry);
    std::uint64_t bits = its.position.load(std::memory_order_acquire);
    layout::Position position = layout::unpack_position(bits);
    if (TopicEntries::index_of(position.at, index) >= index) return true;
    const std::uint64_t missed = position.missed;
    position.at = index & ((1ULL << layout::kPositionBits) - 1);
    position.missed = 0;
    // As in read().
    if (!its.position.compare_exchange_strong(bits, pack(position), std::memory_order_seq_cst,
                                              std::memory_order_relaxed)) {
      return false;
    }
    MILLRACE_CRASH_POINT("topics.pump.moved");
    its.missed.store(its.missed.load(std::memory_order_relaxed) + missed,
                     std::memory_order_relaxed);
    return true;
  }
  // Is there a message of that entry? If so, how many bytes does it have, headers included? A hint.
  [[nodiscard]] bool next(std::uint32_t entry, std::uint64_t& bytes) const noexcept {
    const layout::Position position =
        layout::unpack_position(memory_->entry(entry).position.load(std::memory_order_acquire));
    std::uint64_t at = TopicEntries::index_of(position.at, log_->hint_of_tail());
    for (std::uint32_t looks = 0; looks < 4 * log_->capacity(); ++looks) {
      // seq_cst: after the sleeper's fence.
      const std::uint64_t cell = log_->cell(at, std::memory_order_seq_cst);
      switch (log_->age_of(cell, at)) {
        case TopicLog::Age::full: {
          const std::uint32_t slot = layout::slot_of_topic_cell(cell);
          if (slot < memory_->shape().slots() &&
              entries_->wants(entry, memory_->slot(slot).subject.load(std::memory_order_relaxed))) {
            const Facts facts = facts_of(slot);
            bytes = facts.valid ? facts.bytes() : 8;
            return true;
          }
          ++at;
          break;
        }
        case TopicLog::Age::later:
          at = log_->behind(cell, at);
          break;
        default:
          return false;
      }
    }
    return false;
  }

  // What a slot says of its message, judged.
  struct Facts {
    bool valid = false;
    std::uint32_t subject = 0;
    std::uint32_t length = 0;
    std::uint32_t headers_length = 0;
    std::uint32_t granules = 0;
    std::uint64_t at = 0;
    std::uint64_t published_at = 0;

    [[nodiscard]] std::uint64_t bytes() const noexcept {
      return headers_length == 0 ? length : (std::uint64_t{length} + 7) / 8 * 8 + headers_length;
    }
  };
  [[nodiscard]] Facts facts_of(std::uint32_t slot) const noexcept {
    // relaxed, all: (R3) says whether they are of one message.
    const layout::TopicSlot& its = memory_->slot(slot);
    Facts facts;
    facts.subject = its.subject.load(std::memory_order_relaxed);
    facts.length = its.length.load(std::memory_order_relaxed);
    facts.headers_length = its.headers_length.load(std::memory_order_relaxed);
    facts.granules = its.granules.load(std::memory_order_relaxed);
    facts.published_at = its.published_at.load(std::memory_order_relaxed);
    const std::uint32_t granule = its.granule.load(std::memory_order_relaxed);
    const std::uint32_t all = memory_->shape().granules();
    const std::uint64_t room = facts.granules == 0
                                   ? layout::kTopicInlineBytes
                                   : std::uint64_t{facts.granules} * layout::kGranuleBytes;
    facts.valid = facts.bytes() <= room && facts.subject < memory_->shape().subjects &&
                  (facts.granules == 0 || (granule < all && facts.granules <= all - granule));
    if (facts.valid) facts.at = memory_->message_at(slot, facts.granules, granule);
    return facts;
  }

 private:
  static constexpr int kTries = 64;
  static constexpr std::uint64_t kMostLooks = 4096;

  struct Walk {
    std::uint64_t at;
    std::uint32_t count;
    std::uint64_t used;  // of the target
    bool again;          // the log has changed under us
  };

  // One cell. False: this is as far as it goes.
  template <typename... Marks>
  bool step(std::uint32_t entry, TopicMessage* to, std::span<std::byte> target, bool in_place,
            Walk& walk, Marks&... marks) noexcept {
    // (R1) acquire: pairs with the commit.
    const std::uint64_t cell = log_->cell(walk.at, std::memory_order_acquire);
    switch (log_->age_of(cell, walk.at)) {
      case TopicLog::Age::full:
        break;
      case TopicLog::Age::later:
        walk.at = log_->behind(cell, walk.at);
        return true;
      default:
        return false;
    }
    const std::uint32_t slot = layout::slot_of_topic_cell(cell);
    if (slot >= memory_->shape().slots()) {  // a lie
      ++walk.at;
      return true;
    }
    const Facts facts = facts_of(slot);
    if (!facts.valid || !entries_->wants(entry, facts.subject)) {
      if (!same(cell, walk)) return false;
      ++walk.at;
      return true;
    }
    TopicMessage& message = to[walk.count];
    message = TopicMessage{};
    message.index = walk.at;
    message.subject = facts.subject;
    message.length = facts.length;
    message.headers_length = facts.headers_length;
    message.published_at = facts.published_at;
    MILLRACE_CRASH_POINT("topics.read.found");
    (marks.see(walk.count, memory_->slot(slot), cell), ...);
    if (in_place && facts.length > layout::kTopicCopyMost) {
      const auto pin = keeping_->pin(
          slot,
          layout::unpack_topic(memory_->slot(slot).word.load(std::memory_order_relaxed)).token);
      if (!pin) return false;
      // (R3) seq_cst: after the pin. The token was of this message if the cell is.
      if (log_->cell(walk.at, std::memory_order_seq_cst) != cell) {
        (void)keeping_->unpin(*pin);
        walk.again = true;
        return false;
      }
      message.pin = *pin;
      message.at = facts.at;
    } else {
      const std::uint64_t bytes = facts.bytes();
      if (bytes > target.size() - walk.used) return false;
      copy_from_shared(target.data() + walk.used, memory_->words_at(facts.at), bytes);
      if (!same(cell, walk)) return false;
      message.at = walk.used;
      walk.used = std::min<std::uint64_t>((walk.used + bytes + 7) / 8 * 8, target.size());
    }
    ++walk.count;
    ++walk.at;
    return true;
  }
  // (R3)
  bool same(std::uint64_t cell, Walk& walk) const noexcept {
    // Pairs with the fence of who claims the slot next (slots.hpp).
    std::atomic_thread_fence(std::memory_order_acquire);
    if (log_->cell(walk.at, std::memory_order_relaxed) == cell) return true;
    walk.again = true;
    return false;
  }

  const TopicMemory* memory_ = nullptr;
  TopicKeeping* keeping_ = nullptr;
  TopicLog* log_ = nullptr;
  TopicEntries* entries_ = nullptr;
};

}  // namespace millrace
