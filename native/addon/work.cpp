// A work queue as a JavaScript object.
#include "millrace/work/work_queue.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon.hpp"
#include "facts.hpp"
#include "handle.hpp"

namespace millrace::addon {

namespace {

// In the order of WorkFact in lib/addon/work.ts. What has 64 bits is there as its two halves.
enum Fact : std::uint8_t {
  kSlot = 0,
  kWord = 1,
  kOffset = 3,
  kLength = 5,
  kAcquired = 6,
  kPushedAt = 7,
  kTexts = 9,
  kKinds = 10,
  kWoke = 11,
  kFacts = 12,
};

class WorkFacts : private Facts<Napi::Int32Array> {
 public:
  using Facts::give;

  void set(std::size_t at, std::uint32_t value) noexcept {
    (*this)[at] = static_cast<std::int32_t>(value);
  }
  void set_wide(std::size_t at, std::uint64_t value) noexcept {
    set(at, static_cast<std::uint32_t>(value));
    set(at + 1, static_cast<std::uint32_t>(value >> 32U));
  }
  void set(Outcome outcome) noexcept { (*this)[kSlot] = outcome; }
  [[nodiscard]] std::uint32_t get(std::size_t at) const noexcept {
    return static_cast<std::uint32_t>((*this)[at]);
  }
  [[nodiscard]] std::uint64_t get_wide(std::size_t at) const noexcept {
    return get(at) | std::uint64_t{get(at + 1)} << 32U;
  }
};

std::string text_at(napi_env env, napi_value value) {
  return text_of(Napi::Value(env, value));
}

// A sync on its way. What it needs outlives the handle: close() need not wait for it.
class Sync final : public Napi::AsyncWorker {
 public:
  Sync(Napi::Env env, Napi::Promise::Deferred deferred, std::shared_ptr<DiskSync> disk)
      : Napi::AsyncWorker(env, "millrace.sync"),
        deferred_(deferred),
        disk_(std::move(disk)),
        ticket_(disk_->ticket()) {}

  void Execute() override { done_ = disk_->wait(ticket_); }
  void OnOK() override {
    if (done_.ok()) {
      deferred_.Resolve(Env().Undefined());
    } else {
      deferred_.Reject(Environment::of(Env()).error_of(done_.error()));
    }
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::shared_ptr<DiskSync> disk_;
  std::uint64_t ticket_;
  Result<void> done_;
};

class WorkObject final : public WaitingObject<WorkObject, WorkQueue> {
 public:
  // new Work({ place, memory, mode, owner?, keep, seats?, levels?, jobs?, bytes?, attempts?, dead?, deadBytes?, windowMs?,
  // keys?, groups?, leaseMs?, durability? }): what is left out is whatever an existing queue has, or the default
  explicit WorkObject(const Napi::CallbackInfo& info) : WaitingObject(info) {
    const Options options(info[0]);
    const bool opened = open<WorkSpec>(options, [&](WorkSpec& spec) {
      spec.seats = small_if_any(options, "seats");
      spec.levels = small_if_any(options, "levels");
      spec.jobs = small_if_any(options, "jobs");
      spec.bytes = options.number_if_any("bytes");
      spec.dead = small_if_any(options, "dead");
      spec.dead_bytes = options.number_if_any("deadBytes");
      spec.keys = small_if_any(options, "keys");
      spec.groups = small_if_any(options, "groups");
      spec.window_ms = options.number_if_any("windowMs");
      spec.lease_ms = options.number_if_any("leaseMs");
      if (const auto attempts = small_if_any(options, "attempts")) {
        spec.attempts = static_cast<std::uint8_t>(std::min(*attempts, 255U));
      }
      if (const auto durability = small_if_any(options, "durability")) {
        spec.durability = static_cast<layout::Durability>(std::min(*durability, 2U));
      }
      return WorkQueue::open(spec, soon());
    });
    if (!opened) return;
    const WorkShape& shape = this->shape();
    tell("seats", shape.seats);
    tell("levels", shape.levels);
    tell("jobs", shape.jobs);
    tell("bytes", static_cast<double>(shape.bytes));
    tell("attempts", std::uint32_t{shape.attempts});
    tell("dead", shape.dead);
    tell("deadBytes", static_cast<double>(shape.dead_bytes));
    tell("windowMs", static_cast<double>(shape.window_ms));
    tell("keys", shape.keys);
    tell("groups", shape.groups);
    tell("leaseMs", static_cast<double>(shape.lease_ms));
    tell("durability", static_cast<std::uint32_t>(shape.durability));
    tell("maxBytes", static_cast<double>(core()->largest()));
    facts_.give(Value(), kFacts);
    define_hot<&WorkObject::try_push>("tryPush");
    define_hot<&WorkObject::try_push_with>("tryPushWith");
    define_hot<&WorkObject::take>("take");
    define_hot<&WorkObject::complete>("complete");
  }

