// The jobs of a work queue and what is done with them: pushed, taken, settled, put off, given up; and what of a dead
// holder's doings is finished, or undone. Knows nothing of waiting: stirred() says what others may be waiting for.
//
// Every step is one compare-and-swap of the slot's word, or one store by the only one who may change it. Before it everything
// that the new state means is written; after it, what follows from it is done: hints, memory, quotas. Whoever dies in between
// is buried by repair(), which does the rest from the word alone.
//
//   of a push        word                                if it dies there
//   claim            free -> writing                     -> free: it was never confirmed
//   ready            writing -> ready                    no hint: -> free. It must not be returned: it would overtake others
//   hint             (cell)                              a job
//   of a take        ready -> leased                     -> ready, returned: its old place
//   of an end        leased -> free                      what is left of it (granules, note, group) is an orphan's
//   of a return      leased -> ready, returned           the flag says that it belongs into the set of returned jobs
//   of a forwarding  see forward.hpp
//
// A holder's settle compares with exactly the word of its lease: whatever was done with the job meanwhile, the token has moved on
// with the next lease, and the state with the return.
#pragma once

#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "../crash_point.hpp"
#include "../os/clock.hpp"
#include "arena.hpp"
#include "dead_letters.hpp"
#include "due.hpp"
#include "durable.hpp"
#include "facts.hpp"
#include "forward.hpp"
#include "groups.hpp"
#include "id_hash.hpp"
#include "keys.hpp"
#include "memory.hpp"
#include "notes.hpp"
#include "ready.hpp"
#include "recovery.hpp"
#include "slots.hpp"

namespace millrace {

namespace detail {

// Nanoseconds since 1970.
inline std::uint64_t exact_wall_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}
// The same within a few milliseconds, where that is cheaper.
inline std::uint64_t wall_ns() noexcept {
#if defined(CLOCK_REALTIME_COARSE)
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec);
#else
  return exact_wall_ns();
#endif
}

}  // namespace detail

class JobStore {
 public:
  static constexpr std::uint64_t kIds = 1;  // of id_hash()
  static constexpr std::uint64_t kGroups = 2;
  static constexpr std::uint32_t kRoom =
      1U << layout::kMaxStages;  // of stirred(); below it a bit for each stage

