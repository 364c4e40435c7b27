// What lies about: every object of millrace that can be found by its name, who is on it, and the removal of
// what no living process holds.
//
// How a segment is swept, and why no process is ever harmed by it. S sweeps, P opens or creates.
//
//   S1 open it; it is this user's and a shared-memory object   P1 open it, or create it (O_EXCL), empty
//   S2 take the lifecycle lock, byte 0; or leave it            P2 take the lifecycle lock
//   S3 has it a name still? if not, leave it                   P3 has it a name still? if not, P1
//   S4 is any role byte held? does it hold our bytes,          P4 finish it, or judge it
//      and nothing that is to be kept? if so, leave it         P5 take a role byte
//   S5 remove the name                                         P6 release the lifecycle lock
//   S6 release the lifecycle lock
//
// - P is on the segment from P5 until it drops its role byte. S2 to S6 and P2 to P6 exclude each other, and
//   role bytes are taken nowhere else. So either P is through P5 before S2, then S4 finds the byte held; or
//   S5 comes before P2, then P3 finds the name gone and P starts again: on a new object, which S has not
//   opened. P has written nothing by then.
// - S5 removes the very object that was judged: names are removed only under the lifecycle lock of what they
//   lead to, S3 saw the name there, and S holds that lock. (Whoever deletes files by hand and makes new ones
//   meanwhile does it without the lock; unlink() takes it, too.)
// - Whoever dies drops its locks, so no step blocks the others for ever, and nothing is left by S that it
//   did not find. P that is stopped between P1 and P2 has at most to start again.
// - Two sweepers exclude each other like S and P.
// - A stopped process holds its role bytes: it is alive.
//
// A kept segment is the same, but for S4. Raw memory is swept under the lock of its companion; and only if
// nobody has it open, not even a program that knows nothing of locks (os::SoleUser).
//
// A doorbell without a reader has a dead owner: see os/doorbell.hpp.
//
// A named semaphore has no byte of ours and no locks, and anybody's look alike. What can be told, on Linux, is
// whether any process has it open (os::SoleUser). Nobody can open it while that is held; who waits to,
// gets it without a name, and an open() of ours then starts again (JudgedSemaphore::still_there). A foreign
// program in the middle of sem_open does not: that is why semaphores are swept only when asked for.
//
// Layout versions: what is looked at here is frozen for ever, see layout/header.hpp. Roles are named only
// for this version.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "compact_sort.hpp"
#include "frame_channel.hpp"
#include "layout/cell.hpp"
#include "layout/header.hpp"
#include "layout/lock.hpp"
#include "layout/parties.hpp"
#include "layout/queue.hpp"
#include "os/clock.hpp"
#include "os/directory.hpp"
#include "os/doorbell.hpp"
#include "os/file.hpp"
#include "os/file_lock.hpp"
#include "os/inventory.hpp"
#include "os/object.hpp"
#include "os/semaphore.hpp"
#include "os/sole_user.hpp"
#include "place.hpp"
#include "shared_memory.hpp"

