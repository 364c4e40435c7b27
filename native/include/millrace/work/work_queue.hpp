// A queue of jobs that many processes push to and many take from. One handle of it: its seat, its sleep, and what it does with
// the jobs. What a job goes through is in job_store.hpp, who is on the queue in seats.hpp, who sleeps and is woken in
// sleepers.hpp.
//
// A handle is used by one thread at a time.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "../crash_point.hpp"
#include "../os/clock.hpp"
#include "../segment.hpp"
#include "disk_sync.hpp"
#include "facts.hpp"
#include "job_meter.hpp"
#include "job_store.hpp"
#include "lookouts.hpp"
#include "memory.hpp"
#include "reach.hpp"
#include "recovery.hpp"
#include "seats.hpp"
#include "shape.hpp"
#include "sleepers.hpp"
#include "spec.hpp"
#include "stages.hpp"

namespace millrace {

class WorkQueue {
 public:
  // no_lane: all seats are taken. geometry: there is one with other properties than those stated.
  static Result<std::unique_ptr<WorkQueue>> open(const WorkSpec& spec,
                                                 const os::Deadline& deadline) {
    auto judged = detail::wanted_by(spec);
    if (!judged.ok()) return judged.error();
    const WorkShape wanted = judged.take();
    std::unique_ptr<WorkQueue> self(new WorkQueue);
    WorkQueue* const queue = self.get();
    SeatOptions options = spec;
    options.keep = true;  // jobs are not lost because nobody is there
    bool others = false;
    auto entered = self->seats_.enter(
        options, layout::Kind::work, 'j', wanted,
        [&](const layout::Geometry& found) -> Result<WorkShape> {
          const WorkShape there = WorkShape::of(found);
          others = !detail::has_stages_of(spec, wanted, there);
          // The text is made below: the names can be looked at when the lock of this look is free.
          if (others) return make_error(Code::geometry, "it has other stages");
          return detail::judge_shape(spec, there);
        },
        [queue, &spec]() -> Result<void> {
          if (!queue->map()) return *queue->unmapped_;
          return queue->set_up(spec);
        },
        deadline,
        [queue]() -> Result<void> {
          if (!queue->map()) return *queue->unmapped_;
          queue->resume();
          return {};
        });
    if (!entered.ok()) {
      if (!others || entered.error().code != Code::geometry) return entered.error();
      return detail::other_stages(spec, detail::stages_at(spec.place));
    }
    if (!self->map()) return *self->unmapped_;
    self->store_ = self->store_of(static_cast<std::uint16_t>(self->seats_.seat()));
    self->stage_names_ = detail::read_stages(self->memory_);
    // What the geometry says of them is a hash.
    if (!spec.stage_names.empty() && self->stage_names_ != spec.stage_names) {
      return detail::other_stages(spec, detail::Stages{self->seats_.shape(), self->stage_names_});
    }
    // relaxed: read by the last one to leave, and we are on it.
    if (spec.keep) self->seats_.control().kept.store(1, std::memory_order_relaxed);
    self->rounds_ = self->seats_.seat();  // who came at the same time looks in another
    if (auto ready = self->begin_syncing(); !ready.ok()) return ready.error();
    self->tell();
    return self;
  }
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;
  ~WorkQueue() { close(); }

  // --- push ---

