// Who makes and answers calls at random, and a ledger in shared memory of what it did, which the deaths of actors leave alone: so it
// can be judged afterwards whether each call had one outcome, and whether that was the truth.
//
// What an actor does is written down on the side that cannot make a fault look right: that a handler begins, after the word says
// so and before anything else; that there is an outcome, when it is in hand.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "calls.hpp"

namespace millrace::test::calls {

inline constexpr std::uint32_t kMostCalls = 1U << 19U;

struct CallEntry {
  std::atomic<std::uint32_t> begun;     // handlers
  std::atomic<std::uint32_t> outcomes;  // of its caller, being withdrawn among them
  std::atomic<std::uint32_t> asked;     // 1: about to be, 2: it was, 3: it was not
  std::atomic<std::uint32_t> idempotent;
  std::atomic<std::uint32_t> says_no;  // 1: its caller was told that it was not executed
  std::atomic<std::uint32_t> by;       // actor
};
struct CallLedger {
  std::atomic<std::uint32_t> next;
  std::atomic<std::uint64_t> answered, died, expired, unserved, withdrawn, unwanted, again;
  // What must not be.
  std::atomic<std::uint64_t> wrong_request, wrong_answer, never_begun, strange, late;
  std::array<CallEntry, kMostCalls> of;
};

class Actor {
 public:
  Actor(CallQueue& queue, CallLedger& ledger, std::uint32_t me, std::uint64_t seed)
      : queue_(&queue), ledger_(&ledger), me_(me), random_(seed) {}

  std::size_t most_flying = 8;
  std::size_t most_in_hand = 3;

  void step() {
    switch (random_.below(10)) {
      case 0:
      case 1:
      case 2:
        call();
        break;
      case 3:
      case 4:
      case 5:
        take();
        break;
      case 6:
      case 7:
        answer();
        break;
      case 8:
        if (random_.below(3) == 0) withdraw();
        break;
      default:
        hear();
    }
  }
  // False: the ledger is full.
  bool call() {
    if (flying_.size() >= most_flying) return true;
    const std::uint32_t number = refused_ != kMostCalls ? refused_ : ledger_->next.fetch_add(1);
    if (number >= kMostCalls) return false;
    refused_ = kMostCalls;
    CallEntry& entry = ledger_->of[number];
    CallOptions options;
    options.idempotent = random_.below(3) == 0;
    options.method = number * 3;
    if (random_.below(16) == 0) options.deadline_ns = os::monotonic_ns() + random_.below(200'000);
    entry.idempotent = options.idempotent ? 1 : 0;
    entry.by = me_;
    entry.says_no = 0;
    entry.asked = 1;
    Ticket ticket;
    const Asked asked = asked_as(number, options, ticket);
    if (asked == Asked::yes) {
      if (!flying_.emplace(ticket.slot, Flying{number, ticket}).second) ++ledger_->strange;
      entry.asked = 2;
    } else {
      if (asked == Asked::too_large) ++ledger_->strange;
      entry.asked = 3;
      says_no(entry);
      refused_ = number;
    }
    return true;
  }
  bool take() {
    if (in_hand_.size() >= most_in_hand) return false;
    const bool start = random_.below(2) == 0;
    Lease lease = queue_->try_take(start);
    if (!lease) return false;
    if (!start && !begin_later(lease)) return true;
    if (start) begun(lease);
    in_hand_.push_back(lease);
    return true;
  }
  bool answer() {
    if (in_hand_.empty()) return false;
    Lease lease = in_hand_.front();
    in_hand_.pop_front();
    const std::uint64_t number = number_of(*queue_, lease);
    const auto status = static_cast<std::uint8_t>(number % 16);
    switch (answered_as(lease, status, content(number + kReply, length()))) {
      case Answered::yes:
        break;
      case Answered::unwanted:
        ++ledger_->unwanted;
        break;
      case Answered::no_room:
        in_hand_.push_back(lease);
        break;
      case Answered::too_large:
      case Answered::lent:
        ++ledger_->strange;
    }
    return true;
  }
  void withdraw() {
    if (flying_.empty()) return;
    auto it = flying_.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(random_.below(flying_.size())));
    CallEntry& entry = ledger_->of[it->second.number];
    const Withdrawn done = queue_->withdraw(it->second.ticket);
    if (done == Withdrawn::no_longer) return;
    ++entry.outcomes;
    ++ledger_->withdrawn;
    if (done == Withdrawn::not_started) says_no(entry);
    flying_.erase(it);
  }
  // Takes one outcome, if there is one.
  bool hear() {
    Answer answer;
    if (queue_->poll(answer) == Outcome::none) return false;
    heard(answer);
    return true;
  }
  void heard(Answer& answer) {
    const auto it = flying_.find(answer.ticket.slot);
    if (it == flying_.end() || it->second.ticket != answer.ticket) {
      ++ledger_->strange;
      queue_->release(answer);
      return;
    }
    const std::uint32_t number = it->second.number;
    flying_.erase(it);
    CallEntry& entry = ledger_->of[number];
    ++entry.outcomes;
    if (answer.executed == Executed::no) says_no(entry);
    switch (answer.outcome) {
      case Outcome::answered:
        ++ledger_->answered;
        if (!is_content(*queue_, answer.at, answer.length) ||
            number_of(*queue_, answer.at, answer.length) != number + kReply ||
            answer.status != number % 16)
          ++ledger_->wrong_answer;
        if (entry.begun == 0) ++ledger_->never_begun;
        break;
      case Outcome::died:
        ++ledger_->died;
        break;
      case Outcome::expired:
        ++ledger_->expired;
        break;
      case Outcome::no_responder:
        ++ledger_->unserved;
        break;
      default:
        ++ledger_->strange;
    }
    queue_->release(answer);
  }
  // Answers what it has in hand, and hears all of its own; others do the same meanwhile. False: it takes too long.
  template <typename Meanwhile>
  [[nodiscard]] bool finish(Meanwhile&& meanwhile) {
    const os::Deadline deadline = os::Deadline::after(30 * kSecond);
    while (!flying_.empty() || !in_hand_.empty()) {
      (void)take();
      (void)answer();
      if (!hear()) (void)queue_->glance();
      meanwhile();
      if (deadline.passed()) return false;
    }
    return true;
  }
  [[nodiscard]] bool holds_any() const { return !in_hand_.empty(); }
  [[nodiscard]] bool idle() const { return flying_.empty() && in_hand_.empty(); }
  [[nodiscard]] std::size_t flying() const { return flying_.size(); }
  [[nodiscard]] CallQueue& queue() { return *queue_; }