namespace millrace {

enum class Condition {
  in_use,        // a living process holds it, or is creating or leaving it
  abandoned,     // whoever held it is dead
  half_created,  // its creator died before it was finished
  corrupt,       // ours, and damaged; nobody holds it
  kept,          // nobody holds it, and it waits for whoever comes next
  foreign,       // not ours: never removed
  unknown,       // cannot be told: never removed
};

struct Holder {
  std::string role;
  std::uint32_t pid = 0;  // 0: not recorded
  bool alive = false;
  std::uint64_t doorbell = 0;
};

struct ObjectReport {
  std::string kind;  // "queue", "doorbell", …
  std::string name;  // as whoever opens it says it; of a doorbell its id
  Condition condition = Condition::unknown;
  std::string detail;  // what the condition alone does not tell
  std::string path;
  std::uint64_t size = 0;  // bytes
  uid_t owner = 0;
  mode_t mode = 0;
  std::int64_t created_ms = 0;  // since 1970; 0: unknown
  std::uint16_t major = 0;      // of the layout; 0: it has none
  std::uint16_t minor = 0;
  std::uint32_t creator_pid = 0;
  std::vector<Holder> holders;  // living ones, and dead ones that were never replaced
};

struct SweepSpec {
  std::string prefix;       // of names; with one, doorbells only go with what they belonged to
  bool kept = false;        // also what waits for whoever comes next
  bool semaphores = false;  // also named semaphores that nobody has open, whoever made them
  bool dry_run = false;
};

struct Swept {
  ObjectReport object;
  bool removed = false;  // with dry_run: would have been
};

namespace detail {

inline constexpr std::size_t kPrefixLength = std::string_view("millrace.q.").size();
inline constexpr std::string_view kSemaphorePrefix = "sem.";

// What the letters of object names stand for.
struct KindFacts {
  char letter;
  layout::Kind kind;
  const char* title;
};
inline constexpr std::array<KindFacts, 9> kKinds{{{'q', layout::Kind::queue, "queue"},
                                                  {'f', layout::Kind::frames, "frames"},
                                                  {'m', layout::Kind::memory, "memory"},
                                                  {'c', layout::Kind::cell, "cell"},
                                                  {'n', layout::Kind::counter, "counter"},
                                                  {'e', layout::Kind::event, "event"},
                                                  {'b', layout::Kind::barrier, "barrier"},
                                                  {'x', layout::Kind::mutex, "mutex"},
                                                  {'w', layout::Kind::rwlock, "rwlock"}}};

// The roles of a segment of this layout version: how many, what they are called, where their records are.
class RoleMap {
 public:
  RoleMap(layout::Kind kind, const layout::Geometry& geometry) : kind_(kind) {
    switch (kind) {
      case layout::Kind::queue:
        count_ = layout::kQueueRoles;
        break;
      case layout::Kind::frames:
        if (auto plan = FrameChannel::judge(geometry, {}); plan.ok()) {
          plan_ = plan.value();
          count_ = layout::kFirstReaderRole + plan_.readers;
        }
        break;
      case layout::Kind::memory:
        count_ = 2;
        break;
      case layout::Kind::cell:
        count_ = layout::kFirstCellLaneRole + layout::kCellLanes;
        break;
      case layout::Kind::counter:
        count_ = 1;
        break;
      default:
        count_ = layout::kMaxParties;
    }
  }

  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] const char* name(std::uint32_t role) const noexcept {
    const bool first = role == 0;
    switch (kind_) {
      case layout::Kind::queue:
        return first ? "producer" : "consumer";
      case layout::Kind::frames:
        return first ? "writer" : "reader";
      case layout::Kind::memory:
        return first ? "owner" : "openers";
      case layout::Kind::cell:
        if (first) return "writer";
        return role == layout::kCellReadersRole ? "readers" : "waiting reader";
      case layout::Kind::counter:
        return "users";
      default:
        return "party";
    }
  }
  // Where the record of its holder is; nothing for roles that any number share.
  [[nodiscard]] std::optional<std::uint64_t> record(std::uint32_t role) const noexcept {
    const std::uint64_t in_a_row = layout::kRolesOffset + role * sizeof(layout::RoleRecord);
    switch (kind_) {
      case layout::Kind::frames:
        if (role == 0) return in_a_row;
        return plan_.lanes_offset + plan_.lane_stride * (role - layout::kFirstReaderRole);
      case layout::Kind::memory:
        if (role != 0) return std::nullopt;
        return in_a_row;
      case layout::Kind::cell:
        if (role == 0) return in_a_row;
        if (role == layout::kCellReadersRole) return std::nullopt;
        return layout::kCellLanesOffset +
               sizeof(layout::CellLane) * (role - layout::kFirstCellLaneRole);
      case layout::Kind::counter:
        return std::nullopt;
      default:
        return in_a_row;
    }
  }