  // The largest payload there can be.
  [[nodiscard]] std::uint64_t largest() const noexcept { return store_->largest(); }
  [[nodiscard]] Pushed try_push(std::span<const std::byte> payload, const PushOptions& options) {
    Loan loan;
    Pushed done = reserve(payload.size(), options.tail_bytes(), loan);
    if (done != Pushed::yes) return done;
    if (!payload.empty()) std::memcpy(data_->data() + loan.at, payload.data(), payload.size());
    done = push(loan, payload.size(), options);
    cancel(loan);
    return done;
  }
  // The same for a handle that counts how long jobs take: see JobMeter. Who pushes in two steps calls mark() in between.
  [[nodiscard]] Pushed try_push(std::span<const std::byte> payload, const PushOptions& options,
                                JobMeter& meter) {
    Loan loan;
    Pushed done = reserve(payload.size(), options.tail_bytes(), loan);
    if (done != Pushed::yes) return done;
    if (!payload.empty()) std::memcpy(data_->data() + loan.at, payload.data(), payload.size());
    meter.mark(loan, options);
    done = push(loan, payload.size(), options);
    cancel(loan);
    return done;
  }
  [[nodiscard]] JobMeter meter() const noexcept { return JobMeter(memory_); }
  // A place to write in: `bytes` of payload, and `tail` bytes for id, group and headers.
  [[nodiscard]] Pushed reserve(std::uint64_t bytes, std::uint64_t tail, Loan& loan) {
    if (disk_failed()) return Pushed::disk_failed;
    Pushed done = Pushed::full;
    do {
      done = store_->reserve(bytes, tail, loan);
    } while (is_full(done) &&
             sleepers_.pass_by(layout::kForRoom, [this] { return store_->any_room(); }));
    if (!is_full(done)) {
      note_wake(layout::kForRoom,
                sleepers_.pass_on(layout::kForRoom, [this] { return store_->any_room(); }));
    }
    tell();
    return done;
  }
  // What was written there becomes a job. Only if the answer is `busy` or `disk_failed` the place is still the caller's.
  [[nodiscard]] Pushed push(Loan& loan, std::uint64_t length, const PushOptions& options) {
    if (disk_failed()) return Pushed::disk_failed;
    const Pushed done = store_->push(loan, length, options);
    tell();
    return done;
  }
  void cancel(Loan& loan) {
    store_->cancel(loan);
    tell();
  }

  // --- take and settle: see JobStore ---

