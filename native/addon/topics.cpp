// Topics as a JavaScript object.
#include "topics.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "addon.hpp"
#include "millrace/os/clock.hpp"

namespace millrace::addon {

// new Topics({ place, memory, mode, owner?, seats?, subscriptions?, subjects?, messages?, bytes?, stats }): what is left out is
// whatever an existing bus has, or the default
TopicsObject::TopicsObject(const Napi::CallbackInfo& info) : WaitingObject(info) {
  const Options options(info[0]);
  const bool opened = open<TopicSpec>(options, [&](TopicSpec& spec) {
    spec.seats = options.small_if_any("seats");
    spec.subscriptions = options.small_if_any("subscriptions");
    spec.subjects = options.small_if_any("subjects");
    spec.messages = options.small_if_any("messages");
    spec.bytes = options.number_if_any("bytes");
    return TopicBus::open(spec, soon());
  });
  if (!opened) return;
  const TopicShape& shape = core()->shape();
  WaitingObject::tell("seats", shape.seats);
  WaitingObject::tell("subscriptions", shape.subscriptions);
  WaitingObject::tell("subjects", shape.subjects);
  WaitingObject::tell("messages", shape.messages);
  WaitingObject::tell("bytes", static_cast<double>(shape.bytes));
  WaitingObject::tell("maxBytes", static_cast<double>(shape.largest()));
  WaitingObject::tell("lookMs", static_cast<double>(TopicLookouts::kLookMs));
  WaitingObject::tell("instance", std::to_string(core()->parties().segment().instance()));
  facts_.give(Value());
  define_hot<&TopicsObject::try_publish>("tryPublish");
  define_hot<&TopicsObject::try_publish_with>("tryPublishWith");
  define_hot<&TopicsObject::try_publish_packed>("tryPublishPacked");
  define_hot<&TopicsObject::read>("read");
  if (options.flag("stats")) define_measured();
}

Napi::Function TopicsObject::define(Napi::Env env) {
  return define_class(env, "Topics",
                      {
                          method<&TopicsObject::buffer>("buffer"),
                          method<&TopicsObject::subject>("subject"),
                          method<&TopicsObject::subject_text>("subjectText"),
                          method<&TopicsObject::try_loan>("tryLoan"),
                          method<&TopicsObject::publish_loan>("publishLoan"),
                          method<&TopicsObject::cancel_loan>("cancelLoan"),
                          method<&TopicsObject::subscribe>("subscribe"),
                          method<&TopicsObject::unsubscribe>("unsubscribe"),
                          method<&TopicsObject::pump_begin>("pumpBegin"),
                          method<&TopicsObject::pump_end>("pumpEnd"),
                          method<&TopicsObject::release>("release"),
                          method<&TopicsObject::ready>("ready"),
                          method<&TopicsObject::copy_out>("copyOut"),
                          method<&TopicsObject::look>("look"),
                          method<&TopicsObject::keep_watch>("keepWatch"),
                          method<&TopicsObject::still>("still"),
                          method<&TopicsObject::wait_for_message>("waitForMessage"),
                          method<&TopicsObject::wait_for_room>("waitForRoom"),
                          method<&TopicsObject::counts>("counts"),
                      });
}

// --- publishing ---

// subject(text) -> its number, or kClosed. An exception if there can be no more, or that is none
std::int32_t TopicsObject::subject(const Arguments<1>& given) {
  if (core() == nullptr) return kClosed;
  const auto found = core()->subject(text_of(Napi::Value(given.env, given[0])));
  if (found.ok()) return static_cast<std::int32_t>(found.value());
  environment().raise(found.error());
  return kInvalid;
}
// subjectText(subject) -> its text, empty if there is none
std::string TopicsObject::subject_text(const Arguments<1>& given) {
  return core() == nullptr ? std::string()
                           : core()->subject_text(small_natural(given.env, given[0], ~0U));
}

std::int32_t TopicsObject::outcome_of(Published published, std::uint32_t matched) const noexcept {
  switch (published) {
    case Published::yes:
      return static_cast<std::int32_t>(matched);
    case Published::full:
    case Published::busy:
      return kWouldBlock;
    case Published::too_large:
      return kTooLarge;
    case Published::no_subjects:
    case Published::bad_subject:
      return kInvalid;
  }
  return kInvalid;
}
// tryPublish(subject, payload) -> the number of subscribers it was for; or kWouldBlock, kTooLarge, kClosed, kInvalid
std::int32_t TopicsObject::try_publish(const Arguments<2>& given) {
  return publish_plain(given);
}
template <typename... Meter>
std::int32_t TopicsObject::publish_plain(const Arguments<2>& given, Meter&... meter) {
  if (core() == nullptr) return kClosed;
  const auto payload = bytes_of(given.env, given[1]);
  if (!payload) return kInvalid;
  std::uint32_t matched = 0;
  const Published done = core()->try_publish(small_natural(given.env, given[0], ~0U),
                                             {payload->data, payload->size}, {}, matched, meter...);
  return outcome_of(done, matched);
}
// tryPublishWith(subject, payload, headers) -> as tryPublish
std::int32_t TopicsObject::try_publish_with(const Arguments<3>& given) {
  return publish_with(given);
}
template <typename... Meter>
std::int32_t TopicsObject::publish_with(const Arguments<3>& given, Meter&... meter) {
  if (core() == nullptr) return kClosed;
  const auto payload = bytes_of(given.env, given[1]);
  const auto headers = bytes_of(given.env, given[2]);
  if (!payload || !headers) return kInvalid;
  std::uint32_t matched = 0;
  const Published done =
      core()->try_publish(small_natural(given.env, given[0], ~0U), {payload->data, payload->size},
                          {headers->data, headers->size}, matched, meter...);
  return outcome_of(done, matched);
}

// tryPublishPacked(subject, count, payloads, headers): those whose lengths are in `facts`, and whose bytes lie one after the other ->
// how many were published, for how many subscribers each at most is in `facts`; or, if none was, as tryPublish
std::int32_t TopicsObject::try_publish_packed(const Arguments<4>& given) {
  return publish_packed(given);
}
template <typename... Meter>
std::int32_t TopicsObject::publish_packed(const Arguments<4>& given, Meter&... meter) {
  if (core() == nullptr) return kClosed;
  const std::uint32_t subject = small_natural(given.env, given[0], ~0U);
  const std::uint32_t count =
      std::min(small_natural(given.env, given[1], 0), TopicCallFacts::kMostPacked);
  const auto payloads = bytes_of(given.env, given[2]);
  const auto headers = bytes_of(given.env, given[3]);
  if (!payloads || !headers) return kInvalid;
  const std::uint64_t now = os::real_ns();
  Published last = Published::full;
  std::uint32_t most = 0;
  std::uint32_t done = 0;
  for (std::size_t at = 0; done < count; ++done) {
    const std::uint32_t length = facts_.small(TopicCallFacts::kIntake + done);
    if (length > payloads->size - at) return kInvalid;
    std::uint32_t matched = 0;
    last = core()->try_publish(subject, {payloads->data + at, length},
                               {headers->data, headers->size}, matched, meter..., now);
    if (last != Published::yes) break;
    most = std::max(most, matched);
    at += length;
  }
  facts_.set(TopicCallFacts::kMatched, std::uint64_t{most});
  return done == 0 ? outcome_of(last, 0) : static_cast<std::int32_t>(done);
}

// tryLoan(subject, length, headersLength) -> the number of the loan, its place in `facts`; or as tryPublish
std::int32_t TopicsObject::try_loan(const Arguments<3>& given) {
  if (core() == nullptr) return kClosed;
  TopicLoan loan;
  const Published got = core()->reserve(small_natural(given.env, given[0], ~0U),
                                        natural(given.env, given[1], ~std::uint64_t{0}),
                                        natural(given.env, given[2], ~std::uint64_t{0}), loan);
  if (got != Published::yes) return outcome_of(got, 0);
  facts_.set(TopicCallFacts::kOffset, loan.at);
  const auto empty =
      std::find_if(loans_.begin(), loans_.end(), [](const TopicLoan& other) { return !other; });
  const auto index = static_cast<std::int32_t>(empty - loans_.begin());
  if (empty == loans_.end()) {
    loans_.push_back(loan);
  } else {
    *empty = loan;
  }
  return index;
}
TopicLoan* TopicsObject::loan_at(napi_env env, napi_value value) {
  const std::uint64_t index = natural(env, value, ~std::uint64_t{0});
  return index < loans_.size() && loans_[index] ? &loans_[index] : nullptr;
}
// publishLoan(loan, length, headers) -> as tryPublish
std::int32_t TopicsObject::publish_loan(const Arguments<3>& given) {
  if (core() == nullptr) return kClosed;
  TopicLoan* const loan = loan_at(given.env, given[0]);
  const auto headers = bytes_of(given.env, given[2]);
  if (loan == nullptr || !headers) return kInvalid;
  const std::uint64_t length = natural(given.env, given[1], ~std::uint64_t{0});
  if (length > loan->room) return kInvalid;
  std::uint32_t matched = 0;
  const Published done = core()->publish(*loan, length, {headers->data, headers->size}, matched);
  return outcome_of(done, matched);
}
// cancelLoan(loan)
void TopicsObject::cancel_loan(const Arguments<1>& given) {
  if (core() == nullptr) return;
  if (TopicLoan* const loan = loan_at(given.env, given[0])) core()->cancel(*loan);
}

// --- subscribing ---

// subscribe(filters, policy, replayLast, replayCount, depth, group) -> the number of the subscription, or kClosed. An exception if
// there can be no more, or a filter is none
std::int32_t TopicsObject::subscribe(const Arguments<6>& given) {
  if (core() == nullptr) return kClosed;
  const Napi::Value list(given.env, given[0]);
  if (!list.IsArray()) return kInvalid;
  const auto filters = list.As<Napi::Array>();
  std::vector<std::string> texts;
  for (std::uint32_t i = 0; i < filters.Length(); ++i)
    texts.push_back(text_of(filters.Get(i)));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const std::string group = text_of(Napi::Value(given.env, given[5]));
  SubscribeOptions options;
  options.policy = small_natural(given.env, given[1], 0) == 0 ? layout::TopicPolicy::wait
                                                              : layout::TopicPolicy::overwrite;
  options.replay.last = truth(given.env, given[2]);
  options.replay.newest = small_natural(given.env, given[3], 0);
  options.depth = small_natural(given.env, given[4], 0);
  options.group = group;
  const auto entry = core()->subscribe(views, options);
  if (entry.ok()) return static_cast<std::int32_t>(entry.value());
  environment().raise(entry.error());
  return kInvalid;
}
// unsubscribe(entry)
void TopicsObject::unsubscribe(const Arguments<1>& given) {
  if (core() != nullptr) core()->unsubscribe(small_natural(given.env, given[0], ~0U));
}

void TopicsObject::tell_message(std::size_t place, const TopicMessage& message,
                                std::size_t offset) noexcept {
  using F = TopicCallFacts;
  const std::size_t at = F::kIntake + F::kPerMessage * place;
  const bool copied = message.pin == TopicMessage::kCopied;
  facts_.set(at + F::kIndex, message.index);
  facts_.set(at + F::kSubject, std::uint64_t{message.subject});
  facts_.set(at + F::kWhere, copied ? message.at + offset : message.at);
  facts_.set(at + F::kLength, std::uint64_t{message.length});
  facts_.set(at + F::kHeaders, std::uint64_t{message.headers_length});
  facts_.set(at + F::kPublishedAt, static_cast<double>(message.published_at) / 1e6);
  facts_.set(at + F::kMissed, message.missed);
  facts_.set(at + F::kPin, copied ? -1.0 : static_cast<double>(message.pin));
}
// read(entry, most, target, offset, inPlace) -> how many, whose facts are in `facts`; 0: there is none, or the next one does not fit
// behind `offset` of the target, whose size is then in `facts`
std::int32_t TopicsObject::read(const Arguments<5>& given) {
  return read_with(given);
}
template <typename... Meter>
std::int32_t TopicsObject::read_with(const Arguments<5>& given, Meter&... meter) {
  if (core() == nullptr) return kClosed;
  const auto target = bytes_of(given.env, given[2]);
  const std::uint32_t entry = small_natural(given.env, given[0], ~0U);
  const std::uint32_t most =
      std::min(small_natural(given.env, given[1], 0), TopicCallFacts::kMostTaken);
  const std::uint64_t offset = natural(given.env, given[3], ~std::uint64_t{0});
  if (!target || offset > target->size) return kInvalid;
  const std::uint32_t count =
      core()->read(entry, taken_.data(), most, {target->data + offset, target->size - offset},
                   truth(given.env, given[4]), meter...);
  return tell(count, entry, offset);
}
// What was read, in `facts`.
std::int32_t TopicsObject::tell(std::uint32_t count, std::uint32_t entry, std::size_t offset) {
  if (count == 0) facts_.set(TopicCallFacts::kNeeded, core()->next_bytes(entry));
  for (std::uint32_t i = 0; i < count; ++i)
    tell_message(i, taken_[i], offset);
  return static_cast<std::int32_t>(count);
}
// pumpBegin(entry, most, target, offset) -> as read, and kBusy; the messages stay until pumpEnd()
std::int32_t TopicsObject::pump_begin(const Arguments<4>& given) {
  if (core() == nullptr) return kClosed;
  const auto target = bytes_of(given.env, given[2]);
  const std::uint32_t entry = small_natural(given.env, given[0], ~0U);
  const std::uint32_t most =
      std::min(small_natural(given.env, given[1], 0), TopicCallFacts::kMostTaken);
  const std::uint64_t offset = natural(given.env, given[3], ~std::uint64_t{0});
  if (!target || offset > target->size) return kInvalid;
  const std::uint32_t count = core()->pump_begin(entry, taken_.data(), most,
                                                 {target->data + offset, target->size - offset});
  return count == TopicBus::kPumpBusy ? kBusy : tell(count, entry, offset);
}
// pumpEnd(entry, index): those before `index` are elsewhere
void TopicsObject::pump_end(const Arguments<2>& given) {
  if (core() == nullptr) return;
  core()->pump_end(small_natural(given.env, given[0], ~0U), natural(given.env, given[1], 0));
}
// release(pin)
void TopicsObject::release(const Arguments<1>& given) {
  if (core() != nullptr) core()->release(small_natural(given.env, given[0], ~0U));
}
// ready(entry) -> may it have a message?
bool TopicsObject::ready(const Arguments<1>& given) {
  return core() != nullptr && core()->ready(small_natural(given.env, given[0], ~0U));
}
// copyOut(offset, target): as much of the buffer as it takes -> 0, or kClosed, kInvalid
std::int32_t TopicsObject::copy_out(const Arguments<2>& given) {
  if (core() == nullptr) return kClosed;
  const std::uint64_t offset = natural(given.env, given[0], ~std::uint64_t{0});
  const auto target = bytes_of(given.env, given[1]);
  const auto& data = core()->data();
  if (!target || offset > data->size() || target->size > data->size() - offset) return kInvalid;
  std::copy_n(data->data() + offset, target->size, target->data);
  return 0;
}

// --- waiting ---

// park(): for the kinds in `facts`; those of before are dropped
void TopicsObject::park() {
  if (const auto address = wake_address()) {
    core()->park_on_bell(facts_.small(TopicCallFacts::kKinds) & (kForMessages | kForTopicRoom),
                         *address);
  }
}
void TopicsObject::unpark() noexcept {
  if (core() != nullptr) core()->unpark();
}
// The bytes of all messages; undefined once closed.
Napi::Value TopicsObject::buffer() {
  return core() == nullptr ? Env().Undefined() : messages_.get(Env(), core()->data());
}
void TopicsObject::detach_buffers() {
  WaitingObject::detach_buffers();
  messages_.detach();
}
std::uint32_t TopicsObject::look() {
  return core() == nullptr ? 0 : core()->look();
}
bool TopicsObject::keep_watch() {
  return core() != nullptr && core()->keep_watch();
}
// still() -> is it parked, and nothing to be looked after?
bool TopicsObject::still() {
  return core() != nullptr && core()->parked() && !core()->keep_watch();
}

// waitForMessage(entry, spinMs, timeoutMs) -> has something stirred? Blocks for 20 ms at most
bool TopicsObject::wait_for_message(const Arguments<3>& given) {
  if (core() == nullptr) return true;
  const std::uint32_t entry = small_natural(given.env, given[0], ~0U);
  return core()->wait(kForMessages, nanoseconds(given.env, given[1]),
                      nanoseconds(given.env, given[2]), [&] { return core()->ready(entry); });
}
// waitForRoom(subject, payload, headers, spinMs, timeoutMs) -> as tryPublish; blocks for 20 ms at most
std::int32_t TopicsObject::wait_for_room(const Arguments<5>& given) {
  return publish_in_time(given);
}
template <typename... Meter>
std::int32_t TopicsObject::publish_in_time(const Arguments<5>& given, Meter&... meter) {
  if (core() == nullptr) return kClosed;
  const auto payload = bytes_of(given.env, given[1]);
  const auto headers = bytes_of(given.env, given[2]);
  if (!payload || !headers) return kInvalid;
  const std::uint32_t subject = small_natural(given.env, given[0], ~0U);
  Published done = Published::full;
  std::uint32_t matched = 0;
  (void)core()->wait(
      kForTopicRoom, nanoseconds(given.env, given[3]), nanoseconds(given.env, given[4]), [&] {
        done = core()->try_publish(subject, {payload->data, payload->size},
                                   {headers->data, headers->size}, matched, meter...);
        return done != Published::full && done != Published::busy;
      });
  return outcome_of(done, matched);
}

// --- the same, measured ---

void TopicsObject::define_measured() {
  meter_ = std::make_unique<TopicMeter>(core()->meter());
  define_instead<&TopicsObject::try_publish_measured>("tryPublish");
  define_instead<&TopicsObject::try_publish_with_measured>("tryPublishWith");
  define_instead<&TopicsObject::try_publish_packed_measured>("tryPublishPacked");
  define_instead<&TopicsObject::publish_loan_measured>("publishLoan");
  define_instead<&TopicsObject::wait_for_room_measured>("waitForRoom");
  define_instead<&TopicsObject::subscribe_measured>("subscribe");
  define_instead<&TopicsObject::read_measured>("read");
}
std::int32_t TopicsObject::try_publish_measured(const Arguments<2>& given) {
  return publish_plain(given, *meter_);
}
std::int32_t TopicsObject::try_publish_with_measured(const Arguments<3>& given) {
  return publish_with(given, *meter_);
}
std::int32_t TopicsObject::try_publish_packed_measured(const Arguments<4>& given) {
  return publish_packed(given, *meter_);
}
std::int32_t TopicsObject::publish_loan_measured(const Arguments<3>& given) {
  const TopicLoan* const loan = core() == nullptr ? nullptr : loan_at(given.env, given[0]);
  if (loan != nullptr) meter_->mark(*loan);
  return publish_loan(given);
}
std::int32_t TopicsObject::wait_for_room_measured(const Arguments<5>& given) {
  return publish_in_time(given, *meter_);
}
std::int32_t TopicsObject::subscribe_measured(const Arguments<6>& given) {
  const std::int32_t entry = subscribe(given);
  if (entry >= 0) meter_->joined(static_cast<std::uint32_t>(entry));
  return entry;
}
std::int32_t TopicsObject::read_measured(const Arguments<5>& given) {
  return read_with(given, *meter_);
}

// counts() -> in the order of lib/topics/stats.ts
Napi::Value TopicsObject::counts() {
  constexpr std::size_t shown = 5;
  auto counted = Napi::Float64Array::New(Env(), shown + layout::kTopicCounts);
  if (core() == nullptr || counted.IsEmpty()) return counted;
  const TopicFacts facts = core()->facts();
  double* const to = counted.Data();
  to[0] = facts.subjects;
  to[1] = facts.entries;
  to[2] = facts.seats;
  to[3] = static_cast<double>(facts.messages);
  to[4] = static_cast<double>(facts.granules) * layout::kGranuleBytes;
  std::transform(facts.counts.begin(), facts.counts.end(), to + shown,
                 [](std::uint64_t count) { return static_cast<double>(count); });
  return counted;
}

Napi::Function define_topics(Napi::Env env) {
  return TopicsObject::define(env);
}

}  // namespace millrace::addon