 private:
  layout::Kind kind_;
  layout::FramesPlan plan_;
  std::uint32_t count_ = 0;
};

// One object under one of our names. Read by copies, never mapped: it may be anything.
class Inspection {
 public:
  // Nothing if it has gone meanwhile.
  static std::optional<Inspection> of(const std::string& object, os::Access access) {
    Inspection found(object);
    auto opened = os::open_object(object, access);
    if (!opened.ok()) {
      if (opened.error().code == Code::not_found) return std::nullopt;
      found.describe_unopened(opened.error());
      return found;
    }
    found.fd_ = opened.take();
    if (!found.describe()) return found;
    auto lock = os::FileLock::over(found.fd_.get(), object, 0600);
    if (lock.ok()) {
      found.lock_ = lock.take();
      found.open_ = true;
    } else {
      found.say(Condition::unknown, lock.error().message);
    }
    return found;
  }

  [[nodiscard]] ObjectReport take() { return std::move(report_); }
  [[nodiscard]] const ObjectReport& report() const noexcept { return report_; }

  // From outside, without a lock.
  void look() {
    if (!open_) return;
    judge();
    if (lock_.held_by_other(layout::kLifecycleByte, 1)) say_in_transition();
  }
  // S2 to S6. False: it has gone meanwhile.
  bool sweep(const SweepSpec& spec, bool& removed) {
    if (!open_) return true;
    const os::Deadline patience = os::Deadline::after(kPatienceNs);
    while (!lock_.try_exclusive(layout::kLifecycleByte)) {
      if (patience.passed()) {
        judge();
        say_in_transition();
        return true;
      }
      os::sleep_ns(50'000);
    }
    if (!lock_.confirm(fd_, object_, os::Access::read_write)) return false;
    if (describe()) {
      judge();
      removed = removable(report_.condition, spec) && remove();
    }
    lock_.unlock_all();
    return true;
  }
  [[nodiscard]] static bool removable(Condition condition, const SweepSpec& spec) noexcept {
    switch (condition) {
      case Condition::abandoned:
      case Condition::half_created:
      case Condition::corrupt:
        return true;
      case Condition::kept:
        return spec.kept;
      default:
        return false;
    }
  }

 private:
  // Its holder needs microseconds; one that needs longer is alive, and stopped or at work.
  static constexpr std::uint64_t kPatienceNs = 5'000'000;
  // Roles looked at in segments of other versions: more than any kind has.
  static constexpr std::uint32_t kRolesElsewhere = 64;

  explicit Inspection(const std::string& object)
      : object_(object), letter_(object.at(kPrefixLength - 2)) {
    report_.name = object.substr(kPrefixLength);
    report_.path = os::object_path(object);
    report_.kind = "unknown";
    for (const KindFacts& kind : kKinds) {
      if (kind.letter == letter_) report_.kind = kind.title;
    }
  }

  void say(Condition condition, std::string detail) {
    report_.condition = condition;
    report_.detail = std::move(detail);
  }
  void say_in_transition() {
    if (report_.condition == Condition::foreign) return;
    say(Condition::in_use, "being created, left or swept at this moment");
  }
  void describe_unopened(const Error& error) {
    struct stat status {};
    if (::lstat(report_.path.c_str(), &status) != 0) return say(Condition::unknown, error.message);
    record(status);
    if (error.code == Code::not_ours) {
      say(Condition::foreign, S_ISLNK(status.st_mode)   ? "a symbolic link"
                              : S_ISDIR(status.st_mode) ? "a directory"
                                                        : "no shared memory");
    } else if (judge_rights()) {
      say(Condition::unknown, error.message);
    }
  }
  // Whose it is. False: not ours.
  bool describe() {
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) {
      say(Condition::unknown, system_error("fstat", errno, report_.path).message);
      return false;
    }
    record(status);
    young_ = !os::is_older_than_a_moment(status);
    return judge_rights();
  }
  void record(const struct stat& status) {
    report_.size = static_cast<std::uint64_t>(status.st_size);
    report_.owner = status.st_uid;
    report_.mode = static_cast<mode_t>(status.st_mode & 07777);
    report_.created_ms = os::modified_ms(status);  // sized once, and then changed through maps only
  }
  bool judge_rights() {
    if (report_.owner != ::geteuid()) {
      say(Condition::foreign, "belongs to user " + std::to_string(report_.owner));
      return false;
    }
    if ((report_.mode & 07777 & ~mode_t{0660}) != 0) {
      say(Condition::foreign,
          "has mode " + os::octal(report_.mode) + ", which millrace never gives");
      return false;
    }
    return true;
  }

