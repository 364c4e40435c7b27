// Where subscriptions are in the log, and what may be evicted because none of them needs it.
//
// An entry's position is changed by compare-and-swap alone, by its reader and by whoever wants to evict:
//   the reader       over what it has copied, or does not want
//   who evicts       over what the entry is not interested in, so who sleeps is neither woken nor in the way
//                    over what it is interested in, if its policy is to overwrite: these are counted in the same step
// So each message that an entry is interested in is either read or counted, once. The word has a few bits of the entry's generation:
// who judged an entry that has left does not move the next one in its place.
//
// The floor is an index that no live entry is before. Messages below it are evicted without a look at any entry. It is raised in
// strides, so what an entry costs a publisher is one look at its position in an eighth of the log's capacity.
//   (F1) read the floor  (F2) read which entries are live, and where they are, moving them  (F3) raise the floor from (F1)
//   (J1) bits in the rows  (J2) fence  (J3) position  (J4) live  (J5) change the floor's word, and lower it to the position
// (F1) … (J5) are sequentially consistent: if (F2) does not see (J4), then (J5) comes after (F1), and (F3) fails. What is evicted under
// a new entry, between (J3) and (J5), was published before it had joined; its reader finds later cells there, and goes on behind
// them. (J1) and (J2) against publish and look at the row: who publishes behind (J3) sees the bit.
// What is at or above the position, the floor that (J5) found, and the oldest message of after (J5), and is not that one, stays: who
// evicts it raises the floor first, and that comes after (J5), so its (F2) sees the entry. The floor alone does not tell, because
// another one that joined may have lowered it: whoever read it before that may still evict the oldest message, and no other one.
//
// (F2) begins with what is wanted of the messages that are to go, by all rows at once. An entry that has joined since is not in there,
// and its reader may have begun to read. So whoever moves an entry looks at the changes of the floor's word (F4) after its
// position (P): are they those of (F1), then no entry has got to (J5) since, so the reader of a new one, which begins after (J5), has
// read nothing before (P). If they are not, nothing is moved, and all begins anew: (F3) would fail in any case.
//
// An entry may leave, and another one join in its place, between a look at its policy and a look at its position. So whoever moves an
// entry reads the position first (P), and then `info` with the policy. Both have the generation, and `info` of a generation is stored
// before its position. If they are the same, the policy is that of (P), or (P) is there no longer and the compare-and-swap fails; if
// not, the entry of (P) has left.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "log.hpp"
#include "memory.hpp"

namespace millrace {

class TopicEntries {
 public:
  TopicEntries() = default;
  TopicEntries(const TopicMemory& memory, TopicLog& log) noexcept : memory_(&memory), log_(&log) {}

  // --- where an entry is ---

  // The index that a position means, near that of a message that is there.
  [[nodiscard]] static std::uint64_t index_of(std::uint64_t position, std::uint64_t near) noexcept {
    constexpr std::uint64_t mask = (1ULL << layout::kPositionBits) - 1;
    const std::uint64_t behind = (near - position) & mask;
    return behind <= mask / 2 ? near - behind : near + ((position - near) & mask);
  }
  // Is the entry interested in that subject?
  [[nodiscard]] bool wants(std::uint32_t entry, std::uint32_t subject) const noexcept {
    if (subject >= memory_->shape().subjects) return false;
    // acquire: pairs with who set it.
    return (memory_->row(subject)[entry / 64].load(std::memory_order_acquire) >> entry % 64 & 1U) !=
           0;
  }
  [[nodiscard]] bool live(std::uint32_t entry) const noexcept {
    return (memory_->control().live[entry / 64].load(std::memory_order_seq_cst) >> entry % 64 &
            1U) != 0;
  }

  // Of the message of that index; ~0 if it is not there.
  [[nodiscard]] std::uint32_t subject_at(std::uint64_t index) const noexcept {
    const std::uint64_t cell = log_->cell(index, std::memory_order_acquire);
    if (log_->age_of(cell, index) != TopicLog::Age::full) return ~0U;
    const std::uint32_t slot = layout::slot_of_topic_cell(cell);
    if (slot >= memory_->shape().slots()) return ~0U;
    const std::uint32_t subject = memory_->slot(slot).subject.load(std::memory_order_relaxed);
    // Of this message only if it is still there: as in reading.hpp.
    std::atomic_thread_fence(std::memory_order_acquire);
    return log_->cell(index, std::memory_order_relaxed) == cell ? subject : ~0U;
  }

  // --- joining and leaving, see above ---

