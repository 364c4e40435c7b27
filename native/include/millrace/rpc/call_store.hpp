// Calls and what becomes of them: asked, taken, answered, withdrawn, given back. What of a dead holder's doings is finished or
// undone is in call_burial.hpp. Knows nothing of waiting: stirred() says what others may be waiting for, and told() whom
// something has become of that is to be woken.
//
// Every step is one compare-and-swap of the slot's word, or one store by the only one who may change it, from exactly what it
// was. So a call is answered by one server at most; answer and withdrawal exclude each other; and it has one outcome, which only
// its caller gives up. After the word come the hints: a bit for who is to know, a place in the ring.
//
//   of a call      word                                    if it dies there
//   claim          free -> writing                         -> free
//   ask            writing -> ready                        -> free: it was the caller's
//   take           ready -> leased (caller's -> server's)  not started -> ready, at its old place; else as of start
//   start          leased, kStarted, attempt + 1           -> ready if it is idempotent, and has not been tried too often; else
//                                                             answered: died
//   answer         leased -> answered (server's -> caller's)  the caller is told by whoever buries the server
//   bit            (the caller's, of the slot)             the same
//   release        answered -> free                        what is left of it (granules) is an orphan's
//   withdraw       ready -> free; leased -> cancelled      the server is told by whoever buries the caller
//
// The answer lies elsewhere than the request: what a server has half written must not be what the next one is asked. While a
// slot is leased or cancelled nobody but its server writes what belongs to the answer, however late it is: no lease ends but
// by its holder's death.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "../crash_point.hpp"
#include "../os/clock.hpp"
#include "call_steps.hpp"

namespace millrace {

class CallStore : public CallSteps {
 public:
  // So often a handler may begin an idempotent call.
  static constexpr std::uint8_t kMostAttempts = 3;

  CallStore(const WorkMemory& memory, std::uint16_t seat, layout::SeatRecord& own)
      : CallSteps(memory, seat, own),
        held_(memory.shape().slot_words()),
        cancelled_(memory.shape().slot_words()) {}

  // --- the caller ---

