// What a work queue takes: jobs, and room in which one is written.
#include <algorithm>
#include <string>

#include "work.hpp"

namespace millrace::addon {

std::int32_t WorkObject::outcome_of(Pushed pushed) {
  note_woken();
  switch (pushed) {
    case Pushed::yes:
      return 0;
    case Pushed::duplicate:
      return 1;
    case Pushed::full:
    case Pushed::full_bytes:
      return kWouldBlock;
    case Pushed::busy:
      return kBusy;
    case Pushed::too_large:
      return kTooLarge;
    case Pushed::disk_failed:
      environment().raise(core()->disk()->error());
      return kInvalid;
  }
  return kInvalid;
}
// tryPush(payload) -> 0 if it was pushed, or kWouldBlock, kBusy, kTooLarge, kClosed, kInvalid. An exception after a failed sync
std::int32_t WorkObject::try_push(const Arguments<1>& given) {
  if (core() == nullptr) return kClosed;
  const auto bytes = bytes_of(given.env, given[0]);
  if (!bytes) return kInvalid;
  return outcome_of(core()->try_push({bytes->data, bytes->size}, PushOptions{}));
}
// From the argument `first` on: level, delayMs, ttlMs, id, group. `trace`: a trace context, or undefined
template <std::size_t Count>
bool WorkObject::read_push(const Arguments<Count>& given, std::size_t first, napi_value trace,
                           Described& job) const {
  const std::uint32_t level = small_natural(given.env, given[first], 0xFFFF'FFFFU);
  if (level >= shape().levels) return false;
  job.options.level = static_cast<std::uint8_t>(level);
  job.options.delay_ns = nanoseconds(given.env, given[first + 1]);
  job.options.ttl_ns = nanoseconds(given.env, given[first + 2]);
  job.id = text_at(given.env, given[first + 3]);
  job.group = text_at(given.env, given[first + 4]);
  if (job.id.size() > kLongestText || job.group.size() > kLongestText) return false;
  job.options.id = job.id;
  job.options.group = job.group;
  return read_trace(given.env, trace, job.options);
}
// The memory is JavaScript's, and good until the call returns.
bool WorkObject::read_trace(napi_env env, napi_value value, PushOptions& options) {
  napi_valuetype type = napi_undefined;
  if (napi_typeof(env, value, &type) != napi_ok || type == napi_undefined) return true;
  const auto bytes = bytes_of(env, value);
  if (!bytes || bytes->size != kTraceBytes) return false;
  options.headers = {bytes->data, bytes->size};
  return true;
}
// tryPushWith(payload, level, delayMs, ttlMs, id, group, trace) -> as tryPush, and 1 if the id was known
std::int32_t WorkObject::try_push_with(const Arguments<7>& given) {
  if (core() == nullptr) return kClosed;
  const auto bytes = bytes_of(given.env, given[0]);
  Described job;
  if (!bytes || !read_push(given, 1, given[6], job)) return kInvalid;
  return outcome_of(core()->try_push({bytes->data, bytes->size}, job.options));
}

// waitForRoom(payload, level, delayMs, ttlMs, id, group, spinMs, timeoutMs, trace) -> as tryPushWith; blocks for 20 ms at most
std::int32_t WorkObject::wait_for_room(const Arguments<9>& given) {
  return push_in_time(given, [this](std::span<const std::byte> bytes, const PushOptions& options) {
    return core()->try_push(bytes, options);
  });
}
template <typename Push>
std::int32_t WorkObject::push_in_time(const Arguments<9>& given, Push&& push) {
  if (core() == nullptr) return kClosed;
  const auto bytes = bytes_of(given.env, given[0]);
  Described job;
  if (!bytes || !read_push(given, 1, given[8], job)) return kInvalid;
  Pushed done = Pushed::full;
  (void)core()->wait_for_room(nanoseconds(given.env, given[6]), nanoseconds(given.env, given[7]),
                              [&] {
                                done = push({bytes->data, bytes->size}, job.options);
                                return done != Pushed::full && done != Pushed::full_bytes;
                              });
  return outcome_of(done);
}

// tryLoan(length) -> the number of the loan, its place in `facts`; or as tryPush
std::int32_t WorkObject::try_loan(const Arguments<1>& given) {
  if (core() == nullptr) return kClosed;
  const std::uint64_t length = natural(given.env, given[0], ~std::uint64_t{0});
  Loan loan;
  Pushed got = core()->reserve(length, kLoanTail, loan);
  // The longest ones can have no id.
  if (got == Pushed::too_large) got = core()->reserve(length, 0, loan);
  if (got != Pushed::yes) return outcome_of(got);
  note_woken();
  facts_.set_wide(WorkFacts::kOffset, loan.at);
  const auto empty =
      std::find_if(loans_.begin(), loans_.end(), [](const Loan& other) { return !other; });
  const auto index = static_cast<std::int32_t>(empty - loans_.begin());
  if (empty == loans_.end()) {
    loans_.push_back(loan);
  } else {
    *empty = loan;
  }
  return index;
}
Loan* WorkObject::loan_at(napi_env env, napi_value value) {
  const std::uint64_t index = natural(env, value, ~std::uint64_t{0});
  return index < loans_.size() && loans_[index] ? &loans_[index] : nullptr;
}
// pushLoan(loan, length, level, delayMs, ttlMs, id, group, trace) -> as tryPushWith
std::int32_t WorkObject::push_loan(const Arguments<8>& given) {
  if (core() == nullptr) return kClosed;
  Loan* loan = loan_at(given.env, given[0]);
  Described job;
  if (loan == nullptr || !read_push(given, 2, given[7], job)) return kInvalid;
  const std::uint64_t length = natural(given.env, given[1], ~std::uint64_t{0});
  if (length > loan->room) return kInvalid;
  const std::uint64_t tail = job.options.tail_bytes();
  if (tail != 0 && (length + 7) / 8 * 8 + tail > loan->room) return kTooLarge;
  const Pushed done = core()->push(*loan, length, job.options);
  // One that nobody needs any more.
  if (done != Pushed::busy && done != Pushed::disk_failed) core()->cancel(*loan);
  return outcome_of(done);
}
// cancelLoan(loan)
void WorkObject::cancel_loan(const Arguments<1>& given) {
  if (core() == nullptr) return;
  if (Loan* loan = loan_at(given.env, given[0])) core()->cancel(*loan);
  note_woken();
}

// --- the same, measured ---

std::int32_t WorkObject::try_push_measured(const Arguments<1>& given) {
  if (core() == nullptr) return kClosed;
  const auto bytes = bytes_of(given.env, given[0]);
  if (!bytes) return kInvalid;
  return outcome_of(core()->try_push({bytes->data, bytes->size}, PushOptions{}, *meter_));
}
std::int32_t WorkObject::try_push_with_measured(const Arguments<7>& given) {
  if (core() == nullptr) return kClosed;
  const auto bytes = bytes_of(given.env, given[0]);
  Described job;
  if (!bytes || !read_push(given, 1, given[6], job)) return kInvalid;
  return outcome_of(core()->try_push({bytes->data, bytes->size}, job.options, *meter_));
}
std::int32_t WorkObject::wait_for_room_measured(const Arguments<9>& given) {
  return push_in_time(given, [this](std::span<const std::byte> bytes, const PushOptions& options) {
    return core()->try_push(bytes, options, *meter_);
  });
}
std::int32_t WorkObject::push_loan_measured(const Arguments<8>& given) {
  const Loan* const loan = core() == nullptr ? nullptr : loan_at(given.env, given[0]);
  if (loan != nullptr) {
    PushOptions options;
    options.delay_ns = nanoseconds(given.env, given[3]);
    meter_->mark(*loan, options);
  }
  return push_loan(given);
}

}  // namespace millrace::addon