  // Under the lifecycle lock the answer holds until it is released; without it, it is a hint.
  void judge() {
    read_header();
    const layout::Origin origin = layout::origin_of(head());
    if (origin == layout::Origin::foreign) {
      return say(Condition::foreign, "does not start with the magic number");
    }
    const bool held = lock_.held_by_other(layout::kFirstRoleByte, 0);
    find_holders(held, origin == layout::Origin::ours && head().major == layout::kMajor);
    if (held) return say(Condition::in_use, version_note());
    if (origin == layout::Origin::unfinished) {
      if (report_.size == 0 && young_) return say(Condition::in_use, "just created");
      return say(Condition::half_created, "its creator died before it was finished");
    }
    if (std::string damage = find_damage(); !damage.empty()) {
      return say(Condition::corrupt, std::move(damage));
    }
    if (std::string reason = reason_to_keep(); !reason.empty()) {
      return say(Condition::kept, std::move(reason));
    }
    say(Condition::abandoned, version_note());
    if (is_companion()) judge_memory();
  }

  // What is shorter is followed by zeroes.
  void read_header() {
    header_.fill(std::byte{0});
    (void)os::read_object(fd_.get(), 0, header_.data(), header_.size());
    if (head().magic != layout::kMagic) return;
    report_.major = head().major;
    report_.minor = head().minor;
    report_.creator_pid = head().creator_pid;
    const auto end = std::find(head().name.begin(), head().name.end(), '\0');
    const std::string named(head().name.begin(), end);
    // Where names are shortened, the header has the whole one.
    if (object_name_of(letter_, named) == object_) report_.name = named;
    if (!is_companion()) return;
    const layout::MemoryRecord& memory = memory_record();
    report_.path = os::object_path(report_.name);
    report_.size = memory.size.load(std::memory_order_relaxed);
  }
  [[nodiscard]] const layout::Header& head() const noexcept {
    return *reinterpret_cast<const layout::Header*>(header_.data());
  }
  template <typename T>
  const T& read(std::uint64_t offset) {
    static_assert(sizeof(T) <= sizeof(piece_));
    piece_.fill(std::byte{0});
    (void)os::read_object(fd_.get(), offset, piece_.data(), sizeof(T));
    return *reinterpret_cast<const T*>(piece_.data());
  }
  const layout::MemoryRecord& memory_record() {
    return read<layout::MemoryRecord>(layout::kMemoryRecordOffset);
  }
  [[nodiscard]] bool is_companion() const noexcept { return letter_ == 'm'; }
  [[nodiscard]] std::string version_note() const {
    if (report_.major == 0 || report_.major == layout::kMajor) return {};
    return "made by a version of millrace with layout " + std::to_string(report_.major) + "." +
           std::to_string(report_.minor);
  }

  void find_holders(bool held, bool known) {
    report_.holders.clear();
    const RoleMap roles(head().kind, head().geometry);
    const std::uint32_t count = known ? roles.count() : kRolesElsewhere;
    for (std::uint32_t role = 0; role < count; ++role) {
      Holder holder;
      holder.alive = held && lock_.held_by_other(layout::kFirstRoleByte + role, 1);
      const auto at = known       ? roles.record(role)
                      : role == 0 ? std::optional<std::uint64_t>(layout::kRolesOffset)
                                  : std::nullopt;
      bool attached = false;
      if (at) {
        const auto& record = read<layout::RoleRecord>(*at);
        attached = record.state.load(std::memory_order_relaxed) ==
                   static_cast<std::uint32_t>(layout::RoleState::attached);
        holder.pid = record.pid.load(std::memory_order_relaxed);
        holder.doorbell = record.doorbell.load(std::memory_order_relaxed);
      }
      if (!holder.alive && !attached) continue;
      holder.role = known ? roles.name(role) : "role " + std::to_string(role);
      report_.holders.push_back(std::move(holder));
    }
  }

