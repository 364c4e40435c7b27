// Calls between processes: many make them, many answer them. One handle: its seat, its sleep, and the calls that it makes or
// answers. What a call goes through is in call_store.hpp, who is there in work/seats.hpp, who sleeps in work/sleepers.hpp.
//
// Kinds of waiting: calls to be taken (layout::kForCalls), room (layout::kForRoom), and what has become of calls that were made or
// taken (layout::kForAnswers). Of the first two one sleeper at a time is woken (work/wakers.hpp). The third is for one seat alone,
// so that seat is woken, whatever it lies down for: against its heavy fence stand the word, the bit, and the light fence of who
// changed them. (It is a kind nevertheless, so that who waits for nothing else can be found to look for the dead.)
//
// Who serves says so in its SeatRecord. A caller looks at that before it asks, and once more when its call can be found:
//   (C1) call ready   (C2) light fence   (C3) does anybody serve?
//   (S1) serves = 0   (S2) heavy fence   (S3) does nobody serve? end all calls that are ready
// One of the two sees the other. Whoever buries a server does (S1) to (S3) for it, after its calls have gone back.
//
// Deaths are looked for while there are calls, taken or not: work/lookouts.hpp, with a call in the part of a lease.
//
// A handle is used by one thread at a time.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../os/clock.hpp"
#include "../segment.hpp"
#include "../work/counts.hpp"
#include "../work/lookouts.hpp"
#include "../work/memory.hpp"
#include "../work/seats.hpp"
#include "../work/sleepers.hpp"
#include "call_burial.hpp"
#include "call_facts.hpp"
#include "call_spec.hpp"

namespace millrace {

class CallQueue {
 public:
  // no_lane: all seats are taken. geometry: there are calls with other properties than those stated.
  static Result<std::unique_ptr<CallQueue>> open(const CallSpec& spec,
                                                 const os::Deadline& deadline) {
    auto wanted = detail::wanted_calls(spec);
    if (!wanted.ok()) return wanted.error();
    std::unique_ptr<CallQueue> self(new CallQueue);
    CallQueue* const queue = self.get();
    const auto map = [queue]() -> Result<void> {
      if (!queue->map()) return *queue->unmapped_;
      return {};
    };
    auto entered = self->seats_.enter(
        spec, layout::Kind::calls, 'r', wanted.value(),
        [&](const layout::Geometry& found) -> Result<WorkShape> {
          return detail::judge_calls(spec, WorkShape::of(found));
        },
        [queue, map]() -> Result<void> {
          if (auto mapped = map(); !mapped.ok()) return mapped.error();
          queue->store_of(0)->set_up();
          return {};
        },
        deadline, map);
    if (!entered.ok()) return entered.error();
    if (auto mapped = map(); !mapped.ok()) return mapped.error();
    self->store_ = self->store_of(static_cast<std::uint16_t>(self->seats_.seat()));
    self->rounds_ = self->seats_.seat();  // who came at the same time looks in another
    self->tell();
    return self;
  }
  CallQueue(const CallQueue&) = delete;
  CallQueue& operator=(const CallQueue&) = delete;
  ~CallQueue() { close(); }

  // --- the caller: see CallStore ---

