// Work queues: jobs that are pushed, taken and settled.
#include <algorithm>
#include <array>
#include <bit>
#include <string>
#include <utility>
#include <vector>

#include "handle.hpp"
#include "millrace/work/counts.hpp"
#include "millrace/work/work_queue.hpp"
#include "trace.hpp"

using millrace::Code;
using millrace::Forwarded;
using millrace::JobFacts;
using millrace::Lease;
using millrace::Loan;
using millrace::make_error;
using millrace::Pushed;
using millrace::WorkQueue;
using millrace::WorkSpec;
namespace capi = millrace::capi;
namespace layout = millrace::layout;

struct millrace_work : capi::Handle<WorkQueue> {
  using Handle::Handle;
  bool parked = false;
  // Kinds of which somebody was woken who might not come, and since when.
  std::uint32_t woken = 0;
  std::uint64_t woken_ms = 0;
};

struct millrace_dead_letters {
  struct Letter {
    millrace_dead_letter told{};
    std::string id, group, error;
    std::vector<std::byte> bytes;
  };
  std::vector<Letter> letters;
};

namespace millrace::capi {

namespace {

constexpr std::uint32_t kWorkFlags =
    MILLRACE_KEEP | MILLRACE_HAS_OWNER | MILLRACE_OPEN_ONLY | kMemoryFlags;
constexpr std::size_t kLongestText = 1024;
constexpr std::uint64_t kRecheckMs = millrace::Sleepers::kRecheckMs;

[[nodiscard]] std::string title(millrace_work& work) {
  return "work queue '" + work.core->parties().segment().name() + "'";
}

// After whatever may have woken somebody: was it one that does not come?
void tend(millrace_work& work) {
  const std::uint32_t woke = work.core->woke();
  if (woke == 0 && work.woken == 0) [[likely]]
    return;
  const std::uint64_t now = os::coarse_ms();
  if (work.woken != 0 && now - work.woken_ms >= kRecheckMs) {
    std::uint32_t again = 0;
    millrace::detail::for_each_bit(work.woken, [&](std::uint32_t kind) {
      if (work.core->recheck(kind)) again |= 1U << kind;
    });
    work.woken = again;
    work.woken_ms = now;
  }
  if (woke == 0) return;
  if (work.woken == 0) work.woken_ms = now;
  work.woken |= woke;
}
// Found what it waited for: whoever wakes next need not think of us.
void awake(millrace_work& work) {
  if (!std::exchange(work.parked, false)) return;
  work.core->unpark();
  work.bell.no_alarm();
}

// --- push ---

// What goes with a job; it points to the caller's texts, and to `trace`.
struct Described {
  PushOptions options;
  PackedTrace trace{};
};
[[nodiscard]] Result<std::string_view> text_of(const char* what, const char* text,
                                               std::uint32_t length) {
  if (text == nullptr && length != 0) {
    return make_error(Code::invalid_argument,
                      std::string("options.") + what + " is NULL, and its length is not 0");
  }
  if (length > kLongestText) {
    return make_error(Code::invalid_argument, std::string("options.") + what + " has " +
                                                  std::to_string(length) + " bytes; at most " +
                                                  std::to_string(kLongestText) + " are allowed");
  }
  return std::string_view(text, length);
}
[[nodiscard]] Result<void> describe(millrace_work& work, const millrace_push_options* given,
                                    Described& job) {
  if (given == nullptr) return {};
  auto options = options_of(given);
  if (!options.ok()) return options.error();
  const millrace_push_options& own = options.value();
  const std::uint32_t levels = work.core->parties().shape().levels;
  if (own.priority >= levels) {
    return make_error(Code::invalid_argument,
                      "options.priority is " + std::to_string(own.priority) + "; " + title(work) +
                          " has those from 0 to " + std::to_string(levels - 1));
  }
  auto id = text_of("id", own.id, own.id_length);
  if (!id.ok()) return id.error();
  auto group = text_of("group", own.group, own.group_length);
  if (!group.ok()) return group.error();
  job.options.level = static_cast<std::uint8_t>(own.priority);
  job.options.delay_ns = own.delay_ns;
  job.options.ttl_ns = own.ttl_ns;
  job.options.id = id.value();
  job.options.group = group.value();
  if (own.traceparent_length == 0) return {};
  const auto packed = own.traceparent == nullptr
                          ? std::nullopt
                          : pack_trace({own.traceparent, own.traceparent_length});
  if (!packed) {
    return make_error(Code::invalid_argument,
                      "options.traceparent must be a context as W3C writes it, 00-TRACE-SPAN-FLAGS "
                      "with 32, 16 and 2 small hexadecimal digits");
  }
  job.trace = *packed;
  job.options.headers = job.trace;
  return {};
}
[[nodiscard]] std::int32_t outcome(millrace_work& work, Pushed pushed, std::uint64_t length) {
  tend(work);
  switch (pushed) {
    case Pushed::yes:
      return MILLRACE_OK;
    case Pushed::duplicate:
      return MILLRACE_DUPLICATE;
    case Pushed::full:
    case Pushed::full_bytes:
    case Pushed::busy:
      return MILLRACE_WOULD_BLOCK;
    case Pushed::too_large:
      return fail(make_error(Code::too_large, "a payload of " + std::to_string(length) +
                                                  " bytes (with its id and group) does not fit " +
                                                  title(work) + ", whose limit is " +
                                                  std::to_string(work.core->largest()) +
                                                  " bytes; create it with more `bytes`"));
    case Pushed::disk_failed:
      return fail(work.core->disk()->error());
  }
  return MILLRACE_WOULD_BLOCK;
}
// Blocks until `attempt` is done with: it gives a Pushed.
template <typename Attempt>
[[nodiscard]] std::int32_t wait_for_room(millrace_work& work, std::uint64_t length,
                                         std::int64_t timeout, Attempt&& attempt) {
  Pushed done = Pushed::full;
  bool told = false;
  return block(
      work, timeout,
      [&](bool thorough) {
        if (thorough) {
          if (const std::int32_t code = damage(work); code != MILLRACE_OK) return code;
          (void)work.core->glance();
        }
        if (!std::exchange(told, false)) done = attempt();
        return outcome(work, done, length);
      },
      [&](std::uint64_t spin, std::uint64_t left) {
        return told = work.core->wait_for_room(spin, left, [&] {
          done = attempt();
          return done != Pushed::full && done != Pushed::full_bytes && done != Pushed::busy;
        });
      },
      [&] { return late("room in " + title(work), timeout); });
}
// Of a queue on disk: what was pushed counts when it is there.
[[nodiscard]] std::int32_t confirm(millrace_work& work, std::int32_t code) {
  if (code < MILLRACE_OK || !work.core->confirms_on_disk()) return code;
  if (auto flushed = work.core->flush(); !flushed.ok()) return fail(flushed.error());
  return code;
}

void put(const Loan& loan, millrace_work_loan& to) noexcept {
  to.lease[0] = loan.slot | std::uint64_t{loan.granule} << 32U;
  to.lease[1] = loan.word;
  to.lease[2] = loan.at;
  to.lease[3] = loan.room;
  to.lease[4] = loan.granules;
}
[[nodiscard]] Loan loan_of(const millrace_work_loan& from) noexcept {
  Loan loan;
  loan.slot = static_cast<std::uint32_t>(from.lease[0]);
  loan.granule = static_cast<std::uint32_t>(from.lease[0] >> 32U);
  loan.word = from.lease[1];
  loan.at = from.lease[2];
  loan.room = from.lease[3];
  loan.granules = static_cast<std::uint32_t>(from.lease[4]);
  return loan;
}
// Is it a place of this queue that was reserved, and neither pushed nor cancelled since? What a caller gives us may be anything.
[[nodiscard]] bool is_on_loan(millrace_work& work, const Loan& loan) noexcept {
  const auto& shape = work.core->parties().shape();
  const std::uint64_t bytes = shape.data_bytes();
  return loan && loan.slot < shape.slots() && loan.at <= bytes && loan.room <= bytes - loan.at &&
         loan.granules <= shape.granules() && loan.granule <= shape.granules() - loan.granules &&
         work.core->holds(Lease{loan.slot, loan.word});
}
[[nodiscard]] std::int32_t no_loan() {
  return fail_as(MILLRACE_RELEASED, "the loan was pushed or cancelled before; reserve another one");
}

// --- take and settle ---

[[nodiscard]] std::int32_t hand_over(millrace_work& work, const Lease& lease, millrace_job& job) {
  tend(work);
  if (!lease) return MILLRACE_WOULD_BLOCK;
  awake(work);
  JobFacts facts;
  if (!work.core->facts(lease.slot, facts)) {
    return fail(
        make_error(Code::corrupt, title(work) + " holds impossible values; close it everywhere"));
  }
  job = {};
  job.data = work.core->data()->data() + facts.at;
  job.length = facts.length;
  job.id = facts.id.empty() ? nullptr : facts.id.data();
  job.id_length = static_cast<std::uint32_t>(facts.id.size());
  job.group = facts.group.empty() ? nullptr : facts.group.data();
  job.group_length = static_cast<std::uint32_t>(facts.group.size());
  job.priority = facts.level;
  job.attempt = facts.attempt;
  job.acquired = facts.acquired;
  job.token = facts.token;
  job.pushed_at = facts.pushed_at;
  if (!unpack_trace(facts.headers, job.traceparent)) job.traceparent[0] = '\0';
  job.lease = lease.word;
  job.slot = lease.slot;
  return MILLRACE_OK;
}
[[nodiscard]] std::int32_t lost(millrace_work& work, const millrace_job& job) {
  const std::string message =
      "this job of " + title(work) + " (attempt " + std::to_string(job.attempt) +
      ") is not ours any more: its lease was over, and it went to somebody else; what was done for "
      "it may be done again. Extend it in time, or open the queue with a longer lease_timeout_ms, "
      "or none";
  return fail_as(MILLRACE_LEASE_LOST, message.c_str());
}
// act(lease) -> is it still ours? `ends`: it is settled by that.
template <typename Act>
[[nodiscard]] std::int32_t with_lease(millrace_work* work, const millrace_job* job, Act&& act) {
  if (job == nullptr) return no_argument("job");
  const Rarely inside(work);
  if (!inside) return inside.code();
  if (job->lease == 0) {
    return fail_as(MILLRACE_RELEASED, "the job was settled before; take another one");
  }
  Lease lease{job->slot, job->lease};
  const bool ours = lease.slot < work->core->parties().shape().slots() && act(*work->core, lease);
  tend(*work);
  return ours ? MILLRACE_OK : lost(*work, *job);
}
template <typename Act>
[[nodiscard]] std::int32_t settle(millrace_work* work, millrace_job* job, Act&& act) {
  const std::int32_t code = with_lease(work, job, act);
  if (code == MILLRACE_OK) job->lease = 0;
  return code;
}
[[nodiscard]] std::string_view error_text(const char* error) noexcept {
  return error == nullptr ? std::string_view() : std::string_view(error);
}

// --- dead letters ---

enum class Change { redrive, purge };

[[nodiscard]] std::int32_t dead_busy(millrace_work& work) {
  return fail(make_error(Code::busy, "another process has the dead letters of " + title(work) +
                                         " in hand; try again"));
}
[[nodiscard]] std::int32_t change(millrace_work* work, const millrace_dead_letter* letter,
                                  Change how) {
  if (letter == nullptr) return no_argument("letter");
  const Rarely inside(work);
  if (!inside) return inside.code();
  bool done = false;
  const bool had = work->core->change_dead([&](std::uint32_t slot, std::uint64_t word) {
    if (slot != letter->slot || word != letter->lease) return true;
    done = how == Change::redrive ? work->core->store().redrive(slot, word)
                                  : work->core->store().purge(slot, word);
    return false;
  });
  tend(*work);
  if (!had) return dead_busy(*work);
  return done ? 1 : 0;
}

}  // namespace

}  // namespace millrace::capi