  // Only of what nobody holds. Of other versions nothing is known that could be wrong.
  [[nodiscard]] std::string find_damage() const {
    struct stat status {};
    (void)::fstat(fd_.get(), &status);
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size < sizeof(layout::Header)) return "too short for a header";
    if (head().endian_tag != layout::kEndianTag || head().word_bits != 64) {
      return "made by a machine of another kind";
    }
    if (head().major != layout::kMajor) return {};
    for (const KindFacts& kind : kKinds) {
      if (kind.letter == letter_ && kind.kind != head().kind) return "is another kind of channel";
    }
    if (head().geometry.total_bytes != size) {
      return "claims " + std::to_string(head().geometry.total_bytes) + " bytes but has " +
             std::to_string(size);
    }
    return {};
  }
  std::string reason_to_keep() {
    // A companion is always marked: it knows which memory is stale.
    if (is_companion()) return {};
    const std::uint32_t flags = head().flags.load(std::memory_order_relaxed);
    if ((flags & layout::kLingering) != 0) return "messages wait for the next consumer";
    if ((flags & layout::kKeep) == 0) return {};
    if (letter_ != 'x' && letter_ != 'w') return "to be kept, as was asked for";
    // Locks are always marked, for the case that an owner died inside.
    if (head().major == layout::kMajor) {
      const auto& word = read<std::atomic<std::uint64_t>>(layout::kSharedOffset +
                                                          offsetof(layout::LockShared, holders));
      constexpr std::uint64_t cut_short = layout::kLockExclusive | layout::kLockAbandoned;
      if ((word.load(std::memory_order_relaxed) & cut_short) == 0) return {};
    }
    return "an owner died inside, and the next one is to be told";
  }

  // The memory that a companion nobody is on belongs to.
  void judge_memory() {
    const layout::MemoryRecord& memory = memory_record();
    auto opened = os::open_object(report_.name, os::Access::read_write);
    if (!opened.ok()) {
      report_.size = 0;
      if (opened.error().code != Code::not_found) report_.detail = opened.error().message;
      return;
    }
    auto facts = os::inspect_object(opened.value().get(), report_.path);
    if (!facts.ok() || !was_made_by(memory, facts.value())) {
      report_.detail = "what is under that name now is another program's and stays";
      return;
    }
    report_.size = facts.value().size;
    if (os::SoleUser(opened.value().get()).alone() == os::Alone::no) return say_open_elsewhere();
    if (report_.size == 0) say(Condition::half_created, "its creator died before it was finished");
  }
  void say_open_elsewhere() {
    say(Condition::in_use, "a program that does not use millrace has it open");
  }
  // False: somebody has it open, after all.
  bool remove_memory() {
    auto opened = os::open_object(report_.name, os::Access::read_write);
    if (!opened.ok()) return true;
    auto facts = os::inspect_object(opened.value().get(), report_.path);
    if (!facts.ok() || !was_made_by(memory_record(), facts.value())) return true;
    const os::SoleUser sole(opened.value().get());  // until the name is gone
    if (sole.alone() == os::Alone::no) {
      say_open_elsewhere();
      return false;
    }
    os::unlink_object(report_.name);
    return true;
  }

  // S5. False, and says why, if it is still there.
  bool remove() {
    if (is_companion() && layout::origin_of(head()) == layout::Origin::ours && !remove_memory()) {
      return false;
    }
    if (layout::origin_of(head()) == layout::Origin::ours &&
        (head().flags.load(std::memory_order_relaxed) & layout::kZeroOnClose) != 0) {
      Place::wipe(fd_.get());
    }
    os::unlink_object(object_);
    os::FileLock::remove_file(object_);
    if (!lock_.unlinked()) {
      report_.detail = "the system does not let us remove it";
      return false;
    }
    for (const Holder& dead : report_.holders)
      os::remove_dead_bell(dead.doorbell);
    return true;
  }

