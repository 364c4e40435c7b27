// What is done with a queue in a file before anybody works on it again, after the machine was started anew (or the file was cut
// short, or could not be written).
//
// Durability `disk`: trusts nothing but the header's constants and records whose checksums hold. All else is made anew from
// them: slots, lists, owners of granules, groups, ids. The records themselves are not changed, except that what does not count
// is wiped, so it may be stopped anywhere, also by another power cut, and done again.
//
// Which of too many. A power cut leaves any part of what was written since the last sync that ended, number n say. So there may
// be jobs that ended after n, and jobs that were pushed into their slots afterwards: more than there are slots. Those with a
// generation below n had a slot when n began, or had been wiped before it; so they are not more than there are slots, and all
// that were confirmed are among them. What has the greatest generations goes.
//
// Durability `file`: the words are trusted. Only times are brought to this boot's clock; burying the seats of the last boot does
// the rest.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string_view>
#include <vector>

#include "../compact_sort.hpp"
#include "../crash_point.hpp"
#include "../os/clock.hpp"
#include "../os/identity.hpp"
#include "due.hpp"
#include "durable.hpp"
#include "memory.hpp"
#include "ready.hpp"
#include "slots.hpp"

namespace millrace {

class Recovery {
 public:
  // What belongs to others.
  struct Hooks {
    // That job, which is `word` and being written, has this group. False: an older one of it is there, so its word says that
    // it waits.
    std::function<bool(std::uint32_t slot, const layout::Word& word, std::string_view group)>
        enter_group;
    // That id is known until then, in monotonic nanoseconds.
    std::function<void(std::uint32_t slot, std::string_view id, std::uint64_t until)> remember;
  };

  // `base`: the first byte of the segment.
  Recovery(std::byte* base, const WorkMemory& memory, const Records& records) noexcept
      : base_(base), memory_(&memory), records_(&records), ready_(memory), due_(memory) {}

  // Was this queue last used in another boot, or left with pages that could not be written?
  [[nodiscard]] bool needed() const noexcept {
    const layout::WorkControl& control = memory_->control();
    return control.boot.load(std::memory_order_relaxed) != boot() ||
           control.sync_error.load(std::memory_order_relaxed) != 0;
  }

