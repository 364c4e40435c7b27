// One segment, or raw memory with its companion: judged from outside, and removed by the steps S1 to S6 of
// upkeep.hpp if nobody holds it.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../layout/breaker.hpp"
#include "../layout/header.hpp"
#include "../layout/lock.hpp"
#include "../layout/rate_limiter.hpp"
#include "../layout/work.hpp"
#include "../memory_companion.hpp"
#include "../observe/copies.hpp"
#include "../os/birth.hpp"
#include "../os/clock.hpp"
#include "../os/doorbell.hpp"
#include "../os/exclusive_lease.hpp"
#include "../os/file.hpp"
#include "../os/file_lock.hpp"
#include "../os/host_clock.hpp"
#include "../os/inventory.hpp"
#include "../os/object.hpp"
#include "../place.hpp"
#include "report.hpp"
#include "roles.hpp"

namespace millrace::detail {

// One object under one of our names. Read by copies, never mapped: it may be anything.
class Inspection {
 public:
  // Nothing if it has gone meanwhile.
  static std::optional<Inspection> of(const std::string& object, os::Access access,
                                      uid_t user = ::geteuid()) {
    Inspection found(object, user);
    struct stat status {};
    std::int64_t born_ms = 0;
    auto opened = os::open_object(
        object, access, status,
        [&born_ms](int fd, struct stat& of) noexcept { return os::stat_born(fd, of, born_ms); });
    if (!opened.ok()) {
      if (opened.error().code == Code::not_found) return std::nullopt;
      found.describe_unopened(opened.error());
      return found;
    }
    found.fd_ = opened.take();
    if (!found.describe(status, born_ms)) return found;
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
  [[nodiscard]] int descriptor() const noexcept { return fd_.get(); }
  // The first bytes, as look() copied them.
  [[nodiscard]] std::span<const std::byte> start() const noexcept {
    return {first_bytes(), kHeadBytes};
  }
  // After look(): a copy of the header, if what is behind it is of the kind that its name says, of this layout version and
  // of the size it should be; else nothing.
  [[nodiscard]] const layout::Header* usable() const {
    const bool ours = open_ && layout::origin_of(head()) == layout::Origin::ours;
    if (!ours || head().major != layout::kMajor || !find_damage().empty()) return nullptr;
    return &head();
  }

  // After look(): is it still being made, or has its maker died over it?
  [[nodiscard]] bool unfinished() const noexcept {
    return open_ && layout::origin_of(head()) == layout::Origin::unfinished;
  }
  // Does the name lead elsewhere by now, or nowhere?
  [[nodiscard]] bool unlinked() const noexcept { return lock_.unlinked(); }

  // From outside, without a lock.
  void look() {
    if (!open_) return;
    judge();
    // Of what is in use anyway, nothing else would be said.
    if (report_.condition != Condition::in_use && lock_.held_by_other(layout::kLifecycleByte, 1))
      say_in_transition();
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
    if (describe_again()) {
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
  // Roles looked at in segments of other versions. Whether anybody holds one is asked of all at once.
  static constexpr std::uint32_t kRolesElsewhere = 64;
  static constexpr std::size_t kHeadBytes = 8192;

  Inspection(const std::string& object, uid_t user)
      : object_(object), user_(user), letter_(object.at(kPrefixLength - 2)) {
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
    record(status, os::born_ms(AT_FDCWD, report_.path.c_str(), status));
    if (error.code == Code::not_ours) {
      say(Condition::foreign, S_ISLNK(status.st_mode)   ? "a symbolic link"
                              : S_ISDIR(status.st_mode) ? "a directory"
                                                        : "no shared memory");
    } else if (judge_rights()) {
      say(Condition::unknown, error.message);
    }
  }
  bool describe_again() {
    struct stat status {};
    std::int64_t born_ms = 0;
    if (os::stat_born(fd_.get(), status, born_ms)) return describe(status, born_ms);
    say(Condition::unknown, system_error("fstat", errno, report_.path).message);
    return false;
  }
  // Whose it is. False: not ours.
  bool describe(const struct stat& status, std::int64_t born_ms) {
    record(status, born_ms);
    young_ = !os::is_older_than_a_moment(status);
    return judge_rights();
  }
  void record(const struct stat& status, std::int64_t born_ms) {
    size_ = static_cast<std::uint64_t>(status.st_size);
    report_.size = size_;
    report_.owner = status.st_uid;
    report_.mode = static_cast<mode_t>(status.st_mode & 07777);
    report_.created_ms = born_ms;
  }
  bool judge_rights() {
    if (report_.owner != user_) {
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
    // Locks first: whoever takes a role writes its record after its lock.
    const auto held = lock_.some_held(layout::kFirstRoleByte, 0);
    read_header();
    const layout::Origin origin = layout::origin_of(head());
    if (origin == layout::Origin::foreign) {
      return say(Condition::foreign, "does not start with the magic number");
    }
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
    head_.read(fd_.get(), 0, head_.size());
    if (head().magic != layout::kMagic) return;
    report_.major = head().major;
    report_.minor = head().minor;
    report_.creator_pid = head().creator_pid;
    if (letter_ == 'j' && report_.major == layout::kMajor &&
        WorkShape::of(head().geometry).is_pipeline()) {
      report_.kind = "pipeline";
    }
    const auto end = std::find(head().name.begin(), head().name.end(), '\0');
    const std::string named(head().name.begin(), end);
    // Where names are shortened, the header has the whole one.
    if (object_name_of(letter_, named) == object_) report_.name = named;
    if (!is_companion()) return;
    const layout::MemoryRecord& memory = memory_record();
    report_.path = os::object_path(report_.name);
    report_.size = memory.size.load(std::memory_order_relaxed);
  }
  [[nodiscard]] const std::byte* first_bytes() const noexcept {
    return reinterpret_cast<const std::byte*>(&head_[0]);
  }
  [[nodiscard]] const layout::Header& head() const noexcept {
    return *reinterpret_cast<const layout::Header*>(first_bytes());
  }
  template <typename T>
  const T& read(std::uint64_t offset) {
    static_assert(sizeof(T) <= sizeof(layout::RoleRecord));
    // Copies are aligned as role records are.
    static_assert(alignof(T) <= alignof(layout::RoleRecord));
    piece_.read(fd_.get(), offset, 1);
    return *reinterpret_cast<const T*>(&piece_[0]);
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

  void find_holders(const std::optional<os::HeldBytes>& held, bool known) {
    report_.holders.clear();
    const RoleMap roles(head().kind, head().geometry);
    const std::uint32_t count = known ? roles.count() : kRolesElsewhere;
    std::vector<bool> alive(count, false);
    if (held) mark(alive, *held, layout::kFirstRoleByte, layout::kFirstRoleByte + count);
    // Records that lie in a row, as there may be thousands of, are read many at a time.
    Row row(first_bytes());
    for (std::uint32_t role = 0; role < count; ++role) {
      Holder holder;
      holder.alive = alive[role];
      const auto at = known       ? roles.record(role)
                      : role == 0 ? std::optional<std::uint64_t>(layout::kRolesOffset)
                                  : std::nullopt;
      bool attached = false;
      // Where a record may be is what a stranger wrote: one that no record of ours can have is none.
      if (at && *at % alignof(layout::RoleRecord) == 0) {
        const layout::RoleRecord& record = row.at(fd_.get(), *at);
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
  // Which roles' bytes of [from, to) are held, of which the kernel has named some; then it is asked about those before and behind.
  void mark(std::vector<bool>& alive, const os::HeldBytes& held, off_t from, off_t to) const {
    const off_t begin = std::max(held.from, from);
    const off_t end = std::min(held.to, to);
    for (off_t byte = begin; byte < end; ++byte)
      alive[static_cast<std::size_t>(byte - layout::kFirstRoleByte)] = true;
    mark_held(alive, from, std::min(held.from, to));
    mark_held(alive, std::max(held.to, from), to);
  }
  void mark_held(std::vector<bool>& alive, off_t from, off_t to) const {
    if (from >= to) return;
    if (const auto held = lock_.some_held(from, to - from)) mark(alive, *held, from, to);
  }
  // Role records, copied some at a time.
  class Row {
   public:
    explicit Row(const std::byte* head) noexcept : head_(head) {}
    const layout::RoleRecord& at(int fd, std::uint64_t offset) {
      if (offset <= kHeadBytes - sizeof(layout::RoleRecord))
        return *reinterpret_cast<const layout::RoleRecord*>(head_ + offset);
      if (offset < from_ || offset - from_ > sizeof bytes_ - sizeof(layout::RoleRecord) ||
          (offset - from_) % sizeof(layout::RoleRecord) != 0) {
        from_ = offset;
        bytes_.fill(std::byte{0});
        (void)os::read_object(fd, offset, bytes_.data(), bytes_.size());
      }
      return *reinterpret_cast<const layout::RoleRecord*>(bytes_.data() + (offset - from_));
    }

   private:
    const std::byte* head_;
    alignas(layout::RoleRecord) std::array<std::byte, 64 * sizeof(layout::RoleRecord)> bytes_;
    std::uint64_t from_ = ~std::uint64_t{0};
  };

  // Only of what nobody holds. Of other versions nothing is known that could be wrong.
  [[nodiscard]] std::string find_damage() const {
    if (size_ < sizeof(layout::Header)) return "too short for a header";
    if (head().endian_tag != layout::kEndianTag || head().word_bits != 64) {
      return "made by a machine of another kind";
    }
    if (head().major != layout::kMajor) return {};
    for (const KindFacts& kind : kKinds) {
      if (kind.letter == letter_ && kind.kind != head().kind) return "is another kind of channel";
    }
    const bool open = (head().flags.load(std::memory_order_relaxed) & layout::kOpenCapacity) != 0;
    if (open ? head().geometry.total_bytes > size_ : head().geometry.total_bytes != size_) {
      return "claims " + std::to_string(head().geometry.total_bytes) + " bytes but has " +
             std::to_string(size_);
    }
    const bool possible =
        (head().kind != layout::Kind::work || WorkShape::judged(head().geometry)) &&
        (head().kind != layout::Kind::calls || WorkShape::judged(head().geometry, true)) &&
        (head().kind != layout::Kind::topics || TopicShape::judged(head().geometry));
    if (!possible) return "has an impossible geometry";
    return {};
  }
  std::string reason_to_keep() {
    // A companion is always marked: it knows which memory is stale.
    if (is_companion()) return {};
    const std::uint32_t flags = head().flags.load(std::memory_order_relaxed);
    if ((flags & layout::kLingering) != 0) return "messages wait for the next consumer";
    if ((flags & layout::kKeep) == 0) return {};
    if (letter_ == 'j') return reason_to_keep_work();
    if (letter_ == 'g') return reason_to_keep_limiter();
    if (letter_ == 'k') return reason_to_keep_breaker();
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

  // These two are always marked: what they remember outlives who made them remember it.
  std::string reason_to_keep_limiter() {
    if (head().major == layout::kMajor) {
      const auto& word = read<std::atomic<std::uint64_t>>(layout::kRateLimiterOffset);
      const std::uint64_t now = os::host_ns() * layout::kTicksPerNs;
      if (word.load(std::memory_order_relaxed) <= now) return {};
    }
    return "it has let through what its rate has not allowed for yet";
  }
  std::string reason_to_keep_breaker() {
    if (head().major == layout::kMajor) {
      const auto& word = read<std::atomic<std::uint64_t>>(layout::kSharedOffset);
      const auto view = layout::BreakerView::of(word.load(std::memory_order_relaxed));
      if (view.phase == layout::BreakerPhase::closed) return {};
    }
    return "it is open, and whoever comes next is not to call at once";
  }

  // Work queues are always marked, for the case that everybody dies while there are jobs.
  std::string reason_to_keep_work() {
    if (head().major != layout::kMajor) return "jobs may wait for the next worker";
    const WorkShape shape = WorkShape::of(head().geometry);  // find_damage() has judged it
    const auto& kept =
        read<std::atomic<std::uint32_t>>(shape.control_at() + offsetof(layout::WorkControl, kept));
    if (kept.load(std::memory_order_relaxed) != 0) return "to be kept, as was asked for";
    // Several at a time: there may be a million.
    std::array<std::byte, 64 * sizeof(layout::Slot)> slots{};
    for (std::uint32_t slot = 0; slot < shape.slots(); slot += 64) {
      const std::uint32_t count = std::min(shape.slots() - slot, 64U);
      slots.fill(std::byte{0});
      (void)os::read_object(fd_.get(), shape.slots_at() + slot * sizeof(layout::Slot), slots.data(),
                            count * sizeof(layout::Slot));
      for (std::uint32_t i = 0; i < count; ++i) {
        std::uint64_t word = 0;
        std::memcpy(&word, slots.data() + i * sizeof(layout::Slot) + offsetof(layout::Slot, word),
                    sizeof word);
        const layout::SlotState state = layout::unpack(word).state;
        // What was only being written, nobody was promised.
        if (state != layout::SlotState::free && state != layout::SlotState::spare &&
            state != layout::SlotState::writing) {
          return "jobs wait for the next worker";
        }
      }
    }
    return {};
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
    if (os::ExclusiveLease(opened.value().get()).state() == os::LeaseState::refused)
      return say_open_elsewhere();
    if (report_.size == 0) say(Condition::half_created, "its creator died before it was finished");
  }
  void say_open_elsewhere() {
    say(Condition::in_use, "a program that does not use millrace has it open");
  }
  // False: somebody has it open, after all.
  bool remove_memory() {
    if (remove_unless_open(report_.name, memory_record())) return true;
    say_open_elsewhere();
    return false;
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
  uid_t user_;
  char letter_;
  os::Descriptor fd_;
  os::FileLock lock_;
  ObjectReport report_;
  std::uint64_t size_ = 0;  // bytes, as the system says
  bool open_ = false;
  bool young_ = false;
  // The first of it, which one call copies: the header, the records of the first roles, and what most kinds count in.
  // Role records lie in it, too, and ask for the most alignment. Not as members: a class that asks for so much is made by
  // the aligned operator new, which throws, and the shipped binary has nothing that can.
  Copy<layout::RoleRecord> head_{kHeadBytes / sizeof(layout::RoleRecord)};
  Copy<layout::RoleRecord> piece_{1};
};

}  // namespace millrace::detail