  [[nodiscard]] Asked ask(std::span<const std::byte> request, const CallOptions& options,
                          Ticket& ticket) noexcept {
    if (request.size() > largest_request()) return Asked::too_large;
    const auto claim = free_.claim(layout::SlotState::writing, seat_);
    if (!claim) return Asked::busy;
    layout::Slot& slot = memory_.slot(claim->slot);
    const std::uint64_t writing = layout::pack(claim->word);
    const std::uint32_t born = claim->word.token;
    // release: who judges granules of this call sees it with them.
    slot.born.store(born, std::memory_order_release);
    Place place;
    if (request.size() > layout::kInlineBytes) {
      place.granules = granules_for(request.size());
      const auto first = arena_.claim(claim->slot, born, place.granules, {0, 0, for_requests_});
      if (arena_.disturbed()) stirred_ |= kRoom;
      if (!first) {
        (void)end(claim->slot, writing, Place{}, Place{});
        return Asked::busy;
      }
      place.granule = *first;
      MILLRACE_CRASH_POINT("calls.ask.room");
      slot.granule.store(place.granule, std::memory_order_relaxed);
    }
    // Of what is the same for one call as for the next: who reads it need not fetch again what nobody has written.
    settle_on(slot.granules, place.granules);
    settle_on(layout::caller_of(slot), seat_);
    settle_on(layout::idempotent_of(slot), options.idempotent ? 1 : 0);
    settle_on(slot.expires, options.deadline_ns);
    layout::method_of(slot) = options.method;
    layout::call_flags_of(slot) = options.flags;
    slot.length = static_cast<std::uint32_t>(request.size());
    if (!request.empty()) {
      std::memcpy(memory_.data() + memory_.payload_at(claim->slot, place.granules, place.granule),
                  request.data(), request.size());
    }
    ticket = Ticket{claim->slot, born};
    ++flying_;
    MILLRACE_CRASH_POINT("calls.ask.written");
    const std::uint64_t ready = layout::with_state(writing, layout::SlotState::ready);
    // release: pairs with the acquire of who takes it: slot and request are seen.
    slot.word.store(ready, std::memory_order_release);
    MILLRACE_CRASH_POINT("calls.ask.ready");
    if (!ready_.add(layout::kForCalls, 0, claim->slot, born)) [[unlikely]]
      (void)return_as(claim->slot, ready, layout::unpack(ready));
    stirred_ |= kCalls;
    count(own_->pushed);
    return Asked::yes;
  }
  // Calls that have been asked by this handle, and that it has not had the outcome of.
  [[nodiscard]] std::uint32_t flying() const noexcept { return flying_; }
  // May something have become of a call that this seat made, or has taken?
  [[nodiscard]] bool any_told() const noexcept {
    for (std::uint32_t word = 0; word < words_; ++word) {
      // seq_cst: the look of who lies down, as everywhere.
      if (own_bits_[word].load(std::memory_order_seq_cst) != 0) return true;
    }
    return false;
  }
  // The next outcome, or none.
  [[nodiscard]] Outcome poll(Answer& answer) noexcept {
    // Looks first where the last one was, whose slot has the next call most likely; but every few times behind that, so that
    // none waits for ever. The first word comes last again, for what is before that.
    std::uint64_t mask = ~0ULL << looked_ % 64;
    if (looks_++ % kInPlace == 0) mask &= mask - 1;
    std::uint32_t at = looked_ / 64;
    for (std::uint32_t i = 0; i <= words_; ++i, mask = ~0ULL, at = at + 1 < words_ ? at + 1 : 0) {
      auto& word = own_bits_[at];
      std::uint64_t bits = word.load(std::memory_order_acquire) & mask;
      while (bits != 0) {
        const auto bit = static_cast<std::uint32_t>(std::countr_zero(bits));
        bits &= bits - 1;
        // Before the look at the slot: who sets it afterwards changed the word before.
        word.fetch_and(~(1ULL << bit), std::memory_order_seq_cst);
        MILLRACE_CRASH_POINT("calls.poll.cleared");
        if (look_at(at * 64 + bit, answer)) {
          looked_ = at * 64 + bit;
          return answer.outcome;
        }
      }
    }
    return Outcome::none;
  }
  // The outcome is done with, and what belonged to the call is given back.
  void release(Answer& answer) noexcept {
    if (answer.word == 0) return;
    const std::uint32_t index = answer.ticket.slot;
    held_[index / 64] &= ~(1ULL << index % 64);
    (void)end(index, answer.word, place_of(index), answer_place_of(index, answer.word));
    answer = Answer{};
  }
  // The caller does not want it any more.
  [[nodiscard]] Withdrawn withdraw(const Ticket& ticket) noexcept {
    if (ticket.slot >= memory_.shape().slots()) return Withdrawn::no_longer;
    layout::Slot& slot = memory_.slot(ticket.slot);
    for (int tries = 0; tries < kTries; ++tries) {
      // acquire: with these bits it is the call that the fields are of.
      std::uint64_t bits = slot.word.load(std::memory_order_acquire);
      layout::Word word = layout::unpack(bits);
      if (slot.born.load(std::memory_order_relaxed) != ticket.born) break;
      MILLRACE_CRASH_POINT("calls.withdraw.found");
      if (word.state == layout::SlotState::ready && word.seat == seat_) {
        if (!end(ticket.slot, bits, place_of(ticket.slot), Place{})) continue;
        return withdrawn(word);
      }
      if (word.state != layout::SlotState::leased ||
          layout::caller_of(slot).load(std::memory_order_relaxed) != seat_) {
        break;
      }
      if (!cancel(ticket.slot, bits, word)) continue;
      return withdrawn(word);
    }
    return Withdrawn::no_longer;
  }
  // Of a call that has had no outcome: who has it in hand; kReady or kAnswered where nobody has; kLost if somebody has written over
  // it, so that it will never have one. What was answered is found by poll() from now on.
  static constexpr std::uint32_t kReady = 0xFFFF'FFFD;
  static constexpr std::uint32_t kAnswered = 0xFFFF'FFFE;
  static constexpr std::uint32_t kLost = 0xFFFF'FFFF;
  [[nodiscard]] std::uint32_t whereabouts(const Ticket& ticket) noexcept {
    if (ticket.slot >= memory_.shape().slots()) return kLost;
    layout::Slot& slot = memory_.slot(ticket.slot);
    // acquire: pairs with the release of whoever took or answered it.
    const std::uint64_t bits = slot.word.load(std::memory_order_acquire);
    // relaxed: these do not change before the outcome was released.
    if (slot.born.load(std::memory_order_relaxed) != ticket.born || caller_of(ticket.slot) != seat_)
      return kLost;
    const std::uint32_t seat = layout::seat_in(bits);
    switch (layout::state_in(bits)) {
      case layout::SlotState::ready:
        return seat == seat_ ? kReady : kLost;
      case layout::SlotState::leased:
        return seat < memory_.shape().seats ? seat : kLost;
      case layout::SlotState::answered:
        if (seat != seat_) return kLost;
        own_bits_[ticket.slot / 64].fetch_or(1ULL << ticket.slot % 64, std::memory_order_seq_cst);
        return kAnswered;
      default:
        return kLost;
    }
  }

  // --- the server ---