  [[nodiscard]] Lease try_take(std::uint32_t stage = 0, bool start = true) {
    Lease lease;
    do {
      if (store_->earliest() != DueTimes::kNever) (void)store_->sweep(os::monotonic_ns());
      lease = store_->take(stage, start);
    } while (!lease && sleepers_.pass_by(stage));
    if (lease) {
      note_wake(stage, sleepers_.pass_on(stage, [&] { return store_->any(stage); }));
      if (lookouts_.call(os::coarse_ms())) [[unlikely]]
        (void)glance();
    }
    tell();
    return lease;
  }
  // Is there a job that try_take() would find, unless somebody is quicker? Takes nothing: whoever was woken for it passes that on
  // when it waits no longer, unless it has taken the job by then.
  [[nodiscard]] bool has_job(std::uint32_t stage = 0) {
    bool there = false;
    do {
      if (store_->earliest() != DueTimes::kNever) (void)store_->sweep(os::monotonic_ns());
      store_->catch_up();
      there = store_->any(stage);
    } while (!there && sleepers_.pass_by(stage));
    tell();
    return there;
  }
  // The job for which all others wait, if it is ready in that stage: for a handle that waits for room for results of all that it
  // has in hand (JobResults::take_front). It is told by room that there may be one.
  [[nodiscard]] Lease try_take_front(std::uint32_t stage, bool start = true) {
    const Lease lease = store_->take_front(stage, start);
    if (lease && lookouts_.call(os::coarse_ms())) [[unlikely]]
      (void)glance();
    tell();
    return lease;
  }
  [[nodiscard]] bool start(Lease& lease) { return store_->start(lease); }
  [[nodiscard]] bool holds(const Lease& lease) const noexcept { return store_->holds(lease); }
  [[nodiscard]] bool complete(Lease& lease) { return told(store_->complete(lease)); }
  [[nodiscard]] bool release(Lease& lease, std::uint64_t delay_ns = 0) {
    return told(store_->release(lease, delay_ns));
  }
  [[nodiscard]] bool retry(Lease& lease, std::uint64_t delay_ns, std::string_view error) {
    return told(store_->retry(lease, delay_ns, error));
  }
  [[nodiscard]] bool reject(Lease& lease, std::string_view error) {
    return told(store_->reject(lease, error));
  }
  [[nodiscard]] bool extend(const Lease& lease, std::uint64_t ns) {
    return store_->extend(lease, ns);
  }
  [[nodiscard]] bool move_on(Lease& lease, std::uint8_t stage) {
    return told(store_->move_on(lease, stage));
  }
  // The job goes on to stage `next`, the one behind its own, as `result`, which may lie in its payload: see JobResults.
  [[nodiscard]] Became become(Lease& lease, std::span<const std::byte> result, std::uint8_t next) {
    const auto any_room = [this] { return store_->any_room(); };
    Became done = Became::full_bytes;
    do {
      done = store_->become(lease, result, next);
    } while (done == Became::full_bytes && sleepers_.pass_by(layout::kForRoom, any_room));
    if (done != Became::full_bytes) {
      note_wake(layout::kForRoom, sleepers_.pass_on(layout::kForRoom, any_room));
    }
    tell();
    return done;
  }
  // The most bytes that a result has that enters that stage; id, group and headers count as well.
  [[nodiscard]] std::uint64_t result_most(std::uint32_t stage) const noexcept {
    return store_->result_most(stage);
  }
  // The job is done, and `bytes` are one of `to`, which is a queue of this thread as well (or this one): one step, see forward.hpp.
  // `options` as of push(), without a group. invalid_argument: there is no such step between these two. Blocks as long as the disk
  // of `to` needs, where it is on disk; that the job's end is on the disk is for flush() to tell.
  [[nodiscard]] Result<Forwarded> forward(Lease& lease, std::span<const std::byte> bytes,
                                          WorkQueue& to, const PushOptions& options) {
    Promise promise;
    auto begun = begin_forward(lease, bytes, to, options, promise);
    if (!begun.ok()) return begun.error();
    const Forwarded told = begun.value();
    if (told != Forwarded::yes && told != Forwarded::duplicate) return told;
    if (to.confirms_on_disk()) {
      if (auto certain = to.flush(); !certain.ok()) {
        to.withdraw(promise);
        return certain.error();
      }
    }
    if (told == Forwarded::yes) return finish_forward(lease, to, promise);
    return complete(lease) ? told : Forwarded::lost;
  }
  // The same in two calls, for who does not block: all that `to` has done has to be on the disk in between, if `to` is on disk.
  // What was promised is to be finished, or withdrawn. `duplicate`: nothing was promised, and the job is to be completed.
  [[nodiscard]] Result<Forwarded> begin_forward(Lease& lease, std::span<const std::byte> bytes,
                                                WorkQueue& to, const PushOptions& options,
                                                Promise& promise) {
    if (auto possible = link(to); !possible.ok()) return possible.error();
    Loan loan;
    switch (to.reserve(bytes.size(), options.tail_bytes(), loan)) {
      case Pushed::yes:
        break;
      case Pushed::full:
        return Forwarded::full;
      case Pushed::full_bytes:
        return Forwarded::full_bytes;
      case Pushed::too_large:
        return Forwarded::too_large;
      case Pushed::disk_failed:
        return to.disk_->error();
      default:
        return Forwarded::busy;
    }
    if (!bytes.empty()) std::memcpy(to.data_->data() + loan.at, bytes.data(), bytes.size());
    const Forwarded done =
        store_->begin_forward(lease, *to.store_, loan, bytes.size(), options, promise);
    to.cancel(loan);
    tell();
    return done;
  }
  [[nodiscard]] Forwarded finish_forward(Lease& lease, WorkQueue& to, Promise& promise) {
    const Forwarded done = store_->finish_forward(lease, *to.store_, promise);
    tell();
    to.tell();
    return done;
  }
  // What was promised in this queue comes to nothing.
  void withdraw(Promise& promise) {
    store_->withdraw(promise);
    tell();
  }
  [[nodiscard]] bool facts(std::uint32_t slot, JobFacts& facts) const {
    return store_->facts(slot, facts);
  }

  // --- waiting ---

