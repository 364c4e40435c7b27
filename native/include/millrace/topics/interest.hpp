// Who is interested in what: subscriptions join and leave, and the rows of all subjects say so.
//
//   join    `joining`, and its filters ─► bits in the rows of all subjects ─► fence, position, live (entries.hpp)
//   leave   no longer live ─► `leaving` ─► bits in all rows cleared ─► `free`
//
// Under TopicControl::subjects_lock, as subjects are made, an entry begins to join, and its bits are cleared. So who makes a subject
// either has counted it before an entry begins to join, which then sets its bit, or finds the entry and sets the bit itself; and no
// bit is set any more when those of an entry have been cleared: the next one in its place inherits none. The bits of a `joining` entry
// are set without the lock, however many subjects there are: nobody but its owner changes such an entry.
//
// A queue group has an entry of its own, which is the group's and not a seat's: it lives as long as some seat is a member. Its first
// member keeps the lock until it is live, so that whoever comes second finds it either whole or not at all.
//
// An entry that is `leaving`, or a group's without members, is cleared by whoever has the lock next and looks (tidy()): who should have
// done it died, or did not get the lock.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "../crash_point.hpp"
#include "../failure.hpp"
#include "../result.hpp"
#include "../store/seat_lock.hpp"
#include "../words.hpp"
#include "entries.hpp"
#include "facts.hpp"
#include "filters.hpp"
#include "log.hpp"
#include "memory.hpp"
#include "sleepers.hpp"
#include "subjects.hpp"

namespace millrace {

class Interest {
 public:
  Interest(const TopicMemory& memory, std::uint16_t seat, TopicLog& log, TopicEntries& entries,
           TopicSleepers& sleepers) noexcept
      : memory_(&memory), seat_(seat), log_(&log), entries_(&entries), sleepers_(&sleepers) {}