  // `seed`: of the segment's own, the same to all who are on it.
  JobStore(const WorkMemory& memory, std::uint16_t seat, layout::SeatRecord& own,
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
        groups_(memory.groups(), memory.shape().group_buckets(), memory.all_slots(),
                memory.shape().slots(), memory.control().serial, seat),
        arena_(memory.owners(), memory.shape().granules(),
               seat * 97U % std::max(memory.shape().granules(), 1U)) {}
  // Its parts point to memory_.
  JobStore(const JobStore&) = delete;
  JobStore& operator=(const JobStore&) = delete;

  // A new queue, or one whose creator died while it did this: nobody else is on it.
  void set_up() noexcept {
    const WorkShape& shape = memory_.shape();
    for (std::uint32_t slot = 0; slot < shape.slots(); ++slot) {
      layout::Word word;
      if (slot >= shape.jobs) word.state = layout::SlotState::spare;
      memory_.slot(slot).word.store(layout::pack(word), std::memory_order_relaxed);
      if (slot < shape.jobs) free_.mark(slot);
    }
    due_.clear();
  }

  [[nodiscard]] const WorkMemory& memory() const noexcept { return memory_; }
  [[nodiscard]] const Records& records() const noexcept { return records_; }
  // What a recovery needs of this queue's ids and groups.
  [[nodiscard]] Recovery::Hooks recovery_hooks() {
    Recovery::Hooks hooks;
    hooks.enter_group = [this](std::uint32_t slot, const layout::Word& word,
                               std::string_view group) {
      bool waits = false;
      return enter_group(slot, word, group, waits) != Pushed::yes || !waits;
    };
    if (!keys_.enabled()) return hooks;
    hooks.remember = [this](std::uint32_t slot, std::string_view id, std::uint64_t until) {
      (void)keys_.look_up(id_hash(id, seed_, kIds), slot, 1, os::monotonic_ns(), until,
                          [](std::uint32_t, std::uint32_t) { return true; });
    };
    return hooks;
  }

  // What others may wait for and has come since the last call: jobs of a stage (its bit), room (kRoom).
  [[nodiscard]] std::uint32_t stirred() noexcept { return std::exchange(stirred_, 0); }

  // --- push ---

  // The largest payload there can be.
  [[nodiscard]] std::uint64_t largest() const noexcept {
    const std::uint64_t whole =
        memory_.shape().bytes / layout::kGranuleBytes * layout::kGranuleBytes;
    const std::uint64_t head = memory_.shape().head_bytes();
    return std::max<std::uint64_t>(whole > head ? whole - head : 0, memory_.shape().inline_most());
  }

  // A place for that many bytes, and for `tail` bytes behind them (id, group, headers).
  [[nodiscard]] Pushed reserve(std::uint64_t bytes, std::uint64_t tail, Loan& loan) noexcept {
    const std::uint64_t all = tail == 0 ? bytes : (bytes + 7) / 8 * 8 + tail;
    if (bytes > largest() || all > largest() || bytes > 0xFFFF'FFFFU) return Pushed::too_large;
    auto claim = free_.claim(layout::SlotState::writing, seat_);
    if (!claim && sweep(os::monotonic_ns()) != 0)
      claim = free_.claim(layout::SlotState::writing, seat_);
    if (!claim) return Pushed::full;
    layout::Slot& slot = memory_.slot(claim->slot);
    const std::uint32_t born = claim->word.token;
    // release: who judges granules of this job (arena.hpp) sees it with them.
    slot.born.store(born, std::memory_order_release);
    slot.acquired = 0;
    slot.note = 0;
    slot.group.store(0, std::memory_order_relaxed);
    slot.reason = 0;
    slot.granules.store(0, std::memory_order_relaxed);
    slot.forward = 0;
    slot.forward_queue = 0;
    slot.key_home = 0;
    slot.lease_end.store(0, std::memory_order_relaxed);
    loan = Loan{claim->slot, layout::pack(claim->word), 0, memory_.shape().inline_most(), 0, 0};
    if (all > memory_.shape().inline_most() || records_.on()) {
      const std::uint64_t head = memory_.shape().head_bytes();
      loan.granules = static_cast<std::uint32_t>((head + all + layout::kGranuleBytes - 1) /
                                                 layout::kGranuleBytes);
      const auto first = arena_.claim(loan.slot, born, loan.granules);
      if (arena_.disturbed()) stirred_ |= kRoom;
      if (!first) {
        loan.granules = 0;
        cancel(loan);
        return Pushed::full_bytes;
      }
      loan.granule = *first;
      loan.room = std::uint64_t{loan.granules} * layout::kGranuleBytes - head;
      slot.granule.store(loan.granule, std::memory_order_relaxed);
      slot.granules.store(loan.granules, std::memory_order_relaxed);
      MILLRACE_CRASH_POINT("work.push.room");
    }
    loan.at = memory_.payload_at(loan.slot, loan.granules, loan.granule);
    return Pushed::yes;
  }
  // Gives the place back.
  void cancel(Loan& loan) noexcept {
    if (!loan) return;
    end_word(loan.slot, loan.word, loan.granule, loan.granules);
    loan = Loan{};
  }
  // What has been written to the place becomes a job: `length` bytes of payload. `options` are judged: a level and a stage
  // that there are, a tail that has room. The place is gone afterwards, unless the answer is `busy` (somebody is pushing the
  // same id, or changes the same group) or `full` (there are as many groups as there may be).
  [[nodiscard]] Pushed push(Loan& loan, std::uint64_t length, const PushOptions& options) noexcept {
    layout::Slot& slot = memory_.slot(loan.slot);
    layout::Word word;
    if (const Pushed told = describe(loan, length, options, word); told != Pushed::yes) return told;
    bool waits = false;
    if (!options.group.empty()) {
      const Pushed entered = enter_group(loan.slot, word, options.group, waits);
      if (entered != Pushed::yes) {
        if (!options.id.empty()) keys_.cancel(slot.key_home, loan.slot, word.token);
        return entered;
      }
    }
    if (waits) {
      // It comes when the job before it has gone.
    } else if (options.delay_ns != 0) {
      word.state = layout::SlotState::delayed;
      // seq_cst: as DueTimes::set() wants it.
      slot.word.store(layout::pack(word), std::memory_order_seq_cst);
      due_.set(loan.slot, slot.due.load(std::memory_order_relaxed));
      stirred_ |= 1U << options.stage;  // who sleeps may have to wake up earlier
    } else {
      publish(loan.slot, word, options.stage);
    }
    if (options.ttl_ns != 0) due_.set(loan.slot, slot.expires.load(std::memory_order_relaxed));
    count(own_->pushed);
    loan = Loan{};
    return Pushed::yes;
  }

  // --- take and settle ---

  // The first job of that stage, or none. `start`: its handler begins, so this attempt counts.
  [[nodiscard]] Lease take(std::uint32_t stage, bool start) noexcept {
    catch_up();
    const Lease got = ready_.take(stage, [this, start](std::uint32_t slot, std::uint64_t word) {
      return make_own(slot, word, start);
    });
    if (!got) return got;
    layout::Slot& slot = memory_.slot(got.slot);
    ++slot.acquired;
    if (memory_.shape().lease_ms != 0) extend_to(got, memory_.shape().lease_ms * 1'000'000);
    count(own_->taken);
    return got;
  }
  // May there be a job of that stage?
  [[nodiscard]] bool any(std::uint32_t stage) const noexcept { return ready_.any(stage); }

  // May there be room for a job?
  [[nodiscard]] bool any_room() const noexcept {
    for (std::uint32_t word = 0; word < (memory_.shape().slot_words() + 63) / 64; ++word) {
      if (memory_.free_groups()[word].load(std::memory_order_seq_cst) != 0) return true;
    }
    return false;
  }

  // The handler of a job that was taken ahead begins. False: the lease is lost, as below.
  [[nodiscard]] bool start(Lease& lease) noexcept {
    layout::Word word = layout::unpack(lease.word);
    if ((word.flags & layout::kStarted) != 0) return holds(lease);
    word.flags |= layout::kStarted;
    if (word.attempt != 0xFF) ++word.attempt;
    return change(lease, word);
  }
  [[nodiscard]] bool holds(const Lease& lease) const noexcept {
    return lease && memory_.slot(lease.slot).word.load(std::memory_order_acquire) == lease.word;
  }

  // The job is done, and gone.
  [[nodiscard]] bool complete(Lease& lease) noexcept {
    const layout::Slot& slot = memory_.slot(lease.slot);
    const std::uint32_t granule = slot.granule.load(std::memory_order_relaxed);
    const std::uint32_t granules = slot.granules.load(std::memory_order_relaxed);
    if (!end_word(lease.slot, lease.word, granule, granules)) return lost(lease);
    lease = Lease{};
    count(own_->completed);
    return true;
  }
  // Back to its place, and this attempt does not count.
  [[nodiscard]] bool release(Lease& lease, std::uint64_t delay_ns) noexcept {
    layout::Word word = layout::unpack(lease.word);
    if ((word.flags & layout::kStarted) != 0 && word.attempt > 0) --word.attempt;
    return give_back(lease, word, delay_ns);
  }
  // The same, and it counts: after the last one that is allowed it is a dead letter.
  [[nodiscard]] bool retry(Lease& lease, std::uint64_t delay_ns, std::string_view error) noexcept {
    layout::Word word = layout::unpack(lease.word);
    if ((word.flags & layout::kStarted) == 0 && word.attempt != 0xFF) ++word.attempt;
    if (!holds(lease)) return lost(lease);
    note(lease.slot, error);
    if (is_last(word.attempt)) {
      return bury_job(lease, word, layout::DeadReason::attempts);
    }
    return give_back(lease, word, delay_ns);
  }
  // Never again: a dead letter at once.
  [[nodiscard]] bool reject(Lease& lease, std::string_view error) noexcept {
    if (!holds(lease)) return lost(lease);
    note(lease.slot, error);
    return bury_job(lease, layout::unpack(lease.word), layout::DeadReason::rejected);
  }
  // The lease ends that much later from now, where leases end by time at all.
  [[nodiscard]] bool extend(const Lease& lease, std::uint64_t ns) noexcept {
    if (!holds(lease)) return false;
    if (memory_.shape().lease_ms != 0) extend_to(lease, ns);
    return holds(lease);
  }
  // On to the next stage, as it is. One step: who dies in it has done it, or has not.
  [[nodiscard]] bool move_on(Lease& lease, std::uint8_t stage) noexcept {
    layout::Slot& slot = memory_.slot(lease.slot);
    if (!holds(lease)) return lost(lease);
    slot.forward = stage;
    layout::Word word = layout::unpack(lease.word);
    word.state = layout::SlotState::moving;
    word.flags = static_cast<std::uint8_t>(layout::MovingTo::next_stage);
    word.attempt = 0;
    if (!change(lease, word)) return lost(lease);
    MILLRACE_CRASH_POINT("work.move.begun");
    slot.stage.store(stage, std::memory_order_relaxed);
    if (records_.on()) records_.change(lease.slot, word);
    word.flags = layout::kConfirmed;
    publish(lease.slot, word, stage);
    lease = Lease{};
    count(own_->completed);
    return true;
  }

  // The job is done, and what it became, written to a place in `to`, is a job there: one step (forward.hpp). `to` is this store
  // or another one's, of the same thread. `options` as of push(), without a group. The place is gone afterwards, unless the answer
  // is `busy`. Neither queue may be on disk.
  [[nodiscard]] Forwarded forward(Lease& lease, JobStore& to, Loan& loan, std::uint64_t length,
                                  const PushOptions& options) noexcept {
    layout::Slot& slot = memory_.slot(lease.slot);
    if (!holds(lease)) {
      to.cancel(loan);
      (void)lost(lease);
      return Forwarded::lost;
    }
    layout::Word word = layout::unpack(lease.word);
    Promise promise;
    switch (to.promise(loan, length, options,
                       Origin{seed_, layout::work_job(lease.slot, word.token)}, promise)) {
      case Pushed::yes:
        break;
      case Pushed::duplicate:
        return complete(lease) ? Forwarded::duplicate : Forwarded::lost;
      default:
        return Forwarded::busy;
    }
    word.state = layout::SlotState::moving;
    word.flags = static_cast<std::uint8_t>(layout::MovingTo::forwarded);
    if (!change(lease, word)) {
      to.withdraw(promise);
      return Forwarded::lost;
    }
    MILLRACE_CRASH_POINT("work.forward.begun");
    // Only now: whoever has lost the lease must not write over what its new holder does.
    slot.forward = layout::work_job(promise.slot, layout::unpack(promise.word).token);
    slot.forward_queue = to.seed_;
    word.state = layout::SlotState::forwarded;
    word.flags = 0;
    const std::uint64_t bits = layout::pack(word);
    // The one step. release: pairs with the acquire in was_forwarded().
    slot.word.store(bits, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("work.forward.done");
    to.keep(promise);
    MILLRACE_CRASH_POINT("work.forward.kept");
    (void)drop(lease.slot, bits);
    lease = Lease{};
    count(own_->completed);
    return Forwarded::yes;
  }
  // Shows repair() other queues.
  void reach_by(Reach reach) { reach_ = std::move(reach); }
  // Did repair() have to leave something, because another queue could not be looked at? It is to be called again then.
  [[nodiscard]] bool left_something() const noexcept { return left_something_; }

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

  // --- time ---

  [[nodiscard]] std::uint64_t earliest() const noexcept { return due_.earliest(); }
  // Does what is due. Returns for how many jobs something was done.
  std::uint32_t sweep(std::uint64_t now) noexcept {
    if (due_.earliest() > now) return 0;
    std::uint32_t done = 0;
    due_.sweep(now, [&](std::uint32_t slot) { return sweep_slot(slot, now, done); });
    return done;
  }

  // Groups whose next job somebody else was to see to: now and then, and before taking.
  void catch_up() noexcept {
    const std::uint32_t owed = std::exchange(owed_, 0);
    for (std::uint32_t i = 0; i < owed; ++i) {
      const std::uint32_t group = owed_groups_[i];
      if (!groups_.leave_again(group, [this](std::uint32_t next) { activate(next); }))
        owed_groups_[owed_++] = group;
    }
    if (groups_.made_room()) stirred_ |= kRoom;
  }

  // --- dead letters ---

  template <typename Each>
  [[nodiscard]] bool each_dead(Each&& each) noexcept {
    return dead_.in_order(each);
  }
  // Under the lock of each_dead(): it becomes a job again, behind all that are there. False: there is no room for it.
  [[nodiscard]] bool redrive(std::uint32_t index, std::uint64_t bits) noexcept {
    layout::Word word = layout::unpack(bits);
    const auto spare = free_.claim(layout::SlotState::spare, seat_);
    if (!spare) return false;
    MILLRACE_CRASH_POINT("work.redrive.room");
    layout::Slot& slot = memory_.slot(index);
    JobFacts facts;
    bool waits = false;
    // A second life, in which it is not late from the beginning.
    slot.expires.store(0, std::memory_order_relaxed);
    slot.due.store(0, std::memory_order_relaxed);
    place_last(index, word, stage_of(index));
    if (records_.on()) {
      // Of dead letters the record belongs to who has the lock.
      layout::Word alive = word;
      alive.state = layout::SlotState::ready;
      alive.attempt = 0;
      records_.change(index, alive);
      MILLRACE_CRASH_POINT("work.redrive.recorded");
    }
    if (this->facts(index, facts) && !facts.group.empty()) {
      if (enter_group(index, word, facts.group, waits) != Pushed::yes) {
        // What is spare by now is one too many: balance(), which the caller runs, frees it.
        if (records_.on()) records_.change(index, word);
        return false;
      }
    }
    if (!waits) {
      word.state = layout::SlotState::ready;
      word.flags = layout::kConfirmed;
      word.attempt = 0;
      word.seat = seat_;
      // If it died without ever having been leased, the hint of its first life still lies in the ring.
      ++word.token;
      if (!slot.word.compare_exchange_strong(bits, layout::pack(word), std::memory_order_seq_cst)) {
        return true;  // somebody lied: balance() counts anew
      }
      hint(index, word, stage_of(index));
    }
    add(layout::WorkCount::redriven);
    return true;
  }
  // Under the lock of each_dead().
  [[nodiscard]] bool purge(std::uint32_t index, std::uint64_t bits) noexcept {
    if (!drop(index, bits)) return false;
    add(layout::WorkCount::purged);
    return true;
  }
  void balance() noexcept {
    dead_.balance(
        [this](std::uint32_t slot) {
          free_.freed(slot);
          stirred_ |= kRoom;
        },
        [this](std::uint32_t slot, std::uint64_t bits) { return drop(slot, bits); });
  }
  [[nodiscard]] std::uint32_t dead_count() const noexcept { return dead_.count(); }

  // --- the dead ---

  // Finishes or undoes what the dead holder of that seat was doing, and puts all hints right. Under the lifecycle lock, once
  // or again. Returns how many jobs it gave back.
  std::uint32_t repair(std::uint16_t seat) noexcept {
    std::uint32_t given_back = 0;
    left_something_ = false;
    for (std::uint32_t slot = 0; slot < memory_.shape().slots(); ++slot)
      given_back += repair_slot(slot, seat) ? 1 : 0;
    MILLRACE_CRASH_POINT("work.repair.slots");
    (void)arena_.sweep(
        [this](std::uint32_t slot, std::uint32_t born) { return is_orphan(slot, born); });
    MILLRACE_CRASH_POINT("work.repair.swept");
    groups_.bury(seat, [this](std::uint32_t next) { activate(next); });
    due_.forget();
    absorb();
    dead_.bury(seat);
    Links(memory_, seat_).bury(seat);
    balance();
    add(layout::WorkCount::given_back, given_back);
    stirred_ |= kRoom;
    return given_back;
  }

  // --- for tools ---

  struct Counts {
    std::uint32_t ready = 0, leased = 0, delayed = 0, grouped = 0, dead = 0, free = 0, other = 0;
  };
  [[nodiscard]] Counts counts() const noexcept {
    Counts counts;
    for (std::uint32_t slot = 0; slot < memory_.shape().slots(); ++slot) {
      switch (word_of(slot).state) {
        case layout::SlotState::ready:
          ++counts.ready;
          break;
        case layout::SlotState::leased:
          ++counts.leased;
          break;
        case layout::SlotState::delayed:
          ++counts.delayed;
          break;
        case layout::SlotState::grouped:
          ++counts.grouped;
          break;
        case layout::SlotState::dead:
          ++counts.dead;
          break;
        case layout::SlotState::free:
          ++counts.free;
          break;
        case layout::SlotState::spare:
          break;
        default:
          ++counts.other;
      }
    }
    return counts;
  }
  [[nodiscard]] bool any_leased() const noexcept {
    for (std::uint32_t slot = 0; slot < memory_.shape().slots(); ++slot) {
      if (word_of(slot).state == layout::SlotState::leased) return true;
    }
    return false;
  }
  // Is there a job, a dead letter, or an id to be remembered?
  [[nodiscard]] bool holds_anything() const noexcept {
    for (std::uint32_t slot = 0; slot < memory_.shape().slots(); ++slot) {
      const layout::SlotState state = word_of(slot).state;
      if (state != layout::SlotState::free && state != layout::SlotState::spare) return true;
    }
    return keys_.enabled() && keys_.remembered(os::monotonic_ns()) != 0;
  }
  [[nodiscard]] std::uint32_t granules_used() const noexcept { return arena_.used(); }
  void add(layout::WorkCount what, std::uint64_t more = 1) noexcept {
    memory_.control().counters[static_cast<std::size_t>(what)].fetch_add(more,
                                                                         std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint32_t kMostOwed = 32;

  // Of a counter that only its owner changes.
  static void count(std::atomic<std::uint64_t>& counter) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  // What the seat of this store has done becomes the queue's. Whoever dies in it has counted something twice at most.
  void absorb() noexcept {
    const auto move = [this](std::atomic<std::uint64_t>& counter, layout::WorkCount total) {
      const std::uint64_t more = counter.load(std::memory_order_relaxed);
      if (more == 0) return;
      add(total, more);
      counter.store(0, std::memory_order_relaxed);
    };
    move(own_->pushed, layout::WorkCount::pushed);
    move(own_->taken, layout::WorkCount::taken);
    move(own_->completed, layout::WorkCount::completed);
    move(own_->returned, layout::WorkCount::returned);
    move(own_->rejected, layout::WorkCount::rejected);
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
    waits = entered.answer == Groups::Answer::queued;
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
  // All that a job is but its state, from what has been written to its place. `word`: what its word will be. Anything but
  // `yes`: as of push().
  Pushed describe(Loan& loan, std::uint64_t length, const PushOptions& options,
                  layout::Word& word) noexcept {
    layout::Slot& slot = memory_.slot(loan.slot);
    write_tail(loan, length, options);
    std::uint64_t now = 0;
    if ((options.delay_ns | options.ttl_ns) != 0 || !options.id.empty()) now = os::monotonic_ns();
    word = layout::unpack(loan.word);
    word.level = options.level;
    if (!options.id.empty() && keys_.enabled()) {
      const Pushed known = enter_id(loan, options.id, now);
      if (known != Pushed::yes) return known;
      word.flags = layout::kConfirmed;  // from its word on: the next push of this id is told so
    }
    slot.length = static_cast<std::uint32_t>(length);
    slot.stage.store(options.stage, std::memory_order_relaxed);
    slot.pushed_at = detail::wall_ns();
    slot.expires.store(options.ttl_ns == 0 ? 0 : later(now, options.ttl_ns),
                       std::memory_order_relaxed);
    slot.due.store(options.delay_ns == 0 ? 0 : later(now, options.delay_ns),
                   std::memory_order_relaxed);
    if (!options.group.empty() || options.delay_ns != 0 || records_.on()) {
      slot.position.store(ready_.end_of(options.stage, options.level), std::memory_order_relaxed);
      slot.serial.store(memory_.control().serial.fetch_add(1, std::memory_order_relaxed) + 1,
                        std::memory_order_relaxed);
    }
    if (records_.on()) {
      layout::Word next = word;
      next.state = options.delay_ns != 0 ? layout::SlotState::delayed : layout::SlotState::ready;
      records_.write(loan.slot, next);
    }
    MILLRACE_CRASH_POINT("work.push.written");
    return Pushed::yes;
  }
  // What was written to that place is to become a job when its origin says so.
  Pushed promise(Loan& loan, std::uint64_t length, const PushOptions& options, const Origin& origin,
                 Promise& promise) noexcept {
    layout::Slot& slot = memory_.slot(loan.slot);
    layout::Word word;
    if (const Pushed told = describe(loan, length, options, word); told != Pushed::yes) return told;
    slot.position.store(ready_.end_of(options.stage, options.level), std::memory_order_relaxed);
    slot.forward = origin.job;
    slot.forward_queue = origin.queue;
    word.state = layout::SlotState::promised;
    promise = Promise{loan.slot, layout::pack(word)};
    // release: pairs with the acquire of whoever buries us.
    slot.word.store(promise.word, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("work.forward.promised");
    loan = Loan{};
    return Pushed::yes;
  }
  void withdraw(const Promise& promise) noexcept {
    keys_.cancel(memory_.slot(promise.slot).key_home, promise.slot,
                 layout::unpack(promise.word).token);
    (void)drop(promise.slot, promise.word);
  }
  void keep(const Promise& promise) noexcept {
    layout::Slot& slot = memory_.slot(promise.slot);
    layout::Word word = layout::unpack(promise.word);
    const std::uint32_t stage = stage_of(promise.slot);
    const std::uint64_t due = slot.due.load(std::memory_order_relaxed);
    const std::uint64_t expires = slot.expires.load(std::memory_order_relaxed);
    word.flags = layout::kConfirmed;
    if (due != 0) {
      word.state = layout::SlotState::delayed;
      slot.word.store(layout::pack(word), std::memory_order_seq_cst);
      due_.set(promise.slot, due);
      stirred_ |= 1U << stage;
    } else {
      publish(promise.slot, word, stage);
    }
    if (expires != 0) due_.set(promise.slot, expires);
    count(own_->pushed);
  }
  // The queue of that instance, which may be this one.
  Reached at_queue(std::uint64_t instance, const LookAt& look) {
    if (instance == seed_) {
      look(memory_);
      return Reached::yes;
    }
    return reach_ ? reach_(instance, look) : Reached::gone;
  }
  // What a dead seat promised holds if the job that it is of was forwarded.
  void settle_promise(std::uint32_t index, std::uint64_t bits, std::uint16_t seat) {
    const layout::Slot& slot = memory_.slot(index);
    const std::uint32_t token = layout::unpack(bits).token;
    const std::uint64_t result = layout::work_job(index, token);
    bool holds = false;
    const Reached reached = at_queue(slot.forward_queue, [&](const WorkMemory& its) {
      holds = detail::was_forwarded(its, slot.forward, seed_, result);
    });
    if (reached == Reached::later) {
      left_something_ = true;
    } else if (holds) {
      stirred_ |= 1U << detail::keep_promise(memory_, result);
    } else {
      // Perhaps it was kept meanwhile by whoever buries the other seat: then its id stays known, by its word.
      const std::uint32_t home = slot.key_home;
      layout::Word gone = layout::unpack(bits);
      gone.state = layout::SlotState::writing;
      gone.seat = seat;
      gone.flags = 0;
      std::uint64_t expected = bits;
      if (memory_.slot(index).word.compare_exchange_strong(expected, layout::pack(gone),
                                                           std::memory_order_seq_cst)) {
        MILLRACE_CRASH_POINT("work.promise.undone");
        keys_.bury(seat, home, index, token);
        if (drop(index, layout::pack(gone))) add(layout::WorkCount::unfinished);
      } else {
        stirred_ |= 1U << detail::keep_promise(memory_, result);
      }
    }
  }
  // What a dead seat has forwarded: its result first.
  void finish_forward(std::uint32_t index, std::uint64_t bits) {
    const layout::Slot& slot = memory_.slot(index);
    const Reached reached = at_queue(slot.forward_queue, [&](const WorkMemory& its) {
      const std::uint32_t stage = detail::keep_promise(its, slot.forward);
      if (slot.forward_queue == seed_) stirred_ |= 1U << stage;
    });
    if (reached == Reached::later) {
      left_something_ = true;
      return;
    }
    MILLRACE_CRASH_POINT("work.forward.finished");
    (void)drop(index, bits);
  }
  // Was a job of that id pushed lately?
  Pushed enter_id(Loan& loan, std::string_view id, std::uint64_t now) noexcept {
    layout::Slot& slot = memory_.slot(loan.slot);
    const IdHash hash = id_hash(id, seed_, kIds);
    slot.key_home = keys_.home(hash);  // for whoever buries us
    const Keys::Found found = keys_.look_up(hash, loan.slot, layout::unpack(loan.word).token, now,
                                            later(now, memory_.shape().window_ms * 1'000'000),
                                            [this](std::uint32_t other, std::uint32_t born) {
                                              if (other >= memory_.shape().slots()) return true;
                                              const layout::Word word = word_of(other);
                                              // What is promised is no job yet, and may never be one.
                                              return (word.state != layout::SlotState::writing &&
                                                      word.state != layout::SlotState::promised) ||
                                                     word.token != born;
                                            });
    if (found.dropped) add(layout::WorkCount::keys_dropped);
    if (found.answer == Keys::Answer::busy) return Pushed::busy;
    if (found.answer == Keys::Answer::fresh) return Pushed::yes;
    cancel(loan);
    add(layout::WorkCount::duplicates);
    return Pushed::duplicate;
  }
  void write_tail(const Loan& loan, std::uint64_t length,
                  const PushOptions& options) const noexcept {
    layout::Slot& slot = memory_.slot(loan.slot);
    slot.id_length = static_cast<std::uint16_t>(options.id.size());
    slot.group_length = static_cast<std::uint16_t>(options.group.size());
    slot.headers_length = static_cast<std::uint32_t>(options.headers.size());
    if (options.tail_bytes() == 0) return;
    std::byte* at = memory_.data() + loan.at + (length + 7) / 8 * 8;
    const auto append = [&at](const void* from, std::size_t bytes) {
      if (bytes != 0) std::memcpy(at, from, bytes);
      at += bytes;
    };
    append(options.id.data(), options.id.size());
    append(options.group.data(), options.group.size());
    append(options.headers.data(), options.headers.size());
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
    stirred_ |= 1U << stage;
  }

  // Of a ready job: makes it the caller's. Whose time to live is over is a dead letter instead.
  std::uint64_t make_own(std::uint32_t index, std::uint64_t bits, bool start) noexcept {
    layout::Slot& slot = memory_.slot(index);
    layout::Word word = layout::unpack(bits);
    const std::uint64_t expires = slot.expires.load(std::memory_order_relaxed);
    if (expires != 0 && expires <= os::monotonic_ns()) {
      expire(index, bits);
      return 0;
    }
    word.state = layout::SlotState::leased;
    word.flags = start ? layout::kStarted : 0;
    word.seat = seat_;
    if (start && word.attempt != 0xFF) ++word.attempt;
    ++word.token;
    const std::uint64_t mine = layout::pack(word);
    // acquire: pairs with the release of who made it ready, or gave it back.
    if (!slot.word.compare_exchange_strong(bits, mine, std::memory_order_seq_cst,
                                           std::memory_order_relaxed)) {
      return 0;
    }
    return mine;
  }

  // When the lease ends. The low bits say which lease: who looks at it later may have another one before him.
  void extend_to(const Lease& lease, std::uint64_t ns) noexcept {
    const std::uint64_t end = later(os::monotonic_ns(), ns);
    const std::uint64_t tagged = (end & ~0xFFULL) | (layout::unpack(lease.word).token & 0xFFU);
    memory_.slot(lease.slot).lease_end.store(tagged, std::memory_order_seq_cst);
    due_.set(lease.slot, end);
  }

  bool give_back(Lease& lease, layout::Word word, std::uint64_t delay_ns) noexcept {
    layout::Slot& slot = memory_.slot(lease.slot);
    const std::uint32_t index = lease.slot;
    if (delay_ns != 0) {
      if (!holds(lease)) return lost(lease);
      const std::uint64_t due = later(os::monotonic_ns(), delay_ns);
      slot.due.store(due, std::memory_order_relaxed);
      word.state = layout::SlotState::delayed;
      word.flags = 0;
      if (!step(index, lease.word, word, layout::MovingTo::delayed)) return lost(lease);
      due_.set(index, due);
      watch_expiry(index);
      stirred_ |= 1U << stage_of(index);
    } else {
      std::uint64_t bits = lease.word;
      if (!lease || !return_as(index, bits, word)) return lost(lease);
    }
    lease = Lease{};
    count(own_->returned);
    return true;
  }
  // `bits` -> ready and returned. False: it is something else by now.
  bool return_as(std::uint32_t index, std::uint64_t bits, layout::Word word) noexcept {
    word.state = layout::SlotState::ready;
    word.flags = layout::kReturned;
    const std::uint32_t stage = stage_of(index);
    if (!step(index, bits, word, layout::MovingTo::ready)) return false;
    ready_.add_returned(stage, level_of(word), index);
    watch_expiry(index);
    stirred_ |= 1U << stage;
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
    layout::Word word;
    word.token = layout::unpack(bits).token;
    // Pairs with the acquire of who claims it: our reads of the payload come before its writes.
    if (!step(index, bits, word, layout::MovingTo::free)) return false;
    MILLRACE_CRASH_POINT("work.end.word");
    if (granules != 0) arena_.give_back(index, born, granule, granules);
    free_.freed(index);
    stirred_ |= kRoom;
    leave_group(group);
    return true;
  }

  // Of what its holder gives up.
  bool bury_job(Lease& lease, layout::Word word, layout::DeadReason reason) noexcept {
    const std::uint32_t index = lease.slot;
    const std::uint64_t bits = lease.word;
    if (!die(index, bits, word, reason)) return lost(lease);
    lease = Lease{};
    count(own_->rejected);
    return true;
  }
  // `bits` -> dead. Reason and time are written before: whoever is not the only one to do this does it for the same reason.
  bool die(std::uint32_t index, std::uint64_t bits, layout::Word word,
           layout::DeadReason reason) noexcept {
    layout::Slot& slot = memory_.slot(index);
    slot.reason = static_cast<std::uint8_t>(reason);
    slot.dead_at.store(detail::exact_wall_ns(), std::memory_order_relaxed);
    const std::uint32_t group = slot.group.load(std::memory_order_relaxed);
    word.state = layout::SlotState::dead;
    word.flags = 0;
    if (!step(index, bits, word, layout::MovingTo::dead)) return false;
    MILLRACE_CRASH_POINT("work.die.word");
    add(layout::WorkCount::dead_lettered);
    leave_group(group);
    balance();
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

  // Does what is due in that slot; when the next thing is.
  std::uint64_t sweep_slot(std::uint32_t index, std::uint64_t now, std::uint32_t& done) noexcept {
    const layout::Slot& slot = memory_.slot(index);
    const std::uint64_t bits = slot.word.load(std::memory_order_seq_cst);
    const layout::Word word = layout::unpack(bits);
    const std::uint64_t expires = slot.expires.load(std::memory_order_seq_cst);
    std::uint64_t next = DueTimes::kNever;
    switch (word.state) {
      case layout::SlotState::delayed:
      case layout::SlotState::ready:
        if (expires != 0 && expires <= now) {
          done += expire(index, bits) ? 1 : 0;
          return next;
        }
        if (expires != 0) next = expires;
        if (word.state == layout::SlotState::delayed) {
          const std::uint64_t due = slot.due.load(std::memory_order_seq_cst);
          if (due > now) return std::min(next, due);
          done += return_as(index, bits, word) ? 1 : 0;
        }
        return next;
      case layout::SlotState::leased: {
        const std::uint64_t end = slot.lease_end.load(std::memory_order_seq_cst);
        if (end == 0 || (end & 0xFFU) != (word.token & 0xFFU)) return next;
        if (end > now) return end;
        if (end_lease(index, bits)) {
          ++done;
          add(layout::WorkCount::timed_out);
        }
        return next;
      }
      default:
        return next;
    }
  }
  // Takes the job from its holder: its lease is over, by time or by death.
  bool end_lease(std::uint32_t index, std::uint64_t bits,
                 layout::DeadReason reason = layout::DeadReason::attempts) noexcept {
    const layout::Word word = layout::unpack(bits);
    const bool started = (word.flags & layout::kStarted) != 0;
    if (started && is_last(word.attempt)) return die(index, bits, word, reason);
    return return_as(index, bits, word);
  }

  [[nodiscard]] bool is_orphan(std::uint32_t slot, std::uint32_t born) const noexcept {
    if (slot >= memory_.shape().slots()) return true;
    const layout::Word word = word_of(slot);
    if (word.state == layout::SlotState::free || word.state == layout::SlotState::spare)
      return true;
    if (word.state == layout::SlotState::writing) return word.token != born;
    return memory_.slot(slot).born.load(std::memory_order_acquire) != born;
  }

  // Returns whether a job was given back.
  bool repair_slot(std::uint32_t index, std::uint16_t seat) noexcept {
    layout::Slot& slot = memory_.slot(index);
    const std::uint64_t bits = slot.word.load(std::memory_order_seq_cst);
    layout::Word word = layout::unpack(bits);
    const std::uint32_t stage = stage_of(index);
    const bool its = word.seat == seat;
    switch (word.state) {
      case layout::SlotState::free:
        free_.mark(index);
        return false;
      case layout::SlotState::ready:
        if ((word.flags & layout::kReturned) != 0) {
          ready_.add_returned(stage, level_of(word), index);
          stirred_ |= 1U << stage;
          return false;
        }
        if (!its || ready_.hinted(stage, level_of(word), index, word.token)) {
          // Perhaps it died before it looked at the mask.
          if (its)
            memory_.control().ring_mask[stage].fetch_or(1U << level_of(word),
                                                        std::memory_order_seq_cst);
          stirred_ |= 1U << stage;
          return false;
        }
        if ((word.flags & layout::kConfirmed) != 0) {
          (void)return_as(index, bits, word);
          return false;
        }
        // Somebody may have taken it since: then this fails.
        if (drop(index, bits)) add(layout::WorkCount::unfinished);
        return false;
      case layout::SlotState::writing:
        if (!its) return false;
        keys_.bury(seat, slot.key_home, index, word.token);
        if (end_word(index, bits, 0, 0)) add(layout::WorkCount::unfinished);
        return false;
      case layout::SlotState::leased:
        return its && end_lease(index, bits, layout::DeadReason::died);
      case layout::SlotState::moving:
        if (its) move_for(index, bits, word);
        return false;
      case layout::SlotState::promised:
        if (its) settle_promise(index, bits, seat);
        return false;
      case layout::SlotState::forwarded:
        if (its) finish_forward(index, bits);
        return false;
      default:
        return false;
    }
  }

  // What whoever died had begun.
  void move_for(std::uint32_t index, std::uint64_t bits, layout::Word word) noexcept {
    layout::Slot& slot = memory_.slot(index);
    const auto to = static_cast<layout::MovingTo>(word.flags);
    word.flags = 0;
    switch (to) {
      case layout::MovingTo::free:
        (void)drop(index, bits);
        return;
      case layout::MovingTo::dead:
        (void)die(index, bits, word, static_cast<layout::DeadReason>(slot.reason));
        return;
      case layout::MovingTo::delayed:
        word.state = layout::SlotState::delayed;
        (void)step(index, bits, word, to);  // repair() looks at what is due afterwards
        return;
      case layout::MovingTo::next_stage:
        slot.stage.store(static_cast<std::uint8_t>(slot.forward % memory_.shape().stages),
                         std::memory_order_relaxed);
        slot.position.store(ready_.end_of(stage_of(index), level_of(word)),
                            std::memory_order_relaxed);
        (void)return_as(index, bits, word);
        return;
      case layout::MovingTo::forwarded:
        // Its handler had begun, and this attempt was counted.
        if (word.attempt != 0 && is_last(word.attempt)) {
          (void)die(index, bits, word, layout::DeadReason::died);
          return;
        }
        (void)return_as(index, bits, word);
        return;
      case layout::MovingTo::ready:
        (void)return_as(index, bits, word);
        return;
    }
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
  Groups groups_;
  Arena arena_;
  Reach reach_;
  bool left_something_ = false;
  std::uint32_t stirred_ = 0;
  std::array<std::uint32_t, kMostOwed> owed_groups_{};  // that somebody else is to see to
  std::uint32_t owed_ = 0;
};

}  // namespace millrace