  // Waits for jobs of a stage (its number) or for room (layout::kForRoom) of these kinds, a bit each: see Sleepers.
  [[nodiscard]] Sleepers& sleepers() noexcept { return sleepers_; }
  // For a handle that has just parked: is it to look for the dead every Lookouts::kLookMs, by look(), and come here again?
  [[nodiscard]] bool keep_watch() {
    return lookouts_.keep_watch(os::coarse_ms(), [this] { return store_->any_leased(); });
  }
  // For a handle that has slept for seconds: is there nothing that somebody should have woken it for? Who looks nevertheless asks
  // the kernel for every seat. So of many that sleep one looks in each round, in turn: all of them would ask for each other.
  [[nodiscard]] bool still() noexcept {
    if (!sleepers_.parked()) return false;
    bool news = store_->earliest() <= os::monotonic_ns();
    detail::for_each_bit(sleepers_.kinds(), [&](std::uint32_t kind) {
      news = news || (kind == layout::kForRoom ? store_->any_room() : store_->any(kind));
    });
    if (news || (!lookouts_.kept(os::coarse_ms()) && store_->any_leased())) return false;
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
    return sleepers_.recheck(
        kind, [&] { return kind == layout::kForRoom ? store_->any_room() : store_->any(kind); });
  }
  // Blocks this thread until there is a job, for a slice at most (waiting.hpp).
  [[nodiscard]] Lease wait_for_job(std::uint32_t stage, bool start, std::uint64_t spin_ns,
                                   std::uint64_t timeout_ns) {
    Lease lease;
    const std::uint64_t due = until_due();
    (void)sleepers_.wait_slice(1U << stage, spin_ns, std::min(timeout_ns, due), [&] {
      lease = try_take(stage, start);
      return static_cast<bool>(lease);
    });
    if (!lease) (void)glance();
    return lease;
  }
  // The same for room. `wanted` is tried, and says whether it is done with.
  template <typename Wanted>
  [[nodiscard]] bool wait_for_room(std::uint64_t spin_ns, std::uint64_t timeout_ns,
                                   Wanted&& wanted) {
    const bool done = sleepers_.wait_slice(1U << layout::kForRoom, spin_ns,
                                           std::min(timeout_ns, until_due()), wanted);
    if (!done) (void)glance();
    return done;
  }

  // --- durability ---

  // Of a queue in a file: what tells when its content is on the disk. It may be used from another thread, and outlive this.
  [[nodiscard]] const std::shared_ptr<DiskSync>& disk() const noexcept { return disk_; }
  // Is a push to be confirmed only when it is on the disk?
  [[nodiscard]] bool confirms_on_disk() const noexcept { return store_->records().on(); }
  // Blocks until all that has been done is on the disk. In memory there is nothing to wait for.
  [[nodiscard]] Result<void> flush() {
    return disk_ ? disk_->wait(disk_->ticket()) : Result<void>();
  }

  // --- dead letters ---

  // Calls act(slot, word) for each dead letter, the oldest first, until it returns false: it may send the letter round again or
  // away (JobStore::redrive, purge). Then whoever waits is told. False: another one has the dead letters in hand.
  template <typename Act>
  [[nodiscard]] bool change_dead(Act&& act) {
    if (!store_->each_dead(act)) return false;
    store_->balance();
    tell();
    return true;
  }

  // --- looking after the others ---

  // Buries who has died, and does what is due. Returns how many holders it buried.
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
  // Of a pipeline, as whoever created it named them; else none.
  [[nodiscard]] const std::vector<std::string>& stage_names() const noexcept {
    return stage_names_;
  }
  // When something is due: monotonic nanoseconds, DueTimes::kNever if nothing is.
  [[nodiscard]] std::uint64_t next_due() const noexcept { return store_->earliest(); }

  [[nodiscard]] JobStore& store() noexcept { return *store_; }
  [[nodiscard]] const JobStore& store() const noexcept { return *store_; }
  [[nodiscard]] Seats& parties() noexcept { return seats_; }
  [[nodiscard]] const Seats& parties() const noexcept { return seats_; }
  // What JavaScript sees of the segment: the payloads.
  [[nodiscard]] const os::MappingPtr& data() const noexcept { return data_; }