  static Napi::Function define(Napi::Env env) {
    return define_class(env, "Work",
                        {
                            method<&WorkObject::buffer>("buffer"),
                            method<&WorkObject::try_loan>("tryLoan"),
                            method<&WorkObject::push_loan>("pushLoan"),
                            method<&WorkObject::cancel_loan>("cancelLoan"),
                            method<&WorkObject::take_ahead>("takeAhead"),
                            method<&WorkObject::start>("start"),
                            method<&WorkObject::release>("release"),
                            method<&WorkObject::retry>("retry"),
                            method<&WorkObject::reject>("reject"),
                            method<&WorkObject::extend>("extend"),
                            method<&WorkObject::holds>("holds"),
                            method<&WorkObject::forward>("forward"),
                            method<&WorkObject::texts>("texts"),
                            method<&WorkObject::copy_out>("copyOut"),
                            method<&WorkObject::look>("look"),
                            method<&WorkObject::next_due>("nextDue"),
                            method<&WorkObject::keep_watch>("keepWatch"),
                            method<&WorkObject::still>("still"),
                            method<&WorkObject::recheck>("recheck"),
                            method<&WorkObject::wait_for_job>("waitForJob"),
                            method<&WorkObject::wait_for_room>("waitForRoom"),
                            method<&WorkObject::counts>("counts"),
                            method<&WorkObject::dead_letters>("deadLetters"),
                            method<&WorkObject::redrive>("redrive"),
                            method<&WorkObject::purge>("purge"),
                            method<&WorkObject::flush>("flush"),
                            method<&WorkObject::flush_now>("flushNow"),
                        });
  }

  // flush() -> promise, fulfilled when all that this handle has done is on the disk. A thread of the pool waits for that.
  Napi::Value flush() {
    const auto deferred = Napi::Promise::Deferred::New(Env());
    if (core() == nullptr) {
      deferred.Reject(environment().error_of(
          make_error(Code::closed, "the work queue is closed here; flush it before it is closed")));
    } else if (const auto& disk = core()->disk(); disk == nullptr) {
      deferred.Resolve(Env().Undefined());
    } else {
      (new Sync(Env(), deferred, disk))->Queue();
    }
    return deferred.Promise();
  }
  // flushNow(): blocks
  void flush_now() {
    if (core() == nullptr) return;
    if (auto done = core()->flush(); !done.ok()) environment().raise(done.error());
  }

  // park(): for the kinds in `facts`; those of before are dropped
  void park() {
    if (const auto address = wake_address()) {
      core()->sleepers().park_on_bell(facts_.get(kKinds) & kAllKinds, *address);
    }
  }
  void unpark() noexcept {
    if (core() != nullptr) core()->unpark();
  }
  // The payloads of all jobs; undefined once closed.
  Napi::Value buffer() {
    return core() == nullptr ? Env().Undefined() : payloads_.get(Env(), core()->data());
  }
  void detach_buffers() {
    WaitingObject::detach_buffers();
    payloads_.detach();
  }

