// Calls as a JavaScript object: see calls.hpp.
#include "calls.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "addon.hpp"
#include "millrace/work/counts.hpp"

namespace millrace::addon {

namespace {

std::optional<std::uint32_t> number_if_any(const Options& options, const char* key) {
  const auto number = options.number_if_any(key);
  if (!number) return std::nullopt;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(*number, 0xFFFF'FFFFU));
}

}  // namespace

// new Calls({ place, memory, mode, owner?, attachOnly, schema, seats?, calls?, bytes?, stats }): what is left out is whatever is there, or the default
CallsObject::CallsObject(const Napi::CallbackInfo& info) : WaitingObject(info) {
  const Options options(info[0]);
  const bool opened = open<CallSpec>(options, [&](CallSpec& spec) {
    spec.attach_only = options.flag("attachOnly");
    spec.seats = number_if_any(options, "seats");
    spec.calls = number_if_any(options, "calls");
    spec.bytes = options.number_if_any("bytes");
    return CallQueue::open(spec, soon());
  });
  if (!opened) return;
  born_.resize(shape().slots());
  asked_.resize(shape().slots());
  tell_shape();
  facts_.give(Value());
  outbox_.give(Value(), "outbox");
  inbox_.give(Value(), "inbox");
  define_hot<&CallsObject::call>("call");
  define_hot<&CallsObject::poll>("poll");
  define_hot<&CallsObject::take>("take");
  define_hot<&CallsObject::answer>("answer");
  if (options.flag("stats")) define_measured();
}
void CallsObject::tell_shape() {
  tell("seats", shape().seats);
  tell("calls", shape().jobs);
  tell("bytes", static_cast<double>(shape().bytes));
  tell("lookMs", static_cast<double>(Lookouts::kLookMs));
  tell("maxBytes", static_cast<double>(core()->largest_request()));
  tell("maxAnswer", static_cast<double>(core()->largest_answer()));
}

Napi::Function CallsObject::define(Napi::Env env) {
  return define_class(env, "Calls",
                      {
                          method<&CallsObject::buffer>("buffer"),
                          method<&CallsObject::news>("news"),
                          method<&CallsObject::call_with>("callWith"),
                          method<&CallsObject::try_loan>("tryLoan"),
                          method<&CallsObject::push_loan>("pushLoan"),
                          method<&CallsObject::cancel_loan>("cancelLoan"),
                          method<&CallsObject::release>("release"),
                          method<&CallsObject::withdraw>("withdraw"),
                          method<&CallsObject::served>("served"),
                          method<&CallsObject::servers>("servers"),
                          method<&CallsObject::all_there>("allThere"),
                          method<&CallsObject::serve>("serve"),
                          method<&CallsObject::answer_with>("answerWith"),
                          method<&CallsObject::loan_answer>("loanAnswer"),
                          method<&CallsObject::answer_loan>("answerLoan"),
                          method<&CallsObject::cancel_answer>("cancelAnswer"),
                          method<&CallsObject::next_cancelled>("nextCancelled"),
                          method<&CallsObject::trace>("trace"),
                          method<&CallsObject::copy_out>("copyOut"),
                          method<&CallsObject::look>("look"),
                          method<&CallsObject::keep_watch>("keepWatch"),
                          method<&CallsObject::still>("still"),
                          method<&CallsObject::recheck>("recheck"),
                          method<&CallsObject::counts>("counts"),
                      });
}

// --- the caller ---

// call(): what is in the outbox, as `facts` say -> its slot; or kWouldBlock (no room), kTooLarge, kNoResponder, kClosed
std::int32_t CallsObject::call() {
  return core() == nullptr ? std::int32_t{kClosed} : ask(sent());
}
// callWith(bytes, trace): the same, with these, and with a trace context, or undefined
std::int32_t CallsObject::call_with(const Arguments<2>& given) {
  if (core() == nullptr) return kClosed;
  const auto bytes = bytes_of(given.env, given[0]);
  if (!bytes) return kInvalid;
  const auto trace = bytes_of(given.env, given[1]);
  if (!trace || trace->size != kTraceBytes) return ask({bytes->data, bytes->size});
  return ask_traced({bytes->data, bytes->size}, {trace->data, trace->size});
}
std::int32_t CallsObject::ask_traced(std::span<const std::byte> request,
                                     std::span<const std::byte> trace) {
  Ticket ticket;
  CallLoan loan;
  const std::uint64_t at = trace_at(request.size());
  const Asked got = core()->reserve(at + trace.size(), loan);
  // The largest ones have no room for it.
  if (got == Asked::too_large) return ask(request);
  if (got != Asked::yes) return asked(got, ticket);
  std::byte* const to = core()->data()->data() + loan.at;
  if (!request.empty()) std::memcpy(to, request.data(), request.size());
  std::memcpy(to + at, trace.data(), trace.size());
  CallOptions told = options();
  told.flags |= kTraced;
  const Asked done = core()->push(loan, request.size(), told, ticket);
  if (done != Asked::yes) core()->cancel(loan);
  return asked(done, ticket);
}
std::int32_t CallsObject::ask(std::span<const std::byte> request) {
  Ticket ticket;
  return asked(core()->try_call(request, options(), ticket), ticket);
}
CallOptions CallsObject::options() const {
  constexpr std::uint32_t idempotent = 1U << 16U;
  constexpr std::uint64_t for_ever = ~std::uint64_t{0};
  CallOptions options;
  options.method = facts_.get(CallsFacts::kMethod);
  const std::uint32_t flags = facts_.get(CallsFacts::kFlags);
  options.flags = static_cast<std::uint16_t>(flags);
  options.idempotent = (flags & idempotent) != 0;
  if (const std::uint64_t left = facts_.get_wide(CallsFacts::kLeft); left != for_ever) {
    options.deadline_ns = os::monotonic_ns() + std::min<std::uint64_t>(left, 1ULL << 62U);
  }
  return options;
}
std::int32_t CallsObject::asked(Asked done, const Ticket& ticket) {
  note_woken();
  switch (done) {
    case Asked::yes:
      born_[ticket.slot] = ticket.born;
      asked_[ticket.slot] = true;
      return static_cast<std::int32_t>(ticket.slot);
    case Asked::busy:
      return kWouldBlock;
    case Asked::too_large:
      return kTooLarge;
    case Asked::no_responder:
      return kNoResponder;
  }
  return kInvalid;
}
// tryLoan(length) -> the number of the loan, its place in `facts`; or as call()
std::int32_t CallsObject::try_loan(const Arguments<1>& given) {
  if (core() == nullptr) return kClosed;
  CallLoan loan;
  const Asked got = core()->reserve(natural(given.env, given[0], ~std::uint64_t{0}), loan);
  if (got != Asked::yes) return asked(got, Ticket{});
  note_woken();
  facts_.set_wide(CallsFacts::kOffset, loan.at);
  const auto empty =
      std::find_if(loans_.begin(), loans_.end(), [](const CallLoan& other) { return !other; });
  const auto index = static_cast<std::int32_t>(empty - loans_.begin());
  if (empty == loans_.end()) {
    loans_.push_back(loan);
  } else {
    *empty = loan;
  }
  return index;
}
CallLoan* CallsObject::loan_at(napi_env env, napi_value value) {
  const std::uint32_t index = small_natural(env, value, ~0U);
  return index < loans_.size() && loans_[index] ? &loans_[index] : nullptr;
}
// pushLoan(loan, length, trace): as call(), with the first so many of its bytes, and with a trace context if there is room behind them
std::int32_t CallsObject::push_loan(const Arguments<3>& given) {
  if (core() == nullptr) return kClosed;
  CallLoan* const loan = loan_at(given.env, given[0]);
  const std::uint64_t length = natural(given.env, given[1], ~std::uint64_t{0});
  if (loan == nullptr || length > loan->room) return kInvalid;
  Ticket ticket;
  CallOptions told = options();
  const auto trace = bytes_of(given.env, given[2]);
  if (trace && trace->size == kTraceBytes && trace_at(length) + kTraceBytes <= loan->room) {
    std::memcpy(core()->data()->data() + loan->at + trace_at(length), trace->data, kTraceBytes);
    told.flags |= kTraced;
  }
  return asked(core()->push(*loan, length, told, ticket), ticket);
}
// cancelLoan(loan)
void CallsObject::cancel_loan(const Arguments<1>& given) {
  if (core() == nullptr) return;
  if (CallLoan* const loan = loan_at(given.env, given[0])) core()->cancel(*loan);
  note_woken();
}
// poll(): leaves the next outcome in `facts`, as its slot kWouldBlock, kClosed. What is not small is to be released.
void CallsObject::poll() {
  if (core() == nullptr) return facts_.set(kClosed);
  Answer answer;
  const millrace::Outcome outcome = core()->poll(answer);
  if (outcome == millrace::Outcome::none) {
    note_woken();
    return facts_.set(kWouldBlock);
  }
  const std::uint64_t size = core()->data()->size();
  if (answer.at > size || answer.length > size - answer.at) return facts_.set(kCorrupt);
  asked_[answer.ticket.slot] = false;
  facts_.set(CallsFacts::kSlot, answer.ticket.slot);
  facts_.set(CallsFacts::kStatus, answer.status);
  facts_.set(CallsFacts::kEnd, static_cast<std::uint32_t>(outcome) |
                                   (answer.executed == Executed::no ? 0 : kTouched));
  show(answer.at, answer.length);
  if (facts_.get(CallsFacts::kSmall) != 0) {
    core()->release(answer);
  } else {
    held_.push_back(answer);
  }
  note_woken();
}
void CallsObject::show(std::uint64_t at, std::uint32_t length) {
  facts_.set(CallsFacts::kLength, length);
  facts_.set(CallsFacts::kSmall, length <= Box::kBytes ? 1 : 0);
  if (length <= Box::kBytes) {
    if (length != 0) std::memcpy(inbox_.data(), core()->data()->data() + at, length);
  } else {
    facts_.set_wide(CallsFacts::kOffset, at);
  }
}
// release(slot): an answer whose bytes lay where they were
void CallsObject::release(const Arguments<1>& given) {
  if (core() == nullptr) return;
  const std::uint32_t slot = small_natural(given.env, given[0], ~0U);
  const auto found = std::find_if(held_.begin(), held_.end(), [slot](const Answer& answer) {
    return answer.ticket.slot == slot;
  });
  if (found == held_.end()) return;
  core()->release(*found);
  held_.erase(found);
  note_woken();
}
// withdraw(slot) -> see Withdrawn in lib/addon/calls.ts
std::int32_t CallsObject::withdraw(const Arguments<1>& given) {
  if (core() == nullptr) return kClosed;
  const std::uint32_t slot = small_natural(given.env, given[0], ~0U);
  if (slot >= born_.size()) return kInvalid;
  const Withdrawn found = core()->withdraw(Ticket{slot, born_[slot]});
  if (found != Withdrawn::no_longer) asked_[slot] = false;
  note_woken();
  return static_cast<std::int32_t>(found);
}
bool CallsObject::served() {
  return core() != nullptr && core()->served();
}
// allThere() -> false: a call of this handle has been written over
bool CallsObject::all_there() {
  if (core() == nullptr) return true;
  for (std::uint32_t slot = 0; slot < asked_.size(); ++slot) {
    if (asked_[slot] && core()->lost(Ticket{slot, born_[slot]})) return false;
  }
  return true;
}
// servers() -> how many there are
double CallsObject::servers() {
  return core() == nullptr ? 0 : core()->servers();
}

// --- the server ---

// serve(yes)
void CallsObject::serve(const Arguments<1>& given) {
  if (core() == nullptr) return;
  core()->serve(truth(given.env, given[0]));
  note_woken();
}
// take(): the next call, which begins, in `facts`; as its slot kWouldBlock, kClosed, kCorrupt
void CallsObject::take() {
  if (core() == nullptr) return facts_.set(kClosed);
  const Lease lease = core()->try_take();
  note_woken();
  if (!lease) return facts_.set(kWouldBlock);
  CallFacts call;
  if (!core()->facts(lease, call)) return facts_.set(kCorrupt);
  facts_.set(CallsFacts::kSlot, lease.slot);
  facts_.set_wide(CallsFacts::kWord, lease.word);
  facts_.set(CallsFacts::kMethod, call.method);
  facts_.set(CallsFacts::kFlags, call.flags);
  facts_.set(CallsFacts::kCaller, call.caller_pid);
  std::uint64_t left = ~std::uint64_t{0};
  if (call.deadline_ns != 0) {
    const std::uint64_t now = os::monotonic_ns();
    left = call.deadline_ns > now ? call.deadline_ns - now : 0;
  }
  facts_.set_wide(CallsFacts::kLeft, left);
  show(call.at, call.length);
}
// answer(): the call in `facts`, with what is in the outbox -> 1; 0: nobody wants to know; kWouldBlock (no room), kTooLarge, kClosed
std::int32_t CallsObject::answer() {
  return core() == nullptr ? std::int32_t{kClosed} : answer_as(sent());
}
// answerWith(bytes): the same, with these
std::int32_t CallsObject::answer_with(const Arguments<1>& given) {
  if (core() == nullptr) return kClosed;
  const auto bytes = bytes_of(given.env, given[0]);
  return bytes ? answer_as({bytes->data, bytes->size}) : std::int32_t{kInvalid};
}
std::int32_t CallsObject::answer_as(std::span<const std::byte> bytes) {
  Lease mine = lease();
  const std::uint32_t status = facts_.get(CallsFacts::kStatus);
  if (!mine || status > kMostStatus) return kInvalid;
  const Answered answered = core()->answer(mine, static_cast<std::uint8_t>(status), bytes);
  note_woken();
  return told(answered);
}
Lease CallsObject::lease() const {
  const std::uint32_t slot = facts_.get(CallsFacts::kSlot);
  return slot < shape().slots() ? Lease{slot, facts_.get_wide(CallsFacts::kWord)} : Lease{};
}
std::int32_t CallsObject::told(Answered answered) noexcept {
  switch (answered) {
    case Answered::yes:
      return 1;
    case Answered::unwanted:
      return 0;
    case Answered::no_room:
      return kWouldBlock;
    case Answered::too_large:
      return kTooLarge;
    case Answered::lent:
      return kInvalid;
  }
  return kInvalid;
}
// loanAnswer(length): room for the answer of the call in `facts` -> as answer(), and its place. 0: nobody wants it, but the call is in hand
// still; kInvalid: there is a loan for it already
std::int32_t CallsObject::loan_answer(const Arguments<1>& given) {
  if (core() == nullptr) return kClosed;
  const Lease mine = lease();
  const std::uint64_t length = natural(given.env, given[0], ~std::uint64_t{0});
  CallLoan loan;
  const Answered got = core()->reserve_answer(mine, length, loan);
  note_woken();
  if (got != Answered::yes) return told(got);
  facts_.set_wide(CallsFacts::kOffset, loan.at);
  const auto last = std::find_if(answers_.begin(), answers_.end(), [&](const CallLoan& other) {
    return other.slot == loan.slot || !other;
  });
  if (last == answers_.end()) {
    answers_.push_back(loan);
  } else {
    *last = loan;
  }
  return 1;
}
// answerLoan(length): as answer(), with the first so many bytes of its loan; kInvalid: there is none
std::int32_t CallsObject::answer_loan(const Arguments<1>& given) {
  if (core() == nullptr) return kClosed;
  Lease mine = lease();
  const std::uint32_t status = facts_.get(CallsFacts::kStatus);
  const std::uint64_t length = natural(given.env, given[0], ~std::uint64_t{0});
  const auto loan = std::find_if(answers_.begin(), answers_.end(), [&](const CallLoan& other) {
    return other && other.slot == mine.slot;
  });
  if (!mine || status > kMostStatus || loan == answers_.end() || length > loan->room)
    return kInvalid;
  const Answered answered = core()->answer(mine, static_cast<std::uint8_t>(status), *loan, length);
  note_woken();
  return told(answered);
}
// cancelAnswer(): gives back the loan for the call in `facts`
void CallsObject::cancel_answer() {
  if (core() == nullptr) return;
  const Lease mine = lease();
  for (CallLoan& loan : answers_) {
    if (loan && loan.slot == mine.slot) core()->cancel_answer(mine, loan);
  }
  note_woken();
}
// nextCancelled() -> the slot of a call in hand that nobody wants an answer of; kWouldBlock: no more
std::int32_t CallsObject::next_cancelled() {
  if (core() == nullptr) return kClosed;
  // It comes across them on its way to outcomes, of which a server has none.
  Answer answer;
  if (core()->poll(answer) != millrace::Outcome::none) core()->release(answer);
  std::uint32_t slot = 0;
  return core()->next_cancelled(slot) ? static_cast<std::int32_t>(slot) : std::int32_t{kWouldBlock};
}

// trace() -> the trace context of the call in `facts`, whose flags say that it has one; undefined: that cannot be
Napi::Value CallsObject::trace() {
  const Lease mine = core() == nullptr ? Lease{} : lease();
  CallFacts call;
  if (!mine || !core()->facts(mine, call) || (call.flags & kTraced) == 0) return Env().Undefined();
  const std::uint64_t at = call.at + trace_at(call.length);
  const std::uint64_t all = core()->data()->size();
  if (at > all || kTraceBytes > all - at) return Env().Undefined();
  auto trace = Napi::Uint8Array::New(Env(), kTraceBytes);
  if (trace.IsEmpty()) return Env().Undefined();  // a worker that is being terminated
  std::memcpy(trace.Data(), core()->data()->data() + at, kTraceBytes);
  return trace;
}

// --- the same, measured ---

void CallsObject::define_measured() {
  meter_ = std::make_unique<CallMeter>(core()->store().memory());
  define_instead<&CallsObject::call_measured>("call");
  define_instead<&CallsObject::call_with_measured>("callWith");
  define_instead<&CallsObject::push_loan_measured>("pushLoan");
  define_instead<&CallsObject::poll_measured>("poll");
  define_instead<&CallsObject::withdraw_measured>("withdraw");
  define_instead<&CallsObject::take_measured>("take");
  define_instead<&CallsObject::answer_measured>("answer");
  define_instead<&CallsObject::answer_with_measured>("answerWith");
  define_instead<&CallsObject::answer_loan_measured>("answerLoan");
}
std::int32_t CallsObject::call_measured() {
  const std::uint64_t since = meter_->asking();
  return note_asked(since, call());
}
std::int32_t CallsObject::call_with_measured(const Arguments<2>& given) {
  const std::uint64_t since = meter_->asking();
  return note_asked(since, call_with(given));
}
std::int32_t CallsObject::push_loan_measured(const Arguments<3>& given) {
  const std::uint64_t since = meter_->asking();
  return note_asked(since, push_loan(given));
}
// What is not an outcome is the slot of a call that was made.
std::int32_t CallsObject::note_asked(std::uint64_t since, std::int32_t done) {
  if (since == 0) return done;
  const auto slot = static_cast<std::uint32_t>(done);
  const Ticket ticket{slot, done < 0 ? 0 : born_[slot]};
  meter_->asked(since, done < 0 ? nullptr : &ticket);
  return done;
}
void CallsObject::poll_measured() {
  poll();
  const std::uint32_t slot = facts_.get(CallsFacts::kSlot);
  if (slot >= born_.size()) return;  // an outcome of the call itself
  constexpr auto answered = static_cast<std::uint32_t>(millrace::Outcome::answered);
  meter_->heard({slot, born_[slot]}, (facts_.get(CallsFacts::kEnd) & ~kTouched) == answered);
}
std::int32_t CallsObject::withdraw_measured(const Arguments<1>& given) {
  const std::int32_t done = withdraw(given);
  const std::uint32_t slot = small_natural(given.env, given[0], ~0U);
  if (done > static_cast<std::int32_t>(Withdrawn::no_longer))
    meter_->heard({slot, born_[slot]}, false);
  return done;
}
void CallsObject::take_measured() {
  take();
  if (core() == nullptr) return;
  if (const Lease mine = lease()) meter_->taken(mine);
}
std::int32_t CallsObject::answer_measured() {
  return note_answered(answer());
}
std::int32_t CallsObject::answer_with_measured(const Arguments<1>& given) {
  return note_answered(answer_with(given));
}
std::int32_t CallsObject::answer_loan_measured(const Arguments<1>& given) {
  return note_answered(answer_loan(given));
}
// Below 0 the call is still in hand.
std::int32_t CallsObject::note_answered(std::int32_t done) {
  if (done >= 0) meter_->answered(lease(), done > 0);
  return done;
}

// --- both ---

// copyOut(target): from the offset in `facts` on, as much as it takes -> bytes; or kClosed, kInvalid
double CallsObject::copy_out(const Arguments<1>& given) {
  if (core() == nullptr) return kClosed;
  const auto target = bytes_of(given.env, given[0]);
  const std::uint64_t at = facts_.get_wide(CallsFacts::kOffset);
  const std::uint64_t all = core()->data()->size();
  if (!target || at > all || target->size > all - at) return kInvalid;
  std::copy_n(core()->data()->data() + at, target->size, target->data);
  return static_cast<double>(target->size);
}
// park(): for the kinds in `facts`, and whatever is for this handle alone
void CallsObject::park() {
  constexpr std::uint32_t kinds = (1U << layout::kForCalls) | (1U << layout::kForAnswers);
  if (const auto address = wake_address()) {
    core()->sleepers().park_on_bell(facts_.get(CallsFacts::kKinds) & kinds, *address);
  }
}
void CallsObject::unpark() noexcept {
  if (core() != nullptr) core()->unpark();
}
// All arguments and results; undefined once closed.
Napi::Value CallsObject::buffer() {
  return core() == nullptr ? Env().Undefined() : payloads_.get(Env(), core()->data());
}
// news(): a bit for each slot of which there is something for this handle
Napi::Value CallsObject::news() {
  if (core() == nullptr) return Env().Undefined();
  const std::uint64_t bytes = std::uint64_t{shape().answered_words()} * 8;
  return news_.get(Env(), core()->data(), core()->answered_at(), bytes);
}
void CallsObject::detach_buffers() {
  WaitingObject::detach_buffers();
  payloads_.detach();
  news_.detach();
}
std::uint32_t CallsObject::look() {
  if (core() == nullptr) return 0;
  const std::uint32_t found = core()->glance();
  note_woken();
  return found;
}
bool CallsObject::keep_watch() {
  return core() != nullptr && core()->keep_watch();
}
bool CallsObject::still() {
  return core() != nullptr && core()->still();
}
// recheck() -> is it to be looked at once more?
bool CallsObject::recheck() {
  if (core() == nullptr) return false;
  std::uint32_t again = 0;
  millrace::detail::for_each_bit(kinds_woken_, [&](std::uint32_t kind) {
    if (core()->recheck(kind)) again |= 1U << kind;
  });
  kinds_woken_ = again;
  return again != 0;
}
// counts() -> in the order of lib/rpc/stats.ts
Napi::Value CallsObject::counts() {
  constexpr std::size_t states = 6;
  constexpr std::size_t counters = static_cast<std::size_t>(layout::WorkCount::torn) + 1;
  auto counted = Napi::Float64Array::New(Env(), states + counters);
  if (core() == nullptr) return counted;
  const auto counts = core()->store().counts();
  std::uint32_t handles = 0;
  core()->parties().for_each_present([&handles](std::uint32_t) { ++handles; });
  const std::array<double, states> found{
      static_cast<double>(counts.ready),
      static_cast<double>(counts.leased),
      static_cast<double>(counts.answered),
      static_cast<double>(core()->store().granules_used()) * layout::kGranuleBytes,
      static_cast<double>(handles),
      static_cast<double>(core()->servers())};
  std::copy(found.begin(), found.end(), counted.Data());
  for (std::size_t i = 0; i < counters; ++i) {
    counted.Data()[states + i] = static_cast<double>(millrace::counted(
        core()->store().memory().control(), core()->parties(), static_cast<layout::WorkCount>(i)));
  }
  return counted;
}

Napi::Function define_calls(Napi::Env env) {
  return CallsObject::define(env);
}

}  // namespace millrace::addon