  // The first call, or none. `start`: its handler begins.
  [[nodiscard]] Lease take(bool start) noexcept {
    const Lease got =
        ready_.take(layout::kForCalls, [this, start](std::uint32_t slot, std::uint64_t bits) {
          return make_own(slot, bits, start);
        });
    if (got) count(own_->taken);
    return got;
  }
  // May there be a call to be taken?
  [[nodiscard]] bool any() const noexcept { return ready_.any(layout::kForCalls); }
  // The handler of a call that was taken ahead begins. False: it must not, its caller wants it no longer, and it is gone.
  [[nodiscard]] bool start(Lease& lease) noexcept {
    layout::Word word = layout::unpack(lease.word);
    if ((word.flags & layout::kStarted) != 0) return holds(lease) || !drop_unwanted(lease);
    begin(word);
    std::uint64_t expected = lease.word;
    if (!lease ||
        !memory_.slot(lease.slot)
             .word.compare_exchange_strong(expected, layout::pack(word), std::memory_order_seq_cst,
                                           std::memory_order_relaxed)) {
      return !drop_unwanted(lease);
    }
    lease.word = layout::pack(word);
    MILLRACE_CRASH_POINT("calls.start.word");
    return true;
  }
  // `status` is kMostStatus at most. After `yes` and `unwanted` the lease is over.
  [[nodiscard]] Answered answer(Lease& lease, std::uint8_t status,
                                std::span<const std::byte> bytes) noexcept {
    // What belongs to the answer is not this handle's to write once the lease is over.
    if (!holds(lease)) [[unlikely]] {
      (void)drop_unwanted(lease);
      return Answered::unwanted;
    }
    const std::uint32_t index = lease.slot;
    layout::Slot& slot = memory_.slot(index);
    const std::uint32_t born = slot.born.load(std::memory_order_relaxed);
    Place place;
    std::byte* to = memory_.data() + answers_at_ + std::uint64_t{index} * layout::kInlineBytes;
    if (bytes.size() > layout::kInlineBytes) [[unlikely]] {
      if (bytes.size() > largest_answer()) return Answered::too_large;
      place.granules = granules_for(bytes.size());
      // Rather where no requests lie.
      const auto first = arena_.claim(index, born, place.granules, {0, for_requests_, ~0U});
      if (arena_.disturbed()) stirred_ |= kRoom;
      if (!first) return Answered::no_room;
      place.granule = *first;
      to = memory_.data() + memory_.payload_at(index, place.granules, place.granule);
      MILLRACE_CRASH_POINT("calls.answer.room");
    }
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    layout::answer_place_of(slot) = packed(place);
    layout::answer_length_of(slot) = bytes.size();
    MILLRACE_CRASH_POINT("calls.answer.written");
    // An answer is one also where nothing was started.
    if (!resolve(index, lease.word, caller_of(index), std::min(status, kMostStatus))) [[unlikely]] {
      if (place.granules != 0) {
        arena_.give_back(index, born, place.granule, place.granules);
        stirred_ |= kRoom;
      }
      (void)drop_unwanted(lease);
      return Answered::unwanted;
    }
    lease = Lease{};
    count(own_->completed);
    return Answered::yes;
  }
  // A call whose handler has not begun goes back to its place. False: it has begun, or the call is not wanted any more (the lease
  // is over then).
  [[nodiscard]] bool give_back(Lease& lease) noexcept {
    layout::Word word = layout::unpack(lease.word);
    if (!lease || (word.flags & layout::kStarted) != 0) return false;
    if (!return_to_caller(lease.slot, lease.word, word)) {
      (void)drop_unwanted(lease);
      return false;
    }
    lease = Lease{};
    count(own_->returned);
    return true;
  }
  // Does its caller not want it any more? One look.
  [[nodiscard]] bool unwanted(const Lease& lease) const noexcept { return lease && !holds(lease); }
  // The slot of a call that this handle has taken, and that is not wanted any more: each once, as poll() has found them.
  [[nodiscard]] bool next_unwanted(std::uint32_t& slot) noexcept {
    if (!any_cancelled_) return false;
    for (std::uint32_t at = 0; at < words_; ++at) {
      if (cancelled_[at] == 0) continue;
      const auto bit = static_cast<std::uint32_t>(std::countr_zero(cancelled_[at]));
      cancelled_[at] &= cancelled_[at] - 1;
      slot = at * 64 + bit;
      return true;
    }
    any_cancelled_ = false;
    return false;
  }

