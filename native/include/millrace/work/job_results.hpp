// A job becomes its result, in its slot, on the way to the next stage: another payload, of another size, and all else as it
// was. In its slot, since a full queue has no second one: a pipeline that needed one would wait for itself.
//
//   the word                                    if it dies there
//   leased -> moving, `forwarded`  nobody's but ours, also where leases end by time     still the old one, in hand
//          room is claimed, the result written; no room: back to leased, as it was      the same; the room is given back
//          the new place is told in Slot::forward and forward_queue                     the same
//   moving, `become`               THE STEP                                             the new one, done in its stage
//          the slot says so, what the old one had is given back                         the same: from the new place
//   moving -> ready, or held       see job_stages.hpp
//
// Never half: until the step the slot's fields are those of the old one and its bytes are untouched, for the result was written
// elsewhere. From the step on all that is missing follows from the word, forward and forward_queue, and is done again as often
// as somebody dies at it. A result that is the beginning of the payload is not written at all; only its length is told.
//
// Whose memory. What has the mark of a job (slot and birth) and is not where the job's payload lies is in use only while the
// word is `moving`: a room that is being claimed or written, or an old place. So for a seat that died the undertaker gives back
// exactly that, of jobs whose word is `moving` by that seat, *before* it repairs their slots (sweep_results()). At that time no
// living one can have any of it: the words are the dead one's. Later another could have the job, and a room claimed for it,
// with the same mark. No lease can end meanwhile either, for only `leased` ones do: whoever is stopped while it copies writes to
// memory of its own, and keeps the job, as any worker that is stopped. (Why the room is not claimed before the word says so: a
// lease that ended then would leave the copying one with memory that everybody else takes for an orphan.)
//
// Room. Regions says where a result may lie so that a full memory cannot stop a pipeline, and how large one can be: what is
// larger is `too_large`, also when there would be room just now.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "../crash_point.hpp"
#include "job_stages.hpp"

namespace millrace {

class JobResults : public JobStages {
 public:
  using JobStages::JobStages;

