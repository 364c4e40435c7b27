// A segment and everything that happens at its door: who may create it, who is alive on it, which roles
// are taken, when it is stale, who removes it. Where it lives (a name, nameless memory, a file) and what
// depends on that is in place.hpp.
//
// Every transition (create, attach, take a role, leave, reclaim) happens while holding the lifecycle
// lock, byte 0 of the object. It is held for microseconds; a holder that dies drops it. Roles are further
// bytes, held as long as the role. Nobody holding any role byte means nobody alive is on the segment.
//
//            open                lock byte 0         judge
//   (none) ────────► object ────────────────► not READY, size 0 : finish it       ─► READY, mine
//      ▲    create                            no bytes of ours                     ─► error
//      │                                      not READY, size > 0: dead creator    ─► unlink, again
//      │                                      nobody alive, not lingering, !keep   ─► unlink, again
//      │                                      geometry differs                     ─► error
//      └───────── unlinked meanwhile ─────────other                               ─► attach
//
// What is nameless is begun anew in place instead of being unlinked. A file appears complete and is
// never stale, so for files only the last two lines are left.
//
// This header is long because the transitions exclude each other by one lock: whether one of them is right
// can only be judged beside the others.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "crash_point.hpp"
#include "happenings.hpp"
#include "layout/header.hpp"
#include "os/clock.hpp"
#include "os/doorbell.hpp"
#include "os/file_lock.hpp"
#include "os/identity.hpp"
#include "os/mapping.hpp"
#include "os/object.hpp"
#include "os/sync.hpp"
#include "place.hpp"
#include "result.hpp"
#include "segment_spec.hpp"
#include "unlink.hpp"  // unlink_channel belongs to what this header offers
#include "words.hpp"

namespace millrace {

class Segment {
 public:
  Segment() = default;
  Segment(Segment&&) noexcept = default;
  Segment& operator=(Segment&& other) noexcept {
    if (this != &other) {
      drop_locks();
      control_ = std::move(other.control_);
      lock_ = std::move(other.lock_);
      fd_ = std::move(other.fd_);
      geometry_ = other.geometry_;
      trust_ = other.trust_;
      place_ = std::move(other.place_);
      memory_ = std::move(other.memory_);
      unstated_schema_ = other.unstated_schema_;
      created_ = other.created_;
      orphaned_ = other.orphaned_;
      settled_ = other.settled_;
      foreign_ = other.foreign_;
    }
    return *this;
  }
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  ~Segment() { drop_locks(); }

  // Judges the geometry of an existing segment and says how many bytes from its start are control.
  using Judge = std::function<Result<std::uint64_t>(const layout::Geometry&)>;