  [[nodiscard]] std::uint64_t largest_request() const noexcept { return store_->largest_request(); }
  // After `yes` the call has one outcome, which poll() gives, unless withdraw() says that it has none.
  [[nodiscard]] Asked try_call(std::span<const std::byte> request, const CallOptions& options,
                               Ticket& ticket) {
    if (!served()) return Asked::no_responder;
    Asked done = Asked::busy;
    do {
      done = store_->ask(request, options, ticket);
    } while (done == Asked::busy && pass_by_room());
    if (done != Asked::busy) pass_on_room();
    tell();  // (C2)
    if (done == Asked::yes) has_asked();
    return done;
  }
  // Room for a request, to be written in place: yes, busy or too_large. It is taken until push() or cancel().
  [[nodiscard]] Asked reserve(std::uint64_t bytes, CallLoan& loan) {
    Asked done = Asked::busy;
    do {
      done = store_->reserve(bytes, loan);
    } while (done == Asked::busy && pass_by_room());
    if (done != Asked::busy) pass_on_room();
    tell();
    return done;
  }
  // As try_call(): yes, or no_responder, and the loan is what it was. `length` is at most loan.room.
  [[nodiscard]] Asked push(CallLoan& loan, std::uint64_t length, const CallOptions& options,
                           Ticket& ticket) {
    if (!served()) return Asked::no_responder;
    store_->push(loan, length, options, ticket);
    tell();  // (C2)
    has_asked();
    return Asked::yes;
  }
  void cancel(CallLoan& loan) {
    store_->give_up(loan);
    tell();
  }
  // The next outcome of a call of this handle, or `none`. It is to be released.
  [[nodiscard]] Outcome poll(Answer& answer) noexcept { return store_->poll(answer); }
  void release(Answer& answer) {
    store_->release(answer);
    tell();
  }
  [[nodiscard]] Withdrawn withdraw(const Ticket& ticket) {
    const Withdrawn done = store_->withdraw(ticket);
    tell();
    return done;
  }
  // Has somebody written over a call that has had no outcome, so that it will have none? One that a server has which is not there
  // is such. To be asked now and then by who waits: a liar rings nobody.
  [[nodiscard]] bool lost(const Ticket& ticket) noexcept {
    const std::uint32_t seat = store_->whereabouts(ticket);
    if (seat == CallStore::kLost) return true;
    if (seat >= seats_.shape().seats || seats_.attached(seat)) return false;
    // Perhaps it has left, or was buried, since: then the call is somewhere else.
    return store_->whereabouts(ticket) == seat && !seats_.attached(seat);
  }
  // Calls of this handle that have had no outcome yet.
  [[nodiscard]] std::uint32_t in_flight() const noexcept { return store_->flying(); }
  // Does anybody take calls? Of the dead it is known when they are buried.
  [[nodiscard]] bool served() noexcept {
    // (C3). relaxed: after a fence, or a hint.
    if (serves(server_)) [[likely]]
      return true;
    return find_server();
  }

  // --- the server ---

  [[nodiscard]] std::uint64_t largest_answer() const noexcept { return store_->largest_answer(); }
  // From now on calls may come, or no more. Those that it has in hand are to be answered in either case. Blocks for
  // microseconds.
  void serve(bool on) {
    auto& serves = seats_.seat_record(seats_.seat()).serves;
    if (serves.exchange(on ? 1 : 0, std::memory_order_seq_cst) == (on ? 1U : 0U)) return;
    MILLRACE_CRASH_POINT("calls.serve.said");
    sleepers_.heavy_fence();  // (S2)
    if (on) {
      wake_callers();
    } else {
      end_if_unserved();
    }
    tell();
  }
  // The first call, or none. `start`: its handler begins.
  [[nodiscard]] Lease try_take(bool start = true) {
    Lease lease;
    do {
      lease = store_->take(start);
    } while (!lease && sleepers_.pass_by(layout::kForCalls));
    if (lease) {
      note_wake(layout::kForCalls,
                sleepers_.pass_on(layout::kForCalls, [this] { return store_->any(); }));
    }
    tell();
    return lease;
  }
  // False: the handler must not begin; the caller does not want the call any more, and the lease is over.
  [[nodiscard]] bool start(Lease& lease) { return told(store_->start(lease)); }
  [[nodiscard]] bool give_back(Lease& lease) { return told(store_->give_back(lease)); }
  [[nodiscard]] Answered answer(Lease& lease, std::uint8_t status,
                                std::span<const std::byte> bytes) {
    return with_room([&] { return store_->answer(lease, status, bytes); });
  }
  // Room for an answer, to be written in place; see CallStore. It is taken until the lease ends, or cancel_answer().
  [[nodiscard]] Answered reserve_answer(const Lease& lease, std::uint64_t bytes, CallLoan& loan) {
    return with_room([&] { return store_->reserve_answer(lease, bytes, loan); });
  }
  [[nodiscard]] Answered answer(Lease& lease, std::uint8_t status, CallLoan& loan,
                                std::uint64_t length) {
    return told(store_->answer(lease, status, loan, length));
  }
  void cancel_answer(const Lease& lease, CallLoan& loan) {
    store_->cancel_answer(lease, loan);
    tell();
  }
  [[nodiscard]] bool holds(const Lease& lease) const noexcept { return store_->holds(lease); }
  // Does its caller not want that call any more?
  [[nodiscard]] bool cancelled(const Lease& lease) const noexcept {
    return store_->unwanted(lease);
  }
  // The slot of a call in hand that is not wanted any more: each once. Only what poll() has come across: it is called before.
  [[nodiscard]] bool next_cancelled(std::uint32_t& slot) noexcept {
    return store_->next_unwanted(slot);
  }
  [[nodiscard]] bool facts(const Lease& lease, CallFacts& facts) const noexcept {
    if (!store_->facts(lease.slot, facts)) return false;
    if (facts.caller >= seats_.shape().seats) return false;
    const layout::RoleRecord& caller = seats_.record(facts.caller);
    // relaxed: while its call is in hand nobody else has its seat.
    facts.caller_epoch = caller.epoch.load(std::memory_order_relaxed);
    facts.caller_pid = caller.pid.load(std::memory_order_relaxed);
    return true;
  }