  std::string object_;
  char letter_;
  os::Descriptor fd_;
  os::FileLock lock_;
  ObjectReport report_;
  bool open_ = false;
  bool young_ = false;
  alignas(layout::Header) std::array<std::byte, sizeof(layout::Header)> header_{};
  alignas(layout::RoleRecord) std::array<std::byte, sizeof(layout::RoleRecord)> piece_{};
};

inline ObjectReport report_bell(const os::BellName& bell, os::BellState state) {
  ObjectReport report;
  report.kind = "doorbell";
  report.path = bell.finished ? os::doorbell_path(bell.id) : os::unfinished_bell_path(bell.id);
  report.name = report.path.substr(report.path.find("millrace.d.") + kPrefixLength);
  struct stat status {};
  if (::lstat(report.path.c_str(), &status) == 0) {
    report.owner = status.st_uid;
    report.mode = static_cast<mode_t>(status.st_mode & 07777);
  }
  switch (state) {
    case os::BellState::in_use:
      report.condition = Condition::in_use;
      break;
    case os::BellState::young:
      report.condition = Condition::in_use;
      report.detail = "just created";
      break;
    case os::BellState::dead:
      report.condition = bell.finished ? Condition::abandoned : Condition::half_created;
      break;
    default:
      report.condition = Condition::foreign;
      report.detail = report.owner == ::geteuid()
                          ? "no doorbell of ours"
                          : "belongs to user " + std::to_string(report.owner);
  }
  return report;
}

// Looks at a named semaphore, and removes it if `remove` and nobody has it open. Nothing if it is gone.
inline std::optional<Swept> inspect_semaphore(const std::string& file, bool remove) {
  Swept found;
  ObjectReport& report = found.object;
  report.kind = "semaphore";
  report.name = file.substr(kSemaphorePrefix.size());
  report.path = os::object_path(file);
  struct stat status {};
  if (::lstat(report.path.c_str(), &status) != 0) return std::nullopt;
  report.size = static_cast<std::uint64_t>(status.st_size);
  report.owner = status.st_uid;
  report.mode = static_cast<mode_t>(status.st_mode & 07777);
  report.created_ms = os::modified_ms(status);
  const auto say = [&](Condition condition, std::string detail) {
    report.condition = condition;
    report.detail = std::move(detail);
    return found;
  };
  if (report.owner != ::geteuid()) {
    return say(Condition::foreign, "belongs to user " + std::to_string(report.owner));
  }
  const os::Descriptor fd(os::retry_eintr(
      [&] { return ::open(report.path.c_str(), O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC); }));
  if (!fd && errno == ENOENT) return std::nullopt;
  if (!fd && errno == EWOULDBLOCK) return say(Condition::in_use, "being swept at this moment");
  struct stat opened {};
  const bool there = fd && ::fstat(fd.get(), &opened) == 0;
  const bool unfilled = there && os::is_unfilled_semaphore(file, opened);
  if (!there || !(unfilled || os::is_semaphore_file(fd.get(), opened))) {
    return say(Condition::foreign, "no semaphore of this process's C library");
  }
  const os::SoleUser sole(fd.get());
  if (sole.alone() == os::Alone::unknown) {
    return say(Condition::unknown, "this system does not tell whether somebody has it open");
  }
  if (sole.alone() == os::Alone::no) return say(Condition::in_use, {});
  if (unfilled) {
    (void)say(Condition::half_created, "its creator died before it was finished");
  } else {
    (void)say(Condition::kept, "a semaphore stays until it is unlinked");
  }
  // Still under its name? From here on nobody can open it, and so no process of ours unlink it.
  if (remove && os::leads_to(report.path, fd.get())) {
    found.removed = ::unlink(report.path.c_str()) == 0;
  }
  return found;
}

// Of an object: millrace.<letter>.<name>, but no doorbell.
[[nodiscard]] inline bool is_segment_name(std::string_view object) noexcept {
  constexpr std::size_t letter = std::string_view("millrace.").size();
  return object.size() > letter + 2 && object[letter] >= 'a' && object[letter] <= 'z' &&
         object[letter] != 'd' && object[letter + 1] == '.';
}