using capi::fail;
using capi::no_argument;
using capi::Rarely;

int32_t millrace_work_open(const char* place, const millrace_work_options* options,
                           millrace_work** work) {
  if (work == nullptr) return no_argument("work");
  auto read = capi::options_of(options, capi::kWorkFlags);
  if (!read.ok()) return fail(read.error());
  const millrace_work_options& own = read.value();
  if (own.durability > MILLRACE_DURABILITY_DISK) {
    return fail(make_error(Code::invalid_argument,
                           "options.durability is none of enum millrace_durability"));
  }
  const bool endless = own.max_attempts == UINT32_MAX;
  if (!endless && own.max_attempts > 255) {
    return fail(make_error(Code::invalid_argument,
                           "options.max_attempts is " + std::to_string(own.max_attempts) +
                               "; use 1 to 255, or UINT32_MAX for any number"));
  }
  WorkSpec spec;
  spec.attach_only = (own.flags & MILLRACE_OPEN_ONLY) != 0;
  const auto set = [](auto& to, auto value) {
    if (value != 0) to = value;
  };
  // 0 is the default, so that none is a number of its own.
  const auto none = [](std::uint32_t value) { return value == UINT32_MAX ? 0 : value; };
  set(spec.jobs, own.jobs);
  set(spec.bytes, own.bytes);
  set(spec.levels, own.priorities);
  set(spec.seats, own.seats);
  if (own.dead_jobs != 0) spec.dead = none(own.dead_jobs);
  set(spec.dead_bytes, own.dead_bytes);
  set(spec.window_ms, own.dedup_window_ms);
  set(spec.keys, own.dedup_ids);
  if (own.dedup_window_ms != 0 && own.dedup_ids == 0) spec.keys = 4096;
  if (own.groups != 0) spec.groups = none(own.groups);
  set(spec.lease_ms, own.lease_timeout_ms);
  if (own.max_attempts != 0) {
    spec.attempts = endless ? std::uint8_t{0} : static_cast<std::uint8_t>(own.max_attempts);
  }
  if (own.durability != MILLRACE_DURABILITY_ANY) {
    spec.durability = static_cast<layout::Durability>(own.durability - 1);
  }
  return capi::open_handle("work queue", place, own, work, spec, [](const WorkSpec& wanted) {
    return WorkQueue::open(wanted, capi::soon());
  });
}
int32_t millrace_work_push(millrace_work* work, const void* payload, uint64_t length,
                           const millrace_push_options* options, int64_t timeout_ns) {
  if (payload == nullptr && length != 0) return no_argument("payload");
  const Rarely inside(work);
  if (!inside) return inside.code();
  capi::Described job;
  if (auto read = capi::describe(*work, options, job); !read.ok()) return fail(read.error());
  const std::span bytes(static_cast<const std::byte*>(payload), length);
  return capi::confirm(*work, capi::wait_for_room(*work, length, timeout_ns, [&] {
    return work->core->try_push(bytes, job.options);
  }));
}
int32_t millrace_work_try_push(millrace_work* work, const void* payload, uint64_t length,
                               const millrace_push_options* options) {
  if (payload == nullptr && length != 0) return no_argument("payload");
  const Rarely inside(work);
  if (!inside) return inside.code();
  capi::Described job;
  if (auto read = capi::describe(*work, options, job); !read.ok()) return fail(read.error());
  const std::span bytes(static_cast<const std::byte*>(payload), length);
  const std::int32_t code = capi::outcome(*work, work->core->try_push(bytes, job.options), length);
  if (code != MILLRACE_WOULD_BLOCK || !work->thorough()) return code;
  (void)work->core->glance();
  return capi::outcome(*work, work->core->try_push(bytes, job.options), length);
}
int32_t millrace_work_reserve(millrace_work* work, uint64_t length, int64_t timeout_ns,
                              millrace_work_loan* loan) {
  if (loan == nullptr) return no_argument("loan");
  const Rarely inside(work);
  if (!inside) return inside.code();
  constexpr std::uint64_t tail = 256;  // for an id and a group; the longest payloads can have none
  Loan got;
  const std::int32_t code = capi::wait_for_room(*work, length, timeout_ns, [&] {
    const Pushed done = work->core->reserve(length, tail, got);
    return done == Pushed::too_large ? work->core->reserve(length, 0, got) : done;
  });
  if (code != MILLRACE_OK) return code;
  loan->data = work->core->data()->data() + got.at;
  loan->capacity = got.room;
  capi::put(got, *loan);
  return MILLRACE_OK;
}
int32_t millrace_work_push_loan(millrace_work* work, millrace_work_loan* loan, uint64_t length,
                                const millrace_push_options* options) {
  if (loan == nullptr) return no_argument("loan");
  const Rarely inside(work);
  if (!inside) return inside.code();
  Loan own = capi::loan_of(*loan);
  if (!capi::is_on_loan(*work, own)) return capi::no_loan();
  capi::Described job;
  if (auto read = capi::describe(*work, options, job); !read.ok()) return fail(read.error());
  const std::uint64_t tail = job.options.tail_bytes();
  if (length > own.room || (tail != 0 && (length + 7) / 8 * 8 + tail > own.room)) {
    return fail(make_error(
        Code::too_large,
        std::to_string(length) + " bytes, and " + std::to_string(tail) +
            " of id, group and trace, are more than the loan has: " + std::to_string(own.room)));
  }
  const Pushed done = work->core->push(own, length, job.options);
  if (done != Pushed::busy && done != Pushed::disk_failed) {
    work->core->cancel(own);  // one that nobody needs any more
    loan->lease[1] = 0;
  }
  return capi::outcome(*work, done, length);
}
int32_t millrace_work_cancel(millrace_work* work, millrace_work_loan* loan) {
  if (loan == nullptr) return no_argument("loan");
  const Rarely inside(work);
  if (!inside) return inside.code();
  Loan own = capi::loan_of(*loan);
  if (!capi::is_on_loan(*work, own)) return capi::no_loan();
  work->core->cancel(own);
  loan->lease[1] = 0;
  capi::tend(*work);
  return MILLRACE_OK;
}
int32_t millrace_work_take(millrace_work* work, int64_t timeout_ns, millrace_job* job) {
  if (job == nullptr) return no_argument("job");
  const Rarely inside(work);
  if (!inside) return inside.code();
  Lease lease;
  return capi::block(
      *work, timeout_ns,
      [&](bool thorough) {
        if (thorough && !lease) {
          if (const std::int32_t code = capi::damage(*work); code != MILLRACE_OK) return code;
          (void)work->core->glance();
        }
        if (!lease) lease = work->core->try_take();
        return capi::hand_over(*work, lease, *job);
      },
      [&](std::uint64_t spin, std::uint64_t left) {
        lease = work->core->wait_for_job(0, true, spin, left);
        return static_cast<bool>(lease);
      },
      [&] { return capi::late("a job in " + capi::title(*work), timeout_ns); });
}
int32_t millrace_work_try_take(millrace_work* work, millrace_job* job) {
  if (job == nullptr) return no_argument("job");
  const Rarely inside(work);
  if (!inside) return inside.code();
  const std::int32_t code = capi::hand_over(*work, work->core->try_take(), *job);
  if (code != MILLRACE_WOULD_BLOCK || !work->thorough()) return code;
  (void)work->core->glance();
  return capi::hand_over(*work, work->core->try_take(), *job);
}
int32_t millrace_work_complete(millrace_work* work, millrace_job* job) {
  return capi::settle(work, job,
                      [](WorkQueue& core, Lease& lease) { return core.complete(lease); });
}
int32_t millrace_work_release(millrace_work* work, millrace_job* job, uint64_t delay_ns) {
  return capi::settle(work, job, [delay_ns](WorkQueue& core, Lease& lease) {
    return core.release(lease, delay_ns);
  });
}
int32_t millrace_work_retry(millrace_work* work, millrace_job* job, uint64_t delay_ns,
                            const char* error) {
  return capi::settle(work, job, [&](WorkQueue& core, Lease& lease) {
    return core.retry(lease, delay_ns, capi::error_text(error));
  });
}
int32_t millrace_work_reject(millrace_work* work, millrace_job* job, const char* error) {
  return capi::settle(work, job, [error](WorkQueue& core, Lease& lease) {
    return core.reject(lease, capi::error_text(error));
  });
}
int32_t millrace_work_extend(millrace_work* work, const millrace_job* job, uint64_t ns) {
  return capi::with_lease(
      work, job, [ns](WorkQueue& core, const Lease& lease) { return core.extend(lease, ns); });
}
int32_t millrace_work_holds(millrace_work* work, const millrace_job* job) {
  if (job == nullptr) return no_argument("job");
  const Rarely inside(work);
  if (!inside) return inside.code();
  if (job->lease == 0 || job->slot >= work->core->parties().shape().slots()) return 0;
  return work->core->holds(Lease{job->slot, job->lease}) ? 1 : 0;
}
int32_t millrace_work_forward(millrace_work* work, millrace_job* job, millrace_work* to,
                              const void* payload, uint64_t length,
                              const millrace_push_options* options) {
  if (job == nullptr) return no_argument("job");
  if (to == nullptr) return no_argument("to");
  if (payload == nullptr && length != 0) return no_argument("payload");
  const Rarely inside(work);
  if (!inside) return inside.code();
  // Of a job that goes on in its own queue that one is entered already.
  std::optional<Rarely> there;
  if (to != work) there.emplace(to);
  if (there && !*there) return there->code();
  if (job->lease == 0) {
    return capi::fail_as(MILLRACE_RELEASED, "the job was settled before; take another one");
  }
  capi::Described described;
  if (auto read = capi::describe(*to, options, described); !read.ok()) return fail(read.error());
  if (!described.options.group.empty()) {
    return fail(make_error(Code::invalid_argument,
                           "what a job becomes cannot have a group; leave options.group empty"));
  }
  Lease lease{job->slot, job->lease};
  if (lease.slot >= work->core->parties().shape().slots()) return capi::lost(*work, *job);
  auto done = work->core->forward(
      lease, {static_cast<const std::byte*>(payload), static_cast<std::size_t>(length)}, *to->core,
      described.options);
  capi::tend(*work);
  if (to != work) capi::tend(*to);
  if (!done.ok()) return fail(done.error());
  switch (done.value()) {
    case Forwarded::yes:
      job->lease = 0;
      return MILLRACE_OK;
    case Forwarded::duplicate:
      job->lease = 0;
      return MILLRACE_DUPLICATE;
    case Forwarded::lost:
      return capi::lost(*work, *job);
    case Forwarded::too_large:
      return capi::outcome(*to, Pushed::too_large, length);
    default:
      return MILLRACE_WOULD_BLOCK;
  }
}