  // Creates or attaches, and returns with the lifecycle lock held: call settle() when the role is taken.
  static Result<Segment> enter(const SegmentSpec& spec, Entry entry, const os::Deadline& deadline,
                               const Judge& judge) {
    const Place place = spec.place.for_segment(spec.letter);
    if (auto possible = place.check(); !possible.ok()) return possible.error();
    if (auto possible = place.check_pages(); !possible.ok()) return possible.error();
    if (auto possible = place.check_wipe(spec.memory); !possible.ok()) return possible.error();
    int refusals = 0;
    for (int round = 0;; ++round) {
      // Reclaiming takes a second round, a lost race another: they happen even with no time to wait.
      if (round >= kRoundsWithoutTime && deadline.passed()) {
        return make_error(
            Code::timeout,
            "'" + place.title() +
                "' keeps being removed by other processes; find who unlinks it, or try again");
      }
      Segment segment;
      segment.place_ = place;
      segment.memory_ = spec.memory;
      Result<os::Descriptor> opened = segment.place_.open(os::Access::read_write);
      bool known = true;  // may be a stranger's
      if (!opened.ok() && opened.error().code == Code::not_found && entry != Entry::attach_only) {
        // What we create is ours, and would be in the way of the one that is waited for.
        if (spec.owner && *spec.owner != ::geteuid()) return not_found(segment.place_);
        opened = segment.place_.create(spec.mode);
        if (!opened.ok() && opened.error().code == Code::exists) continue;
        known = false;
      }
      if (!opened.ok()) {
        // A creator sets the final mode right after creating: give it a moment.
        if (opened.error().code == Code::permission && ++refusals < 4) {
          os::sleep_ns(1'000'000);
          continue;
        }
        return place.explain_refusal(opened.error(), spec.owner.value_or(::geteuid()));
      }
      MILLRACE_CRASH_POINT("segment.enter.opened");
      segment.fd_ = opened.take();
      // A stranger's lock is none that we wait for.
      if (known) {
        if (auto ours = segment.refuse_strangers(spec); !ours.ok()) return ours.error();
      }
      auto lock = segment.place_.lock_over(segment.fd_.get(), spec.mode);
      if (!lock.ok()) return lock.error();
      segment.lock_ = lock.take();
      if (auto locked = segment.lock_lifecycle(deadline); !locked.ok()) return locked.error();
      MILLRACE_CRASH_POINT("segment.enter.locked");
      // Somebody may have removed it while we waited.
      if (!segment.place_.confirm(segment.fd_, segment.lock_, os::Access::read_write)) continue;
      auto facts = segment.refuse_strangers(spec);
      if (!facts.ok()) return facts.error();
      segment.trust_ = segment.trust_of(facts.value(), spec.mode);

      const std::uint64_t size = facts.value().size;
      if (size == 0 && (segment.place_.unpublished() || !place.is_file())) {
        if (entry == Entry::attach_only) return not_found(segment.place_);
        auto made = segment.begin(spec, spec.geometry, judge);
        if (made.ok()) return segment;
        if (made.error().code == Code::exists) continue;  // somebody else's file was there first
        return made.error();
      }
      const bool alive = segment.anyone_else();
      if (entry == Entry::replace) {
        if (segment.role_held(0)) return segment.main_role_taken();
        if (!place.is_nameless()) {
          if (auto ours = segment.look(size); !ours.ok() && segment.foreign_) return ours.error();
          segment.place_.remove();
          entry = Entry::attach_or_create;
          MILLRACE_CRASH_POINT("segment.replace.removed");
          continue;
        }
        if (alive) return segment.cannot_give_way();
        auto made = segment.begin_anew(spec, spec.geometry, judge);
        if (!made.ok()) return made.error();
        return segment;
      }
      auto attached = segment.attach(spec, size, judge);
      const bool wanted = segment.control_ != nullptr && segment.worth_keeping();
      const bool usable = attached.ok() || attached.error().code == Code::geometry;
      if (segment.foreign_ && !place.is_nameless()) return attached.error();
      if (!alive && !(wanted && usable) && !place.outlives_processes()) {
        // Stale, half-made or unreadable, and nobody is on it.
        if (attached.ok() && spec.bury) spec.bury(segment);
        MILLRACE_CRASH_POINT("segment.stale.found");
        if (!place.is_nameless()) segment.unlink();
        MILLRACE_CRASH_POINT("segment.stale.unlinked");
        if (entry == Entry::attach_only) return not_found(segment.place_);
        if (!place.is_nameless()) continue;
        const layout::Geometry geometry = attached.ok() ? segment.geometry_ : spec.geometry;
        auto made = segment.begin_anew(spec, geometry, judge);
        if (!made.ok()) return made.error();
        return segment;
      }
      if (!attached.ok()) return attached.error();
      if (auto agreed = segment.agree_on_schema(spec.schema); !agreed.ok()) return agreed.error();
      MILLRACE_CRASH_POINT("segment.enter.attached");
      if (spec.memory.zero_on_close) segment.set_flag(layout::kZeroOnClose, true);
      segment.orphaned_ = !alive;
      return segment;
    }
  }

  // Ends the transition that enter() or lock_lifecycle() began.
  void settle() noexcept {
    MILLRACE_CRASH_POINT("segment.settle.done");
    settled_ = true;
    lock_.unlock(layout::kLifecycleByte);
  }

  Result<void> lock_lifecycle(const os::Deadline& deadline) {
    std::uint64_t nap = 20'000;
    while (!lock_.try_exclusive(layout::kLifecycleByte)) {
      if (deadline.passed()) {
        return make_error(
            Code::timeout,
            "'" + name() +
                "' is being created or left by another process that does not finish; is "
                "it stopped in a debugger? Try again, or end that process",
            path());
      }
      os::sleep_ns(nap);
      if (nap < 1'000'000) nap *= 2;
    }
    return {};
  }

