// Calls and what becomes of them: asked, taken, answered, withdrawn, given back. What of a dead holder's doings is finished or
// undone is in call_burial.hpp. Knows nothing of waiting: stirred() says what others may be waiting for, and told() whom
// something has become of that is to be woken.
//
// Every step is one compare-and-swap of the slot's word, or one store by the only one who may change it, from exactly what it
// was. So a call is answered by one server at most; answer and withdrawal exclude each other; and it has one outcome, which only
// its caller gives up. After the word come the hints: a bit for who is to know, a place in the ring.
//
//   of a call      word                                    if it dies there
//   reserve        free -> writing                         -> free, as long as its loan is open
//   push           writing -> ready                        -> free: it was the caller's
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
//
// Room can be had before there are bytes for it, as a loan. One for a request is a slot in `writing`, which is nobody else's, with
// its granules; nothing has been asked yet, so nothing is in flight. One for an answer is granules with the mark of the call, whose
// place the slot says (answer_place_of), and a bit of this handle (lent_): whatever ends the lease gives them back. If the holder
// dies, either is found by those marks: as an orphan's, or as a stray of what it had in hand (call_burial.hpp).
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
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
        cancelled_(memory.shape().slot_words()),
        lent_(memory.shape().slot_words()) {}

  // --- the caller ---

  [[nodiscard]] Asked ask(std::span<const std::byte> request, const CallOptions& options,
                          Ticket& ticket) noexcept {
    CallLoan loan;
    if (const Asked got = reserve(request.size(), loan); got != Asked::yes) return got;
    if (!request.empty()) std::memcpy(memory_.data() + loan.at, request.data(), request.size());
    push(loan, request.size(), options, ticket);
    return Asked::yes;
  }
  // Room for a request of that many bytes: yes, busy or too_large. Nothing is asked before push().
  [[nodiscard]] Asked reserve(std::uint64_t bytes, CallLoan& loan) noexcept {
    if (bytes > largest_request()) return Asked::too_large;
    const auto claim = free_.claim(layout::SlotState::writing, seat_);
    if (!claim) return Asked::busy;
    layout::Slot& slot = memory_.slot(claim->slot);
    const std::uint32_t born = claim->word.token;
    // release: who judges granules of this call sees it with them.
    slot.born.store(born, std::memory_order_release);
    loan = CallLoan{claim->slot, layout::pack(claim->word), 0, layout::kInlineBytes, 0, 0};
    if (bytes > layout::kInlineBytes) {
      loan.granules = granules_for(bytes);
      // acquire in there: pairs with the release of who gave them back. What was read there was read before anything is written now.
      const auto first = arena_.claim(loan.slot, born, loan.granules, {0, 0, for_requests_});
      if (arena_.disturbed()) stirred_ |= kRoom;
      if (!first) {
        loan.granules = 0;
        give_up(loan);
        return Asked::busy;
      }
      loan.granule = *first;
      loan.room = std::uint64_t{loan.granules} * layout::kGranuleBytes;
      MILLRACE_CRASH_POINT("calls.ask.room");
      slot.granule.store(loan.granule, std::memory_order_relaxed);
    }
    // Of what is the same for one call as for the next: who reads it need not fetch again what nobody has written.
    settle_on(slot.granules, loan.granules);
    loan.at = memory_.payload_at(loan.slot, loan.granules, loan.granule);
    MILLRACE_CRASH_POINT("calls.reserve.done");
    return Asked::yes;
  }
  // `length` is at most loan.room. Whatever wrote the bytes came before: the word is stored after them.
  void push(CallLoan& loan, std::uint64_t length, const CallOptions& options,
            Ticket& ticket) noexcept {
    layout::Slot& slot = memory_.slot(loan.slot);
    const auto born = static_cast<std::uint32_t>(loan.word >> 32U);  // the token: see reserve()
    settle_on(layout::caller_of(slot), seat_);
    settle_on(layout::idempotent_of(slot), options.idempotent ? 1 : 0);
    settle_on(slot.expires, options.deadline_ns);
    layout::method_of(slot) = options.method;
    layout::call_flags_of(slot) = options.flags;
    slot.length = static_cast<std::uint32_t>(length);
    ticket = Ticket{loan.slot, born};
    ++flying_;
    MILLRACE_CRASH_POINT("calls.ask.written");
    const std::uint64_t ready = layout::with_state(loan.word, layout::SlotState::ready);
    // release: pairs with the acquire of who takes it: slot and request are seen.
    slot.word.store(ready, std::memory_order_release);
    MILLRACE_CRASH_POINT("calls.ask.ready");
    if (!ready_.add(layout::kForCalls, 0, loan.slot, born)) [[unlikely]]
      (void)return_as(loan.slot, ready, layout::unpack(ready));
    stirred_ |= kCalls;
    count(own_->pushed);
    loan = CallLoan{};
  }
  // Gives the room back, unless it was pushed.
  void give_up(CallLoan& loan) noexcept {
    if (!loan) return;
    (void)end(loan.slot, loan.word, Place{loan.granule, loan.granules}, Place{});
    loan = CallLoan{};
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
    if (!got) return got;
    count(own_->taken);
    // Of a lease that somebody has written over.
    if (any_lent_ != 0 && is_lent(got.slot)) [[unlikely]]
      forget_lent(got.slot);
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
  // `status` is kMostStatus at most. After `yes` and `unwanted` the lease is over. A loan for it is given back.
  [[nodiscard]] Answered answer(Lease& lease, std::uint8_t status,
                                std::span<const std::byte> bytes) noexcept {
    if (any_lent_ != 0 && holds(lease)) [[unlikely]]
      take_back(lease.slot);
    CallLoan loan;
    if (const Answered got = claim_answer(lease, bytes.size(), loan); got != Answered::yes) {
      if (got == Answered::unwanted) (void)drop_unwanted(lease);
      return got;
    }
    if (!bytes.empty()) std::memcpy(memory_.data() + loan.at, bytes.data(), bytes.size());
    return give(lease, status, loan, bytes.size());
  }
  // Room for the answer of a call in hand, one loan at a time. The lease is what it was, whatever it says: of a call that
  // is not wanted any more its handler may still read the request.
  [[nodiscard]] Answered reserve_answer(const Lease& lease, std::uint64_t bytes,
                                        CallLoan& loan) noexcept {
    if (holds(lease) && is_lent(lease.slot)) return Answered::lent;
    if (const Answered got = claim_answer(lease, bytes, loan); got != Answered::yes) return got;
    // The server's own, as long as it has the lease.
    layout::answer_place_of(memory_.slot(lease.slot)) = packed({loan.granule, loan.granules});
    lent_[lease.slot / 64] |= 1ULL << lease.slot % 64;
    ++any_lent_;
    MILLRACE_CRASH_POINT("calls.answer.lent");
    return Answered::yes;
  }
  // Answers with the first `length` bytes, at most loan.room, of what reserve_answer() gave. `lent`: that is not there any more.
  [[nodiscard]] Answered answer(Lease& lease, std::uint8_t status, CallLoan& loan,
                                std::uint64_t length) noexcept {
    if (!is_loan_of(lease, loan)) return Answered::lent;
    const CallLoan given = std::exchange(loan, CallLoan{});
    if (!holds(lease)) [[unlikely]] {
      (void)drop_unwanted(lease);
      return Answered::unwanted;
    }
    forget_lent(lease.slot);
    return give(lease, status, given, length);
  }
  // Gives the room back, unless the lease is over: then it was.
  void cancel_answer(const Lease& lease, CallLoan& loan) noexcept {
    if (is_loan_of(lease, loan)) take_back(loan.slot);
    loan = CallLoan{};
  }
  // A call whose handler has not begun goes back to its place. False: it has begun, or the call is not wanted any more (the lease
  // is over then).
  [[nodiscard]] bool give_back(Lease& lease) noexcept {
    layout::Word word = layout::unpack(lease.word);
    if (!lease || (word.flags & layout::kStarted) != 0) return false;
    if (holds(lease)) take_back(lease.slot);
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
  // Where an answer of that many bytes is to be written.
  Answered claim_answer(const Lease& lease, std::uint64_t bytes, CallLoan& loan) noexcept {
    // What belongs to the answer is not this handle's to write once the lease is over.
    if (!holds(lease)) [[unlikely]]
      return Answered::unwanted;
    const std::uint32_t index = lease.slot;
    loan = CallLoan{index,
                    lease.word,
                    answers_at_ + std::uint64_t{index} * layout::kInlineBytes,
                    layout::kInlineBytes,
                    0,
                    0};
    if (bytes <= layout::kInlineBytes) [[likely]]
      return Answered::yes;
    if (bytes > largest_answer()) return Answered::too_large;
    const std::uint32_t granules = granules_for(bytes);
    const std::uint32_t born = memory_.slot(index).born.load(std::memory_order_relaxed);
    // Rather where no requests lie.
    const auto first = arena_.claim(index, born, granules, {0, for_requests_, ~0U});
    if (arena_.disturbed()) stirred_ |= kRoom;
    if (!first) return Answered::no_room;
    loan.granule = *first;
    loan.granules = granules;
    loan.at = memory_.payload_at(index, granules, loan.granule);
    loan.room = std::uint64_t{granules} * layout::kGranuleBytes;
    MILLRACE_CRASH_POINT("calls.answer.room");
    return Answered::yes;
  }
  // The bytes are there: they are the caller's now, with the word.
  Answered give(Lease& lease, std::uint8_t status, const CallLoan& loan,
                std::uint64_t length) noexcept {
    const std::uint32_t index = lease.slot;
    layout::Slot& slot = memory_.slot(index);
    const std::uint32_t born = slot.born.load(std::memory_order_relaxed);
    layout::answer_place_of(slot) = packed({loan.granule, loan.granules});
    layout::answer_length_of(slot) = length;
    MILLRACE_CRASH_POINT("calls.answer.written");
    // An answer is one also where nothing was started.
    if (!resolve(index, lease.word, caller_of(index), std::min(status, kMostStatus))) [[unlikely]] {
      give_room_back(index, born, {loan.granule, loan.granules});
      (void)drop_unwanted(lease);
      return Answered::unwanted;
    }
    lease = Lease{};
    count(own_->completed);
    return Answered::yes;
  }
  void give_room_back(std::uint32_t index, std::uint32_t born, const Place& place) noexcept {
    if (place.granules == 0) return;
    arena_.give_back(index, born, place.granule, place.granules);
    stirred_ |= kRoom;
  }
  [[nodiscard]] bool is_lent(std::uint32_t index) const noexcept {
    return (lent_[index / 64] >> index % 64 & 1U) != 0;
  }
  [[nodiscard]] bool is_loan_of(const Lease& lease, const CallLoan& loan) const noexcept {
    // The token is the lease's, also when its handler has begun since.
    return lease && loan && loan.slot == lease.slot &&
           ((loan.word ^ lease.word) & layout::kTokenAlone) == 0 && is_lent(lease.slot);
  }
  void forget_lent(std::uint32_t index) noexcept {
    lent_[index / 64] &= ~(1ULL << index % 64);
    --any_lent_;
  }
  // The room for the answer of a call in hand, if it was lent. Before the lease ends: until then the slot says where it is, and its
  // birth is the call's. (Who writes over that harms this call alone: only granules with its mark are given back.)
  void take_back(std::uint32_t index) noexcept {
    if (any_lent_ == 0 || !is_lent(index)) return;
    forget_lent(index);
    layout::Slot& slot = memory_.slot(index);
    const std::uint64_t place = layout::answer_place_of(slot);
    give_room_back(
        index, slot.born.load(std::memory_order_relaxed),
        judged({static_cast<std::uint32_t>(place), static_cast<std::uint32_t>(place >> 32U)}));
    MILLRACE_CRASH_POINT("calls.answer.taken_back");
  }
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
        take_back(index);
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
  // not wanted any more; calls in hand for whose answers there is a loan.
  std::vector<std::uint64_t> held_;
  std::vector<std::uint64_t> cancelled_;
  std::vector<std::uint64_t> lent_;
  std::uint32_t any_lent_ = 0;  // bits of those
  bool any_cancelled_ = false;
};

}  // namespace millrace
