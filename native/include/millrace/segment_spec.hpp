// What a channel asks of its segment, and how whoever holds a role on it is doing.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>

#include "layout/header.hpp"
#include "os/memory_options.hpp"
#include "place.hpp"
#include "result.hpp"

namespace millrace {

// How the other side of a channel is doing.
enum class Peer {
  absent,    // nobody has taken the role since the segment was created
  attached,  // alive
  closed,    // left in good order
  gone,      // died
  failed,    // left saying that it failed; only from those who ask for it (failure.hpp)
};

// Two sides that mean different things by the same bytes.
inline Error schema_differs(const std::string& name, std::uint64_t found, std::uint64_t stated,
                            const std::string& path) {
  char text[2][20];
  (void)std::snprintf(text[0], sizeof text[0], "%016llx", static_cast<unsigned long long>(found));
  (void)std::snprintf(text[1], sizeof text[1], "%016llx", static_cast<unsigned long long>(stated));
  return make_error(Code::schema,
                    "'" + name + "' holds data of the schema " + text[0] +
                        ", this process states the schema " + text[1] +
                        "; use the same definition on both sides, or another name",
                    path);
}

class Segment;

struct SegmentSpec {
  layout::Kind kind = layout::Kind::queue;
  char letter = 'q';
  Place place;
  mode_t mode = 0600;          // of a new segment; the widest accepted of an existing one
  std::optional<uid_t> owner;  // whose segment is accepted; default: this user's
  std::uint32_t flags = 0;     // of a new segment, besides those that follow from what is below
  bool keep = false;           // content outlives a crash of both sides; always so in a file
  os::MemoryOptions memory;    // of everything that this handle maps
  std::uint64_t schema = 0;    // what this process takes the payload for; 0: it does not say
  layout::Geometry geometry{};
  bool durable = false;  // of a new file: what it begins as is on the disk before it has its path
  // May a file of that geometry that has been cut short, and that nobody is on, be made as long again? Empty: none may.
  std::function<bool(const layout::Geometry&)> mendable;
  // Calls Segment::bury for each role of a stale segment of this kind; empty if roles have no doorbell.
  std::function<void(const Segment&)> bury;
};

enum class Entry {
  attach_or_create,
  attach_only,  // not_found if there is none, or only a stale one
  replace,      // an existing segment gives way to a new one, unless its first role is held
};

}  // namespace millrace