int32_t millrace_work_dead_letters(millrace_work* work, uint64_t limit,
                                   millrace_dead_letters** letters) {
  if (letters == nullptr) return no_argument("letters");
  const Rarely inside(work);
  if (!inside) return inside.code();
  auto list = std::make_unique<millrace_dead_letters>();
  const auto copy = [&](std::uint32_t slot, std::uint64_t word) {
    JobFacts facts;
    if (!work->core->facts(slot, facts)) return true;
    auto& letter = list->letters.emplace_back();
    const std::byte* const bytes = work->core->data()->data() + facts.at;
    letter.bytes.assign(bytes, bytes + facts.length);
    letter.id = facts.id;
    letter.group = facts.group;
    letter.error = facts.error;
    letter.told.pushed_at = facts.pushed_at;
    letter.told.died_at = facts.dead_at;
    letter.told.acquired = facts.acquired;
    letter.told.attempts = facts.attempt;
    letter.told.priority = facts.level;
    letter.told.reason = static_cast<std::int32_t>(facts.reason);
    letter.told.slot = slot;
    letter.told.lease = word;
    return limit == 0 || list->letters.size() < limit;
  };
  if (!work->core->store().each_dead(copy)) return capi::dead_busy(*work);
  for (auto& letter : list->letters) {  // now that they do not move any more
    letter.told.data = letter.bytes.data();
    letter.told.length = letter.bytes.size();
    letter.told.id = letter.id.c_str();
    letter.told.group = letter.group.c_str();
    letter.told.error = letter.error.c_str();
  }
  *letters = list.release();
  return MILLRACE_OK;
}
uint64_t millrace_dead_letters_count(const millrace_dead_letters* letters) {
  return letters == nullptr ? 0 : letters->letters.size();
}
const millrace_dead_letter* millrace_dead_letters_at(const millrace_dead_letters* letters,
                                                     uint64_t index) {
  if (letters == nullptr || index >= letters->letters.size()) return nullptr;
  return &letters->letters[index].told;
}
void millrace_dead_letters_free(millrace_dead_letters* letters) {
  delete letters;
}
int32_t millrace_work_redrive(millrace_work* work, const millrace_dead_letter* letter) {
  return capi::change(work, letter, capi::Change::redrive);
}
int32_t millrace_work_purge(millrace_work* work, const millrace_dead_letter* letter) {
  return capi::change(work, letter, capi::Change::purge);
}