 private:
  static constexpr std::uint32_t kInPlace = 8;
  static void begin(layout::Word& word) noexcept {
    word.flags |= layout::kStarted;
    if (word.attempt != 0xFF) ++word.attempt;
  }
  // Of a ready call: makes it the caller's of this. One that comes too late has that as its outcome.
  std::uint64_t make_own(std::uint32_t index, std::uint64_t bits, bool start) noexcept {
    layout::Slot& slot = memory_.slot(index);
    const std::uint64_t expires = slot.expires.load(std::memory_order_relaxed);
    if (expires != 0 && expires <= os::monotonic_ns()) [[unlikely]] {
      (void)end_as(index, bits, layout::CallEnd::expired, layout::seat_in(bits));
      return 0;
    }
    const std::uint64_t mine = layout::leased_word(bits, seat_, start);
    MILLRACE_CRASH_POINT("calls.take.found");
    // acquire: pairs with the release of who made it ready.
    if (!slot.word.compare_exchange_strong(bits, mine, std::memory_order_seq_cst,
                                           std::memory_order_relaxed)) {
      return 0;
    }
    return mine;
  }
  Withdrawn withdrawn(const layout::Word& word) noexcept {
    landed();
    count(own_->returned);
    return word.attempt != 0 ? Withdrawn::running : Withdrawn::not_started;
  }
  void landed() noexcept {
    if (flying_ != 0) --flying_;
  }
  // Its bit was set. Is it an outcome that this handle has not had?
  bool look_at(std::uint32_t index, Answer& answer) noexcept {
    if (index >= memory_.shape().slots()) return false;
    layout::Slot& slot = memory_.slot(index);
    // acquire: pairs with the release in resolve(). seq_cst: after the clearing of the bit.
    const std::uint64_t bits = slot.word.load(std::memory_order_seq_cst);
    const std::uint64_t mark = 1ULL << index % 64;
    const layout::SlotState state = layout::state_in(bits);
    if (layout::seat_in(bits) != seat_) return false;
    if (state == layout::SlotState::cancelled) {
      cancelled_[index / 64] |= mark;
      any_cancelled_ = true;
      return false;
    }
    // One that it has in hand is told again by whoever buries somebody.
    if (state != layout::SlotState::answered || (held_[index / 64] & mark) != 0) return false;
    held_[index / 64] |= mark;
    landed();
    answer = Answer{};
    answer.ticket = Ticket{index, slot.born.load(std::memory_order_relaxed)};
    answer.word = bits;
    answer.executed = layout::attempt_in(bits) != 0 ? Executed::unknown : Executed::no;
    const std::uint8_t level = layout::level_in(bits);
    if (level >= layout::kFirstCallEnd) {
      answer.outcome = outcome_of(static_cast<layout::CallEnd>(level));
      return true;
    }
    answer.outcome = Outcome::answered;
    answer.executed = Executed::yes;
    answer.status = level;
    const Place place = answer_place_of(index, bits);
    const std::uint64_t room = place.granules == 0
                                   ? layout::kInlineBytes
                                   : std::uint64_t{place.granules} * layout::kGranuleBytes;
    answer.at = place.granules == 0 ? answers_at_ + std::uint64_t{index} * layout::kInlineBytes
                                    : memory_.payload_at(index, place.granules, place.granule);
    answer.length = static_cast<std::uint32_t>(std::min(layout::answer_length_of(slot), room));
    return true;
  }
  static Outcome outcome_of(layout::CallEnd end) noexcept {
    switch (end) {
      case layout::CallEnd::expired:
        return Outcome::expired;
      case layout::CallEnd::unserved:
        return Outcome::no_responder;
      default:
        return Outcome::died;
    }
  }
  // Of a lease whose word is another one: cancelled, so it ends here. Always true.
  bool drop_unwanted(Lease& lease) noexcept {
    const std::uint32_t index = lease.slot;
    const layout::Word mine = layout::unpack(lease.word);
    if (lease) {
      const std::uint64_t bits = memory_.slot(index).word.load(std::memory_order_acquire);
      const layout::Word word = layout::unpack(bits);
      if (word.state == layout::SlotState::cancelled && word.seat == seat_ &&
          word.token == mine.token) {
        (void)end(index, bits, place_of(index), Place{});
      }
      cancelled_[index / 64] &= ~(1ULL << index % 64);
      add(layout::WorkCount::lost_leases);
    }
    lease = Lease{};
    return true;
  }

  std::uint32_t flying_ = 0;
  std::uint32_t looked_ = 0;  // the slot whose outcome poll() gave last
  std::uint32_t looks_ = 0;
  // Of this handle, a bit for each slot: outcomes that poll() has given and that are not released; calls it has taken that are
  // not wanted any more.
  std::vector<std::uint64_t> held_;
  std::vector<std::uint64_t> cancelled_;
  bool any_cancelled_ = false;
};

}  // namespace millrace