  // The job is done in its stage, and goes on to stage `next` as `result`, which may lie in the job's own payload. Id, group,
  // headers and all else stay. If the answer is not `yes` nothing has happened: the lease is what it was, unless it is `lost`.
  // The next stage is behind the job's own; the queue is not on disk.
  [[nodiscard]] Became become(Lease& lease, std::span<const std::byte> result,
                              std::uint8_t next) noexcept {
    if (!holds(lease)) return (void)lost(lease), Became::lost;
    const std::uint32_t index = lease.slot;
    layout::Slot& slot = memory_.slot(index);
    const Spread old = spread(index);
    Place place = old.place;
    const std::uint64_t all = with_tail(result.size(), old.tail);
    // The bytes that belong to the slot, if nothing is in them: they cost no room, and free some.
    const bool within_slot = old.place.granules != 0 && all <= memory_.shape().inline_most();
    const bool written = within_slot || !is_beginning(old, result);
    const bool needs_room = written && !within_slot;
    if (needs_room) {
      if (all > result_most(next) || result.size() > 0xFFFF'FFFFU) return Became::too_large;
      place.granules = granules_for(all);
    } else if (within_slot) {
      place = Place{};
    }
    const Lease held = lease;
    layout::Word word = layout::unpack(lease.word);
    word.state = layout::SlotState::moving;
    word.flags = static_cast<std::uint8_t>(layout::MovingTo::forwarded);
    if (!change(lease, word)) return Became::lost;
    MILLRACE_CRASH_POINT("work.become.begun");
    if (needs_room && !find_room(index, next, place)) {
      keep_in_hand(lease, held);
      return Became::full_bytes;
    }
    if (written) {
      write(index, old, place, result);
      MILLRACE_CRASH_POINT("work.become.written");
    }
    slot.forward = std::uint64_t{place.granule} | std::uint64_t{place.granules} << 32U;
    slot.forward_queue = result.size();
    word.flags = static_cast<std::uint8_t>(layout::MovingTo::become);
    word.attempt = next;
    // The one step. release: pairs with the acquire of whoever buries us.
    slot.word.store(layout::pack(word), std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("work.become.done");
    take_place(index);
    MILLRACE_CRASH_POINT("work.become.placed");
    if (old.place.granules != 0 && old.place != place) {
      arena_.give_back(index, slot.born.load(std::memory_order_relaxed), old.place.granule,
                       old.place.granules);
      stirred_ |= kRoom;
    }
    MILLRACE_CRASH_POINT("work.become.freed");
    leave_stage(index, word, next);
    lease = Lease{};
    count(own_->completed);
    return Became::yes;
  }
  // The job for which all wait who have left, or want to leave, the first ordered stage ahead of this one: if it is ready in this
  // stage. For a worker whose hands are all full of results that have no room: among them all it may be the only one that
  // can go on, and nobody else may have a hand free for it. Its result has room kept for it. Else none.
  [[nodiscard]] Lease take_front(std::uint32_t stage, bool start) noexcept {
    const std::optional<std::uint32_t> gate = order_.first_from(stage);
    std::uint64_t serial = 0;
    const std::optional<std::uint32_t> index =
        gate ? order_.slot_of_next(*gate, serial) : std::nullopt;
    if (!index) return Lease{};
    const layout::Slot& slot = memory_.slot(*index);
    // acquire: pairs with the release of who made it ready. With these bits it is the job that the fields are of.
    const std::uint64_t bits = slot.word.load(std::memory_order_acquire);
    if (layout::unpack(bits).state != layout::SlotState::ready || stage_of(*index) != stage ||
        slot.serial.load(std::memory_order_relaxed) != serial)
      return Lease{};
    const Lease got{*index, make_own(*index, bits, start)};
    return got.word != 0 ? begin(got) : Lease{};
  }
  // The most bytes that what enters that stage can have, id, group and headers included; for results that need room.
  [[nodiscard]] std::uint64_t result_most(std::uint32_t stage) const noexcept {
    return std::uint64_t{regions_.most(stage)} * layout::kGranuleBytes;
  }

 protected:
  // Where a payload lies.
  struct Place {
    std::uint32_t granule = 0;
    std::uint32_t granules = 0;  // 0: in the bytes that belong to the slot

    friend bool operator==(const Place& one, const Place& other) noexcept {
      return one.granules == other.granules && (one.granules == 0 || one.granule == other.granule);
    }
  };

  // Where the job of that slot, whose word is `moving`, has its payload: in its new place from the step on. Judged: anything
  // may have been written there.
  [[nodiscard]] Place place_of(std::uint32_t index, const layout::Word& word) const noexcept {
    const layout::Slot& slot = memory_.slot(index);
    Place place;
    if (word.flags == static_cast<std::uint8_t>(layout::MovingTo::become)) {
      place.granule = static_cast<std::uint32_t>(slot.forward);
      place.granules = static_cast<std::uint32_t>(slot.forward >> 32U);
    } else {
      place.granule = slot.granule.load(std::memory_order_relaxed);
      place.granules = slot.granules.load(std::memory_order_relaxed);
    }
    const std::uint32_t count = memory_.shape().granules();
    if (place.granule >= count || place.granules > count - place.granule) return Place{};
    return place;
  }
  // After the step, once or again: the slot says where the result lies.
  void take_place(std::uint32_t index) noexcept {
    layout::Slot& slot = memory_.slot(index);
    layout::Word become;
    become.flags = static_cast<std::uint8_t>(layout::MovingTo::become);
    const Place place = place_of(index, become);
    slot.granule.store(place.granule, std::memory_order_relaxed);
    slot.granules.store(place.granules, std::memory_order_relaxed);
    slot.length = static_cast<std::uint32_t>(slot.forward_queue);
  }
  // Gives back what that seat, which is being buried, has claimed for results, or not given back of what they were made from.
  // Before its jobs can be anybody's again.
  void sweep_results(std::uint16_t seat) noexcept {
    const auto is_its = [&](const layout::Word& word) {
      return word.state == layout::SlotState::moving && word.seat == seat;
    };
    const std::uint32_t slots = memory_.shape().slots();
    bool any = false;
    for (std::uint32_t index = 0; index < slots && !any; ++index)
      any = is_its(word_of(index));
    if (!any) return;
    (void)arena_.sweep_strays([&](std::uint32_t index, std::uint32_t born, std::uint32_t at) {
      if (index >= slots) return false;
      const layout::Word word = word_of(index);
      if (!is_its(word) || memory_.slot(index).born.load(std::memory_order_relaxed) != born)
        return false;
      const Place place = place_of(index, word);
      return at < place.granule || at - place.granule >= place.granules;
    });
    MILLRACE_CRASH_POINT("work.repair.results");
  }

 private:
  // A payload, and what is behind it.
  struct Spread {
    Place place;
    std::uint64_t at = 0;  // from the beginning of the data
    std::uint32_t length = 0;
    std::uint64_t tail = 0;  // bytes of id, group and headers
  };

  static std::uint64_t rounded(std::uint64_t length) noexcept { return (length + 7) / 8 * 8; }
  static std::uint64_t with_tail(std::uint64_t length, std::uint64_t tail) noexcept {
    return tail == 0 ? length : rounded(length) + tail;
  }
  static std::uint32_t granules_for(std::uint64_t bytes) noexcept {
    return static_cast<std::uint32_t>(
        std::max<std::uint64_t>((bytes + layout::kGranuleBytes - 1) / layout::kGranuleBytes, 1));
  }
  // Of a job that we hold. If its numbers are impossible (anybody may have written them) it has no tail that could be kept.
  [[nodiscard]] Spread spread(std::uint32_t index) const noexcept {
    const layout::Slot& slot = memory_.slot(index);
    Spread its;
    its.place = place_of(index, layout::Word{});
    its.at = memory_.payload_at(index, its.place.granules, its.place.granule);
    const std::uint64_t room = its.place.granules == 0
                                   ? memory_.shape().inline_most()
                                   : std::uint64_t{its.place.granules} * layout::kGranuleBytes;
    const std::uint64_t tail =
        std::uint64_t{slot.id_length} + slot.group_length + slot.headers_length;
    its.length = slot.length;
    if (with_tail(its.length, tail) <= room) {
      its.tail = tail;
    } else {
      its.length = 0;
    }
    return its;
  }
  // Is the result the beginning of the payload, so that it needs not be written, and what is behind it can stay there?
  [[nodiscard]] bool is_beginning(const Spread& old,
                                  std::span<const std::byte> result) const noexcept {
    if (result.size() > old.length) return false;
    if (!result.empty() && result.data() != memory_.data() + old.at) return false;
    return old.tail == 0 || rounded(result.size()) == rounded(old.length);
  }
  void write(std::uint32_t index, const Spread& old, const Place& place,
             std::span<const std::byte> result) const noexcept {
    std::byte* const to = memory_.data() + memory_.payload_at(index, place.granules, place.granule);
    if (!result.empty()) std::memcpy(to, result.data(), result.size());
    if (old.tail == 0) return;
    std::memcpy(to + rounded(result.size()), memory_.data() + old.at + rounded(old.length),
                old.tail);
  }
  // There is no room: it is what it was before.
  void keep_in_hand(Lease& lease, const Lease& held) noexcept {
    layout::Slot& slot = memory_.slot(held.slot);
    lease = held;
    slot.word.store(held.word, std::memory_order_seq_cst);
    // Whoever looked meanwhile has not seen that a lease ends.
    if (const std::uint64_t end = slot.lease_end.load(std::memory_order_relaxed); end != 0)
      due_.set(held.slot, end);
  }

  // Room for as many granules as `place` has, in the regions of what enters stage `next`.
  bool find_room(std::uint32_t index, std::uint32_t next, Place& place) noexcept {
    const Regions::Part part = regions_.part(next);
    // What is pushed has no other room.
    if (claim_in(index, {0, regions_.pushed().below, part.below}, place)) return true;
    if (!regions_.has_front(next)) return claim_from_dead(index, part, place);
    if (!is_front(index, next)) return false;
    const Regions::Part front = regions_.front(next);
    return claim_in(index, {front.first, front.first, front.below}, place) ||
           claim_from_dead(index, front, place);
  }
  // Have all older jobs left the first ordered stage that is ahead of it when it enters `next`?
  [[nodiscard]] bool is_front(std::uint32_t index, std::uint32_t next) const noexcept {
    const std::optional<std::uint32_t> gate = order_.first_from(next - 1);
    return !gate ||
           order_.is_next(*gate, memory_.slot(index).serial.load(std::memory_order_relaxed));
  }
  bool claim_in(std::uint32_t index, const Arena::Within& where, Place& place) noexcept {
    const auto first = arena_.claim(index, memory_.slot(index).born.load(std::memory_order_relaxed),
                                    place.granules, where);
    if (arena_.disturbed()) stirred_ |= kRoom;
    if (!first) return false;
    place.granule = *first;
    return true;
  }
  // Of a part that has no room and becomes empty only as its jobs go on: if there are none, dead letters make room, the oldest
  // ones first. Nobody else will, and what waits for room there would wait for ever.
  bool claim_from_dead(std::uint32_t index, const Regions::Part& part, Place& place) noexcept {
    while (clear_dead(part)) {
      if (claim_in(index, {part.first, part.first, part.below}, place)) return true;
    }
    return false;
  }
  // False: there is no dead letter there, or a job.
  bool clear_dead(const Regions::Part& part) noexcept {
    if (!has_only_dead(part)) return false;
    bool dropped = false;
    (void)dead_.in_order([&](std::uint32_t index, std::uint64_t bits) {
      const Place its = place_of(index, layout::Word{});
      if (its.granules == 0 || its.granule >= part.below ||
          its.granule + its.granules <= part.first)
        return true;
      // Counted first, as in DeadLetters::balance().
      add(layout::WorkCount::dead_dropped);
      MILLRACE_CRASH_POINT("work.become.dropping");
      dropped = drop(index, bits);
      return false;
    });
    // A slot of the dead is of the dead again.
    if (dropped) balance();
    return dropped;
  }
  [[nodiscard]] bool has_only_dead(const Regions::Part& part) const noexcept {
    const std::uint32_t below = std::min(part.below, memory_.shape().granules());
    for (std::uint32_t at = part.first; at < below; ++at) {
      // acquire: pairs with the release of Arena::claim(), so that the job's slot is seen.
      const std::uint64_t owner = memory_.owners()[at].load(std::memory_order_acquire);
      if (owner == 0) continue;
      const std::uint32_t index = layout::slot_of_mark(owner);
      if (index >= memory_.shape().slots() || word_of(index).state != layout::SlotState::dead ||
          memory_.slot(index).born.load(std::memory_order_acquire) != layout::born_of_mark(owner))
        return false;
    }
    return true;
  }
};

}  // namespace millrace