  // In good order. What it still holds goes back as if it had died: handlers that have begun count. The last one takes an
  // empty queue away, unless it is to be kept.
  void close() noexcept {
    if (!seats_.open()) return;
    if (seats_.segment().intact()) {
      lookouts_.resign(os::coarse_ms());
      sleepers_.unpark();
      (void)store_->repair(static_cast<std::uint16_t>(seats_.seat()));
      tell();
    }
    seats_.leave([this] {
      return seats_.control().kept.load(std::memory_order_relaxed) != 0 || store_->holds_anything();
    });
  }
  void abandon() noexcept { close(); }

 private:
  WorkQueue()
      : seats_([this](std::uint32_t seat) { return repair(seat); }),
        sleepers_(seats_),
        lookouts_(seats_, sleepers_) {}

  static constexpr std::uint64_t kAskAllMs = 1000;

  std::uint32_t look_after(std::uint32_t buried) {
    store_->catch_up();
    store_->keep_order();
    if (store_->earliest() != DueTimes::kNever) (void)store_->sweep(os::monotonic_ns());
    tell();
    return buried;
  }
  // Then nothing more that is pushed could be confirmed.
  [[nodiscard]] bool disk_failed() const noexcept {
    return store_->records().on() && disk_->failed();
  }
  static bool is_full(Pushed done) noexcept {
    return done == Pushed::full || done == Pushed::full_bytes;
  }
  [[nodiscard]] std::uint64_t until_due() const noexcept {
    const std::uint64_t due = store_->earliest();
    if (due == DueTimes::kNever) return ~0ULL;
    const std::uint64_t now = os::monotonic_ns();
    return due > now ? due - now : 0;
  }

  // The payloads, mapped when they are first wanted: perhaps by whoever sets up or buries, before there is a seat.
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
  // Both: under the lifecycle lock, with nobody else on the queue.
  Result<void> set_up(const WorkSpec& spec) {
    const auto store = store_of(0);
    // Not created by us: somebody died while he did this, perhaps while he recovered what is there.
    if (store->records().on() && !seats_.segment().created()) {
      recover(*store);
      return {};
    }
    if (seats_.shape().is_pipeline() && spec.stage_names.empty()) {
      return make_error(Code::geometry,
                        "'" + spec.place.title() +
                            "' is a pipeline whose creator died before it had named the stages: "
                            "open it with Pipeline.open(), or unlink it first");
    }
    detail::write_stages(memory_, spec.stage_names);
    store->set_up();
    Recovery(seats_.segment().at<std::byte>(0), memory_, store->records()).begin();
    return {};
  }
  void resume() {
    const auto store = store_of(0);
    Recovery recovery(seats_.segment().at<std::byte>(0), memory_, store->records());
    if (!store->records().on()) {
      if (recovery.needed()) recovery.from_words();
    } else if (recovery.needed() || is_mended()) {
      for (std::uint32_t seat = 0; seat < seats_.shape().seats; ++seat)
        seats_.segment().bury(seats_.record(seat));
      recover(*store);
      seats_.control().begun.store(1, std::memory_order_seq_cst);
      (void)store_of(0)->balance();
    }
  }
  [[nodiscard]] bool is_mended() const noexcept {
    return (seats_.segment().header().flags.load(std::memory_order_relaxed) & layout::kMended) != 0;
  }
  void recover(JobStore& store) {
    Recovery(seats_.segment().at<std::byte>(0), memory_, store.records())
        .from_records(store.recovery_hooks());
    seats_.segment().header().flags.fetch_and(~static_cast<std::uint32_t>(layout::kMended),
                                              std::memory_order_seq_cst);
  }
  Result<void> begin_syncing() {
    if (!seats_.segment().place().is_file()) return {};
    const Segment& segment = seats_.segment();
    os::Descriptor own(os::retry_eintr([&] { return ::fcntl(segment.fd(), F_DUPFD_CLOEXEC, 0); }));
    if (!own) return system_error("fcntl", errno, segment.path());
    disk_ = std::make_shared<DiskSync>(std::move(own), segment.path(), segment.control(), data_,
                                       seats_.control(), static_cast<std::uint16_t>(seats_.seat()));
    return {};
  }
  std::unique_ptr<JobStore> store_of(std::uint16_t seat) {
    auto store = std::make_unique<JobStore>(memory_, seat, seats_.seat_record(seat),
                                            seats_.segment().instance());
    store->name_it(seats_.segment().name());
    store->reach_by([this](std::uint64_t instance, const LookAt& look) {
      const auto place = Links(memory_, 0).find(instance);
      if (!place) return Reached::gone;
      return reach(*place, instance, seats_, look);
    });
    return store;
  }
  // Whatever the holder of that seat left, as Seats wants it done.
  bool repair(std::uint32_t seat) {
    if (!map()) return false;
    const auto store = store_of(static_cast<std::uint16_t>(seat));
    const bool died = seats_.attached(seat);
    if (died) store->add(layout::WorkCount::deaths);
    (void)store->repair(static_cast<std::uint16_t>(seat));
    sleepers_.bury(seat);
    lookouts_.bury(seat);
    stirred_ |= store->stirred();
    return !store->left_something();
  }

