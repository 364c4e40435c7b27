// Work queues: jobs that are taken and settled, and dead letters.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "work.hpp"

using millrace::Code;
using millrace::Forwarded;
using millrace::JobFacts;
using millrace::Lease;
using millrace::make_error;
using millrace::Pushed;
using millrace::WorkQueue;
namespace capi = millrace::capi;

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
