// The steps by which a job in a slot changes, each one compare-and-swap of the slot's word with what comes before and after it:
// published, returned, ended, dead; and what must follow from it for others. What is done with jobs is in the headers that build
// on this one: job_times.hpp, job_pushes.hpp, job_leases.hpp, job_stages.hpp, job_results.hpp, job_forwards.hpp, and
// job_store.hpp, which says why every step is safe.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "../crash_point.hpp"
#include "../happenings.hpp"
#include "../os/clock.hpp"
#include "../store/arena.hpp"
#include "../store/id_hash.hpp"
#include "counts.hpp"
#include "dead_letters.hpp"
#include "due.hpp"
#include "durable.hpp"
#include "facts.hpp"
#include "groups.hpp"
#include "keys.hpp"
#include "memory.hpp"
#include "notes.hpp"
#include "order.hpp"
#include "ready.hpp"
#include "slots.hpp"

namespace millrace {

class JobSteps {
 public:
  static constexpr std::uint64_t kIds = 1;  // of id_hash()
  static constexpr std::uint64_t kGroups = 2;
  static constexpr std::uint32_t kRoom =
      1U << layout::kMaxStages;  // of stirred(); below it a bit for each stage
  // `seed`: of the segment's own, the same to all who are on it.
  JobSteps(const WorkMemory& memory, std::uint16_t seat, layout::SeatRecord& own,
           std::uint64_t seed = 0)
      : memory_(memory),
        seed_(seed),
        records_(memory_, seed),
        seat_(seat),
        own_(&own),
        free_(memory_, seat),
        ready_(memory_),
        due_(memory_),
        notes_(memory_),
        dead_(memory_, seat),
        keys_(memory.keys(), memory.shape().key_buckets(), seat),
        order_(memory_, seat),
        groups_(memory.groups(), memory.shape().group_buckets(), memory.all_slots(),
                memory.shape().slots(), Order::serials_of(memory), seat),
        arena_(memory.owners(), memory.shape().granules(),
               seat * 97U % std::max(memory.shape().granules(), 1U)) {}
  // Its parts point to memory_.
  JobSteps(const JobSteps&) = delete;
  JobSteps& operator=(const JobSteps&) = delete;
  // What the queue is called, for whoever is told what becomes of its jobs.
  void name_it(std::string_view name) { name_ = name; }
  [[nodiscard]] const WorkMemory& memory() const noexcept { return memory_; }
  [[nodiscard]] const Records& records() const noexcept { return records_; }
  // What others may wait for and has come since the last call: jobs of a stage (its bit), room (kRoom).
  [[nodiscard]] std::uint32_t stirred() noexcept { return std::exchange(stirred_, 0); }
  [[nodiscard]] bool holds(const Lease& lease) const noexcept {
    return lease && memory_.slot(lease.slot).word.load(std::memory_order_acquire) == lease.word;
  }
  // What the slot says of a job that nobody else may change; the numbers are judged, since anybody may have written them.
  // False: they are impossible.
  [[nodiscard]] bool facts(std::uint32_t index, JobFacts& facts) const {
    const layout::Slot& slot = memory_.slot(index);
    const layout::Word word = layout::unpack(slot.word.load(std::memory_order_acquire));
    const std::uint32_t granules = slot.granules.load(std::memory_order_relaxed);
    const std::uint32_t granule = slot.granule.load(std::memory_order_relaxed);
    const WorkShape& shape = memory_.shape();
    std::uint64_t room = shape.inline_most();
    if (granules != 0) {
      if (granule >= shape.granules() || granules > shape.granules() - granule) return false;
      room = std::uint64_t{granules} * layout::kGranuleBytes - shape.head_bytes();
    }
    facts.length = slot.length;
    const std::uint16_t id = slot.id_length;
    const std::uint16_t group = slot.group_length;
    const std::uint32_t headers = slot.headers_length;
    const std::uint64_t tail = std::uint64_t{id} + group + headers;
    const std::uint64_t tail_at = (std::uint64_t{facts.length} + 7) / 8 * 8;
    if (facts.length > room || (tail != 0 && tail_at + tail > room)) return false;
    facts.at = memory_.payload_at(index, granules, granule);
    const auto* text = reinterpret_cast<const char*>(memory_.data() + facts.at + tail_at);
    facts.id = {text, id};
    facts.group = {text + id, group};
    facts.headers = {memory_.data() + facts.at + tail_at + id + group, headers};
    facts.level = word.level;
    facts.stage = slot.stage.load(std::memory_order_relaxed);
    facts.attempt = word.attempt;
    facts.acquired = slot.acquired;
    facts.token = word.token;
    facts.pushed_at = slot.pushed_at;
    facts.reason = static_cast<layout::DeadReason>(slot.reason);
    facts.dead_at = slot.dead_at.load(std::memory_order_relaxed);
    facts.error = notes_.read(index);
    return true;
  }
  [[nodiscard]] std::uint64_t earliest() const noexcept { return due_.earliest(); }
  // Lets jobs go on that wait for their turn, if whoever should have done it is stopped: now and then.
  void keep_order() noexcept { advance_from(0); }
  void balance() noexcept {
    dead_.balance(
        [this](std::uint32_t slot) {
          free_.freed(slot);
          stirred_ |= kRoom;
        },
        [this](std::uint32_t slot, std::uint64_t bits) { return drop(slot, bits); });
  }
  void add(layout::WorkCount what, std::uint64_t more = 1) noexcept {
    counter_of(memory_.control(), what).fetch_add(more, std::memory_order_relaxed);
  }