  struct Joined {
    std::uint32_t entry = 0;
    std::uint64_t position = 0;  // where it began
  };
  // no_lane: there are as many as there may be; invalid_argument: no such filter; geometry: the group has other filters; timeout:
  // somebody else joins or leaves.
  Result<Joined> join(std::span<const std::string_view> filters, const SubscribeOptions& options) {
    std::string texts;
    if (auto judged = judge(filters, options, texts); !judged.ok()) return judged.error();
    SeatLockHold held = SeatLockHold::lock(memory_->control().subjects_lock, seat_);
    if (!held) {
      return make_error(Code::timeout, "somebody else is in the middle of subscribing: try again");
    }
    const bool group = !options.group.empty();
    if (group) {
      if (const auto there = find_group(options.group)) return join_group(*there, filters, texts);
    }
    const std::optional<std::uint32_t> entry = find_free();
    if (!entry) {
      return make_error(Code::no_lane,
                        "there are " + std::to_string(memory_->shape().subscriptions) +
                            " subscriptions, as many as there may be: close some, or let whoever "
                            "creates the topics state more `subscriptions`");
    }
    layout::Entry& its = memory_->entry(*entry);
    layout::EntryInfo info = layout::unpack_entry(its.info.load(std::memory_order_relaxed));
    info.generation = (info.generation + 1U) & 0x7FU;
    info.state = layout::EntryState::joining;
    info.policy = options.policy;
    info.group = group;
    info.seat = group ? layout::kNobodysTopic : seat_;
    // Nobody can lag behind by more than the log: such a depth costs publishers nothing then (entries.hpp).
    info.depth = options.depth < log_->capacity() ? options.depth : 0;
    its.info.store(pack(info), std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("topics.join.begun");
    its.received.store(0, std::memory_order_relaxed);
    its.missed.store(0, std::memory_order_relaxed);
    its.latency_ns.store(0, std::memory_order_relaxed);
    for (std::size_t at = 0; at < layout::TopicTimes::kCounts; ++at)
      layout::topic_latency(its, at).store(0, std::memory_order_relaxed);
    its.filters.store(static_cast<std::uint32_t>(filters.size()), std::memory_order_relaxed);
    its.filter_bytes.store(static_cast<std::uint32_t>(texts.size()), std::memory_order_relaxed);
    copy_to_shared(memory_->filters(*entry).words, reinterpret_cast<const std::byte*>(texts.data()),
                   texts.size());
    if (group) name(*entry, options.group);
    memory_->control().entry_seats[*entry].store(group ? layout::kGroupsTopic : seat_,
                                                 std::memory_order_relaxed);
    const detail::FilterTexts wanted(*memory_, *entry);
    const std::uint32_t subjects = memory_->subject_count();
    if (!group) held.unlock();
    MILLRACE_CRASH_POINT("topics.join.listed");
    for (std::uint32_t subject = 0; subject < subjects; ++subject) {
      if (wanted.match(detail::TextOfSubject(*memory_, subject).view()))
        set_bit(subject, *entry, true);
    }
    MILLRACE_CRASH_POINT("topics.join.rows");
    sleepers_->heavy_fence();  // (J2)
    const std::uint64_t begin = begin_of(*entry, options.replay);
    const std::uint64_t kept = entries_->admit(*entry, begin, info);
    if (!options.replay.last) return Joined{*entry, begin};
    // What came meanwhile may have gone again: with what was there before, it is for retained.hpp.
    entries_->begin_at(*entry, kept);
    return Joined{*entry, kept};
  }
  void leave(std::uint32_t entry) noexcept {
    layout::Entry& its = memory_->entry(entry);
    layout::EntryInfo info = layout::unpack_entry(its.info.load(std::memory_order_relaxed));
    if (info.group) {
      set_member(entry, seat_, false);
      MILLRACE_CRASH_POINT("topics.leave.group");
    } else {
      say_leaving(entry, info);
      MILLRACE_CRASH_POINT("topics.leave.said");
    }
    const SeatLockHold held = SeatLockHold::lock(memory_->control().subjects_lock, seat_);
    if (held) (void)end_if_over(entry);  // else it is for tidy()
  }
  // Clears what was left because somebody had the lock. True: something was, so there may be room.
  bool tidy() noexcept {
    bool some = false;
    for (std::uint32_t entry = 0; entry < memory_->shape().subscriptions && !some; ++entry)
      some = is_over(entry);
    if (!some) return false;
    const SeatLockHold held = SeatLockHold::lock_soon(memory_->control().subjects_lock, seat_);
    return held && end_all_over();
  }

  // Part of the repair of a seat: its subscriptions end, and what it left locked is put in order.
  void bury(std::uint32_t seat) noexcept {
    auto& lock = memory_->control().subjects_lock;
    const auto dead = static_cast<std::uint16_t>(seat);
    const SeatLockHold inherited = SeatLockHold::inherit(lock, dead);
    if (inherited) {
      const std::uint32_t subjects = memory_->subject_count();
      if (subjects != 0) detail::link_subject(*memory_, subjects - 1);
      MILLRACE_CRASH_POINT("topics.bury.linked");
    }
    bool over = false;
    for (std::uint32_t entry = 0; entry < memory_->shape().subscriptions; ++entry) {
      layout::Entry& its = memory_->entry(entry);
      const auto info = layout::unpack_entry(its.info.load(std::memory_order_relaxed));
      if (info.state == layout::EntryState::free) continue;
      if (info.group) {
        (void)SeatLockHold::inherit(its.pump, dead);
        set_member(entry, seat, false);
        MILLRACE_CRASH_POINT("topics.bury.group");
      } else if (info.seat == seat) {
        say_leaving(entry, info);
        MILLRACE_CRASH_POINT("topics.bury.entry");
      }
      over = over || is_over(entry);
    }
    if (!over) return;
    if (inherited) {
      (void)end_all_over();
      return;
    }
    const SeatLockHold taken = SeatLockHold::lock(lock, dead);
    if (taken) (void)end_all_over();  // else it is for tidy()
  }

 private:
  static Result<void> judge(std::span<const std::string_view> filters,
                            const SubscribeOptions& options, std::string& texts) {
    if (options.group.size() > layout::kGroupNameMost) {
      return make_error(Code::invalid_argument,
                        "the name of a queue group must have at most 63 bytes");
    }
    if (!options.group.empty() && options.replay.last) {
      return make_error(Code::invalid_argument,
                        "a queue group cannot begin with the last message of each subject, which "
                        "would be lost with the member that has them; it can begin with some of "
                        "the newest messages");
    }
    if (filters.empty() || filters.size() > layout::kFiltersMost) {
      return make_error(Code::invalid_argument, "a subscription must have 1 to 16 filters");
    }
    for (const std::string_view filter : filters) {
      if (const auto flaw = flaw_of_filter(filter))
        return make_error(Code::invalid_argument, why_no_text("filter", filter, *flaw));
      texts.append(filter);
      texts.push_back('\0');
    }
    if (texts.size() > layout::kFilterMost) {
      return make_error(Code::invalid_argument,
                        "the filters of a subscription must have at most 1024 bytes in all");
    }
    return {};
  }
  // The rest is done under the lock.
  std::optional<std::uint32_t> find_free() noexcept {
    (void)end_all_over();
    for (std::uint32_t entry = 0; entry < memory_->shape().subscriptions; ++entry) {
      const auto info =
          layout::unpack_entry(memory_->entry(entry).info.load(std::memory_order_relaxed));
      if (info.state == layout::EntryState::free) return entry;
    }
    return std::nullopt;
  }
  // --- queue groups ---

  [[nodiscard]] std::optional<std::uint32_t> find_group(std::string_view group) const noexcept {
    for (std::uint32_t entry = 0; entry < memory_->shape().subscriptions; ++entry) {
      const layout::Entry& its = memory_->entry(entry);
      const auto info = layout::unpack_entry(its.info.load(std::memory_order_relaxed));
      if (!info.group || info.state != layout::EntryState::live) continue;
      if (its.name_length.load(std::memory_order_relaxed) != group.size()) continue;
      std::array<char, layout::kGroupNameMost + 1> text{};
      copy_from_shared(reinterpret_cast<std::byte*>(text.data()), its.name, group.size());
      if (std::string_view(text.data(), group.size()) == group) return entry;
    }
    return std::nullopt;
  }
  Result<Joined> join_group(std::uint32_t entry, std::span<const std::string_view> filters,
                            const std::string& texts) {
    const layout::Entry& its = memory_->entry(entry);
    std::string there(
        std::min(its.filter_bytes.load(std::memory_order_relaxed), layout::kFilterMost), '\0');
    copy_from_shared(reinterpret_cast<std::byte*>(there.data()), memory_->filters(entry).words,
                     there.size());
    if (its.filters.load(std::memory_order_relaxed) != filters.size() || there != texts) {
      return make_error(Code::geometry,
                        "this queue group is there with other filters: all members give the same "
                        "ones, or take another name");
    }
    set_member(entry, seat_, true);
    MILLRACE_CRASH_POINT("topics.join.member");
    return Joined{entry, 0};
  }
  void name(std::uint32_t entry, std::string_view group) const noexcept {
    layout::Entry& its = memory_->entry(entry);
    for (auto& word : its.members)
      word.store(0, std::memory_order_relaxed);
    set_member(entry, seat_, true);
    its.name_length.store(static_cast<std::uint32_t>(group.size()), std::memory_order_relaxed);
    copy_to_shared(its.name, reinterpret_cast<const std::byte*>(group.data()), group.size());
  }
  void set_member(std::uint32_t entry, std::uint32_t seat, bool member) const noexcept {
    auto& word = memory_->entry(entry).members[seat / 64];
    // seq_cst: before the look whether others are.
    if (member)
      word.fetch_or(1ULL << seat % 64, std::memory_order_seq_cst);
    else
      word.fetch_and(~(1ULL << seat % 64), std::memory_order_seq_cst);
  }
  // --- ending ---

  void say_leaving(std::uint32_t entry, layout::EntryInfo info) noexcept {
    entries_->dismiss(entry);
    info.state = layout::EntryState::leaving;
    memory_->entry(entry).info.store(pack(info), std::memory_order_seq_cst);
  }
  // Only a hint without the lock.
  [[nodiscard]] bool is_over(std::uint32_t entry) const noexcept {
    const layout::Entry& its = memory_->entry(entry);
    const auto info = layout::unpack_entry(its.info.load(std::memory_order_relaxed));
    if (!info.group) return info.state == layout::EntryState::leaving;
    if (info.state == layout::EntryState::free) return false;
    return std::all_of(std::begin(its.members), std::end(its.members), [](const auto& word) {
      // seq_cst: after our own bit was cleared, or others' were.
      return word.load(std::memory_order_seq_cst) == 0;
    });
  }
  bool end_if_over(std::uint32_t entry) noexcept {
    if (!is_over(entry)) return false;
    entries_->dismiss(entry);
    clear(entry);
    return true;
  }
  bool end_all_over() noexcept {
    bool some = false;
    for (std::uint32_t entry = 0; entry < memory_->shape().subscriptions; ++entry)
      some = end_if_over(entry) || some;
    return some;
  }
  void set_bit(std::uint32_t subject, std::uint32_t entry, bool wanted) const noexcept {
    auto& word = memory_->row(subject)[entry / 64];
    const std::uint64_t bit = 1ULL << entry % 64;
    // seq_cst: (J1) in entries.hpp.
    if (wanted) {
      word.fetch_or(bit, std::memory_order_seq_cst);
    } else if ((word.load(std::memory_order_relaxed) & bit) != 0) {
      word.fetch_and(~bit, std::memory_order_seq_cst);
    }
  }
  void clear(std::uint32_t entry) const noexcept {
    const std::uint32_t subjects = memory_->subject_count();
    for (std::uint32_t subject = 0; subject < subjects; ++subject)
      set_bit(subject, entry, false);
    MILLRACE_CRASH_POINT("topics.leave.rows");
    layout::Entry& its = memory_->entry(entry);
    layout::EntryInfo info = layout::unpack_entry(its.info.load(std::memory_order_relaxed));
    info.state = layout::EntryState::free;
    info.group = false;
    info.seat = layout::kNobodysTopic;
    memory_->control().entry_seats[entry].store(layout::kNobodysTopic, std::memory_order_relaxed);
    its.info.store(pack(info), std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("topics.leave.free");
  }
  // (J3): behind what is there, or so many messages of its own before that.
  [[nodiscard]] std::uint64_t begin_of(std::uint32_t entry, const Replay& replay) const noexcept {
    const std::uint64_t tail = log_->tail();
    std::uint64_t at = tail;
    for (std::uint32_t found = 0; found < replay.newest && at != 0;) {
      const std::uint32_t subject = entries_->subject_at(at - 1);
      if (subject == ~0U) break;  // evicted
      --at;
      if (entries_->wants(entry, subject)) ++found;
    }
    return at;
  }

  const TopicMemory* memory_;
  std::uint16_t seat_;
  TopicLog* log_;
  TopicEntries* entries_;
  TopicSleepers* sleepers_;
};

}  // namespace millrace
