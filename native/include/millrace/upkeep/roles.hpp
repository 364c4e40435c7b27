// The kinds of segments and their roles: what they are called, and where the records of their holders are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "../frame_channel.hpp"
#include "../layout/cell.hpp"
#include "../layout/frames.hpp"
#include "../layout/header.hpp"
#include "../layout/parties.hpp"
#include "../layout/queue.hpp"
#include "../topics/shape.hpp"
#include "../work/shape.hpp"

namespace millrace::detail {

inline constexpr std::size_t kPrefixLength = std::string_view("millrace.q.").size();

// What the letters of object names stand for.
struct KindFacts {
  char letter;
  layout::Kind kind;
  const char* title;
};
inline constexpr std::array<KindFacts, 14> kKinds{
    {{'q', layout::Kind::queue, "queue"},
     {'f', layout::Kind::frames, "frames"},
     {'m', layout::Kind::memory, "memory"},
     {'c', layout::Kind::cell, "cell"},
     {'n', layout::Kind::counter, "counter"},
     {'e', layout::Kind::event, "event"},
     {'b', layout::Kind::barrier, "barrier"},
     {'x', layout::Kind::mutex, "mutex"},
     {'w', layout::Kind::rwlock, "rwlock"},
     {'j', layout::Kind::work, "work"},
     {'t', layout::Kind::topics, "topics"},
     {'r', layout::Kind::calls, "calls"},
     {'g', layout::Kind::rate_limiter, "rate-limiter"},
     {'k', layout::Kind::breaker, "breaker"}}};

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
      case layout::Kind::rate_limiter:
        count_ = 1;
        break;
      case layout::Kind::work:
      case layout::Kind::calls:
        if (const auto shape = WorkShape::judged(geometry, kind == layout::Kind::calls))
          count_ = shape->seats;
        break;
      case layout::Kind::topics:
        if (const auto shape = TopicShape::judged(geometry)) count_ = shape->seats;
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
      case layout::Kind::rate_limiter:
        return "users";
      case layout::Kind::work:
      case layout::Kind::topics:
        return "user";
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
      case layout::Kind::rate_limiter:
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

}  // namespace millrace::detail