// A lock file without an object, where locks need files.
inline std::optional<Swept> inspect_lock_file(const std::string& object, bool remove) {
  if (!os::sweep_lock_file(object, !remove)) return std::nullopt;
  Swept found;
  found.object.kind = "unknown";
  found.object.name = object;
  found.object.path = os::object_path(object);
  found.object.owner = ::geteuid();
  found.object.condition = Condition::half_created;
  found.object.detail = "its creator died before it was finished";
  found.removed = remove;
  return found;
}

inline std::optional<Swept> inspect_segment(const std::string& object, const SweepSpec* sweep) {
  const bool remove = sweep != nullptr && !sweep->dry_run;
  auto inspection = Inspection::of(object, remove ? os::Access::read_write : os::Access::read_only);
  if (!inspection) return inspect_lock_file(object, remove);
  Swept found;
  if (!remove) {
    inspection->look();
    found.removed =
        sweep != nullptr && Inspection::removable(inspection->report().condition, *sweep);
  } else if (!inspection->sweep(*sweep, found.removed)) {
    return std::nullopt;
  }
  found.object = inspection->take();
  return found;
}

inline std::vector<Swept> inspect_all(const std::string& prefix, const SweepSpec* sweep) {
  const bool remove = sweep != nullptr && !sweep->dry_run;
  std::vector<Swept> all;
  std::vector<os::BellName> bells;
  std::map<std::uint64_t, std::uint32_t> bell_owners;
  for (const std::string& object : os::object_names()) {
    if (const auto bell = os::parse_bell_name(object)) bells.push_back(*bell);
    if (!is_segment_name(object)) continue;
    // Only where names are not shortened do they tell before the object is read.
    if (!os::kLongNamesAreHashed && object.compare(kPrefixLength, prefix.size(), prefix) != 0) {
      continue;
    }
    auto found = inspect_segment(object, sweep);
    if (!found || !found->object.name.starts_with(prefix)) continue;
    for (const Holder& holder : found->object.holders) {
      if (holder.doorbell != 0) bell_owners[holder.doorbell] = holder.pid;
    }
    all.push_back(std::move(*found));
  }
  if (prefix.empty()) {
    for (const os::BellName& bell : bells) {
      const os::BellState state = os::look_at_bell(bell);
      if (state == os::BellState::gone) continue;
      Swept found{report_bell(bell, state), state == os::BellState::dead && sweep != nullptr};
      if (remove && found.removed) found.removed = os::sweep_bell(bell);
      const auto owner = bell_owners.find(bell.id);
      if (owner != bell_owners.end()) {
        found.object.holders.push_back(
            {"owner", owner->second, state == os::BellState::in_use, bell.id});
      }
      all.push_back(std::move(found));
    }
  }
  for (const std::string& file : os::semaphore_files()) {
    if (sweep != nullptr && !sweep->semaphores) break;
    if (!std::string_view(file).substr(kSemaphorePrefix.size()).starts_with(prefix)) continue;
    auto found = inspect_semaphore(file, remove);
    if (!found) continue;
    if (sweep != nullptr && sweep->dry_run) {
      found->removed = found->object.condition == Condition::kept ||
                       found->object.condition == Condition::half_created;
    }
    all.push_back(std::move(*found));
  }
  compact_sort(all, [](const Swept& a, const Swept& b) {
    return std::tie(a.object.kind, a.object.name) < std::tie(b.object.kind, b.object.name);
  });
  return all;
}

}  // namespace detail

// All objects that this user can see and whose names start with `prefix`; doorbells, which have no name of
// anybody's choice, only without one. Takes no part in anything: a hint, and out of date at once.
inline std::vector<ObjectReport> list_objects(const std::string& prefix = {}) {
  std::vector<ObjectReport> reports;
  for (Swept& found : detail::inspect_all(prefix, nullptr))
    reports.push_back(std::move(found.object));
  return reports;
}

// Removes what no living process holds. Returns all that it looked at: what it removed, and what it left
// as it is now.
inline std::vector<Swept> sweep_objects(const SweepSpec& spec) {
  return detail::inspect_all(spec.prefix, &spec);
}

}  // namespace millrace
