// The steps by which a call in a slot changes, each one compare-and-swap of the slot's word with what comes before and after it. Why
// every step is safe is in call_store.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../layout/calls.hpp"
#include "../store/arena.hpp"
#include "../work/counts.hpp"
#include "../work/memory.hpp"
#include "../work/ready.hpp"
#include "../work/slots.hpp"
#include "call_facts.hpp"

namespace millrace {

class CallSteps {
 public:
  static constexpr std::uint32_t kRoom = 1U << layout::kForRoom;  // of stirred()
  static constexpr std::uint32_t kCalls = 1U << layout::kForCalls;

  CallSteps(const WorkMemory& memory, std::uint16_t seat, layout::SeatRecord& own)
      : memory_(memory),
        seat_(seat),
        own_(&own),
        free_(memory_, seat),
        ready_(memory_),
        arena_(memory.owners(), memory.shape().granules(),
               seat * 97U % std::max(memory.shape().granules(), 1U)),
        words_(memory.shape().slot_words()),
        for_requests_((memory.shape().granules() + 1) / 2),
        answers_at_(memory.shape().answers_at()),
        stride_(memory.shape().answered_words()),
        bits_(reinterpret_cast<std::atomic<std::uint64_t>*>(memory.data() +
                                                            memory.shape().answered_at())),
        own_bits_(bits_of(seat)) {}
  // Its parts point to memory_.
  CallSteps(const CallSteps&) = delete;
  CallSteps& operator=(const CallSteps&) = delete;

  // New calls, or ones whose creator died while it did this: nobody else is there.
  void set_up() noexcept {
    for (std::uint32_t slot = 0; slot < memory_.shape().slots(); ++slot) {
      memory_.slot(slot).word.store(layout::pack(layout::Word{}), std::memory_order_relaxed);
      free_.mark(slot);
    }
  }
  [[nodiscard]] bool holds(const Lease& lease) const noexcept {
    return lease && memory_.slot(lease.slot).word.load(std::memory_order_acquire) == lease.word;
  }
  [[nodiscard]] const WorkMemory& memory() const noexcept { return memory_; }
  // What others may wait for and has come since the last call: calls to be taken, room.
  [[nodiscard]] std::uint32_t stirred() noexcept { return std::exchange(stirred_, 0); }
  // Is there nothing of that, nor of told()?
  [[nodiscard]] bool quiet() const noexcept { return stirred_ == 0 && !any_told_; }
  // Calls each(seat) for those who have a bit since the last time.
  template <typename Each>
  void told(Each&& each) noexcept {
    if (!std::exchange(any_told_, false)) [[likely]]
      return;
    for (std::uint32_t word = 0; word < memory_.shape().seat_words(); ++word) {
      detail::for_each_bit(std::exchange(told_[word], 0),
                           [&](std::uint32_t bit) { each(word * 64 + bit); });
    }
  }
  // The largest there can be.
  [[nodiscard]] std::uint64_t largest_request() const noexcept {
    return std::max<std::uint64_t>(std::uint64_t{for_requests_} * layout::kGranuleBytes,
                                   layout::kInlineBytes);
  }
  [[nodiscard]] std::uint64_t largest_answer() const noexcept {
    return std::max<std::uint64_t>(
        std::uint64_t{memory_.shape().granules() - for_requests_} * layout::kGranuleBytes,
        layout::kInlineBytes);
  }

  // What the slot says of a call that nobody else may change; the numbers are judged, since anybody may have written them.
  // False: they are impossible. Who the caller is, the seats say.
  [[nodiscard]] bool facts(std::uint32_t index, CallFacts& facts) const noexcept {
    layout::Slot& slot = memory_.slot(index);
    // acquire: pairs with the release of who made it ready.
    const std::uint64_t bits = slot.word.load(std::memory_order_acquire);
    const Place place = place_of(index);
    const std::uint64_t room = place.granules == 0
                                   ? layout::kInlineBytes
                                   : std::uint64_t{place.granules} * layout::kGranuleBytes;
    facts.length = slot.length;
    if (facts.length > room) return false;
    facts.at = memory_.payload_at(index, place.granules, place.granule);
    facts.method = layout::method_of(slot);
    facts.flags = layout::call_flags_of(slot);
    facts.idempotent = is_idempotent(index);
    facts.attempt = layout::attempt_in(bits);
    facts.deadline_ns = slot.expires.load(std::memory_order_relaxed);
    facts.caller = caller_of(index);
    facts.ticket = Ticket{index, slot.born.load(std::memory_order_relaxed)};
    return true;
  }