  // --- waiting ---

  // Waits for these kinds, a bit each: see Sleepers. Whoever has parked looks once more at all that it waits for.
  [[nodiscard]] Sleepers& sleepers() noexcept { return sleepers_; }
  // For a handle that has just parked: is it to look for the dead every Lookouts::kLookMs, by look(), and come here again?
  [[nodiscard]] bool keep_watch() {
    return lookouts_.keep_watch(os::coarse_ms(), [this] { return store_->any_in_flight(); });
  }
  // For a handle that has slept for seconds: is there nothing that somebody should have woken it for? As WorkQueue::still().
  [[nodiscard]] bool still() noexcept {
    if (!sleepers_.parked()) return false;
    bool news = store_->any_told();
    detail::for_each_bit(sleepers_.kinds(), [&](std::uint32_t kind) {
      news = news || (kind == layout::kForRoom && store_->any_room()) ||
             (kind == layout::kForCalls && store_->any());
    });
    if (news || (!lookouts_.kept(os::coarse_ms()) && store_->any_in_flight())) return false;
    if (++rounds_ < seats_.present()) return true;
    rounds_ = 0;
    return false;
  }
  // For one that waits no longer.
  void unpark() {
    lookouts_.rest(os::coarse_ms());
    sleepers_.unpark();
  }
  // Kinds of which somebody was woken who might not come: to be asked about by recheck(), Sleepers::kRecheckMs later.
  [[nodiscard]] std::uint32_t woke() noexcept { return std::exchange(woke_, 0); }
  // True: again later.
  bool recheck(std::uint32_t kind) {
    if (const auto dead = sleepers_.found_dead()) {
      (void)seats_.bury({&*dead, 1});
      tell();
    }
    if (kind == layout::kForAnswers) return ring_owed();
    return sleepers_.recheck(
        kind, [&] { return kind == layout::kForRoom ? store_->any_room() : store_->any(); });
  }
  // Blocks this thread until there is a call, for a slice at most (waiting.hpp).
  [[nodiscard]] Lease wait_for_call(bool start, std::uint64_t spin_ns, std::uint64_t timeout_ns) {
    Lease lease;
    (void)sleepers_.wait_slice(1U << layout::kForCalls, spin_ns, timeout_ns, [&] {
      lease = try_take(start);
      return static_cast<bool>(lease);
    });
    if (!lease) (void)glance();
    return lease;
  }
  // The same for an outcome.
  [[nodiscard]] Outcome wait_for_answer(std::uint64_t spin_ns, std::uint64_t timeout_ns,
                                        Answer& answer) {
    answer = Answer{};
    (void)sleepers_.wait_slice(1U << layout::kForAnswers, spin_ns, timeout_ns,
                               [&] { return poll(answer) != Outcome::none; });
    if (answer.outcome == Outcome::none) (void)glance();
    return answer.outcome;
  }
  // The same for room, or for a server. `wanted` is tried, and says whether it is done with.
  template <typename Wanted>
  [[nodiscard]] bool wait_for_room(std::uint64_t spin_ns, std::uint64_t timeout_ns,
                                   Wanted&& wanted) {
    const bool done = sleepers_.wait_slice(1U << layout::kForRoom, spin_ns, timeout_ns, wanted);
    if (!done) (void)glance();
    return done;
  }
  template <typename Wanted>
  [[nodiscard]] bool wait_for_server(std::uint64_t timeout_ns, Wanted&& wanted) {
    const bool done = sleepers_.wait_slice(1U << layout::kForAnswers, 0, timeout_ns, wanted);
    if (!done) (void)glance();
    return done;
  }

  // --- looking after the others ---

  // Buries who has died. Returns how many holders it buried.
  std::uint32_t look() { return look_after(seats_.bury_all_dead()); }
  // The same for those who come often: asks each process, and each handle only once in a while.
  std::uint32_t glance() {
    const std::uint64_t now = os::coarse_ms();
    if (now - asked_all_at_ >= kAskAllMs) {
      asked_all_at_ = now;
      return look();
    }
    return look_after(seats_.bury_dead_processes());
  }