 private:
  static std::optional<std::uint32_t> small_if_any(const Options& options, const char* key) {
    const auto number = options.number_if_any(key);
    if (!number) return std::nullopt;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(*number, 0xFFFF'FFFFU));
  }

  // What JavaScript is to see to: it was woken, and may not come.
  void note_woken() {
    if (const std::uint32_t woken = core()->woke(); woken != 0) [[unlikely]] {
      facts_.set(kWoke, facts_.get(kWoke) | woken);
    }
  }

  // --- push ---

  std::int32_t outcome_of(Pushed pushed) {
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
    }
    return kInvalid;
  }
  // tryPush(payload) -> 0 if it was pushed, or kWouldBlock, kBusy, kTooLarge, kClosed, kInvalid
  std::int32_t try_push(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    const auto bytes = bytes_of(given.env, given[0]);
    if (!bytes) return kInvalid;
    return outcome_of(core()->try_push({bytes->data, bytes->size}, PushOptions{}));
  }
  // The options of a push from the argument `first` on: level, delayMs, ttlMs, id, group. The texts must outlive them.
  template <std::size_t Count>
  bool read_push(const Arguments<Count>& given, std::size_t first, PushOptions& options,
                 std::string& id, std::string& group) const {
    const std::uint32_t level = small_natural(given.env, given[first], 0xFFFF'FFFFU);
    if (level >= shape().levels) return false;
    options.level = static_cast<std::uint8_t>(level);
    options.delay_ns = nanoseconds(given.env, given[first + 1]);
    options.ttl_ns = nanoseconds(given.env, given[first + 2]);
    id = text_at(given.env, given[first + 3]);
    group = text_at(given.env, given[first + 4]);
    if (id.size() > kLongestText || group.size() > kLongestText) return false;
    options.id = id;
    options.group = group;
    return true;
  }
  // tryPushWith(payload, level, delayMs, ttlMs, id, group) -> as tryPush, and 1 if the id was known
  std::int32_t try_push_with(const Arguments<6>& given) {
    if (core() == nullptr) return kClosed;
    const auto bytes = bytes_of(given.env, given[0]);
    PushOptions options;
    std::string id;
    std::string group;
    if (!bytes || !read_push(given, 1, options, id, group)) return kInvalid;
    return outcome_of(core()->try_push({bytes->data, bytes->size}, options));
  }

  // waitForRoom(payload, level, delayMs, ttlMs, id, group, spinMs, timeoutMs) -> as tryPushWith; blocks for 20 ms at most
  std::int32_t wait_for_room(const Arguments<8>& given) {
    if (core() == nullptr) return kClosed;
    const auto bytes = bytes_of(given.env, given[0]);
    PushOptions options;
    std::string id;
    std::string group;
    if (!bytes || !read_push(given, 1, options, id, group)) return kInvalid;
    Pushed done = Pushed::full;
    (void)core()->wait_for_room(nanoseconds(given.env, given[6]), nanoseconds(given.env, given[7]),
                                [&] {
                                  done = core()->try_push({bytes->data, bytes->size}, options);
                                  return done != Pushed::full && done != Pushed::full_bytes;
                                });
    return outcome_of(done);
  }

  // tryLoan(length) -> the number of the loan, its place in `facts`; or as tryPush
  std::int32_t try_loan(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    const std::uint64_t length = natural(given.env, given[0], ~std::uint64_t{0});
    Loan loan;
    Pushed got = core()->reserve(length, kLoanTail, loan);
    // The longest ones can have no id.
    if (got == Pushed::too_large) got = core()->reserve(length, 0, loan);
    if (got != Pushed::yes) return outcome_of(got);
    note_woken();
    facts_.set_wide(kOffset, loan.at);
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
  Loan* loan_at(napi_env env, napi_value value) {
    const std::uint64_t index = natural(env, value, ~std::uint64_t{0});
    return index < loans_.size() && loans_[index] ? &loans_[index] : nullptr;
  }
  // pushLoan(loan, length, level, delayMs, ttlMs, id, group) -> as tryPushWith
  std::int32_t push_loan(const Arguments<7>& given) {
    if (core() == nullptr) return kClosed;
    Loan* loan = loan_at(given.env, given[0]);
    PushOptions options;
    std::string id;
    std::string group;
    if (loan == nullptr || !read_push(given, 2, options, id, group)) return kInvalid;
    const std::uint64_t length = natural(given.env, given[1], ~std::uint64_t{0});
    if (length > loan->room) return kInvalid;
    const std::uint64_t tail = options.tail_bytes();
    if (tail != 0 && (length + 7) / 8 * 8 + tail > loan->room) return kTooLarge;
    const Pushed done = core()->push(*loan, length, options);
    // One that nobody needs any more.
    if (done != Pushed::busy) core()->cancel(*loan);
    return outcome_of(done);
  }
  // cancelLoan(loan)
  void cancel_loan(const Arguments<1>& given) {
    if (core() == nullptr) return;
    if (Loan* loan = loan_at(given.env, given[0])) core()->cancel(*loan);
    note_woken();
  }

  // --- take ---

  void take() { take_now(true); }
  void take_ahead() { take_now(false); }
  // Leaves the job in `facts`; or, as its slot, kWouldBlock, kClosed, kCorrupt
  void take_now(bool begins) {
    if (core() == nullptr) return facts_.set(kClosed);
    hand_over(core()->try_take(0, begins));
  }
  // waitForJob(spinMs, timeoutMs): as take(); blocks for 20 ms at most
  void wait_for_job(const Arguments<2>& given) {
    if (core() == nullptr) return facts_.set(kClosed);
    hand_over(core()->wait_for_job(0, true, nanoseconds(given.env, given[0]),
                                   nanoseconds(given.env, given[1])));
  }
  void hand_over(const Lease& lease) {
    note_woken();
    if (!lease) return facts_.set(kWouldBlock);
    JobFacts facts;
    if (!core()->facts(lease.slot, facts)) return facts_.set(kCorrupt);
    facts_.set(kSlot, lease.slot);
    facts_.set_wide(kWord, lease.word);
    facts_.set_wide(kOffset, facts.at);
    facts_.set(kLength, facts.length);
    facts_.set(kAcquired, facts.acquired);
    facts_.set_wide(kPushedAt, facts.pushed_at);
    facts_.set(kTexts, facts.id.empty() && facts.group.empty() ? 0 : 1);
  }

  // --- settle ---

  // The lease in `facts`. A slot that there is not is nobody's.
  [[nodiscard]] Lease lease() const {
    const std::uint32_t slot = facts_.get(kSlot);
    if (slot >= shape().slots()) return Lease{};
    return Lease{slot, facts_.get_wide(kWord)};
  }
  // 1, 0 if the lease was lost, or kClosed
  template <typename Do>
  std::int32_t settle(Do&& act) {
    if (core() == nullptr) return kClosed;
    Lease own = lease();
    const bool done = own && act(own);
    note_woken();
    return done ? 1 : 0;
  }
  std::int32_t complete() {
    return settle([this](Lease& own) { return core()->complete(own); });
  }
  // start(): leaves the word in `facts`
  std::int32_t start() {
    return settle([this](Lease& own) {
      const bool begun = core()->start(own);
      if (begun) facts_.set_wide(kWord, own.word);
      return begun;
    });
  }
  // release(delayMs)
  std::int32_t release(const Arguments<1>& given) {
    return settle(
        [&](Lease& own) { return core()->release(own, nanoseconds(given.env, given[0])); });
  }
  // retry(delayMs, error)
  std::int32_t retry(const Arguments<2>& given) {
    return settle([&](Lease& own) {
      return core()->retry(own, nanoseconds(given.env, given[0]), text_at(given.env, given[1]));
    });
  }
  // reject(error)
  std::int32_t reject(const Arguments<1>& given) {
    return settle([&](Lease& own) { return core()->reject(own, text_at(given.env, given[0])); });
  }
  // extend(ms)
  std::int32_t extend(const Arguments<1>& given) {
    return settle(
        [&](Lease& own) { return core()->extend(own, nanoseconds(given.env, given[0])); });
  }
  std::int32_t holds() {
    return settle([this](Lease& own) { return core()->holds(own); });
  }

  // forward(payload, to, level, delayMs, ttlMs, id): the job in `facts` becomes one of `to` -> 1; 2 if the id was known there, and
  // it is done; 0 if the lease was lost; kWouldBlock, kBusy, kTooLarge, kInvalid, kClosed. An exception if these two cannot.
  std::int32_t forward(const Arguments<6>& given) {
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
    options.level = static_cast<std::uint8_t>(level);
    options.delay_ns = nanoseconds(given.env, given[3]);
    options.ttl_ns = nanoseconds(given.env, given[4]);
    options.id = id;
    const auto done = core()->forward(own, {bytes->data, bytes->size}, *to->core(), options);
    note_woken();
    to->note_woken();
    if (!done.ok()) {
      environment().raise(done.error());
      return kInvalid;
    }
    switch (done.value()) {
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

  // texts() -> [id, group] of the job in `facts`; undefined if the lease was lost
  Napi::Value texts() {
    if (core() == nullptr) return Env().Undefined();
    const Lease own = lease();
    JobFacts facts;
    if (!own || !core()->holds(own) || !core()->facts(own.slot, facts)) return Env().Undefined();
    Napi::Array list = Napi::Array::New(Env(), 2);
    list[0U] = to_js(Env(), std::string(facts.id));
    list[1U] = to_js(Env(), std::string(facts.group));
    if (!core()->holds(own)) return Env().Undefined();
    return list;
  }
  // copyOut(target): as much of the payload as it takes -> bytes, 0 also of a lost lease; or kClosed, kInvalid
  double copy_out(const Arguments<1>& given) {
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

  // --- waiting ---

  std::uint32_t look() {
    if (core() == nullptr) return 0;
    const std::uint32_t found = core()->glance();
    note_woken();
    return found;
  }
  // nextDue() -> milliseconds from now, Infinity if nothing will be due
  double next_due() {
    constexpr double never = std::numeric_limits<double>::infinity();
    if (core() == nullptr) return never;
    const std::uint64_t due = core()->next_due();
    if (due == ~std::uint64_t{0}) return never;
    const std::uint64_t now = os::monotonic_ns();
    return due <= now ? 0 : static_cast<double>(due - now) / 1e6;
  }
  bool keep_watch() { return core() != nullptr && core()->keep_watch(); }
  // still() -> see WorkQueue::still
  bool still() { return core() != nullptr && core()->still(); }
  // recheck(kinds) -> those that are to be looked at once more
  std::uint32_t recheck(const Arguments<1>& given) {
    if (core() == nullptr) return 0;
    std::uint32_t again = 0;
    millrace::detail::for_each_bit(small_natural(given.env, given[0], 0) & kAllKinds,
                                   [&](std::uint32_t kind) {
                                     if (core()->recheck(kind)) again |= 1U << kind;
                                   });
    return again;
  }

  // --- what there is ---

  // counts() -> in the order of lib/work/stats.ts
  Napi::Value counts() {
    constexpr std::size_t states = 8;
    constexpr std::size_t counters = static_cast<std::size_t>(layout::WorkCount::torn) + 1;
    auto counted = Napi::Float64Array::New(Env(), states + counters);
    if (core() == nullptr) return counted;
    const auto counts = core()->store().counts();
    const std::array<double, states> found{
        static_cast<double>(counts.ready),
        static_cast<double>(counts.leased),
        static_cast<double>(counts.delayed),
        static_cast<double>(counts.grouped),
        static_cast<double>(counts.dead),
        static_cast<double>(counts.free),
        static_cast<double>(core()->store().granules_used()) * layout::kGranuleBytes,
        static_cast<double>(handles())};
    std::copy(found.begin(), found.end(), counted.Data());
    for (std::size_t i = 0; i < counters; ++i) {
      counted.Data()[states + i] = static_cast<double>(counter(static_cast<layout::WorkCount>(i)));
    }
    return counted;
  }

  // deadLetters(limit) -> see NativeDeadLetter in lib/addon/work.ts, the oldest first; or kBusy, kClosed
  Napi::Value dead_letters(const Arguments<1>& given) {
    const Napi::Env env = Env();
    if (core() == nullptr) return Napi::Number::New(env, kClosed);
    const std::uint64_t limit = natural(env, given[0], ~std::uint64_t{0});
    Napi::Array list = Napi::Array::New(env);
    std::uint32_t length = 0;
    const bool had =
        limit == 0 || core()->store().each_dead([&](std::uint32_t slot, std::uint64_t word) {
          JobFacts facts;
          if (core()->facts(slot, facts)) list[length++] = letter_of(slot, word, facts);
          return length < limit;
        });
    if (!had) return Napi::Number::New(env, kBusy);
    return list;
  }
  Napi::Array letter_of(std::uint32_t slot, std::uint64_t word, const JobFacts& facts) {
    const Napi::Env env = Env();
    Napi::Array letter = Napi::Array::New(env, 13);
    std::uint32_t at = 0;
    const auto add = [&](auto value) { letter[at++] = to_js(env, value); };
    const auto ms = [](std::uint64_t ns) {
      const std::uint64_t whole = ns / 1'000'000U;
      return static_cast<double>(whole);
    };
    add(slot);
    add(static_cast<std::uint32_t>(word));
    add(static_cast<std::uint32_t>(word >> 32U));
    add(std::uint32_t{facts.attempt});
    add(facts.acquired);
    add(ms(facts.pushed_at));
    add(ms(facts.dead_at));
    add(static_cast<std::uint32_t>(facts.reason));
    add(std::uint32_t{facts.level});
    add(facts.error);
    add(std::string(facts.id));
    add(std::string(facts.group));
    napi_value bytes = nullptr;
    napi_create_buffer_copy(env, facts.length, core()->data()->data() + facts.at, nullptr, &bytes);
    add(bytes);
    return letter;
  }
  // redrive(leases), purge(leases): three numbers each -> how many; or kBusy, kClosed, kInvalid
  std::int32_t redrive(const Arguments<1>& given) {
    return each_of(given, [this](std::uint32_t slot, std::uint64_t word) {
      return core()->store().redrive(slot, word);
    });
  }
  std::int32_t purge(const Arguments<1>& given) {
    return each_of(given, [this](std::uint32_t slot, std::uint64_t word) {
      return core()->store().purge(slot, word);
    });
  }
  template <typename Act>
  std::int32_t each_of(const Arguments<1>& given, Act&& act) {
    if (core() == nullptr) return kClosed;
    const auto bytes = bytes_of(given.env, given[0]);
    if (!bytes || bytes->size % 12 != 0) return kInvalid;
    std::vector<std::uint32_t> numbers(bytes->size / 4);
    std::memcpy(numbers.data(), bytes->data, bytes->size);
    std::vector<std::pair<std::uint32_t, std::uint64_t>> wanted;
    for (std::size_t i = 0; i < numbers.size(); i += 3) {
      wanted.emplace_back(numbers[i], numbers[i + 1] | std::uint64_t{numbers[i + 2]} << 32U);
    }
    std::sort(wanted.begin(), wanted.end());
    std::int32_t done = 0;
    const bool had = core()->change_dead([&](std::uint32_t slot, std::uint64_t word) {
      if (std::binary_search(wanted.begin(), wanted.end(), std::pair(slot, word))) {
        done += act(slot, word) ? 1 : 0;
      }
      return true;
    });
    if (!had) return kBusy;
    note_woken();
    return done;
  }

  // A number of the whole queue: what seats that are free again have counted, and what the others have.
  [[nodiscard]] std::uint64_t counter(layout::WorkCount what) const {
    const auto at = static_cast<std::size_t>(what);
    std::uint64_t sum = core()->store().memory().control().counters[at].load();
    core()->parties().for_each_present([&](std::uint32_t seat) {
      const layout::SeatRecord& its = core()->parties().seat_record(seat);
      switch (what) {
        case layout::WorkCount::pushed:
          sum += its.pushed.load();
          break;
        case layout::WorkCount::taken:
          sum += its.taken.load();
          break;
        case layout::WorkCount::completed:
          sum += its.completed.load();
          break;
        case layout::WorkCount::returned:
          sum += its.returned.load();
          break;
        case layout::WorkCount::rejected:
          sum += its.rejected.load();
          break;
        default:
          break;
      }
    });
    return sum;
  }
  [[nodiscard]] std::uint32_t handles() const {
    std::uint32_t count = 0;
    core()->parties().for_each_present([&count](std::uint32_t) { ++count; });
    return count;
  }

  [[nodiscard]] const WorkShape& shape() const { return core()->parties().shape(); }

  static constexpr std::size_t kLongestText = 1024;
  static constexpr std::size_t kLoanTail = 256;  // for an id and a group, beside the payload
  static constexpr std::uint32_t kAllKinds = (1U << (layout::kForRoom + 1)) - 1;

  WorkFacts facts_;
  SharedBuffer payloads_;
  std::vector<Loan> loans_;
};

}  // namespace

Napi::Function define_work(Napi::Env env) {
  return WorkObject::define(env);
}

}  // namespace millrace::addon