  // Takes a role under the lifecycle lock. `what` names it for the message.
  Result<void> claim(layout::RoleRecord& record, std::uint32_t role, std::uint64_t doorbell,
                     const char* what) {
    if (!lock_.try_exclusive(byte_of(role))) {
      return make_error(Code::role_taken,
                        "the " + std::string(what) + " role of '" + name() +
                            "' is taken by process " +
                            std::to_string(record.pid.load(std::memory_order_relaxed)) +
                            "; close it there first, or use another name",
                        path());
    }
    MILLRACE_CRASH_POINT("segment.claim.locked");
    remove_bell(record);
    note_death(record, HappeningWhat::taken_over);
    state_schema();
    record.pid.store(static_cast<std::uint32_t>(::getpid()), std::memory_order_relaxed);
    record.started.store(os::own_start_time(), std::memory_order_relaxed);
    record.doorbell.store(doorbell, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("segment.claim.recorded");
    // release: pairs with the acquire in peer(): who sees "attached" sees the rest.
    record.state.store(static_cast<std::uint32_t>(layout::RoleState::attached),
                       std::memory_order_release);
    MILLRACE_CRASH_POINT("segment.claim.attached");
    // After the state: as long as that says "closed", the epoch is the one of who closed, and tells whether it
    // failed (failure.hpp). release: pairs with the acquire in FrameLanes::active, where what the holder
    // wrote beside its record before claiming it is seen with the new epoch, and with the one in
    // peer_or_failed, where "attached" is.
    record.epoch.fetch_add(1, std::memory_order_release);
    return {};
  }
  // Removes what a dead holder left beside the segment. Only while nobody else holds the role. Whatever
  // the state says: it may have died on its way in or out, and a bell that is in use stays.
  void bury(const layout::RoleRecord& record) const noexcept {
    remove_bell(record);
    note_death(record, HappeningWhat::buried);
  }
  // As if nobody had held the role yet. Only under the lifecycle lock, and while nobody holds it.
  void vacate(layout::RoleRecord& record) const noexcept {
    bury(record);
    MILLRACE_CRASH_POINT("segment.vacate.buried");
    record.doorbell.store(0, std::memory_order_relaxed);
    record.pid.store(0, std::memory_order_relaxed);
    record.started.store(0, std::memory_order_relaxed);
    // relaxed: who asks for the peer here comes after us, by the lock.
    record.state.store(static_cast<std::uint32_t>(layout::RoleState::vacant),
                       std::memory_order_relaxed);
  }
  void resign(layout::RoleRecord& record, std::uint32_t role) noexcept {
    MILLRACE_CRASH_POINT("segment.resign.begun");
    // release: pairs with the acquire in peer(): what we published before leaving is seen with it.
    record.state.store(static_cast<std::uint32_t>(layout::RoleState::closed),
                       std::memory_order_release);
    MILLRACE_CRASH_POINT("segment.resign.closed");
    // Only now: until here it tells whoever buries us what we leave.
    record.doorbell.store(0, std::memory_order_relaxed);
    lock_.unlock(byte_of(role));
  }

  // Takes, under the lifecycle lock, a role that any number may hold at once: its byte only says that
  // somebody is here. Whoever keeps it for itself alone is no process of ours.
  Result<void> share(std::uint32_t role) {
    if (!lock_.try_shared(byte_of(role))) {
      return make_error(Code::role_taken,
                        "another program keeps '" + name() + "' for itself; end it", path());
    }
    MILLRACE_CRASH_POINT("segment.share.locked");
    state_schema();
    return {};
  }

  // How the holder of a role is doing. One system call if it claims to be attached (about 0.5 µs).
  [[nodiscard]] Peer peer(const layout::RoleRecord& record, std::uint32_t role) const noexcept {
    // Bounded: a peer that keeps changing it cannot hold us.
    for (int look = 0; look < 64; ++look) {
      const std::uint32_t state = record.state.load(std::memory_order_acquire);
      if (state == static_cast<std::uint32_t>(layout::RoleState::vacant)) return Peer::absent;
      if (state == static_cast<std::uint32_t>(layout::RoleState::closed)) return Peer::closed;
      MILLRACE_CRASH_POINT("segment.peer.asked");
      if (lock_.held_by_other(byte_of(role), 1)) return Peer::attached;
      // The lock is free although the record said attached: it died, or it resigned between our two
      // looks. A record that still says the same tells which.
      if (record.state.load(std::memory_order_acquire) == state) return Peer::gone;
    }
    return Peer::gone;
  }
  [[nodiscard]] bool role_held(std::uint32_t role) const noexcept {
    return lock_.held_by_other(byte_of(role), 1);
  }
  // Tells this segment from others of its name, before and after it: random, the same to all who are on it.
  [[nodiscard]] std::uint64_t instance() const noexcept { return header().instance; }
  // Asked for by somebody with `keep`: nobody being on it is no reason to remove it.
  [[nodiscard]] bool kept() const noexcept {
    return (header().flags.load(std::memory_order_relaxed) & layout::kKeep) != 0;
  }
  [[nodiscard]] bool anyone_else() const noexcept {
    return lock_.held_by_other(layout::kFirstRoleByte, 0);
  }
  bool try_role_lock(std::uint32_t role) const noexcept {
    return lock_.try_exclusive(byte_of(role));
  }
  void unlock_role(std::uint32_t role) const noexcept { lock_.unlock(byte_of(role)); }

  // Is all of it still there? Whoever may write to a name or a file may also shorten it, and a touch
  // beyond its end would kill this process: to be asked wherever a system call is no matter. The size of
  // nameless memory is sealed.
  [[nodiscard]] bool intact() const noexcept {
    if (place_.is_nameless()) return true;
    auto facts = os::inspect_object(fd_.get(), {});
    return facts.ok() && facts.value().size >= geometry_.total_bytes;
  }
  // For intact(): so much of it has to be there.
  void needs(std::uint64_t bytes) noexcept { geometry_.total_bytes = bytes; }
  // Changes the size of one that has kOpenCapacity, under the lifecycle lock. What anybody uses is never cut off.
  [[nodiscard]] Result<void> grow(std::uint64_t bytes) const {
    return place_.grow(fd_.get(), bytes);
  }
  void trim(std::uint64_t bytes) const noexcept {
    auto facts = os::inspect_object(fd_.get(), {});
    if (!facts.ok() || facts.value().size <= bytes) return;
    (void)os::retry_eintr([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(bytes)); });
  }
  [[nodiscard]] Error shortened() const { return corrupt("was shortened while it was open"); }
  // Leaves what is not intact without touching it. Its name goes with the last one on it.
  void forsake() noexcept {
    const bool locked = lock_lifecycle(os::Deadline::after(1'000'000'000)).ok();
    if (locked && !anyone_else() && place_.is_name() && !unlinked()) place_.remove();
    *this = Segment();
  }

  // True once the name or path no longer leads here.
  [[nodiscard]] bool unlinked() const noexcept { return place_.removed(fd_.get(), lock_); }
  // Says that nobody needs it any more: a name is taken away (whoever is on the segment keeps the
  // memory), what is nameless will be begun anew by whoever comes next. A file stays, unless we have
  // just made it. The last one on a segment that somebody wanted wiped does that first. Only under the
  // lifecycle lock.
  void unlink() noexcept {
    if (control_ != nullptr &&
        (header().flags.load(std::memory_order_relaxed) & layout::kZeroOnClose) != 0 &&
        !anyone_else()) {
      Place::wipe(fd_.get());
      MILLRACE_CRASH_POINT("segment.unlink.wiped");
    }
    if (place_.is_nameless()) {
      if (control_ != nullptr) header().flags.store(0, std::memory_order_relaxed);
      return;
    }
    if (place_.outlives_processes() && (settled_ || !created_)) return;
    MILLRACE_CRASH_POINT("segment.unlink.begun");
    if (!unlinked()) place_.remove();
  }

  // [offset, offset + bytes) of the segment, seen and changed by all.
  [[nodiscard]] Result<os::MappingPtr> map_shared(std::uint64_t offset, std::uint64_t bytes) const {
    return os::map_shared(fd_.get(), offset, bytes, path(), memory_);
  }
  // The same for a reader that must not change it; see os::kStrayWritesArePrivate.
  [[nodiscard]] Result<os::MappingPtr> map_private(std::uint64_t offset,
                                                   std::uint64_t bytes) const {
    return os::map_private(fd_.get(), offset, bytes, path(), memory_);
  }
  // The same twice in a row.
  [[nodiscard]] Result<os::MappingPtr> map_mirror(std::uint64_t offset, std::uint64_t bytes) const {
    return os::map_mirror(fd_.get(), offset, bytes, path(), memory_);
  }

  void set_flag(layout::Flag flag, bool on) noexcept {
    auto& flags = header().flags;
    if (on) {
      flags.fetch_or(flag, std::memory_order_relaxed);
    } else {
      flags.fetch_and(~static_cast<std::uint32_t>(flag), std::memory_order_relaxed);
    }
  }

  [[nodiscard]] layout::Header& header() const noexcept {
    return *reinterpret_cast<layout::Header*>(control_->data());
  }
  template <typename T>
  [[nodiscard]] T* at(std::uint64_t offset) const noexcept {
    return reinterpret_cast<T*>(control_->data() + offset);
  }
  [[nodiscard]] const layout::Geometry& geometry() const noexcept { return geometry_; }
  [[nodiscard]] const os::MappingPtr& control() const noexcept { return control_; }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  // The name, the path of the file, or "nameless:" and a number.
  [[nodiscard]] const std::string& name() const noexcept { return place_.title(); }
  [[nodiscard]] const Place& place() const noexcept { return place_; }
  // Where a person finds it.
  [[nodiscard]] const std::string& path() const noexcept { return place_.path(); }
  [[nodiscard]] const os::BellTrust& trust() const noexcept { return trust_; }
  [[nodiscard]] bool created() const noexcept { return created_; }
  // Nobody was on it when we came.
  [[nodiscard]] bool orphaned() const noexcept { return orphaned_; }

 private:
  static constexpr int kRoundsWithoutTime = 8;

  static void remove_bell(const layout::RoleRecord& record) noexcept {
    os::remove_dead_bell(record.doorbell.load(std::memory_order_relaxed));
  }
  // Of a role that nobody alive has: did its last holder leave without a word?
  void note_death(const layout::RoleRecord& record, HappeningWhat what) const noexcept {
    const auto attached = static_cast<std::uint32_t>(layout::RoleState::attached);
    if (record.state.load(std::memory_order_relaxed) != attached) return;
    const std::uint32_t pid = record.pid.load(std::memory_order_relaxed);
    Happenings::note({what, header().kind, pid}, name());
  }

  // Not left to close(): a mapping that JavaScript still holds keeps the open file description, and with
  // it the locks, alive.
  void drop_locks() noexcept {
    if (fd_) lock_.unlock_all();
  }

  static std::int64_t byte_of(std::uint32_t role) noexcept {
    return layout::kFirstRoleByte + static_cast<std::int64_t>(role);
  }
  static Error not_found(const Place& place) {
    return Error{Code::not_found,
                 "'" + place.title() +
                     "' does not exist (yet); start the process that creates it, or wait for it",
                 place.is_name() ? "shm_open" : "open", ENOENT, place.path()};
  }
  [[nodiscard]] Error cannot_give_way() const {
    return make_error(Code::geometry,
                      "'" + name() +
                          "' is in use, and nameless memory cannot be replaced under those who use "
                          "it; close them first, or use a new NamelessSegment",
                      path());
  }
  [[nodiscard]] Error main_role_taken() {
    std::string who = "a living process";
    auto facts = os::inspect_object(fd_.get(), path());
    if (facts.ok() && facts.value().size >= sizeof(layout::Header) + sizeof(layout::RoleRecord) &&
        place_.check_steady(fd_.get()).ok()) {
      auto mapped = os::map_shared(fd_.get(), 0, os::page_size(), path());
      if (!mapped.ok()) return mapped.error();
      control_ = mapped.take();
      who = "process " +
            std::to_string(
                at<layout::RoleRecord>(layout::kRolesOffset)->pid.load(std::memory_order_relaxed));
    }
    return make_error(Code::role_taken,
                      "'" + name() + "' is in use by " + who + "; close it there first", path());
  }
  [[nodiscard]] bool worth_keeping() const noexcept {
    return place_.outlives_processes() || (header().flags.load(std::memory_order_relaxed) &
                                           (layout::kLingering | layout::kKeep)) != 0;
  }
  [[nodiscard]] os::BellTrust trust_of(const os::ObjectFacts& facts, mode_t mode) const noexcept {
    return os::BellTrust{facts.owner, facts.group, (mode & 0060) == 0060};
  }

  Result<os::ObjectFacts> refuse_strangers(const SegmentSpec& spec) const {
    auto facts = os::inspect_object(fd_.get(), path());
    if (!facts.ok()) return facts;
    auto ours = os::check_ours(facts.value(), spec.owner.value_or(::geteuid()), spec.mode, path());
    if (!ours.ok()) return ours.error();
    return facts;
  }

  // Makes a segment of what is empty. On failure nothing is left of it.
  Result<void> begin(const SegmentSpec& spec, const layout::Geometry& geometry,
                     const Judge& judge) {
    created_ = true;
    auto made = initialise(spec, geometry, judge);
    if (made.ok() && spec.durable) {
      const std::span<std::byte> map(control_->data(), control_->size());
      made = os::sync_file(fd_.get(), {&map, 1}, path());
    }
    if (made.ok()) return place_.publish(fd_.get());
    if (place_.is_nameless()) {
      (void)os::empty_nameless(fd_.get(), path());
    } else {
      place_.remove();
    }
    return made;
  }
  // The same in nameless memory that nobody is on.
  Result<void> begin_anew(const SegmentSpec& spec, const layout::Geometry& geometry,
                          const Judge& judge) {
    control_.reset();
    if (auto emptied = place_.empty(fd_.get(), geometry.total_bytes); !emptied.ok()) return emptied;
    MILLRACE_CRASH_POINT("segment.anew.emptied");
    return begin(spec, geometry, judge);
  }

  Result<void> initialise(const SegmentSpec& spec, const layout::Geometry& geometry,
                          const Judge& judge) {
    auto control_bytes = judge(geometry);
    if (!control_bytes.ok()) return control_bytes.error();
    if (auto set = place_.set_mode(fd_.get(), spec.mode); !set.ok()) return set;
    MILLRACE_CRASH_POINT("segment.create.opened");
    auto allocated = place_.allocate(fd_.get(), geometry.total_bytes);
    if (!allocated.ok()) return allocated;
    MILLRACE_CRASH_POINT("segment.create.sized");
    auto mapped = map_shared(0, control_bytes.value());
    if (!mapped.ok()) return mapped.error();
    control_ = mapped.take();
    geometry_ = geometry;
    layout::Header& head = header();
    head.magic = layout::kMagic;
    head.major = layout::kMajor;
    head.minor = layout::kMinor;
    head.kind = spec.kind;
    head.endian_tag = layout::kEndianTag;
    head.page_bytes = static_cast<std::uint32_t>(os::page_size());
    head.word_bits = 64;
    MILLRACE_CRASH_POINT("segment.create.named");
    head.instance = os::random_u64();
    head.creator_started = os::own_start_time();
    head.creator_pid = static_cast<std::uint32_t>(::getpid());
    head.creator_uid = ::geteuid();
    os::this_boot(head.boot);
    head.schema.store(spec.schema, std::memory_order_relaxed);
    head.geometry = geometry;
    if (place_.is_name()) name().copy(head.name.data(), head.name.size() - 1);
    head.flags.store(spec.flags | (spec.keep ? layout::kKeep : 0U) |
                         (spec.memory.zero_on_close ? layout::kZeroOnClose : 0U),
                     std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("segment.create.described");
    // release: pairs with the acquire in attach(): READY means that all of the above is there.
    head.state.store(static_cast<std::uint32_t>(layout::State::ready), std::memory_order_release);
    MILLRACE_CRASH_POINT("segment.create.ready");
    return {};
  }

  void state_schema() noexcept {
    if (unstated_schema_ == 0) return;
    header().schema.store(unstated_schema_, std::memory_order_relaxed);
    unstated_schema_ = 0;
  }
  // Under the lifecycle lock, like claim(), which states ours where nobody has stated one: a tool that
  // created the segment without must not keep two others from noticing that they differ.
  Result<void> agree_on_schema(std::uint64_t stated) {
    const std::uint64_t found = header().schema.load(std::memory_order_relaxed);
    if (stated == 0 || found == stated) return {};
    if (found != 0) return schema_differs(name(), found, stated, path());
    unstated_schema_ = stated;
    return {};
  }

  // Maps the start of it and tells whether it is a segment at all.
  Result<void> look(std::uint64_t size) {
    if (auto steady = place_.check_steady(fd_.get()); !steady.ok()) return steady;
    if (size == 0) return corrupt("is empty");
    // A page is there as a whole: beyond the end of what is shorter it holds zeroes.
    const std::uint64_t first =
        std::clamp<std::uint64_t>(size, sizeof(layout::Header), std::uint64_t{64} * 1024);
    auto mapped = os::map_shared(fd_.get(), 0, first, path());
    if (!mapped.ok()) return mapped.error();
    control_ = mapped.take();
    const layout::Origin origin = layout::origin_of(header());
    foreign_ = origin == layout::Origin::foreign;
    if (foreign_) return corrupt("does not start with the magic number");
    if (size < sizeof(layout::Header)) {
      return corrupt("is " + std::to_string(size) + " bytes long, too short for a header");
    }
    if (origin == layout::Origin::unfinished) return corrupt("was never finished by its creator");
    return {};
  }

  Result<void> attach(const SegmentSpec& spec, std::uint64_t size, const Judge& judge) {
    if (auto ours = look(size); !ours.ok()) return ours;
    const std::uint64_t first = control_->size();
    // The one copy that is judged and used. By atomic words: of a plain copy the compiler may fetch parts
    // again from where they came from, after they were judged.
    layout::Header head;
    copy_from_shared(reinterpret_cast<std::byte*>(&head),
                     reinterpret_cast<const SharedWord*>(control_->data()), sizeof head);
    const layout::Geometry& geometry = head.geometry;
    if (head.endian_tag != layout::kEndianTag || head.word_bits != 64) {
      return make_error(Code::layout, "'" + path() + "' was made by a machine of another kind",
                        path());
    }
    if (head.major != layout::kMajor) {
      return make_error(Code::layout,
                        "'" + path() + "' has layout version " + std::to_string(head.major) + "." +
                            std::to_string(head.minor) + ", this process has " +
                            std::to_string(layout::kMajor) + "." + std::to_string(layout::kMinor) +
                            "; use the same major version of millrace on both sides",
                        path());
    }
    if (head.kind != spec.kind) {
      return make_error(Code::layout, "'" + path() + "' is another kind of channel", path());
    }
    if (head.page_bytes != os::page_size()) {
      return make_error(Code::layout,
                        "'" + path() + "' was made for pages of " +
                            std::to_string(head.page_bytes) + " bytes, this process has " +
                            std::to_string(os::page_size()),
                        path());
    }
    head.name.back() = '\0';
    if (place_.is_name() && name() != head.name.data()) {
      return make_error(Code::exists,
                        "'" + path() + "' belongs to the channel '" +
                            std::string(head.name.data()) +
                            "' whose shortened name is the same; choose another name",
                        path());
    }
    // An open one is cut to size after it was decided how large it is.
    const bool open = (head.flags.load(std::memory_order_relaxed) & layout::kOpenCapacity) != 0;
    const bool cut = !open && geometry.total_bytes > size && spec.mendable &&
                     spec.mendable(geometry) && !anyone_else();
    if (!cut && (open ? geometry.total_bytes > size : geometry.total_bytes != size)) {
      return corrupt("claims " + std::to_string(geometry.total_bytes) + " bytes but has " +
                     std::to_string(size));
    }
    auto control_bytes = judge(geometry);
    if (!control_bytes.ok()) return control_bytes.error();
    if (cut) {
      // First the mark: whoever comes upon it knows that not all of it is what it was.
      set_flag(layout::kMended, true);
      MILLRACE_CRASH_POINT("segment.mend.marked");
      if (auto grown = grow(geometry.total_bytes); !grown.ok()) return grown;
      MILLRACE_CRASH_POINT("segment.mend.grown");
    }
    if (control_bytes.value() > first || memory_.touch_mapping()) {
      auto mapped = map_shared(0, control_bytes.value());
      if (!mapped.ok()) return mapped.error();
      control_ = mapped.take();
    }
    geometry_ = geometry;
    if (!intact()) return shortened();
    return {};
  }

  [[nodiscard]] Error corrupt(const std::string& what) const {
    return make_error(
        Code::corrupt,
        std::string("'") + path() + "' " + what +  // GCC 12 misreads "'" + path() (bug 105651)
            "; it is damaged or not ours: end the processes that use it and remove it",
        path());
  }

  os::Descriptor fd_;
  os::FileLock lock_;
  os::MappingPtr control_;
  layout::Geometry geometry_{};
  os::BellTrust trust_;
  Place place_;
  os::MemoryOptions memory_;
  std::uint64_t unstated_schema_ = 0;  // to be written with the first role we take
  bool created_ = false;
  bool orphaned_ = false;
  bool settled_ = false;
  bool foreign_ = false;  // no bytes of ours
};

}  // namespace millrace