  // (J3) to (J5), by whoever has set the bits and fenced. `info` is that of the entry, whose generation it is not to share with its
  // predecessor; `position` is log.tail(), or before that. Returns the index from which on nothing goes before the entry has read it:
  // what is between there and `position` was published while it joined.
  std::uint64_t admit(std::uint32_t entry, std::uint64_t position,
                      layout::EntryInfo info) noexcept {
    layout::Entry& its = memory_->entry(entry);
    layout::Position word;
    word.at = position & ((1ULL << layout::kPositionBits) - 1);
    word.generation = info.generation & 15U;
    its.position.store(pack(word), std::memory_order_seq_cst);
    info.state = layout::EntryState::live;
    its.info.store(pack(info), std::memory_order_seq_cst);
    auto& shallow = memory_->control().shallow[entry / 64];
    if (info.depth != 0)
      shallow.fetch_or(1ULL << entry % 64, std::memory_order_relaxed);
    else
      shallow.fetch_and(~(1ULL << entry % 64), std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("topics.join.placed");
    memory_->control().live[entry / 64].fetch_or(1ULL << entry % 64, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("topics.join.live");
    auto& floor = memory_->control().floor;
    std::uint64_t found = floor.load(std::memory_order_seq_cst);
    while (!floor.compare_exchange_weak(
        found,
        layout::floor_word(std::min(position, layout::index_of_floor(found)),
                           layout::changes_of_floor(found) + 1),
        std::memory_order_seq_cst, std::memory_order_seq_cst)) {
    }
    MILLRACE_CRASH_POINT("topics.join.floor");
    // The oldest message may go without a look at us, see above.
    const std::uint64_t stays = std::max(layout::index_of_floor(found), log_->head() + 1);
    // No further than there is something: somebody may have lied about the floor.
    return std::max(position, std::min(stays, log_->tail()));
  }
  // Its reader begins there instead, if it is not as far yet.
  void begin_at(std::uint32_t entry, std::uint64_t index) noexcept {
    layout::Entry& its = memory_->entry(entry);
    for (int tries = 0; tries < kTries; ++tries) {
      const std::uint64_t bits = its.position.load(std::memory_order_acquire);
      layout::Position position = layout::unpack_position(bits);
      if (index_of(position.at, index) >= index) return;
      position.missed = 0;
      if (move_to(its, bits, position, index, 0)) return;
    }
  }
  // It counts no longer. Whoever waits for room is to be told.
  void dismiss(std::uint32_t entry) noexcept {
    memory_->control().live[entry / 64].fetch_and(~(1ULL << entry % 64), std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("topics.leave.dead");
  }

  // --- room ---

  // May the message of that index go? It is the oldest. Moves entries that are in the way, as far as that may be.
  bool may_evict(std::uint64_t index) noexcept {
    auto& floor = memory_->control().floor;
    for (int tries = 0; tries < kTries; ++tries) {
      std::uint64_t found = floor.load(std::memory_order_seq_cst);  // (F1)
      if (layout::index_of_floor(found) > index) return true;
      const std::uint64_t changes = layout::changes_of_floor(found);
      const std::uint64_t next = scan(index, changes);  // (F2)
      if (next <= index) {
        if (has_changed(changes)) continue;
        return false;
      }
      MILLRACE_CRASH_POINT("topics.floor.scanned");
      // (F3)
      if (floor.compare_exchange_strong(found, layout::floor_word(next, changes),
                                        std::memory_order_seq_cst, std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  // May one more message of that subject come, for all that entries of limited depth have not read? Drops the oldest of those that
  // let themselves be overwritten. Publishers that come at the same time may each find the last place.
  bool has_depth(std::uint32_t subject) noexcept {
    for (std::uint32_t word = 0; word < memory_->shape().row_words(); ++word) {
      // relaxed: of an entry that joins meanwhile nothing is unread.
      const std::uint64_t shallow =
          memory_->control().shallow[word].load(std::memory_order_relaxed);
      if (shallow == 0) [[likely]]
        continue;
      // Those that want something else are not looked at.
      if ((shallow & memory_->row(subject)[word].load(std::memory_order_relaxed)) != 0)
        return keep_depths(subject);
    }
    return true;
  }

 private:
  static constexpr int kTries = 64;
  using Set = std::array<std::uint64_t, layout::kEntryWords>;

  // Entries that want something in [from, to), the messages of which are there.
  void union_of(std::uint64_t from, std::uint64_t to, Set& all) const noexcept {
    const std::uint32_t words = memory_->shape().row_words();
    std::uint32_t last = ~0U;
    for (std::uint64_t at = from; at < to; ++at) {
      const std::uint32_t subject = subject_at(at);
      if (subject == last || subject >= memory_->shape().subjects) continue;
      last = subject;
      for (std::uint32_t word = 0; word < words; ++word)
        all[word] |= memory_->row(subject)[word].load(std::memory_order_acquire);
    }
  }
  // What entries that let themselves be overwritten lose in [from, to): counted message by message, for all of them at once. An entry
  // by entry count would look at each message as often as there are entries that want some.
  struct Losses {
    std::uint64_t to = 0;
    Set counted{};                                              // these
    std::array<std::uint64_t, layout::kMaxSubscriptions> seen;  // their positions before that
    std::array<std::uint32_t, layout::kMaxSubscriptions> lost;
  };
  void count_losses(std::uint64_t from, std::uint64_t to, Losses& losses) noexcept {
    losses.to = to;
    losses.lost.fill(0);
    const std::uint32_t words = memory_->shape().row_words();
    for_each_live(layout::TopicPolicy::overwrite, [&](std::uint32_t entry) {
      losses.counted[entry / 64] |= 1ULL << entry % 64;
      // Before the messages: whoever evicts one of them meanwhile moves the entry first, and an entry in its place has another word.
      losses.seen[entry] = memory_->entry(entry).position.load(std::memory_order_seq_cst);
    });
    for (std::uint64_t at = from; at < to; ++at) {
      const std::uint32_t subject = subject_at(at);
      if (subject >= memory_->shape().subjects) continue;
      for (std::uint32_t word = 0; word < words; ++word) {
        const std::uint64_t row = memory_->row(subject)[word].load(std::memory_order_acquire);
        detail::for_each_bit(row & losses.counted[word],
                             [&](std::uint32_t bit) { ++losses.lost[word * 64 + bit]; });
      }
    }
  }
  // Has an entry joined since? (F4)
  [[nodiscard]] bool has_changed(std::uint64_t changes) const noexcept {
    // seq_cst: after (P), and against (J5).
    return layout::changes_of_floor(memory_->control().floor.load(std::memory_order_seq_cst)) !=
           changes;
  }
  // Moves all entries as far as the floor is to be, and says how far that is. `changes`: of the floor's word, as of (F1).
  std::uint64_t scan(std::uint64_t index, std::uint64_t changes) noexcept {
    // Read before the entries are; the message of `index` is there.
    const std::uint64_t tail = std::max(log_->hint_of_tail(), index + 1);
    const std::uint64_t stride = std::max(log_->capacity() / kStrides, 1U);
    const std::uint64_t goal = std::min(tail, index + stride);
    Set wanted{};
    union_of(index, goal, wanted);
    MILLRACE_CRASH_POINT("topics.wanted.found");
    std::uint64_t least = goal;
    // Those that let themselves be overwritten last, and no further than the others allow: they are to miss nothing in vain.
    const auto wants_some = [&](std::uint32_t entry) {
      return (wanted[entry / 64] >> entry % 64 & 1U) != 0;
    };
    for_each_live(layout::TopicPolicy::wait, [&](std::uint32_t entry) {
      least = std::min(least, move(entry, index, least, changes, wants_some(entry), nullptr));
    });
    if (least <= index) return least;
    std::uint32_t losers = 0;
    for_each_live(layout::TopicPolicy::overwrite,
                  [&](std::uint32_t entry) { losers += wants_some(entry) ? 1 : 0; });
    Losses losses;
    if (losers > 1) {
      count_losses(index, least, losses);
      MILLRACE_CRASH_POINT("topics.losses.counted");
    }
    for_each_live(layout::TopicPolicy::overwrite, [&](std::uint32_t entry) {
      least = std::min(least, move(entry, index, least, changes, wants_some(entry), &losses));
    });
    return least;
  }
  // Moves one to `goal`, if it is before that, or as far as it may be moved. `some`: it may want something in [index, goal). `losses`: it
  // lets itself be overwritten.
  std::uint64_t move(std::uint32_t entry, std::uint64_t index, std::uint64_t goal,
                     std::uint64_t changes, bool some, const Losses* losses) noexcept {
    layout::Entry& its = memory_->entry(entry);
    MILLRACE_CRASH_POINT("topics.entry.looked");
    for (int tries = 0; tries < kTries; ++tries) {
      const std::uint64_t bits = its.position.load(std::memory_order_seq_cst);
      const layout::Position position = layout::unpack_position(bits);
      const std::uint64_t from = index_of(position.at, index);
      if (from >= goal) return goal;
      if (!is_of(entry, position, losses != nullptr))
        return goal;  // it has left, or just comes: (J5)
      if (has_changed(changes)) return index;
      std::uint64_t to = goal;
      std::uint32_t lost = 0;
      if (some && losses != nullptr && losses->to == goal && from <= index &&
          (losses->counted[entry / 64] >> entry % 64 & 1U) != 0 && losses->seen[entry] == bits) {
        lost = losses->lost[entry];
      } else if (some) {
        for (std::uint64_t at = std::max(from, index); at < goal; ++at) {
          if (!wants(entry, subject_at(at))) continue;
          if (losses != nullptr) {
            ++lost;
            continue;
          }
          to = at;
          break;
        }
      }
      if (to <= from) return from;
      if (move_to(its, bits, position, to, lost)) return to;
    }
    return index;  // its reader is quicker, again and again: that is its progress, and no room yet
  }

  // Has the entry with that position this policy? See above.
  [[nodiscard]] bool is_of(std::uint32_t entry, layout::Position position,
                           bool overwrites) const noexcept {
    // acquire: pairs with (J4), after which the entry may be found live.
    const auto info =
        layout::unpack_entry(memory_->entry(entry).info.load(std::memory_order_acquire));
    return (info.generation & 15U) == position.generation &&
           (info.policy == layout::TopicPolicy::overwrite) == overwrites;
  }
  // Calls each(entry) for the live ones of that policy, as of now.
  template <typename Each>
  void for_each_live(layout::TopicPolicy policy, Each&& each) noexcept {
    for (std::uint32_t word = 0; word < memory_->shape().row_words(); ++word) {
      const std::uint64_t live = memory_->control().live[word].load(std::memory_order_seq_cst);
      detail::for_each_bit(live, [&](std::uint32_t bit) {
        const std::uint32_t entry = word * 64 + bit;
        if (entry >= memory_->shape().subscriptions) return;
        const auto info =
            layout::unpack_entry(memory_->entry(entry).info.load(std::memory_order_acquire));
        const bool overwrites = info.policy == layout::TopicPolicy::overwrite;
        if (overwrites == (policy == layout::TopicPolicy::overwrite)) each(entry);
      });
    }
  }
  [[gnu::noinline]] bool keep_depths(std::uint32_t subject) noexcept {
    bool all = true;
    for (const auto policy : {layout::TopicPolicy::wait, layout::TopicPolicy::overwrite}) {
      for_each_live(policy, [&](std::uint32_t entry) {
        const std::uint64_t shallow =
            memory_->control().shallow[entry / 64].load(std::memory_order_relaxed);
        if ((shallow >> entry % 64 & 1U) != 0 && wants(entry, subject))
          all = keep_depth(entry) && all;
      });
      if (!all) return false;
    }
    return true;
  }
  bool keep_depth(std::uint32_t entry) noexcept {
    layout::Entry& its = memory_->entry(entry);
    const std::uint64_t tail = log_->tail();
    for (int tries = 0; tries < kTries; ++tries) {
      const std::uint64_t bits = its.position.load(std::memory_order_acquire);
      const layout::Position position = layout::unpack_position(bits);
      // acquire: after the position, see above.
      const auto info = layout::unpack_entry(its.info.load(std::memory_order_acquire));
      if ((info.generation & 15U) != position.generation || info.depth == 0) return true;
      const std::uint64_t from = index_of(position.at, tail);
      if (from >= tail || tail - from < info.depth) return true;
      if (tail - from > 2 * std::uint64_t{log_->capacity()}) return true;  // somebody lied
      std::uint64_t unread = 0;
      for (std::uint64_t at = from; at < tail; ++at)
        unread += wants(entry, subject_at(at)) ? 1 : 0;
      if (unread < info.depth) return true;
      if (info.policy != layout::TopicPolicy::overwrite) return false;
      std::uint64_t to = from;
      std::uint32_t lost = 0;
      for (; lost < unread - info.depth + 1 && to < tail; ++to)
        lost += wants(entry, subject_at(to)) ? 1 : 0;
      if (move_to(its, bits, position, to, lost)) return true;
    }
    return true;  // its reader is quicker
  }
  // From exactly what was judged.
  static bool move_to(layout::Entry& its, std::uint64_t bits, layout::Position position,
                      std::uint64_t to, std::uint32_t lost) noexcept {
    position.at = to & ((1ULL << layout::kPositionBits) - 1);
    position.missed = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(std::uint64_t{position.missed} + lost, layout::kMissedMost));
    // seq_cst: before the floor is raised.
    const bool moved = its.position.compare_exchange_strong(
        bits, pack(position), std::memory_order_seq_cst, std::memory_order_relaxed);
    if (moved) MILLRACE_CRASH_POINT("topics.entry.moved");
    return moved;
  }

  static constexpr std::uint32_t kStrides = 8;

  const TopicMemory* memory_ = nullptr;
  TopicLog* log_ = nullptr;
};

}  // namespace millrace