 private:
  struct Flying {
    std::uint32_t number;
    Ticket ticket;
  };
  static constexpr std::uint64_t kReply = 1ULL << 32U;

  std::size_t length() {
    constexpr std::array<std::size_t, 6> lengths{8, 64, 128, 129, 700, 3000};
    return lengths[random_.below(lengths.size())];
  }
  // By copy or as a loan; and some loans come to nothing.
  Asked asked_as(std::uint64_t number, const CallOptions& options, Ticket& ticket) {
    const std::vector<std::byte> bytes = content(number, length());
    if (random_.below(2) == 0) return queue_->try_call(bytes, options, ticket);
    CallLoan loan;
    Asked asked = queue_->reserve(bytes.size() + random_.below(300), loan);
    if (asked != Asked::yes) return asked;
    if (random_.below(4) == 0) {
      queue_->cancel(loan);
      return Asked::busy;
    }
    std::memcpy(queue_->data()->data() + loan.at, bytes.data(), bytes.size());
    asked = queue_->push(loan, bytes.size(), options, ticket);
    queue_->cancel(loan);
    return asked;
  }
  Answered answered_as(Lease& lease, std::uint8_t status, const std::vector<std::byte>& bytes) {
    if (random_.below(2) == 0) return queue_->answer(lease, status, bytes);
    CallLoan loan;
    const Answered got = queue_->reserve_answer(lease, bytes.size() + random_.below(300), loan);
    if (got == Answered::unwanted) return queue_->answer(lease, status, bytes);
    if (got != Answered::yes) return got;
    switch (random_.below(8)) {
      case 0:  // room for that, and another answer
        return queue_->answer(lease, status, bytes);
      case 1:
        queue_->cancel_answer(lease, loan);
        return queue_->answer(lease, status, bytes);
      default:
        std::memcpy(queue_->data()->data() + loan.at, bytes.data(), bytes.size());
        return queue_->answer(lease, status, loan, bytes.size());
    }
  }
  bool begin_later(Lease& lease) {
    if (random_.below(4) == 0) {
      (void)queue_->give_back(lease);
      return false;
    }
    if (!queue_->start(lease)) return false;
    begun(lease);
    return true;
  }
  void begun(const Lease& lease) {
    const std::uint64_t number = number_of(*queue_, lease);
    CallFacts facts;
    if (number >= kMostCalls || !queue_->facts(lease, facts) ||
        !is_content(*queue_, facts.at, facts.length) || facts.method != number * 3) {
      ++ledger_->wrong_request;
      return;
    }
    CallEntry& entry = ledger_->of[number];
    if (++entry.begun > 1) ++ledger_->again;
    if (entry.says_no != 0) ++ledger_->late;
  }
  // No handler has begun by now, and none may begin any more.
  void says_no(CallEntry& entry) const {
    entry.says_no = 1;
    if (entry.begun != 0) ++ledger_->late;
  }

  CallQueue* queue_;
  CallLedger* ledger_;
  std::uint32_t me_;
  Random random_;
  std::map<std::uint32_t, Flying> flying_;
  std::uint32_t refused_ = kMostCalls;  // the number of a call that was not made
  std::deque<Lease> in_hand_;
};

// When all have ended: what `alive` says of an actor is whether it lived to the end.
template <typename Alive>
void judge(const CallLedger& ledger, Alive&& alive) {
  CHECK(ledger.wrong_request == 0);
  CHECK(ledger.wrong_answer == 0);
  CHECK(ledger.never_begun == 0);
  CHECK(ledger.strange == 0);
  CHECK(ledger.late == 0);
  const std::uint32_t calls = std::min(ledger.next.load(), kMostCalls);
  std::uint32_t silent = 0;
  std::uint32_t twice = 0;
  std::uint32_t untrue = 0;
  std::uint32_t too_often = 0;
  for (std::uint32_t number = 0; number < calls; ++number) {
    const CallEntry& entry = ledger.of[number];
    // 0: who took the number died before it had asked.
    const std::uint32_t wanted = entry.asked == 0 || entry.asked == 3 ? 0 : 1;
    if (entry.outcomes > wanted) ++twice;
    if (alive(entry.by.load()) && entry.outcomes < wanted) ++silent;
    if (entry.says_no != 0 && entry.begun != 0) ++untrue;
    if (entry.begun > (entry.idempotent != 0 ? CallStore::kMostAttempts : 1U)) ++too_often;
  }
  CHECK(silent == 0);
  CHECK(twice == 0);
  CHECK(untrue == 0);
  CHECK(too_often == 0);
}

}  // namespace millrace::test::calls