  // Whoever buries one of us can find the other queue.
  Result<void> link(WorkQueue& to) {
    const std::uint64_t there = to.seats_.segment().instance();
    if (std::find(linked_.begin(), linked_.end(), there) != linked_.end()) return {};
    const Place& own = seats_.segment().place();
    const Place& other = to.seats_.segment().place();
    const std::uint64_t here = seats_.segment().instance();
    if (here != there) {
      if (own.is_nameless() || other.is_nameless()) {
        return make_error(Code::invalid_argument,
                          "a job of '" + own.title() + "' cannot become one of '" + other.title() +
                              "' in one step: nameless memory cannot be found by whoever finishes "
                              "that for a dead process; give both queues names");
      }
      Links mine(memory_, static_cast<std::uint16_t>(seats_.seat()));
      Links its(to.memory_, static_cast<std::uint16_t>(to.seats_.seat()));
      if (!mine.add(there, other) || !its.add(here, own)) {
        return make_error(Code::invalid_argument,
                          "a job of '" + own.title() + "' cannot become one of '" + other.title() +
                              "' in one step: a queue can have " +
                              std::to_string(layout::kWorkLinks) +
                              " others that jobs go to or come from, with paths of up to " +
                              std::to_string(layout::kLinkPlaceMost) + " bytes");
      }
    }
    linked_.push_back(there);
    return {};
  }

  // Wakes whoever waits for what has come.
  void tell() {
    const std::uint32_t stirred = store_->stirred() | std::exchange(stirred_, 0);
    if (stirred == 0) return;
    detail::for_each_bit(stirred & (JobStore::kRoom - 1), [this](std::uint32_t stage) {
      note_wake(stage, sleepers_.after_publish(stage));
    });
    if ((stirred & JobStore::kRoom) != 0) note_wake(layout::kForRoom, sleepers_.after_room());
  }
  bool told(bool done) {
    tell();
    return done;
  }
  void note_wake(std::uint32_t kind, bool somebody) noexcept {
    if (somebody || sleepers_.has_found_dead()) woke_ |= 1U << kind;
  }

  Seats seats_;
  Sleepers sleepers_;
  Lookouts lookouts_;
  std::optional<Error> unmapped_;
  os::MappingPtr data_;
  WorkMemory memory_;
  std::vector<std::string> stage_names_;
  std::unique_ptr<JobStore> store_;
  std::shared_ptr<DiskSync> disk_;
  std::uint32_t stirred_ = 0;  // by those whom we buried
  std::uint32_t woke_ = 0;
  std::uint32_t rounds_ = 0;  // in which another was to look, since we did
  std::uint64_t asked_all_at_ = 0;
  std::vector<std::uint64_t> linked_;  // instances of queues that were linked to this one
};

}  // namespace millrace