  // Nobody serves: what waits for a server has that as its outcome.
  void end_unserved() noexcept {
    for (std::uint32_t index = 0; index < memory_.shape().slots(); ++index) {
      const std::uint64_t bits = memory_.slot(index).word.load(std::memory_order_seq_cst);
      if (layout::state_in(bits) != layout::SlotState::ready) continue;
      const bool begun = layout::attempt_in(bits) != 0;
      (void)end_as(index, bits, begun ? layout::CallEnd::died : layout::CallEnd::unserved,
                   layout::seat_in(bits));
    }
  }
  // May there be room for a call, or an answer?
  [[nodiscard]] bool any_room() const noexcept {
    for (std::uint32_t word = 0; word < (memory_.shape().slot_words() + 63) / 64; ++word) {
      if (memory_.free_groups()[word].load(std::memory_order_seq_cst) != 0) return true;
    }
    return false;
  }
  // Is there a call that has not had an end? Whoever has it in hand may die.
  [[nodiscard]] bool any_in_flight() const noexcept {
    for (std::uint32_t slot = 0; slot < memory_.shape().slots(); ++slot) {
      if (word_of(slot).state != layout::SlotState::free) return true;
    }
    return false;
  }
  struct Counts {
    std::uint32_t free = 0, writing = 0, ready = 0, leased = 0, answered = 0, cancelled = 0,
                  other = 0;
  };
  [[nodiscard]] Counts counts() const noexcept {
    Counts counts;
    for (std::uint32_t slot = 0; slot < memory_.shape().slots(); ++slot) {
      switch (word_of(slot).state) {
        case layout::SlotState::free:
          ++counts.free;
          break;
        case layout::SlotState::writing:
          ++counts.writing;
          break;
        case layout::SlotState::ready:
          ++counts.ready;
          break;
        case layout::SlotState::leased:
          ++counts.leased;
          break;
        case layout::SlotState::answered:
          ++counts.answered;
          break;
        case layout::SlotState::cancelled:
          ++counts.cancelled;
          break;
        default:
          ++counts.other;
      }
    }
    return counts;
  }
  [[nodiscard]] std::uint32_t granules_used() const noexcept { return arena_.used(); }
  void add(layout::WorkCount what, std::uint64_t more = 1) noexcept {
    counter_of(memory_.control(), what).fetch_add(more, std::memory_order_relaxed);
  }

 protected:
  // Each round is somebody's progress, unless somebody lies.
  static constexpr int kTries = 64;

  // Where a request or an answer lies.
  struct Place {
    std::uint32_t granule = 0;
    std::uint32_t granules = 0;  // 0: in the bytes that belong to the slot
  };
  static std::uint64_t packed(const Place& place) noexcept {
    return place.granule | std::uint64_t{place.granules} << 32U;
  }
  static std::uint32_t granules_for(std::uint64_t bytes) noexcept {
    return static_cast<std::uint32_t>((bytes + layout::kGranuleBytes - 1) / layout::kGranuleBytes);
  }
  // Of a counter that only its owner changes.
  static void count(std::atomic<std::uint64_t>& counter) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  template <typename T>
  static void settle_on(std::atomic<T>& field, std::type_identity_t<T> value) noexcept {
    // relaxed: of the holder of the slot.
    if (field.load(std::memory_order_relaxed) != value)
      field.store(value, std::memory_order_relaxed);
  }
  [[nodiscard]] layout::Word word_of(std::uint32_t slot) const noexcept {
    return layout::unpack(memory_.slot(slot).word.load(std::memory_order_acquire));
  }
  // relaxed, here and below: of the call that the word stands for, if that is unchanged afterwards. kNobody: somebody lied.
  static constexpr std::uint32_t kNobody = layout::kMaxWorkSeats;
  [[nodiscard]] std::uint32_t caller_of(std::uint32_t index) const noexcept {
    const std::uint32_t seat =
        layout::caller_of(memory_.slot(index)).load(std::memory_order_relaxed);
    return seat < memory_.shape().seats ? seat : kNobody;
  }
  [[nodiscard]] bool is_idempotent(std::uint32_t index) const noexcept {
    return layout::idempotent_of(memory_.slot(index)).load(std::memory_order_relaxed) == 1;
  }
  [[nodiscard]] Place judged(Place place) const noexcept {
    if (place.granules == 0) return Place{};
    const std::uint32_t count = memory_.shape().granules();
    if (place.granule >= count || place.granules > count - place.granule) return Place{};
    return place;
  }
  [[nodiscard]] Place place_of(std::uint32_t index) const noexcept {
    const layout::Slot& slot = memory_.slot(index);
    return judged({slot.granule.load(std::memory_order_relaxed),
                   slot.granules.load(std::memory_order_relaxed)});
  }
  // Only an answer of a server has one.
  [[nodiscard]] Place answer_place_of(std::uint32_t index, std::uint64_t bits) const noexcept {
    if (layout::state_in(bits) != layout::SlotState::answered ||
        layout::level_in(bits) >= layout::kFirstCallEnd)
      return {};
    const std::uint64_t place = layout::answer_place_of(memory_.slot(index));
    return judged({static_cast<std::uint32_t>(place), static_cast<std::uint32_t>(place >> 32U)});
  }
  [[nodiscard]] std::atomic<std::uint64_t>* bits_of(std::uint32_t seat) const noexcept {
    return bits_ + std::uint64_t{seat} * stride_;
  }

