// A named segment and everything that happens at its door: who may create it, who is alive on it, which
// roles are taken, when it is stale, who removes it.
//
// Every transition (create, attach, take a role, leave, reclaim) happens while holding the lifecycle
// lock, byte 0 of the object. It is held for microseconds; a holder that dies drops it. Roles are further
// bytes, held as long as the role. Nobody holding any role byte means nobody alive is on the segment.
//
//            open                lock byte 0         judge
//   (none) ────────► object ────────────────► not READY, size 0 : finish it       ─► READY, mine
//      ▲    create                            not READY, size > 0: dead creator    ─► unlink, again
//      │                                      nobody alive, not lingering, !keep   ─► unlink, again
//      │                                      geometry differs                     ─► error
//      └───────── unlinked meanwhile ─────────other                               ─► attach
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
#include <string>
#include <string_view>
#include <utility>

#include "layout/header.hpp"
#include "os/clock.hpp"
#include "os/doorbell.hpp"
#include "os/file_lock.hpp"
#include "os/identity.hpp"
#include "os/mapping.hpp"
#include "os/object.hpp"
#include "result.hpp"

namespace millrace {

// How the other side of a channel is doing.
enum class Peer {
  absent,    // nobody has taken the role since the segment was created
  attached,  // alive
  closed,    // left in good order
  gone,      // died
};

// 1 to 240 of A-Z a-z 0-9 . _ -, not starting with a dot: valid as a file name everywhere.
inline Result<void> check_name(std::string_view name) {
  if (name.empty())
    return make_error(Code::invalid_name, "the name is empty; give it 1 to 240 characters");
  if (name.size() > layout::kNameMax) {
    return make_error(Code::name_too_long, "the name has " + std::to_string(name.size()) +
                                               " characters; at most " +
                                               std::to_string(layout::kNameMax) + " are allowed");
  }
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  for (const char c : name) {
    if (!allowed(c)) {
      return make_error(
          Code::invalid_name,
          "the name '" + std::string(name) + "' contains a character other than A-Z a-z 0-9 . _ -");
    }
  }
  if (name.front() == '.') {
    return make_error(Code::invalid_name, "the name '" + std::string(name) + "' starts with a dot");
  }
  return {};
}

// The object's name for a channel: millrace.<letter>.<name>. Where the system allows only short names
// (macOS: 30 characters) a long one is replaced by its 64-bit FNV-1a hash; the header holds the real
// name, so a collision is noticed.
inline std::string object_name_of(char letter, std::string_view name) {
  std::string object = std::string("millrace.") + letter + "." + std::string(name);
  if (object.size() <= os::kObjectNameMax) return object;
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  char text[20];
  (void)std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return std::string("millrace.") + letter + "." + text;
}

// Two sides that mean different things by the same bytes.
inline Error schema_differs(const std::string& name, std::uint64_t found, std::uint64_t stated,
                            std::string path) {
  char text[2][20];
  (void)std::snprintf(text[0], sizeof text[0], "%016llx", static_cast<unsigned long long>(found));
  (void)std::snprintf(text[1], sizeof text[1], "%016llx", static_cast<unsigned long long>(stated));
  return make_error(Code::schema,
                    "'" + name + "' holds data of the schema " + text[0] +
                        ", this process states the schema " + text[1] +
                        "; use the same definition on both sides, or another name",
                    std::move(path));
}

class Segment;

struct SegmentSpec {
  layout::Kind kind = layout::Kind::queue;
  char letter = 'q';
  std::string name;
  mode_t mode = 0600;          // of a new segment; the widest accepted of an existing one
  std::optional<uid_t> owner;  // whose segment is accepted; default: this user's
  bool keep = false;           // content outlives a crash of both sides
  std::uint64_t schema = 0;    // what this process takes the payload for; 0: it does not say
  layout::Geometry geometry{};
  // Calls Segment::bury for each role of a stale segment of this kind; empty if roles have no doorbell.
  std::function<void(const Segment&)> bury;
};

enum class Entry {
  attach_or_create,
  attach_only,  // not_found if there is none, or only a stale one
  replace,      // an existing segment loses its name first, unless its first role is held
};

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
      name_ = std::move(other.name_);
      object_ = std::move(other.object_);
      unstated_schema_ = other.unstated_schema_;
      created_ = other.created_;
      orphaned_ = other.orphaned_;
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
    if (auto named = check_name(spec.name); !named.ok()) return named.error();
    const std::string object = object_name_of(spec.letter, spec.name);
    int refusals = 0;
    for (int round = 0;; ++round) {
      // Reclaiming takes a second round, a lost race another: they happen even with no time to wait.
      if (round >= kRoundsWithoutTime && deadline.passed()) {
        return make_error(Code::timeout,
                          "'" + spec.name + "' keeps being removed by other processes");
      }
      Segment segment;
      segment.name_ = spec.name;
      segment.object_ = object;
      Result<os::Descriptor> opened = os::open_object(object, os::Access::read_write);
      if (!opened.ok() && opened.error().code == Code::not_found && entry != Entry::attach_only) {
        opened = os::create_object(object, spec.mode);
        if (!opened.ok() && opened.error().code == Code::exists) continue;
      }
      if (!opened.ok()) {
        // A creator sets the final mode right after creating: give it a moment.
        if (opened.error().code == Code::permission && ++refusals < 4) {
          os::sleep_ns(1'000'000);
          continue;
        }
        return opened.error();
      }
      segment.fd_ = opened.take();
      auto facts = segment.refuse_strangers(spec);
      if (!facts.ok()) return facts.error();
      auto lock = os::FileLock::over(segment.fd_.get(), object, spec.mode);
      if (!lock.ok()) return lock.error();
      segment.lock_ = lock.take();
      if (auto locked = segment.lock_lifecycle(deadline); !locked.ok()) return locked.error();
      // Somebody may have removed it while we waited.
      if (!segment.lock_.confirm(segment.fd_, object, os::Access::read_write)) continue;
      facts = segment.refuse_strangers(spec);
      if (!facts.ok()) return facts.error();
      if (facts.value().size == 0) {
        if (entry == Entry::attach_only) return not_found(spec.name, object);
        auto made = segment.initialise(spec, judge);
        if (!made.ok()) {
          segment.unlink();
          return made.error();
        }
        segment.created_ = true;
        segment.trust_ = segment.trust_of(facts.value(), spec.mode);
        return segment;
      }
      if (entry == Entry::replace) {
        if (segment.lock_.held_by_other(layout::kFirstRoleByte, 1))
          return segment.main_role_taken();
        segment.unlink();
        entry = Entry::attach_or_create;
        continue;
      }
      const bool alive = segment.lock_.held_by_other(layout::kFirstRoleByte, 0);
      auto attached = segment.attach(spec, facts.value().size, judge);
      const bool wanted = segment.control_ != nullptr && segment.worth_keeping();
      const bool usable = attached.ok() || attached.error().code == Code::geometry;
      if (!alive && !(wanted && usable)) {
        if (attached.ok() && spec.bury) spec.bury(segment);
        segment.unlink();  // stale, half-made or unreadable, and nobody is on it
        if (entry == Entry::attach_only) return not_found(spec.name, object);
        continue;
      }
      if (!attached.ok()) return attached.error();
      if (auto agreed = segment.agree_on_schema(spec.schema); !agreed.ok()) return agreed.error();
      segment.orphaned_ = !alive;
      segment.trust_ = segment.trust_of(facts.value(), spec.mode);
      return segment;
    }
  }

  // Ends the transition that enter() or lock_lifecycle() began.
  void settle() noexcept { lock_.unlock(layout::kLifecycleByte); }

  Result<void> lock_lifecycle(const os::Deadline& deadline) {
    std::uint64_t nap = 20'000;
    while (!lock_.try_exclusive(layout::kLifecycleByte)) {
      if (deadline.passed()) {
        return make_error(
            Code::timeout,
            "'" + name_ +
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
                        "the " + std::string(what) + " role of '" + name_ +
                            "' is taken by process " +
                            std::to_string(record.pid.load(std::memory_order_relaxed)) +
                            "; close it there first, or use another name",
                        path());
    }
    bury(record);
    state_schema();
    static const std::uint64_t started = os::process_start_time();
    record.pid.store(static_cast<std::uint32_t>(::getpid()), std::memory_order_relaxed);
    record.started.store(started, std::memory_order_relaxed);
    record.doorbell.store(doorbell, std::memory_order_relaxed);
    // release: pairs with the acquire in FrameWriter::active_lanes; what the holder wrote beside its
    // record before claiming it is seen with the new epoch.
    record.epoch.fetch_add(1, std::memory_order_release);
    // release: pairs with the acquire in peer(): who sees "attached" sees the rest.
    record.state.store(static_cast<std::uint32_t>(layout::RoleState::attached),
                       std::memory_order_release);
    return {};
  }
  // Removes what a dead holder left beside the segment. Only while nobody else holds the role.
  void bury(const layout::RoleRecord& record) const noexcept {
    if (record.state.load(std::memory_order_relaxed) ==
        static_cast<std::uint32_t>(layout::RoleState::attached)) {
      os::remove_dead_bell(record.doorbell.load(std::memory_order_relaxed));
    }
  }
  void resign(layout::RoleRecord& record, std::uint32_t role) noexcept {
    record.doorbell.store(0, std::memory_order_relaxed);
    // release: pairs with the acquire in peer(): what we published before leaving is seen with it.
    record.state.store(static_cast<std::uint32_t>(layout::RoleState::closed),
                       std::memory_order_release);
    lock_.unlock(byte_of(role));
  }

  // Takes, under the lifecycle lock, a role that any number may hold at once: its byte only says that
  // somebody is here. Whoever keeps it for itself alone is no process of ours.
  Result<void> share(std::uint32_t role) {
    if (!lock_.try_shared(byte_of(role))) {
      return make_error(Code::role_taken,
                        "another program keeps '" + name_ + "' for itself; end it", path());
    }
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

  // True once the name no longer leads here.
  [[nodiscard]] bool unlinked() const noexcept { return lock_.unlinked(); }
  // Takes the name away; whoever is on the segment keeps the memory. Only under the lifecycle lock.
  void unlink() noexcept {
    if (lock_.unlinked()) return;
    os::unlink_object(object_);
    os::FileLock::remove_file(object_);
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
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const std::string& object() const noexcept { return object_; }
  [[nodiscard]] std::string path() const { return os::object_path(object_); }
  [[nodiscard]] const os::BellTrust& trust() const noexcept { return trust_; }
  [[nodiscard]] bool created() const noexcept { return created_; }
  // Nobody was on it when we came.
  [[nodiscard]] bool orphaned() const noexcept { return orphaned_; }

 private:
  static constexpr int kRoundsWithoutTime = 8;

  // Not left to close(): a mapping that JavaScript still holds keeps the open file description, and with
  // it the locks, alive.
  void drop_locks() noexcept {
    if (fd_) lock_.unlock_all();
  }

  static std::int64_t byte_of(std::uint32_t role) noexcept {
    return layout::kFirstRoleByte + static_cast<std::int64_t>(role);
  }
  static Error not_found(const std::string& name, const std::string& object) {
    return Error{
        Code::not_found,
        "'" + name + "' does not exist (yet); start the process that creates it, or wait for it",
        "shm_open", ENOENT, os::object_path(object)};
  }
  [[nodiscard]] Error main_role_taken() {
    std::string who = "a living process";
    if (auto mapped = os::map_shared(fd_.get(), 0, os::page_size(), object_); mapped.ok()) {
      control_ = mapped.take();
      who = "process " +
            std::to_string(
                at<layout::RoleRecord>(layout::kRolesOffset)->pid.load(std::memory_order_relaxed));
    }
    return make_error(Code::role_taken,
                      "'" + name_ + "' is in use by " + who + "; close it there first", path());
  }
  [[nodiscard]] bool worth_keeping() const noexcept {
    return (header().flags.load(std::memory_order_relaxed) &
            (layout::kLingering | layout::kKeep)) != 0;
  }
  [[nodiscard]] os::BellTrust trust_of(const os::ObjectFacts& facts, mode_t mode) const noexcept {
    return os::BellTrust{facts.owner, facts.group, (mode & 0060) == 0060};
  }

  Result<os::ObjectFacts> refuse_strangers(const SegmentSpec& spec) const {
    auto facts = os::inspect_object(fd_.get(), object_);
    if (!facts.ok()) return facts;
    auto ours = os::check_ours(facts.value(), spec.owner.value_or(::geteuid()), spec.mode, object_);
    if (!ours.ok()) return ours.error();
    return facts;
  }

  Result<void> initialise(const SegmentSpec& spec, const Judge& judge) {
    auto control_bytes = judge(spec.geometry);
    if (!control_bytes.ok()) return control_bytes.error();
    if (auto set = os::set_object_mode(fd_.get(), spec.mode, object_); !set.ok()) return set;
    auto allocated = os::allocate_object(fd_.get(), spec.geometry.total_bytes, object_);
    if (!allocated.ok()) return allocated;
    auto mapped = os::map_shared(fd_.get(), 0, control_bytes.value(), object_);
    if (!mapped.ok()) return mapped.error();
    control_ = mapped.take();
    geometry_ = spec.geometry;
    layout::Header& head = header();
    head.magic = layout::kMagic;
    head.major = layout::kMajor;
    head.minor = layout::kMinor;
    head.kind = spec.kind;
    head.endian_tag = layout::kEndianTag;
    head.page_bytes = static_cast<std::uint32_t>(os::page_size());
    head.word_bits = 64;
    head.instance = os::random_u64();
    head.creator_started = os::process_start_time();
    head.creator_pid = static_cast<std::uint32_t>(::getpid());
    head.creator_uid = ::geteuid();
    os::boot_id(head.boot);
    head.schema.store(spec.schema, std::memory_order_relaxed);
    head.geometry = spec.geometry;
    spec.name.copy(head.name.data(), head.name.size() - 1);
    head.flags.store(spec.keep ? layout::kKeep : 0U, std::memory_order_relaxed);
    // release: pairs with the acquire in attach(): READY means that all of the above is there.
    head.state.store(static_cast<std::uint32_t>(layout::State::ready), std::memory_order_release);
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
    if (found != 0) return schema_differs(name_, found, stated, path());
    unstated_schema_ = stated;
    return {};
  }

  Result<void> attach(const SegmentSpec& spec, std::uint64_t size, const Judge& judge) {
    const std::uint64_t first = std::min<std::uint64_t>(size, std::uint64_t{64} * 1024);
    if (size < sizeof(layout::Header)) {
      return corrupt("is " + std::to_string(size) + " bytes long, too short for a header");
    }
    auto mapped = os::map_shared(fd_.get(), 0, first, object_);
    if (!mapped.ok()) return mapped.error();
    control_ = mapped.take();
    const layout::Header& head = header();
    // acquire: pairs with the release in initialise().
    if (head.state.load(std::memory_order_acquire) !=
        static_cast<std::uint32_t>(layout::State::ready)) {
      return corrupt("was never finished by its creator");
    }
    const layout::Geometry geometry = head.geometry;  // the one copy that is judged and used
    if (head.magic != layout::kMagic) return corrupt("does not start with the magic number");
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
    std::array<char, 256> name = head.name;
    name.back() = '\0';
    if (spec.name != name.data()) {
      return make_error(Code::exists,
                        "'" + path() + "' belongs to the channel '" + std::string(name.data()) +
                            "' whose shortened name is the same; choose another name",
                        path());
    }
    if (geometry.total_bytes != size) {
      return corrupt("claims " + std::to_string(geometry.total_bytes) + " bytes but has " +
                     std::to_string(size));
    }
    auto control_bytes = judge(geometry);
    if (!control_bytes.ok()) return control_bytes.error();
    if (control_bytes.value() > first) {
      mapped = os::map_shared(fd_.get(), 0, control_bytes.value(), object_);
      if (!mapped.ok()) return mapped.error();
      control_ = mapped.take();
    }
    geometry_ = geometry;
    return {};
  }

  [[nodiscard]] Error corrupt(const std::string& what) const {
    return make_error(
        Code::corrupt,
        "'" + path() + "' " + what +
            "; it is damaged or not ours: end the processes that use it and remove it",
        path());
  }

  os::Descriptor fd_;
  os::FileLock lock_;
  os::MappingPtr control_;
  layout::Geometry geometry_{};
  os::BellTrust trust_;
  std::string name_;
  std::string object_;
  std::uint64_t unstated_schema_ = 0;  // to be written with the first role we take
  bool created_ = false;
  bool orphaned_ = false;
};

// Removes a channel's name, whoever is on it; they keep the memory, new openers get a new one.
// True if there was one.
inline Result<bool> unlink_channel(char letter, const std::string& name) {
  if (auto named = check_name(name); !named.ok()) return named.error();
  const std::string object = object_name_of(letter, name);
  // Under the lifecycle lock if it can be had: a process that is about to remove this very segment would
  // otherwise remove the one that somebody creates after us.
  os::Descriptor fd;
  os::FileLock lock;
  if (auto opened = os::open_object(object, os::Access::read_write); opened.ok()) {
    fd = opened.take();
    if (auto over = os::FileLock::over(fd.get(), object, 0600); over.ok()) {
      lock = over.take();
      const os::Deadline patience = os::Deadline::after(100'000'000);
      while (!lock.try_exclusive(layout::kLifecycleByte) && !patience.passed())
        os::sleep_ns(100'000);
      if (lock.unlinked()) return false;
    }
  }
  const std::string posix_name = "/" + object;
  if (::shm_unlink(posix_name.c_str()) != 0) {
    if (errno == ENOENT) return false;
    return system_error("shm_unlink", errno, os::object_path(object));
  }
  os::FileLock::remove_file(object);
  return true;
}

}  // namespace millrace