 protected:
  static constexpr std::uint32_t kMostOwed = 32;
  // Of a counter that only its owner changes.
  static void count(std::atomic<std::uint64_t>& counter) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  static std::uint64_t later(std::uint64_t now, std::uint64_t ns) noexcept {
    return ns > ~0ULL - 512 - now ? ~0ULL - 512 : now + ns;
  }
  [[nodiscard]] layout::Word word_of(std::uint32_t slot) const noexcept {
    return layout::unpack(memory_.slot(slot).word.load(std::memory_order_acquire));
  }
  [[nodiscard]] std::uint32_t stage_of(std::uint32_t slot) const noexcept {
    return memory_.slot(slot).stage %
           memory_.shape().stages;  // somebody may have written anything there
  }
  [[nodiscard]] std::uint8_t level_of(const layout::Word& word) const noexcept {
    return static_cast<std::uint8_t>(word.level % memory_.shape().levels);
  }
  [[nodiscard]] bool is_last(std::uint8_t attempt) const noexcept {
    const std::uint8_t most = memory_.shape().attempts;
    return most != 0 && attempt >= most;
  }
  bool lost(Lease& lease) noexcept {
    lease = Lease{};
    add(layout::WorkCount::lost_leases);
    return false;
  }
  // From exactly the word of the lease.
  bool change(Lease& lease, const layout::Word& word) noexcept {
    std::uint64_t expected = lease.word;
    const std::uint64_t next = layout::pack(word);
    if (!lease || !memory_.slot(lease.slot)
                       .word.compare_exchange_strong(expected, next, std::memory_order_seq_cst,
                                                     std::memory_order_relaxed)) {
      return lost(lease);
    }
    lease.word = next;
    return true;
  }
  // The job of that slot, which is `word`, comes into that group. `waits`: it is `grouped` by now; otherwise it is its turn.
  Pushed enter_group(std::uint32_t index, layout::Word word, std::string_view group,
                     bool& waits) noexcept {
    layout::Slot& slot = memory_.slot(index);
    const auto entered = groups_.enter(
        id_hash(group, seed_, kGroups), index, slot.born.load(std::memory_order_relaxed),
        [&](std::uint32_t) {
          std::uint64_t bits = layout::pack(word);
          if (word.state == layout::SlotState::writing) {
            // As reserve() left it: level and flags are told only now.
            layout::Word begun;
            begun.state = layout::SlotState::writing;
            begun.seat = word.seat;
            begun.token = word.token;
            bits = layout::pack(begun);
          }
          layout::Word next = word;
          next.state = layout::SlotState::grouped;
          next.attempt = 0;
          next.seat = seat_;
          // release: pairs with the acquire of whoever makes it ready.
          return slot.word.compare_exchange_strong(bits, layout::pack(next),
                                                   std::memory_order_seq_cst);
        },
        [this](std::uint32_t next) { activate(next); });
    if (groups_.made_room()) stirred_ |= kRoom;  // left to us by others
    if (groups_.renumbered()) advance_from(0);
    waits = entered.answer == Groups::Answer::queued;
    if (word.state == layout::SlotState::writing && entered.answer != Groups::Answer::active &&
        !waits) {
      withdraw_serial(index);
    }
    switch (entered.answer) {
      case Groups::Answer::no_room:
        return Pushed::full;
      case Groups::Answer::busy:
        return Pushed::busy;
      default:
        return Pushed::yes;
    }
  }
  // The job of that slot waited for its turn in its group, and this is it.
  void activate(std::uint32_t index) noexcept {
    const layout::Slot& slot = memory_.slot(index);
    const std::uint64_t bits = slot.word.load(std::memory_order_acquire);
    layout::Word word = layout::unpack(bits);
    if (word.state != layout::SlotState::grouped) return;
    const std::uint64_t due = slot.due.load(std::memory_order_relaxed);
    if (due == 0) {
      (void)return_as(index, bits, word);
      return;
    }
    // Perhaps it is due by now: the next look will tell.
    std::uint64_t expected = bits;
    word.state = layout::SlotState::delayed;
    if (!memory_.slot(index).word.compare_exchange_strong(expected, layout::pack(word),
                                                          std::memory_order_seq_cst)) {
      return;
    }
    due_.set(index, due);
    watch_expiry(index);
    stirred_ |= 1U << stage_of(index);
  }
  // A job of that group has gone.
  void leave_group(std::uint32_t group) noexcept {
    if (group == 0) return;
    MILLRACE_CRASH_POINT("work.group.left");
    const bool left = groups_.leave(group, [this](std::uint32_t next) { activate(next); });
    if (groups_.made_room()) stirred_ |= kRoom;
    if (left) return;
    // Of more than these only those may be late that come to a bucket whose holder is stopped.
    if (owed_ < kMostOwed) owed_groups_[owed_++] = group;
  }
  // The job in that slot, which was in that stage, has gone on or ended: whoever has waited for it in an ordered stage goes on.
  void advance_from(std::uint32_t stage) noexcept {
    if (!order_.on()) return;
    detail::for_each_bit(order_.stages_from(stage), [this](std::uint32_t each) {
      const Order::Advanced done = order_.advance(
          each, [this](std::uint32_t index, std::uint64_t bits) { return let_go(index, bits); });
      // Results of jobs whose turn it is may have more of it (job_results.hpp).
      if (done.moved) stirred_ |= kRoom;
      owes_order_ = owes_order_ || !done.over;
    });
  }
  // A number for the job that is to be in that slot.
  void give_serial(std::uint32_t index) noexcept {
    if (order_.give_serial(index)) advance_from(0);
  }
  // The number of a job, while it cannot end: 0 if nobody can wait for it.
  [[nodiscard]] std::uint64_t serial_of(std::uint32_t index) const noexcept {
    return order_.on() ? memory_.slot(index).serial.load(std::memory_order_relaxed) : 0;
  }
  // Of a place that does not become a job after all.
  void withdraw_serial(std::uint32_t index) noexcept {
    if (serial_of(index) == 0) return;
    memory_.slot(index).serial.store(0, std::memory_order_seq_cst);
    advance_from(stage_of(index));
  }
  // The job of that slot is held, and it is its turn: on to the next stage. Under the lock of the stage that it leaves.
  bool let_go(std::uint32_t index, std::uint64_t bits) noexcept {
    layout::Slot& slot = memory_.slot(index);
    layout::Word word = layout::unpack(bits);
    const std::uint32_t next = word.attempt % memory_.shape().stages;
    word.state = layout::SlotState::moving;
    word.flags = static_cast<std::uint8_t>(layout::MovingTo::next_stage);
    word.seat = seat_;
    // acquire: pairs with the release of who held it.
    if (!slot.word.compare_exchange_strong(bits, layout::pack(word), std::memory_order_seq_cst))
      return false;
    MILLRACE_CRASH_POINT("work.order.begun");
    enter_stage(index, word, next);
    return true;
  }
  // The job in that slot is `moving` by us: it is ready in that stage, behind all that are.
  void enter_stage(std::uint32_t index, layout::Word word, std::uint32_t stage) noexcept {
    memory_.slot(index).stage.store(static_cast<std::uint8_t>(stage), std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("work.stage.entered");
    word.attempt = 0;
    if (records_.on()) records_.change(index, word);
    word.flags = layout::kConfirmed;
    publish(index, word, stage);
    watch_expiry(index);
  }
  // `bits` -> `next`, by one compare-and-swap. Where jobs have records it goes by way of `moving`, in which nobody can take the
  // job away, and the record is brought to say the same. False: it is something else by now.
  bool step(std::uint32_t index, std::uint64_t bits, const layout::Word& next,
            layout::MovingTo to) noexcept {
    auto& word = memory_.slot(index).word;
    if (!records_.on()) {
      // release: pairs with the acquire of who makes it his own next: what the last holder wrote, and has read.
      return word.compare_exchange_strong(bits, layout::pack(next), std::memory_order_seq_cst,
                                          std::memory_order_relaxed);
    }
    layout::Word moving = next;
    moving.state = layout::SlotState::moving;
    moving.flags = static_cast<std::uint8_t>(to);
    moving.seat = seat_;
    if (!word.compare_exchange_strong(bits, layout::pack(moving), std::memory_order_seq_cst,
                                      std::memory_order_relaxed)) {
      return false;
    }
    MILLRACE_CRASH_POINT("work.step.moving");
    if (to == layout::MovingTo::free) {
      records_.wipe(index);
    } else {
      records_.change(index, next);
    }
    MILLRACE_CRASH_POINT("work.step.recorded");
    word.store(layout::pack(next), std::memory_order_seq_cst);  // release: as above
    return true;
  }
  // The job in that slot, which nobody else may change, is ready at the end of its list.
  void publish(std::uint32_t index, layout::Word word, std::uint32_t stage) noexcept {
    layout::Slot& slot = memory_.slot(index);
    word.state = layout::SlotState::ready;
    // If we die before it has a hint it is returned, to this place.
    if ((word.flags & layout::kConfirmed) != 0) place_last(index, word, stage);
    // release: pairs with the acquire of who takes it: slot and payload are seen.
    slot.word.store(layout::pack(word), std::memory_order_release);
    hint(index, word, stage);
  }
  // Behind all that are ready there.
  void place_last(std::uint32_t index, const layout::Word& word, std::uint32_t stage) noexcept {
    memory_.slot(index).position.store(ready_.end_of(stage, level_of(word)),
                                       std::memory_order_relaxed);
  }
  // Its word says that it is ready, and nobody can find it yet.
  void hint(std::uint32_t index, const layout::Word& word, std::uint32_t stage) noexcept {
    MILLRACE_CRASH_POINT("work.push.ready");
    if (!ready_.add(stage, level_of(word), index, word.token)) {
      (void)return_as(index, layout::pack(word), word);
    }
    stir(index, stage);
  }
  // That job is ready in that stage. If others have wanted to leave a stage before it: who has his hands full of them takes it
  // (JobResults::take_front), and waits for room. Either it is seen here that it is its turn, or whoever moves the watermark
  // afterwards stirs, and its word says already that it is ready.
  void stir(std::uint32_t index, std::uint32_t stage) noexcept {
    stirred_ |= 1U << stage;
    if (!order_.on()) return;
    const auto gate = order_.first_from(stage);
    if (gate && order_.is_next(*gate, serial_of(index))) stirred_ |= kRoom;
  }
  // `bits` -> ready and returned. False: it is something else by now.
  bool return_as(std::uint32_t index, std::uint64_t bits, layout::Word word) noexcept {
    word.state = layout::SlotState::ready;
    word.flags = layout::kReturned;
    const std::uint32_t stage = stage_of(index);
    if (!step(index, bits, word, layout::MovingTo::ready)) return false;
    ready_.add_returned(stage, level_of(word), index);
    watch_expiry(index);
    stir(index, stage);
    return true;
  }
  // While a job is leased or waits for its turn nobody looks at its time to live.
  void watch_expiry(std::uint32_t index) noexcept {
    const std::uint64_t expires = memory_.slot(index).expires.load(std::memory_order_relaxed);
    if (expires != 0) due_.set(index, expires);
  }
  // `bits` -> free, and what belonged to the job is given back. False: it is something else by now.
  bool end_word(std::uint32_t index, std::uint64_t bits, std::uint32_t granule,
                std::uint32_t granules) noexcept {
    layout::Slot& slot = memory_.slot(index);
    const std::uint32_t born = slot.born.load(std::memory_order_relaxed);
    const std::uint32_t group = slot.group.load(std::memory_order_relaxed);
    const std::uint32_t stage = stage_of(index);
    // Nobody waits for dead letters.
    const bool numbered =
        serial_of(index) != 0 && layout::unpack(bits).state != layout::SlotState::dead;
    layout::Word word;
    word.token = layout::unpack(bits).token;
    // Pairs with the acquire of who claims it: our reads of the payload come before its writes.
    if (!step(index, bits, word, layout::MovingTo::free)) return false;
    MILLRACE_CRASH_POINT("work.end.word");
    if (granules != 0) arena_.give_back(index, born, granule, granules);
    free_.freed(index);
    stirred_ |= kRoom;
    leave_group(group);
    if (numbered) advance_from(stage);
    return true;
  }
  // `bits` -> dead. Reason and time are written before: whoever is not the only one to do this does it for the same reason.
  bool die(std::uint32_t index, std::uint64_t bits, layout::Word word,
           layout::DeadReason reason) noexcept {
    layout::Slot& slot = memory_.slot(index);
    slot.reason = static_cast<std::uint8_t>(reason);
    slot.dead_at.store(os::exact_real_ns(), std::memory_order_relaxed);
    const std::uint32_t group = slot.group.load(std::memory_order_relaxed);
    const std::uint32_t stage = stage_of(index);
    word.state = layout::SlotState::dead;
    word.flags = 0;
    if (!step(index, bits, word, layout::MovingTo::dead)) return false;
    MILLRACE_CRASH_POINT("work.die.word");
    add(layout::WorkCount::dead_lettered);
    Happenings::note({HappeningWhat::dead_lettered, layout::Kind::work, 0,
                      static_cast<std::uint32_t>(reason), word.attempt},
                     name_);
    leave_group(group);
    balance();
    advance_from(stage);
    return true;
  }
  bool expire(std::uint32_t index, std::uint64_t bits) noexcept {
    if (!die(index, bits, layout::unpack(bits), layout::DeadReason::expired)) return false;
    add(layout::WorkCount::expired);
    return true;
  }
  bool drop(std::uint32_t index, std::uint64_t bits) noexcept {
    const layout::Slot& slot = memory_.slot(index);
    return end_word(index, bits, slot.granule.load(std::memory_order_relaxed),
                    slot.granules.load(std::memory_order_relaxed));
  }
  void note(std::uint32_t slot, std::string_view error) noexcept {
    if (!error.empty() && !notes_.write(slot, error)) add(layout::WorkCount::texts_cut);
  }
  WorkMemory memory_;
  std::uint64_t seed_ = 0;
  Records records_;
  std::uint16_t seat_ = 0;
  layout::SeatRecord* own_ = nullptr;
  FreeSlots free_;
  ReadyLists ready_;
  DueTimes due_;
  Notes notes_;
  DeadLetters dead_;
  Keys keys_;
  Order order_;
  Groups groups_;
  Arena arena_;
  std::uint32_t stirred_ = 0;
  std::array<std::uint32_t, kMostOwed> owed_groups_{};  // that somebody else is to see to
  std::uint32_t owed_ = 0;
  bool owes_order_ = false;  // a stage was left in which jobs may wait for nobody
  std::string name_;
};

}  // namespace millrace