  [[nodiscard]] CallStore& store() noexcept { return *store_; }
  [[nodiscard]] const CallStore& store() const noexcept { return *store_; }
  [[nodiscard]] Seats& parties() noexcept { return seats_; }
  [[nodiscard]] const Seats& parties() const noexcept { return seats_; }
  // How many handles serve, the dead among them until they are buried.
  [[nodiscard]] std::uint32_t servers() const {
    std::uint32_t count = 0;
    seats_.for_each_present([&](std::uint32_t seat) { count += serves(seat) ? 1 : 0; });
    return count;
  }
  [[nodiscard]] std::uint64_t counted(layout::WorkCount what) const {
    return millrace::counted(seats_.control(), seats_, what);
  }
  // What JavaScript sees of the segment: requests, answers, and from answered_at() on, of this handle, shape().slot_words() words of
  // 64 bits: one that is not 0 says that poll() may have something.
  [[nodiscard]] const os::MappingPtr& data() const noexcept { return data_; }
  [[nodiscard]] std::uint64_t answered_at() const noexcept {
    const WorkShape& shape = seats_.shape();
    return shape.answered_at() + std::uint64_t{seats_.seat()} * shape.answered_words() * 8;
  }

  // In good order. What it has in hand ends as if it had died: the calls that it has begun, and those that it has made.
  void close() noexcept {
    if (!seats_.open()) return;
    if (seats_.segment().intact()) {
      lookouts_.resign(os::coarse_ms());
      sleepers_.unpark();
      const std::uint32_t seat = seats_.seat();
      seats_.seat_record(seat).serves.store(0, std::memory_order_seq_cst);
      (void)store_->repair(static_cast<std::uint16_t>(seat));
      sleepers_.heavy_fence();
      end_if_unserved();
      tell();
    }
    seats_.leave([] { return false; });
  }
  void abandon() noexcept { close(); }

 private:
  CallQueue()
      : seats_([this](std::uint32_t seat) { return repair(seat); }),
        sleepers_(seats_),
        lookouts_(seats_, sleepers_) {}

  static constexpr std::uint64_t kAskAllMs = 1000;

