// What tests of a work queue's seats share: a queue that has none of its jobs, and counts repairs.
#pragma once

#include <memory>
#include <string>

#include <millrace/work/lookouts.hpp>
#include <millrace/work/seats.hpp>
#include <millrace/work/sleepers.hpp>

#include "fixture.hpp"

namespace millrace::test {

inline WorkShape seats_shape(std::uint32_t seats = 8, std::uint32_t stages = 1) {
  WorkShape shape;
  shape.seats = seats;
  shape.stages = stages;
  shape.levels = 1;
  shape.jobs = 64;
  shape.dead = 4;
  shape.bytes = 4096;
  shape.groups = 0;
  return shape;
}

// Kinds of waiting, a bit each; and what the others may be asked.
inline constexpr std::uint32_t kForJobs = 1;  // of stage 0
inline constexpr std::uint32_t kForRooms = 1U << layout::kForRoom;
inline constexpr auto kMore = [] { return true; };
inline constexpr auto kNoMore = [] { return false; };

// A handle. Its jobs are numbers in the counters of the control, which nothing else uses here.
struct Desk {
  Desk()
      : seats([this](std::uint32_t seat) { return repair(seat); }),
        sleepers(seats),
        lookouts(seats, sleepers) {}

  Result<void> try_open(const SeatOptions& options, const WorkShape& shape) {
    return seats.enter(
        options, layout::Kind::work, 'j', shape,
        [&](const layout::Geometry& found) -> Result<WorkShape> {
          const WorkShape there = WorkShape::of(found);
          if (there == shape) return there;
          return make_error(Code::geometry, "differs");
        },
        [this]() -> Result<void> {
          if (fail_to_set_up) return make_error(Code::invalid_argument, "not now");
          set_up_seen = true;
          work(kSetUps).fetch_add(1);
          return {};
        },
        soon(),
        [this]() -> Result<void> {
          work(kResumes).fetch_add(1);
          return {};
        });
  }
  [[nodiscard]] bool repair(std::uint32_t seat) {
    if (work(kUnfinished).load() == seat + 1) return false;
    sleepers.bury(seat);
    lookouts.bury(seat);
    if (seats.attached(seat)) {
      work(kRepairs).fetch_add(1);
      work(kRepaired).store(seat);
    }
    return true;
  }
  enum Which : std::uint32_t { kSetUps, kResumes, kRepairs, kRepaired, kUnfinished, kFirstFree };
  [[nodiscard]] std::atomic<std::uint64_t>& work(std::uint32_t which) const {
    return seats.control().counters[which];
  }

  Seats seats;
  Sleepers sleepers;
  Lookouts lookouts;
  bool set_up_seen = false;
  bool fail_to_set_up = false;
};

inline SeatOptions seat_options(const std::string& name, std::uint64_t doorbell = 0) {
  SeatOptions options;
  options.place = name;
  options.doorbell = doorbell;
  return options;
}
inline std::unique_ptr<Desk> sit(const SeatOptions& options,
                                 const WorkShape& shape = seats_shape()) {
  auto desk = std::make_unique<Desk>();
  auto entered = desk->try_open(options, shape);
  REQUIRE_MESSAGE(entered.ok(), entered.error().message);
  return desk;
}
inline std::unique_ptr<Desk> sit(const Names& names, const WorkShape& shape = seats_shape()) {
  return sit(seat_options(names.name()), shape);
}

}  // namespace millrace::test
