// Looking at channels from outside, while they are at work or after everybody has died: their numbers, and who is on them.
//
// Takes no part in anything: no role, no seat, no lane, no lock, and not a byte is written. What is seen was so at some instant,
// and two numbers of one object may be of two instants. Only objects that this user's list() shows, of this layout version.
#pragma once

#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "observe/channels.hpp"
#include "observe/copies.hpp"
#include "observe/observation.hpp"
#include "observe/sync.hpp"
#include "observe/topics.hpp"
#include "observe/waits.hpp"
#include "observe/work.hpp"
#include "upkeep.hpp"

namespace millrace {

namespace detail {

inline void observe_figures(const Inspection& inspection, Observation& seen) {
  const layout::Header* const header = inspection.usable();
  if (header == nullptr) return;
  const Copies copies(inspection.descriptor(), inspection.start());
  const layout::Geometry& geometry = header->geometry;
  switch (header->kind) {
    case layout::Kind::queue:
      return observe_queue(copies, geometry, seen);
    case layout::Kind::frames:
      return observe_frames(copies, geometry, seen);
    case layout::Kind::cell:
      return observe_cell(copies, geometry, seen);
    case layout::Kind::counter:
      return observe_counter(copies, seen);
    case layout::Kind::work:
      return observe_work(copies, geometry, false, seen);
    case layout::Kind::calls:
      return observe_work(copies, geometry, true, seen);
    case layout::Kind::topics:
      return observe_topics(copies, geometry, seen);
    case layout::Kind::mutex:
    case layout::Kind::rwlock:
      observe_party_waits(copies, seen);
      return observe_lock(copies, seen);
    case layout::Kind::event:
      observe_party_waits(copies, seen);
      return observe_event(copies, geometry, seen);
    case layout::Kind::barrier:
      observe_party_waits(copies, seen);
      return observe_barrier(copies, geometry, seen);
    case layout::Kind::rate_limiter:
      return observe_rate_limiter(copies, geometry, seen);
    case layout::Kind::breaker:
      observe_party_waits(copies, seen);
      return observe_breaker(copies, seen);
    case layout::Kind::memory:
      return;
  }
}

}  // namespace detail

// Of all segments whose names start with `prefix`, in the order of list_objects(); with `exactly`, of those of that name.
inline std::vector<Observation> observe_objects(const std::string& prefix = {},
                                                bool exactly = false) {
  std::vector<Observation> all;
  const uid_t user = ::geteuid();
  for (const std::string& object : os::object_names()) {
    if (!detail::is_segment_name(object)) continue;
    // Only where names are not shortened do they tell before the object is read.
    if (!os::kLongNamesAreHashed) {
      if (object.compare(detail::kPrefixLength, prefix.size(), prefix) != 0) continue;
      if (exactly && object.size() != detail::kPrefixLength + prefix.size()) continue;
    }
    auto inspection = detail::Inspection::of(object, os::Access::read_only, user);
    if (!inspection) continue;
    inspection->look();
    Observation seen;
    detail::observe_figures(*inspection, seen);
    seen.object = inspection->take();
    if (!seen.object.name.starts_with(prefix) || (exactly && seen.object.name != prefix)) continue;
    all.push_back(std::move(seen));
  }
  compact_sort(all, [](const Observation& a, const Observation& b) {
    return std::tie(a.object.kind, a.object.name) < std::tie(b.object.kind, b.object.name);
  });
  return all;
}

}  // namespace millrace
