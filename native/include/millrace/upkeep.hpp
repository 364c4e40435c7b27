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
// nobody has it open, not even a program that knows nothing of locks (os::ExclusiveLease).
//
// A doorbell without a reader has a dead owner: see os/doorbell.hpp.
//
// A named semaphore has no byte of ours and no locks, and anybody's look alike. What can be told, on Linux, is
// whether any process has it open (os::ExclusiveLease). Nobody can open it while that is held; who waits to,
// gets it without a name, and an open() of ours then starts again (ValidatedSemaphore::still_there). A foreign
// program in the middle of sem_open does not: that is why semaphores are swept only when asked for.
//
// A listener (shm://NAME) is a socket and a lock file. They are removed as the next listener would do it, under that lock:
// see os/linux/owned_path.hpp.
//
// Layout versions: what is looked at here is frozen for ever, see layout/header.hpp. Roles are named only
// for this version.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "compact_sort.hpp"
#include "os/birth.hpp"
#include "os/directory.hpp"
#include "os/doorbell.hpp"
#include "os/file_lock.hpp"
#include "os/inventory.hpp"
#include "os/object.hpp"
#include "os/semaphore.hpp"
#include "upkeep/doorbells.hpp"
#include "upkeep/inspection.hpp"
#include "upkeep/listeners.hpp"
#include "upkeep/report.hpp"
#include "upkeep/semaphores.hpp"

namespace millrace {

namespace detail {

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
  std::set<std::string> listeners;
  for (const std::string& object : os::object_names()) {
    if (const auto bell = os::parse_bell_name(object)) bells.push_back(*bell);
    if (const std::string listener = listener_name(object); !listener.empty()) {
      // The socket and its lock file are one thing.
      if (listener.starts_with(prefix)) listeners.insert(listener);
      continue;
    }
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
  for (const std::string& name : listeners) {
    if (auto found = inspect_listener(name, sweep)) all.push_back(std::move(*found));
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
