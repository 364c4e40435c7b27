// Work queues: the handle, and jobs that are pushed. What becomes of them is in work_take.cpp.
#include <algorithm>
#include <string>
#include <utility>

#include "millrace/work/counts.hpp"
#include "work.hpp"

using millrace::Code;
using millrace::Loan;
using millrace::make_error;
using millrace::Pushed;
using millrace::WorkQueue;
using millrace::WorkSpec;
namespace capi = millrace::capi;
namespace layout = millrace::layout;

namespace millrace::capi {

namespace {

constexpr std::uint32_t kWorkFlags =
    MILLRACE_KEEP | MILLRACE_HAS_OWNER | MILLRACE_OPEN_ONLY | kMemoryFlags;
constexpr std::size_t kLongestText = 1024;

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

}  // namespace

Result<void> describe(millrace_work& work, const millrace_push_options* given, Described& job) {
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
std::int32_t outcome(millrace_work& work, Pushed pushed, std::uint64_t length) {
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

namespace {

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