  [[nodiscard]] bool serves(std::uint32_t seat) const noexcept {
    return seats_.seat_record(seat).serves.load(std::memory_order_relaxed) == 1;
  }
  [[gnu::noinline]] bool find_server() noexcept {
    for (std::uint32_t seat = 0; seat < seats_.shape().seats; ++seat) {
      if (!serves(seat)) continue;
      server_ = seat;
      return true;
    }
    return false;
  }
  // (S3)
  void end_if_unserved() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!find_server()) store_->end_unserved();
  }
  // Those who wait for a server among them.
  void wake_callers() noexcept {
    seats_.for_each_present([this](std::uint32_t seat) {
      const std::uint64_t kinds =
          seats_.seat_record(seat).waits_for.load(std::memory_order_relaxed);
      if (seat != seats_.seat() && (kinds >> layout::kForAnswers & 1U) != 0) wake(seat);
    });
  }

  // What was asked can be found by now.
  void has_asked() {
    if (!served()) [[unlikely]] {
      store_->end_unserved();
      tell();
    }
    if (lookouts_.call(os::coarse_ms())) [[unlikely]]
      (void)glance();
  }
  template <typename Try>
  Answered with_room(Try&& attempt) {
    Answered done = Answered::no_room;
    do {
      done = attempt();
    } while (done == Answered::no_room && pass_by_room());
    if (done != Answered::no_room) pass_on_room();
    tell();
    return done;
  }
  bool pass_by_room() {
    return sleepers_.pass_by(layout::kForRoom, [this] { return store_->any_room(); });
  }
  void pass_on_room() {
    note_wake(layout::kForRoom,
              sleepers_.pass_on(layout::kForRoom, [this] { return store_->any_room(); }));
  }
  std::uint32_t look_after(std::uint32_t buried) {
    (void)ring_owed();
    tell();
    return buried;
  }

  // Requests and answers, mapped when they are first wanted: perhaps by whoever sets up or buries, before there is a seat.
  bool map() {
    if (data_) return true;
    const WorkShape& shape = seats_.shape();
    auto mapped = seats_.segment().map_shared(shape.data_at(), shape.data_bytes());
    if (!mapped.ok()) {
      unmapped_ = mapped.error();
      return false;
    }
    data_ = mapped.take();
    memory_ = WorkMemory(seats_.segment().at<std::byte>(0), data_->data(), shape);
    return true;
  }
  std::unique_ptr<CallBurial> store_of(std::uint16_t seat) {
    return std::make_unique<CallBurial>(memory_, seat, seats_.seat_record(seat));
  }
  // Whatever the holder of that seat left, as Seats wants it done.
  bool repair(std::uint32_t seat) {
    if (!map()) return false;
    const auto store = store_of(static_cast<std::uint16_t>(seat));
    const bool died = seats_.attached(seat);
    if (died) store->add(layout::WorkCount::deaths);
    seats_.seat_record(seat).serves.store(0, std::memory_order_seq_cst);  // (S1)
    (void)store->repair(static_cast<std::uint16_t>(seat));
    MILLRACE_CRASH_POINT("calls.repair.calls");
    sleepers_.heavy_fence();
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!find_server()) store->end_unserved();
    MILLRACE_CRASH_POINT("calls.repair.unserved");
    // Also those who seem not to sleep: who was to wake them may have died before it rang.
    store->told([this, died](std::uint32_t whom) {
      if (died) {
        nudge(whom);
      } else {
        wake(whom);
      }
    });
    sleepers_.bury(seat);
    lookouts_.bury(seat);
    stirred_ |= store->stirred();
    return true;
  }

  // Wakes whoever waits for what has come.
  void tell() noexcept {
    if (stirred_ != 0 || !store_->quiet()) tell_all();
  }
  [[gnu::noinline]] void tell_all() noexcept {
    store_->told([this](std::uint32_t seat) {
      sleepers_.fence();
      wake(seat);
    });
    const std::uint32_t stirred = store_->stirred() | std::exchange(stirred_, 0);
    if (stirred == 0) return;
    if ((stirred & CallStore::kCalls) != 0)
      note_wake(layout::kForCalls, sleepers_.after_publish(layout::kForCalls));
    if ((stirred & CallStore::kRoom) != 0) note_wake(layout::kForRoom, sleepers_.after_room());
  }
  template <typename Done>
  Done told(Done done) noexcept {
    tell();
    return done;
  }
  void note_wake(std::uint32_t kind, bool somebody) noexcept {
    if (somebody || sleepers_.has_found_dead()) woke_ |= 1U << kind;
  }
  // If it sleeps: the caller has fenced. This handle, too: in an event loop it goes on while it is parked.
  void wake(std::uint32_t seat) noexcept {
    if (seats_.line(seat).parked.load(std::memory_order_relaxed) == 0) return;
    if (seats_.wake(seat) == Woken::owed) owe(seat);
  }
  void nudge(std::uint32_t seat) noexcept {
    const bool rung = seats_.wake(seat) == Woken::yes;
    if (!rung && seat != seats_.seat() && seats_.nudge(seat) == Woken::owed) owe(seat);
  }
  // It could not be rung now.
  void owe(std::uint32_t seat) noexcept {
    owed_[seat / 64] |= 1ULL << seat % 64;
    woke_ |= 1U << layout::kForAnswers;
  }
  // True: there are still such.
  bool ring_owed() noexcept {
    bool left = false;
    for (std::uint32_t word = 0; word < seats_.shape().seat_words(); ++word) {
      detail::for_each_bit(std::exchange(owed_[word], 0), [&](std::uint32_t bit) {
        const std::uint32_t seat = word * 64 + bit;
        if (seats_.line(seat).parked.load(std::memory_order_relaxed) == 0 ||
            seats_.wake(seat) != Woken::owed)
          return;
        owed_[word] |= 1ULL << bit;
        left = true;
      });
    }
    return left;
  }

  Seats seats_;
  Sleepers sleepers_;
  Lookouts lookouts_;
  std::optional<Error> unmapped_;
  os::MappingPtr data_;
  WorkMemory memory_;
  std::unique_ptr<CallBurial> store_;
  std::uint32_t server_ = 0;   // that was seen to serve last
  std::uint32_t stirred_ = 0;  // by those whom we buried
  std::uint32_t woke_ = 0;
  std::uint32_t rounds_ = 0;  // in which another was to look, since we did
  std::uint64_t asked_all_at_ = 0;
  std::array<std::uint64_t, layout::kMaxWorkSeats / 64> owed_{};
};

}  // namespace millrace