  // --- steps ---

  // Something has become of that slot, which its word says already, and that seat is to know.
  void tell(std::uint32_t seat, std::uint32_t index) noexcept {
    if (seat >= memory_.shape().seats) return;
    MILLRACE_CRASH_POINT("calls.tell.word");
    bits_of(seat)[index / 64].fetch_or(1ULL << index % 64, std::memory_order_seq_cst);
    MILLRACE_CRASH_POINT("calls.tell.bit");
    told_[seat / 64] |= 1ULL << seat % 64;
    any_told_ = true;
  }
  // `bits` -> answered, with what became of it. False: it is something else by now.
  bool resolve(std::uint32_t index, std::uint64_t bits, std::uint32_t caller,
               std::uint8_t level) noexcept {
    // release: pairs with the acquire of the caller, who then sees the answer.
    if (!memory_.slot(index).word.compare_exchange_strong(
            bits, layout::answered_word(bits, caller, level), std::memory_order_seq_cst,
            std::memory_order_relaxed)) {
      return false;
    }
    tell(caller, index);
    return true;
  }
  bool end_as(std::uint32_t index, std::uint64_t bits, layout::CallEnd how,
              std::uint32_t caller) noexcept {
    if (!resolve(index, bits, caller, static_cast<std::uint8_t>(how))) return false;
    add(how == layout::CallEnd::expired ? layout::WorkCount::expired : layout::WorkCount::rejected);
    return true;
  }
  // `bits`, which is leased, -> cancelled. False: it is something else by now.
  bool cancel(std::uint32_t index, std::uint64_t bits, layout::Word word) noexcept {
    const std::uint32_t server = word.seat;
    word.state = layout::SlotState::cancelled;
    if (!memory_.slot(index).word.compare_exchange_strong(
            bits, layout::pack(word), std::memory_order_seq_cst, std::memory_order_relaxed)) {
      return false;
    }
    tell(server, index);
    return true;
  }
  // `bits` -> free, and what belonged to the call is given back. False: it is something else by now.
  bool end(std::uint32_t index, std::uint64_t bits, const Place& request,
           const Place& answer) noexcept {
    layout::Slot& slot = memory_.slot(index);
    const std::uint32_t born = slot.born.load(std::memory_order_relaxed);
    const bool answered = layout::state_in(bits) == layout::SlotState::answered &&
                          layout::level_in(bits) < layout::kFirstCallEnd;
    // Pairs with the acquire of who claims it: our reads of what lies there come before its writes.
    if (!slot.word.compare_exchange_strong(
            bits, (bits & layout::kTokenAlone) | (answered ? layout::kWasAnswered : 0),
            std::memory_order_seq_cst, std::memory_order_relaxed)) {
      return false;
    }
    MILLRACE_CRASH_POINT("calls.end.word");
    if (request.granules != 0) arena_.give_back(index, born, request.granule, request.granules);
    if (answer.granules != 0) arena_.give_back(index, born, answer.granule, answer.granules);
    free_.freed(index);
    stirred_ |= kRoom;
    return true;
  }
  // `bits` -> ready and returned, as `word` says. False: it is something else by now.
  bool return_as(std::uint32_t index, std::uint64_t bits, layout::Word word) noexcept {
    word.state = layout::SlotState::ready;
    word.flags = layout::kReturned;
    word.level = 0;
    if (!memory_.slot(index).word.compare_exchange_strong(
            bits, layout::pack(word), std::memory_order_seq_cst, std::memory_order_relaxed)) {
      return false;
    }
    ready_.add_returned(layout::kForCalls, 0, index);
    stirred_ |= kCalls;
    return true;
  }
  // Of what is leased: it is its caller's again.
  bool return_to_caller(std::uint32_t index, std::uint64_t bits, layout::Word word) noexcept {
    const std::uint32_t caller = caller_of(index);
    if (caller == kNobody) return end(index, bits, place_of(index), Place{});
    word.seat = static_cast<std::uint16_t>(caller);
    return return_as(index, bits, word);
  }
  WorkMemory memory_;
  std::uint16_t seat_ = 0;
  layout::SeatRecord* own_ = nullptr;
  FreeSlots free_;
  ReadyLists ready_;
  Arena arena_;
  // What follows from the shape, and is asked for with every call.
  std::uint32_t words_;         // of 64 slots
  std::uint32_t for_requests_;  // granules
  std::uint64_t answers_at_;    // from the beginning of the data
  std::uint32_t stride_;        // words of bits of a seat
  std::atomic<std::uint64_t>* bits_;
  std::atomic<std::uint64_t>* own_bits_;
  std::uint32_t stirred_ = 0;

 private:
  std::array<std::uint64_t, layout::kMaxWorkSeats / 64> told_{};
  bool any_told_ = false;
};

}  // namespace millrace
