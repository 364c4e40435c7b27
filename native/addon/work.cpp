// A work queue as a JavaScript object: how it is opened, its table of names, its waits, and the disk.
#include "work.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "addon.hpp"

namespace millrace::addon {

namespace {

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

void read_shape(const Options& options, WorkSpec& spec) {
  spec.seats = options.small_if_any("seats");
  spec.levels = options.small_if_any("levels");
  spec.jobs = options.small_if_any("jobs");
  spec.bytes = options.number_if_any("bytes");
  spec.dead = options.small_if_any("dead");
  spec.dead_bytes = options.number_if_any("deadBytes");
  spec.keys = options.small_if_any("keys");
  spec.groups = options.small_if_any("groups");
  spec.window_ms = options.number_if_any("windowMs");
  spec.lease_ms = options.number_if_any("leaseMs");
  if (const auto attempts = options.small_if_any("attempts")) {
    spec.attempts = static_cast<std::uint8_t>(std::min(*attempts, 255U));
  }
  if (const auto durability = options.small_if_any("durability")) {
    spec.durability = static_cast<layout::Durability>(std::min(*durability, 2U));
  }
  spec.stage_names = options.text_list("stages");
  spec.ordered = static_cast<std::uint16_t>(options.small("ordered", 0));
  spec.as_found = options.flag("asFound");
}

}  // namespace

// new Work({ place, memory, mode, owner?, keep, seats?, levels?, jobs?, bytes?, attempts?, dead?, deadBytes?, windowMs?,
// keys?, groups?, leaseMs?, durability?, stages?, ordered?, stage?, asFound?, stats }): what is left out is whatever an existing queue has,
// or the default
WorkObject::WorkObject(const Napi::CallbackInfo& info) : WaitingObject(info) {
  const Options options(info[0]);
  const bool opened = open<WorkSpec>(options, [&](WorkSpec& spec) {
    read_shape(options, spec);
    return WorkQueue::open(spec, soon());
  });
  if (!opened) return;
  stage_ = std::min(options.small("stage", 0), shape().stages - 1);
  tell_shape();
  facts_.give(Value());
  define_hot<&WorkObject::try_push>("tryPush");
  define_hot<&WorkObject::try_push_with>("tryPushWith");
  define_hot<&WorkObject::take>("take");
  define_hot<&WorkObject::complete>("complete");
  define_hot<&WorkObject::move_on>("moveOn");
  if (options.flag("stats")) define_measured();
}
void WorkObject::tell_shape() {
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
  tell("lookMs", static_cast<double>(Lookouts::kLookMs));
  tell("durability", static_cast<std::uint32_t>(shape.durability));
  tell("maxBytes", static_cast<double>(core()->largest()));
  if (!shape.is_pipeline()) return;
  Napi::Array names = Napi::Array::New(Env());
  for (const std::string& name : core()->stage_names())
    names[names.Length()] = Napi::String::New(Env(), name);
  tell("stages", names);
  tell("ordered", std::uint32_t{shape.ordered});
  const std::uint32_t next = stage_ + 1;
  tell("resultMost", static_cast<double>(next < shape.stages ? core()->result_most(next) : 0));
  tell("instance", std::to_string(core()->parties().segment().instance()));
}

Napi::Function WorkObject::define(Napi::Env env) {
  return define_class(env, "Work",
                      {
                          method<&WorkObject::buffer>("buffer"),
                          method<&WorkObject::try_loan>("tryLoan"),
                          method<&WorkObject::push_loan>("pushLoan"),
                          method<&WorkObject::cancel_loan>("cancelLoan"),
                          method<&WorkObject::take_ahead>("takeAhead"),
                          method<&WorkObject::take_front>("takeFront"),
                          method<&WorkObject::any>("any"),
                          method<&WorkObject::become>("become"),
                          method<&WorkObject::start>("start"),
                          method<&WorkObject::release>("release"),
                          method<&WorkObject::retry>("retry"),
                          method<&WorkObject::reject>("reject"),
                          method<&WorkObject::extend>("extend"),
                          method<&WorkObject::holds>("holds"),
                          method<&WorkObject::forward>("forward"),
                          method<&WorkObject::promise>("promise"),
                          method<&WorkObject::keep_promise>("keepPromise"),
                          method<&WorkObject::withdraw>("withdraw"),
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
                          method<&WorkObject::stage_counts>("stageCounts"),
                          method<&WorkObject::dead_letters>("deadLetters"),
                          method<&WorkObject::redrive>("redrive"),
                          method<&WorkObject::purge>("purge"),
                          method<&WorkObject::flush>("flush"),
                          method<&WorkObject::flush_now>("flushNow"),
                      });
}

// --- waiting ---

// park(): for the kinds in `facts`; those of before are dropped
void WorkObject::park() {
  if (const auto address = wake_address()) {
    core()->sleepers().park_on_bell(facts_.get(WorkFacts::kKinds) & kAllKinds, *address);
  }
}
void WorkObject::unpark() noexcept {
  if (core() != nullptr) core()->unpark();
}
// The payloads of all jobs; undefined once closed.
Napi::Value WorkObject::buffer() {
  return core() == nullptr ? Env().Undefined() : payloads_.get(Env(), core()->data());
}
void WorkObject::detach_buffers() {
  WaitingObject::detach_buffers();
  payloads_.detach();
}
std::uint32_t WorkObject::look() {
  if (core() == nullptr) return 0;
  const std::uint32_t found = core()->glance();
  note_woken();
  return found;
}
// nextDue() -> milliseconds from now, Infinity if nothing will be due
double WorkObject::next_due() {
  constexpr double never = std::numeric_limits<double>::infinity();
  if (core() == nullptr) return never;
  const std::uint64_t due = core()->next_due();
  if (due == ~std::uint64_t{0}) return never;
  const std::uint64_t now = os::monotonic_ns();
  return due <= now ? 0 : static_cast<double>(due - now) / 1e6;
}
bool WorkObject::keep_watch() {
  return core() != nullptr && core()->keep_watch();
}
// still() -> see WorkQueue::still
bool WorkObject::still() {
  return core() != nullptr && core()->still();
}
// recheck(kinds) -> those that are to be looked at once more
std::uint32_t WorkObject::recheck(const Arguments<1>& given) {
  if (core() == nullptr) return 0;
  std::uint32_t again = 0;
  millrace::detail::for_each_bit(small_natural(given.env, given[0], 0) & kAllKinds,
                                 [&](std::uint32_t kind) {
                                   if (core()->recheck(kind)) again |= 1U << kind;
                                 });
  return again;
}

// --- the disk ---

// flush() -> promise, fulfilled when all that this handle has done is on the disk. A thread of the pool waits for that.
Napi::Value WorkObject::flush() {
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
void WorkObject::flush_now() {
  if (core() == nullptr) return;
  if (auto done = core()->flush(); !done.ok()) environment().raise(done.error());
}

Napi::Function define_work(Napi::Env env) {
  return WorkObject::define(env);
}

}  // namespace millrace::addon
