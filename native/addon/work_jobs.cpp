// What a work queue gives: jobs, taken and settled.
#include <algorithm>
#include <memory>
#include <string>

#include "work.hpp"

namespace millrace::addon {

void WorkObject::take() {
  take_now(true);
}
void WorkObject::take_ahead() {
  take_now(false);
}
// takeFront(): as take(), but only the job for which all others of a pipeline wait
void WorkObject::take_front() {
  if (core() == nullptr) return facts_.set(kClosed);
  hand_over(core()->try_take_front(stage_, true));
}
// any() -> 1 if there is a job that could be taken now, 0, or kClosed
std::int32_t WorkObject::any() {
  if (core() == nullptr) return kClosed;
  const bool there = core()->has_job(stage_);
  note_woken();
  return there ? 1 : 0;
}
// Leaves the job in `facts`; or, as its slot, kWouldBlock, kClosed, kCorrupt
void WorkObject::take_now(bool begins) {
  if (core() == nullptr) return facts_.set(kClosed);
  hand_over(core()->try_take(stage_, begins));
}
// waitForJob(spinMs, timeoutMs): as take(); blocks for 20 ms at most
void WorkObject::wait_for_job(const Arguments<2>& given) {
  if (core() == nullptr) return facts_.set(kClosed);
  hand_over(core()->wait_for_job(stage_, true, nanoseconds(given.env, given[0]),
                                 nanoseconds(given.env, given[1])));
}
void WorkObject::hand_over(const Lease& lease) {
  note_woken();
  if (!lease) return facts_.set(kWouldBlock);
  JobFacts facts;
  if (!core()->facts(lease.slot, facts)) return facts_.set(kCorrupt);
  facts_.set(WorkFacts::kSlot, lease.slot);
  facts_.set_wide(WorkFacts::kWord, lease.word);
  facts_.set_wide(WorkFacts::kOffset, facts.at);
  facts_.set(WorkFacts::kLength, facts.length);
  facts_.set(WorkFacts::kAcquired, facts.acquired);
  facts_.set_wide(WorkFacts::kPushedAt, facts.pushed_at);
  facts_.set(WorkFacts::kTexts, (facts.id.empty() && facts.group.empty() ? 0U : 1U) |
                                    (facts.headers.size() == kTraceBytes ? 2U : 0U));
}

// --- settle ---

// The lease in `facts`. A slot that there is not is nobody's.
Lease WorkObject::lease() const {
  const std::uint32_t slot = facts_.get(WorkFacts::kSlot);
  if (slot >= shape().slots()) return Lease{};
  return Lease{slot, facts_.get_wide(WorkFacts::kWord)};
}
// 1, 0 if the lease was lost, or kClosed
template <typename Do>
std::int32_t WorkObject::settle(Do&& act) {
  if (core() == nullptr) return kClosed;
  Lease own = lease();
  const bool done = own && act(own);
  note_woken();
  return done ? 1 : 0;
}
std::int32_t WorkObject::complete() {
  return settle([this](Lease& own) { return core()->complete(own); });
}
// moveOn(): to the next stage; in the last one it is complete
std::int32_t WorkObject::move_on() {
  return settle([this](Lease& own) {
    const std::uint32_t next = stage_ + 1;
    return next < shape().stages ? core()->move_on(own, static_cast<std::uint8_t>(next))
                                 : core()->complete(own);
  });
}
// become(bytes): the same, as these -> kWouldBlock (no room for them), kTooLarge, kInvalid (in the last stage), as well
std::int32_t WorkObject::become(const Arguments<1>& given) {
  if (core() == nullptr) return kClosed;
  const std::uint32_t next = stage_ + 1;
  const auto bytes = bytes_of(given.env, given[0]);
  Lease own = lease();
  if (!bytes || next >= shape().stages) return kInvalid;
  if (!own) return 0;
  const Became done =
      core()->become(own, {bytes->data, bytes->size}, static_cast<std::uint8_t>(next));
  note_woken();
  switch (done) {
    case Became::yes:
      return 1;
    case Became::lost:
      return 0;
    case Became::full_bytes:
      return kWouldBlock;
    case Became::too_large:
      return kTooLarge;
  }
  return kInvalid;
}
// start(): leaves the word in `facts`
std::int32_t WorkObject::start() {
  return settle([this](Lease& own) {
    const bool begun = core()->start(own);
    if (begun) facts_.set_wide(WorkFacts::kWord, own.word);
    return begun;
  });
}
// release(delayMs)
std::int32_t WorkObject::release(const Arguments<1>& given) {
  return settle([&](Lease& own) { return core()->release(own, nanoseconds(given.env, given[0])); });
}
// retry(delayMs, error)
std::int32_t WorkObject::retry(const Arguments<2>& given) {
  return settle([&](Lease& own) {
    return core()->retry(own, nanoseconds(given.env, given[0]), text_at(given.env, given[1]));
  });
}
// reject(error)
std::int32_t WorkObject::reject(const Arguments<1>& given) {
  return settle([&](Lease& own) { return core()->reject(own, text_at(given.env, given[0])); });
}
// extend(ms)
std::int32_t WorkObject::extend(const Arguments<1>& given) {
  return settle([&](Lease& own) { return core()->extend(own, nanoseconds(given.env, given[0])); });
}
std::int32_t WorkObject::holds() {
  return settle([this](Lease& own) { return core()->holds(own); });
}

// Those of the outcomes that both forms of forwarding have.
static std::int32_t outcome_of(Forwarded done) noexcept {
  switch (done) {
    case Forwarded::yes:
      return 1;
    case Forwarded::duplicate:
      return 2;
    case Forwarded::lost:
      return 0;
    case Forwarded::full:
    case Forwarded::full_bytes:
      return kWouldBlock;
    case Forwarded::busy:
      return kBusy;
    case Forwarded::too_large:
      return kTooLarge;
  }
  return kInvalid;
}
// act(lease, bytes, to, options) -> Result<Forwarded>
template <typename Do>
std::int32_t WorkObject::forward_by(const Arguments<7>& given, Do&& act) {
  if (core() == nullptr) return kClosed;
  auto* const to = WorkObject::Unwrap(Napi::Object(given.env, given[1]));
  if (to == nullptr || to->core() == nullptr) return kClosed;
  const auto bytes = bytes_of(given.env, given[0]);
  Lease own = lease();
  PushOptions options;
  const std::uint32_t level = small_natural(given.env, given[2], 0xFFFF'FFFFU);
  const std::string id = text_at(given.env, given[5]);
  if (!bytes || level >= to->shape().levels || id.size() > kLongestText) return kInvalid;
  if (!own) return 0;
  if (!read_trace(given.env, given[6], options)) return kInvalid;
  options.level = static_cast<std::uint8_t>(level);
  options.delay_ns = nanoseconds(given.env, given[3]);
  options.ttl_ns = nanoseconds(given.env, given[4]);
  options.id = id;
  const std::span<const std::byte> payload(bytes->data, bytes->size);
  const Result<Forwarded> done = act(own, payload, *to, options);
  note_woken();
  to->note_woken();
  if (done.ok()) return addon::outcome_of(done.value());
  environment().raise(done.error());
  return kInvalid;
}
// forward(payload, to, level, delayMs, ttlMs, id, trace): the job in `facts` becomes one of `to` -> 1; 2 if the id was known there, and
// it is done; 0 if the lease was lost; kWouldBlock, kBusy, kTooLarge, kInvalid, kClosed. An exception if these two cannot. `to` is
// not on disk.
std::int32_t WorkObject::forward(const Arguments<7>& given) {
  return forward_by(given, [this](Lease& own, auto payload, WorkObject& to, const auto& options) {
    return core()->forward(own, payload, *to.core(), options);
  });
}
// promise(payload, to, level, delayMs, ttlMs, id, trace): its first half -> 3 and more: the number of what was promised and 3; 2: the job is
// to be completed; or as forward()
std::int32_t WorkObject::promise(const Arguments<7>& given) {
  Promise made;
  WorkObject* its = nullptr;
  const std::int32_t told =
      forward_by(given, [&](Lease& own, auto payload, WorkObject& to, const auto& options) {
        its = &to;
        return core()->begin_forward(own, payload, *to.core(), options, made);
      });
  if (told != 1) return told;
  const auto empty = std::find_if(its->promises_.begin(), its->promises_.end(),
                                  [](const Promise& other) { return !other; });
  const auto index = static_cast<std::int32_t>(empty - its->promises_.begin());
  if (empty == its->promises_.end()) {
    its->promises_.push_back(made);
  } else {
    *empty = made;
  }
  return 3 + index;
}
Promise* WorkObject::promise_at(napi_env env, napi_value value) {
  const std::uint64_t index = natural(env, value, ~std::uint64_t{0});
  return index < promises_.size() && promises_[index] ? &promises_[index] : nullptr;
}
// keepPromise(to, promise): the other half, for the job in `facts` -> 1; 0 if the lease was lost, and nothing came of it; kCorrupt if
// what was promised is gone; kClosed
std::int32_t WorkObject::keep_promise(const Arguments<2>& given) {
  if (core() == nullptr) return kClosed;
  auto* const to = WorkObject::Unwrap(Napi::Object(given.env, given[0]));
  if (to == nullptr || to->core() == nullptr) return kClosed;
  Promise* const promise = to->promise_at(given.env, given[1]);
  Lease own = lease();
  if (promise == nullptr) return kInvalid;
  const Forwarded done = own ? core()->finish_forward(own, *to->core(), *promise) : Forwarded::lost;
  if (done != Forwarded::yes) to->core()->withdraw(*promise);
  note_woken();
  to->note_woken();
  return done == Forwarded::busy ? kCorrupt : addon::outcome_of(done);
}
// withdraw(promise): of this queue; nothing comes of it
void WorkObject::withdraw(const Arguments<1>& given) {
  if (core() == nullptr) return;
  if (Promise* const promise = promise_at(given.env, given[0])) core()->withdraw(*promise);
  note_woken();
}

// --- the same, measured ---

void WorkObject::define_measured() {
  meter_ = std::make_unique<JobMeter>(core()->meter());
  define_instead<&WorkObject::try_push_measured>("tryPush");
  define_instead<&WorkObject::try_push_with_measured>("tryPushWith");
  define_instead<&WorkObject::wait_for_room_measured>("waitForRoom");
  define_instead<&WorkObject::push_loan_measured>("pushLoan");
  define_instead<&WorkObject::taken<&WorkObject::take>>("take");
  define_instead<&WorkObject::taken<&WorkObject::take_ahead>>("takeAhead");
  define_instead<&WorkObject::taken<&WorkObject::take_front>>("takeFront");
  define_instead<&WorkObject::wait_for_job_measured>("waitForJob");
  define_instead<&WorkObject::settled<&WorkObject::complete>>("complete");
  define_instead<&WorkObject::settled<&WorkObject::move_on>>("moveOn");
  define_instead<&WorkObject::settled_with<&WorkObject::become, 1>>("become");
  define_instead<&WorkObject::settled_with<&WorkObject::release, 1>>("release");
  define_instead<&WorkObject::settled_with<&WorkObject::retry, 2>>("retry");
  define_instead<&WorkObject::settled_with<&WorkObject::reject, 1>>("reject");
  define_instead<&WorkObject::settled_with<&WorkObject::forward, 7>>("forward");
  define_instead<&WorkObject::settled_with<&WorkObject::keep_promise, 2>>("keepPromise");
}
template <auto take>
void WorkObject::taken() {
  (this->*take)();
  note_taken();
}
void WorkObject::wait_for_job_measured(const Arguments<2>& given) {
  wait_for_job(given);
  note_taken();
}
// Where nothing was taken, the slot in `facts` is an outcome, and there is no lease.
void WorkObject::note_taken() {
  if (core() == nullptr) return;
  if (const Lease own = lease()) meter_->taken(own);
}
template <auto settle>
std::int32_t WorkObject::settled() {
  return note_settled((this->*settle)());
}
template <auto settle, std::size_t Count>
std::int32_t WorkObject::settled_with(const Arguments<Count>& given) {
  return note_settled((this->*settle)(given));
}
// The lease in `facts` is still what it was.
std::int32_t WorkObject::note_settled(std::int32_t done) {
  if (done > 0) meter_->settled(lease());
  return done;
}

// texts() -> [id, group, trace context if it has one] of the job in `facts`; undefined if the lease was lost
Napi::Value WorkObject::texts() {
  if (core() == nullptr) return Env().Undefined();
  const Lease own = lease();
  JobFacts facts;
  if (!own || !core()->holds(own) || !core()->facts(own.slot, facts)) return Env().Undefined();
  Napi::Array list = Napi::Array::New(Env(), 2);
  list[0U] = to_js(Env(), std::string(facts.id));
  list[1U] = to_js(Env(), std::string(facts.group));
  if (facts.headers.size() == kTraceBytes) {
    auto trace = Napi::Uint8Array::New(Env(), kTraceBytes);
    if (trace.IsEmpty()) return Env().Undefined();  // a worker that is being terminated
    std::copy_n(reinterpret_cast<const std::uint8_t*>(facts.headers.data()), kTraceBytes,
                trace.Data());
    list[2U] = trace;
  }
  if (!core()->holds(own)) return Env().Undefined();
  return list;
}
// copyOut(target): as much of the payload as it takes -> bytes, 0 also of a lost lease; or kClosed, kInvalid
double WorkObject::copy_out(const Arguments<1>& given) {
  if (core() == nullptr) return kClosed;
  const auto target = bytes_of(given.env, given[0]);
  const Lease own = lease();
  JobFacts facts;
  if (!target || !own) return kInvalid;
  if (!core()->facts(own.slot, facts)) return kCorrupt;
  const std::size_t size = std::min<std::size_t>(target->size, facts.length);
  std::copy_n(core()->data()->data() + facts.at, size, target->data);
  return static_cast<double>(size);
}

}  // namespace millrace::addon
