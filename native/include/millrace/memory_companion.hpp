// What lies beside raw memory under a name: a one-page segment (millrace.m.<name>) whose locks tell whether the owner
// and the openers are alive, and whose record tells which object the owner made. Only that object is ever removed by
// what stands here: the name may belong to another program's by now.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "crash_point.hpp"
#include "layout/header.hpp"
#include "os/exclusive_lease.hpp"
#include "os/mapping.hpp"
#include "os/memory_options.hpp"
#include "os/object.hpp"
#include "place.hpp"
#include "result.hpp"
#include "segment.hpp"

namespace millrace {

namespace layout {

enum MemoryRole : std::uint32_t { kOwnerRole = 0, kOpenerRole = 1 };

// In the companion, behind the owner's role record.
struct MemoryRecord {
  std::atomic<std::uint64_t> identity;  // of the object (os::object_identity); 0: not known yet
  std::atomic<std::uint64_t> creating;  // 1 while the owner creates the object
  std::atomic<std::uint64_t> size;      // bytes, for tools
};
inline constexpr std::size_t kMemoryRecordOffset = kRolesOffset + sizeof(RoleRecord);

}  // namespace layout

struct MemorySpec {
  Place place;
  os::MemoryOptions memory;
  std::uint64_t size = 0;  // bytes; for create
  mode_t mode = 0600;
  std::optional<uid_t> owner;
  std::uint64_t schema = 0;  // fingerprint of what the bytes are; 0: not said
};

// Is this the object that a companion tells of: the one its owner recorded, or the empty one that the owner
// was killed over while it created it?
[[nodiscard]] inline bool was_made_by(const layout::MemoryRecord& record,
                                      const os::ObjectFacts& facts) noexcept {
  if (os::is_recorded_object(facts, record.identity.load(std::memory_order_relaxed),
                             record.size.load(std::memory_order_relaxed))) {
    return true;
  }
  return record.creating.load(std::memory_order_relaxed) == 1 && facts.size == 0 &&
         facts.owner == ::geteuid();
}

namespace detail {

inline SegmentSpec companion_spec(const MemorySpec& spec) {
  SegmentSpec companion;
  companion.kind = layout::Kind::memory;
  companion.letter = 'm';
  companion.place = spec.place;
  companion.mode = spec.mode;
  companion.keep = true;  // never reclaimed unseen: it knows which object is stale
  companion.geometry.total_bytes = os::page_size();
  return companion;
}
inline Result<std::uint64_t> judge_companion(const layout::Geometry& found) {
  if (found.total_bytes != os::page_size()) {
    return make_error(Code::corrupt, "a companion segment has an impossible size; remove it");
  }
  return found.total_bytes;
}
inline bool companion_exists(const std::string& name) {
  return os::open_object(object_name_of('m', name), os::Access::read_only).ok();
}
[[nodiscard]] inline layout::RoleRecord& owner_record(const Segment& companion) noexcept {
  return *companion.at<layout::RoleRecord>(layout::kRolesOffset);
}
[[nodiscard]] inline layout::MemoryRecord& memory_record(const Segment& companion) noexcept {
  return *companion.at<layout::MemoryRecord>(layout::kMemoryRecordOffset);
}

inline Error memory_in_use(const Segment& companion) {
  const auto pid = owner_record(companion).pid.load(std::memory_order_relaxed);
  return make_error(Code::exists,
                    "shared memory '" + companion.name() + "' exists, made by process " +
                        std::to_string(pid) +
                        " and still in use; open it instead, or choose another name",
                    os::object_path(companion.name()));
}
inline Error memory_absent(const std::string& name) {
  return make_error(
      Code::not_found,
      "shared memory '" + name + "' does not exist (yet); create it first, or wait for its creator",
      os::object_path(name));
}
inline Error memory_being_created(const std::string& name) {
  return make_error(Code::timeout, "shared memory '" + name +
                                       "' is being created by a process that does not finish; "
                                       "is it stopped? Try again, or end it");
}

// The three below: under the companion's lifecycle lock.

// What a dead owner left: the object it recorded, or the empty one it was killed while creating.
inline void remove_stale_object(const Segment& companion) noexcept {
  if (companion.created()) return;
  const std::string& name = companion.name();
  auto opened = os::open_object(name, os::Access::read_only);
  if (!opened.ok()) return;
  auto facts = os::inspect_object(opened.value().get(), os::object_path(name));
  if (!facts.ok()) return;
  MILLRACE_CRASH_POINT("memory.stale.found");
  if (was_made_by(memory_record(companion), facts.value())) os::unlink_object(name);
}
// What the owner itself made, and remembers by its identity and size. The companion may be shortened by now.
inline void remove_own_object(const Segment& companion, std::uint64_t identity,
                              std::uint64_t size) noexcept {
  const std::string& name = companion.name();
  auto opened = os::open_object(name, os::Access::read_only);
  if (!opened.ok()) return;
  auto facts = os::inspect_object(opened.value().get(), os::object_path(name));
  if (facts.ok() && os::is_recorded_object(facts.value(), identity, size)) {
    os::unlink_object(name);
  }
}
// What the dead left, for `open` and the sweep: under a lease, which tells of everybody who has it open. False: somebody
// has.
[[nodiscard]] inline bool remove_unless_open(const std::string& name,
                                             const layout::MemoryRecord& record) noexcept {
  auto opened = os::open_object(name, os::Access::read_write);
  if (!opened.ok()) return true;
  auto facts = os::inspect_object(opened.value().get(), os::object_path(name));
  if (!facts.ok() || !was_made_by(record, facts.value())) return true;
  const os::ExclusiveLease lease(opened.value().get());  // until the name is gone
  if (lease.state() == os::LeaseState::refused) return false;
  os::unlink_object(name);
  return true;
}

}  // namespace detail
}  // namespace millrace