int32_t millrace_work_counts_of(millrace_work* work, millrace_work_counts* counts) {
  if (counts == nullptr) return no_argument("counts");
  const Rarely inside(work);
  if (!inside) return inside.code();
  WorkQueue& core = *work->core;
  const auto states = core.store().counts();
  auto& control = core.store().memory().control();
  const auto counted = [&](layout::WorkCount what) {
    return millrace::counted(control, core.parties(), what);
  };
  millrace_work_counts told{};
  told.ready = states.ready;
  told.leased = states.leased;
  told.delayed = states.delayed;
  told.grouped = states.grouped;
  told.dead = states.dead;
  core.parties().for_each_present([&told](std::uint32_t) { ++told.handles; });
  told.pushed = counted(layout::WorkCount::pushed);
  told.taken = counted(layout::WorkCount::taken);
  told.completed = counted(layout::WorkCount::completed);
  told.returned = counted(layout::WorkCount::returned);
  told.rejected = counted(layout::WorkCount::rejected);
  told.deaths = counted(layout::WorkCount::deaths);
  told.dead_lettered = counted(layout::WorkCount::dead_lettered);
  told.duplicates = counted(layout::WorkCount::duplicates);
  return capi::give(counts, told);
}
int32_t millrace_work_flush(millrace_work* work) {
  const Rarely inside(work);
  if (!inside) return inside.code();
  auto done = work->core->flush();
  return done.ok() ? MILLRACE_OK : fail(done.error());
}
int64_t millrace_work_max_bytes(millrace_work* work) {
  const Rarely inside(work);
  return inside ? static_cast<int64_t>(work->core->largest()) : inside.code();
}