  // Both: under the lifecycle lock, with nobody else on it; once or again. The caller sets WorkControl::begun afterwards.
  void from_records(const Hooks& hooks) {
    layout::WorkControl& control = memory_->control();
    // Until the end: whoever finds this 0 starts over.
    control.begun.store(0, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("work.recover.begun");
    std::uint64_t torn = 0;
    std::vector<Record> found = scan(torn);
    std::uint64_t serial = 0;
    std::uint64_t generation = 0;
    for (const Record& record : found) {
      serial = std::max(serial, record.serial);
      generation = std::max(generation, record.generation);
    }
    torn += drop_surplus(found);
    MILLRACE_CRASH_POINT("work.recover.scanned");
    clear();
    MILLRACE_CRASH_POINT("work.recover.cleared");
    control.serial.store(serial, std::memory_order_relaxed);
    control.syncs_begun.store(generation + 1, std::memory_order_relaxed);
    control.syncs_done.store(generation + 1, std::memory_order_relaxed);
    take_clocks();
    count(layout::WorkCount::recovered, found.size());
    count(layout::WorkCount::torn, torn);
    give_slots(found, hooks);
    control.boot.store(boot(), std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("work.recover.done");
  }

  void from_words() noexcept {
    layout::WorkControl& control = memory_->control();
    const std::uint64_t mono = control.mono_at.load(std::memory_order_relaxed);
    const std::uint64_t real = control.real_at.load(std::memory_order_relaxed);
    // First all to times of day, which are told from the others by their size; then the clocks; then back. So it is known
    // at each point which clock a time is of, and by which offset it is to be brought on.
    each_time([&](std::uint64_t time) {
      return time == 0 || time >= kTimesOfDay ? time : shifted(time, mono, real);
    });
    MILLRACE_CRASH_POINT("work.rebase.real");
    take_clocks();
    MILLRACE_CRASH_POINT("work.rebase.clocks");
    const std::uint64_t now_mono = control.mono_at.load(std::memory_order_relaxed);
    const std::uint64_t now_real = control.real_at.load(std::memory_order_relaxed);
    each_time([&](std::uint64_t time) {
      return time < kTimesOfDay || time > kForEver
                 ? time
                 : std::max<std::uint64_t>(shifted(time, now_real, now_mono), 1);
    });
    MILLRACE_CRASH_POINT("work.rebase.mono");
    // What was measured is of the old clock, and is not counted.
    for (std::uint32_t index = 0; index < memory_->shape().slots(); ++index)
      memory_->slot(index).measured.store(0, std::memory_order_relaxed);
    for (auto& duty : control.duties)
      duty.word.store(0, std::memory_order_relaxed);
    for (auto& lookout : control.lookouts)
      lookout.store(0, std::memory_order_relaxed);
    due_.forget();
    control.boot.store(boot(), std::memory_order_seq_cst);
  }

  // For a new queue.
  void begin() const noexcept {
    take_clocks();
    memory_->control().boot.store(boot(), std::memory_order_relaxed);
  }

 private:
  void take_clocks() const noexcept {
    layout::WorkControl& control = memory_->control();
    control.mono_at.store(os::monotonic_ns(), std::memory_order_relaxed);
    control.real_at.store(os::real_ns(), std::memory_order_relaxed);
  }
  static std::uint64_t boot() noexcept {
    unsigned char id[16];
    os::this_boot(id);
    std::uint64_t first = 0;
    std::memcpy(&first, id, sizeof first);
    return first == 0 ? 1
                      : first;  // a system that does not tell; 0 is a queue that was never set up
  }

  // Nanoseconds since 1970 are more, and since a boot fewer: that would be 31 years ago.
  static constexpr std::uint64_t kTimesOfDay = 1'000'000'000'000'000'000;
  static constexpr std::uint64_t kForEver = ~0ULL / 2;

  // A time of the clock that showed `from` when another one showed `to`, as the other one shows it.
  static std::uint64_t shifted(std::uint64_t time, std::uint64_t from, std::uint64_t to) noexcept {
    if (time >= from) return to > ~0ULL - (time - from) ? ~0ULL : to + (time - from);
    return to > from - time ? to - (from - time) : 1;
  }
  template <typename Change>
  void each_time(Change&& change) const noexcept {
    const auto apply = [&](std::atomic<std::uint64_t>& time) {
      const std::uint64_t old = time.load(std::memory_order_relaxed);
      if (const std::uint64_t now = change(old); now != old)
        time.store(now, std::memory_order_relaxed);
    };
    for (std::uint32_t index = 0; index < memory_->shape().slots(); ++index) {
      layout::Slot& slot = memory_->slot(index);
      apply(slot.due);
      apply(slot.expires);
    }
    for (std::uint32_t bucket = 0; bucket < memory_->shape().key_buckets(); ++bucket) {
      for (layout::KeyEntry& entry : memory_->keys()[bucket].entries)
        apply(entry.until);
    }
  }

  [[nodiscard]] std::vector<Record> scan(std::uint64_t& torn) const {
    std::vector<Record> found;
    for (std::uint32_t granule = 0; granule < memory_->shape().granules();) {
      Record record;
      switch (records_->find(granule, record)) {
        case Records::Found::whole:
          // What looks like a record inside is what somebody pushed.
          granule += record.granules;
          found.push_back(record);
          continue;
        case Records::Found::torn:
          records_->wipe_at(granule);
          ++torn;
          break;
        case Records::Found::none:
          break;
      }
      ++granule;
    }
    return found;
  }
  [[nodiscard]] std::uint64_t drop_surplus(std::vector<Record>& found) const {
    std::uint64_t dropped = 0;
    if (found.size() > memory_->shape().slots()) {
      compact_sort(found, [](const Record& one, const Record& other) {
        return one.generation != other.generation ? one.generation < other.generation
                                                  : one.serial < other.serial;
      });
      for (std::size_t i = memory_->shape().slots(); i < found.size(); ++i, ++dropped)
        records_->wipe_at(found[i].granule);
      found.resize(memory_->shape().slots());
    }
    compact_sort(found,
                 [](const Record& one, const Record& other) { return one.serial < other.serial; });
    return dropped;
  }
  // As it was when the segment was made, roles and seats included: nobody of that boot lives.
  void clear() const noexcept {
    std::memset(static_cast<void*>(base_ + layout::kRolesOffset), 0,
                static_cast<std::size_t>(memory_->shape().data_at() - layout::kRolesOffset));
  }
  void count(layout::WorkCount what, std::uint64_t many) const noexcept {
    memory_->control().counters[static_cast<std::size_t>(what)].store(many,
                                                                      std::memory_order_relaxed);
  }

  void give_slots(const std::vector<Record>& found, const Hooks& hooks) {
    const WorkShape& shape = memory_->shape();
    due_.clear();
    const auto dead = static_cast<std::uint32_t>(std::count_if(
        found.begin(), found.end(), [](const Record& record) { return record.dead; }));
    const std::uint32_t spare = shape.dead - std::min(shape.dead, dead);
    const FreeSlots free(*memory_, 0);
    const auto jobs = static_cast<std::uint32_t>(found.size());
    for (std::uint32_t slot = jobs; slot < shape.slots(); ++slot) {
      layout::Word word;
      if (slot >= shape.slots() - spare) word.state = layout::SlotState::spare;
      memory_->slot(slot).word.store(layout::pack(word), std::memory_order_relaxed);
      if (word.state == layout::SlotState::free) free.mark(slot);
    }
    for (std::uint32_t slot = 0; slot < jobs; ++slot) {
      restore(slot, found[slot], hooks);
      MILLRACE_CRASH_POINT("work.recover.job");
    }
  }

  void restore(std::uint32_t index, const Record& record, const Hooks& hooks) {
    const WorkShape& shape = memory_->shape();
    layout::Slot& slot = memory_->slot(index);
    layout::Word word;
    word.level = record.level;
    word.attempt = record.attempt;
    word.token = 1;
    slot.born.store(1, std::memory_order_relaxed);
    slot.length = record.length;
    slot.id_length = record.id_length;
    slot.group_length = record.group_length;
    slot.headers_length = record.headers_length;
    slot.granule.store(record.granule, std::memory_order_relaxed);
    slot.granules.store(record.granules, std::memory_order_relaxed);
    slot.stage.store(record.stage, std::memory_order_relaxed);
    slot.reason = static_cast<std::uint8_t>(record.reason);
    slot.pushed_at = record.pushed_at;
    slot.serial.store(record.serial, std::memory_order_relaxed);
    slot.expires.store(monotonic(record.expires), std::memory_order_relaxed);
    slot.position.store(ready_.end_of(record.stage, record.level), std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < record.granules; ++i) {
      memory_->owners()[record.granule + i].store(
          layout::granule_owner(index, 1, record.granules - 1 - i), std::memory_order_relaxed);
    }
    const auto* text = reinterpret_cast<const char*>(
        memory_->data() + memory_->payload_at(index, record.granules, record.granule) +
        (std::uint64_t{record.length} + 7) / 8 * 8);
    if (record.id_length != 0 && shape.window_ms != 0 && hooks.remember) {
      const std::uint64_t until =
          shifted(record.pushed_at, real_at(), mono_at()) + shape.window_ms * 1'000'000;
      if (until > mono_at()) hooks.remember(index, {text, record.id_length}, until);
    }
    if (record.dead) {
      slot.dead_at.store(record.at, std::memory_order_relaxed);
      word.state = layout::SlotState::dead;
      slot.word.store(layout::pack(word), std::memory_order_release);
      return;
    }
    const std::uint64_t due = monotonic(record.at);
    slot.due.store(due > mono_at() ? due : 0, std::memory_order_relaxed);
    if (record.expires != 0) due_.set(index, slot.expires.load(std::memory_order_relaxed));
    if (record.group_length != 0 && hooks.enter_group) {
      word.state = layout::SlotState::writing;
      slot.word.store(layout::pack(layout::Word{word.state, 0, 0, 0, 0, word.token}),
                      std::memory_order_seq_cst);
      if (!hooks.enter_group(index, word, {text + record.id_length, record.group_length})) return;
    }
    word.state = due > mono_at() ? layout::SlotState::delayed : layout::SlotState::ready;
    // Known to be a job, whether or not it has a hint.
    if (word.state == layout::SlotState::ready) word.flags = layout::kConfirmed;
    slot.word.store(layout::pack(word), std::memory_order_seq_cst);
    if (word.state == layout::SlotState::ready &&
        !ready_.add(record.stage, record.level, index, word.token)) {
      word.flags = layout::kReturned;
      slot.word.store(layout::pack(word), std::memory_order_seq_cst);
      ready_.add_returned(record.stage, record.level, index);
    }
    if (word.state == layout::SlotState::delayed) due_.set(index, due);
  }
  [[nodiscard]] std::uint64_t mono_at() const noexcept {
    return memory_->control().mono_at.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t real_at() const noexcept {
    return memory_->control().real_at.load(std::memory_order_relaxed);
  }
  // Of nanoseconds since 1970. 0 stays 0.
  [[nodiscard]] std::uint64_t monotonic(std::uint64_t real) const noexcept {
    return real == 0 ? 0 : shifted(real, real_at(), mono_at());
  }

  std::byte* base_;
  const WorkMemory* memory_;
  const Records* records_;
  ReadyLists ready_;
  DueTimes due_;
};

}  // namespace millrace