int32_t millrace_work_fd(millrace_work* work) {
  return capi::fd_of(work);
}
int32_t millrace_work_arm(millrace_work* work, uint32_t what) {
  const Rarely inside(work);
  if (!inside) return inside.code();
  constexpr std::uint32_t all = MILLRACE_FOR_MESSAGES | MILLRACE_FOR_ROOM;
  if (what == 0 || (what & ~all) != 0) {
    return fail(make_error(Code::invalid_argument, "what is none of enum millrace_wait"));
  }
  if (const std::int32_t code = capi::prepare_to_park(*work); code != MILLRACE_OK) return code;
  WorkQueue& core = *work->core;
  const std::uint32_t kinds = ((what & MILLRACE_FOR_MESSAGES) != 0 ? 1U : 0U) |
                              ((what & MILLRACE_FOR_ROOM) != 0 ? 1U << layout::kForRoom : 0U);
  work->parked = true;
  core.sleepers().park_on_bell(kinds, work->bell.address());
  const bool there = (what & MILLRACE_FOR_MESSAGES) != 0 && core.has_job();
  capi::tend(*work);
  if (there) {
    capi::awake(*work);
    return MILLRACE_READY;
  }
  std::uint64_t sleep_ns = capi::Bell::kSafetyNs;
  const auto within = [&sleep_ns](std::uint64_t ns) { sleep_ns = std::min(sleep_ns, ns); };
  if (const std::uint64_t due = core.next_due(); due != millrace::DueTimes::kNever) {
    const std::uint64_t now = millrace::os::monotonic_ns();
    within(due > now ? due - now : 1);
  }
  if (core.keep_watch()) within(millrace::Lookouts::kLookMs * 1'000'000);
  if (work->woken != 0) within(capi::kRecheckMs * 1'000'000);
  work->bell.begin_watching();
  work->bell.end_watching();
  work->bell.alarm(sleep_ns);
  return MILLRACE_OK;
}
int32_t millrace_work_disarm(millrace_work* work) {
  const Rarely inside(work);
  if (!inside) return inside.code();
  capi::awake(*work);
  if (work->bell.is_open()) (void)work->bell.drain();
  return MILLRACE_OK;
}
int32_t millrace_work_close(millrace_work* work) {
  return capi::close_handle(work, [](WorkQueue& core) { core.close(); });
}
void millrace_work_free(millrace_work* work) {
  capi::free_handle(work, [](WorkQueue& core) { core.close(); });
}
