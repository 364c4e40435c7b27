// What a work queue is opened by: what there cannot be, what a new one is to be like, and whether one that is there is that.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "../failure.hpp"
#include "../place.hpp"
#include "../result.hpp"
#include "memory.hpp"
#include "reach.hpp"
#include "seats.hpp"
#include "shape.hpp"
#include "stages.hpp"

namespace millrace {

// What is left out is whatever the queue has, or what WorkShape gives a new one.
struct WorkSpec : SeatOptions {
  std::optional<std::uint32_t> seats, levels, stages, jobs, dead, keys, groups;
  std::optional<std::uint64_t> bytes, dead_bytes, window_ms, lease_ms;
  std::optional<std::uint8_t> attempts;
  std::optional<layout::Durability> durability;
  // A pipeline: its stages, of which `ordered` (a bit each) are left in the order of the pushes. Without names it is a plain
  // queue, and must be one.
  std::vector<std::string> stage_names;
  std::uint16_t ordered = 0;
  bool as_found = false;  // without names: whatever is there, a plain queue or a pipeline
};

namespace detail {

[[nodiscard]] inline Result<void> check_spec(const WorkSpec& spec) {
  const std::string& title = spec.place.title();
  if (spec.stage_names.empty()) {
    if (spec.ordered == 0) return {};
    return make_error(Code::invalid_argument,
                      "work queue '" + title + "' has no names of stages, so none can be ordered");
  }
  if (spec.stages && *spec.stages != spec.stage_names.size()) {
    return make_error(Code::invalid_argument,
                      "pipeline '" + title + "' cannot have " + std::to_string(*spec.stages) +
                          " stages and " + std::to_string(spec.stage_names.size()) + " names");
  }
  if (spec.durability == layout::Durability::disk) {
    return make_error(
        Code::invalid_argument,
        "pipeline '" + title +
            "' cannot be of durability `disk`: what each stage has made would have to be on the "
            "disk before the job goes on; use `file`, or a WorkQueue of `disk` per stage");
  }
  return check_stages(title, spec.stage_names, spec.ordered);
}
// What a new one is to be like.
[[nodiscard]] inline Result<WorkShape> wanted_by(const WorkSpec& spec) {
  if (auto possible = check_spec(spec); !possible.ok()) return possible.error();
  WorkShape shape;
  if (!spec.stage_names.empty()) {
    shape.stages = static_cast<std::uint32_t>(spec.stage_names.size());
    shape.levels = 1;  // what a stage has done goes on in order
    shape.stages_print = print_of_stages(spec.stage_names);
    shape.ordered = spec.ordered;
  }
  shape.seats = spec.seats.value_or(shape.seats);
  shape.levels = spec.levels.value_or(shape.levels);
  shape.stages = spec.stages.value_or(shape.stages);  // as many as names, if there are any
  shape.jobs = spec.jobs.value_or(shape.jobs);
  shape.dead = spec.dead.value_or(shape.dead);
  shape.keys = spec.keys.value_or(shape.keys);
  shape.groups = spec.groups.value_or(shape.groups);
  shape.bytes = spec.bytes.value_or(shape.bytes);
  shape.dead_bytes = spec.dead_bytes.value_or(shape.dead_bytes);
  shape.window_ms = spec.window_ms.value_or(shape.window_ms);
  shape.lease_ms = spec.lease_ms.value_or(shape.lease_ms);
  shape.attempts = spec.attempts.value_or(shape.attempts);
  shape.durability = spec.durability.value_or(spec.place.is_file() ? layout::Durability::file
                                                                   : layout::Durability::memory);
  if (const char* const why = shape.impossible()) {
    return make_error(Code::invalid_argument,
                      "no work queue can be as '" + spec.place.title() + "' is to be: " + why);
  }
  if (shape.durability != layout::Durability::memory && !spec.place.is_file()) {
    return make_error(Code::invalid_argument,
                      "work queue '" + spec.place.title() +
                          "' cannot outlive the machine's memory: durability `file` and `disk` "
                          "need a MappedFile in place of a name");
  }
  return shape;
}
[[nodiscard]] inline bool has_stages_of(const WorkSpec& spec, const WorkShape& wanted,
                                        const WorkShape& found) {
  if (spec.as_found && spec.stage_names.empty()) return true;
  if (found.stages_print != wanted.stages_print) return false;
  return !found.is_pipeline() || found.ordered == wanted.ordered;
}
// An existing queue must be what this handle says, where it says something.
[[nodiscard]] inline Result<WorkShape> judge_shape(const WorkSpec& spec, const WorkShape& found) {
  const auto number = [](std::uint64_t value) { return std::to_string(value); };
  const auto attempts = [](std::uint64_t value) {
    return value == 0 ? std::string("Infinity") : std::to_string(value);
  };
  const auto durability = [](std::uint64_t value) {
    constexpr std::array<const char*, 3> names{"'memory'", "'file'", "'disk'"};
    return std::string(names[std::min<std::uint64_t>(value, 2)]);
  };
  // By the names that the options have for users.
  std::string other;
  const auto compare = [&](const char* name, const auto& stated, std::uint64_t there, auto&& text) {
    if (!stated || static_cast<std::uint64_t>(*stated) == there) return;
    if (!other.empty()) other += ", and ";
    other += std::string(name) + ' ' + text(there) + ", not " +
             text(static_cast<std::uint64_t>(*stated));
  };
  compare("jobs", spec.jobs, found.jobs, number);
  compare("bytes", spec.bytes, found.bytes, number);
  compare("priorities", spec.levels, found.levels, number);
  compare("stages", spec.stages, found.stages, number);
  compare("seats", spec.seats, found.seats, number);
  compare("maxAttempts", spec.attempts, found.attempts, attempts);
  compare("deadLetters.jobs", spec.dead, found.dead, number);
  compare("deadLetters.bytes", spec.dead_bytes, found.dead_bytes, number);
  compare("dedupWindow", spec.window_ms, found.window_ms, number);
  compare("dedupIds", spec.keys, found.keys, number);
  compare("groups", spec.groups, found.groups, number);
  compare("leaseTimeout", spec.lease_ms, found.lease_ms, number);
  compare("durability", spec.durability, static_cast<std::uint64_t>(found.durability), durability);
  if (other.empty()) return found;
  return make_error(Code::geometry, "work queue '" + spec.place.title() + "' exists with " + other +
                                        "; open it everywhere alike, leave out what may be as it "
                                        "is, or unlink the queue first");
}

// Those of a queue that is there.
struct Stages {
  WorkShape shape;
  std::vector<std::string> names;
};
[[nodiscard]] inline std::optional<Stages> stages_at(const Place& place) {
  std::optional<Stages> found;
  (void)look_at_queue(
      place, [](const layout::Header&, uid_t) { return true; },
      [&](std::byte* base, const WorkShape& shape) {
        found = Stages{shape, read_stages(WorkMemory(base, nullptr, shape))};
      });
  return found;
}
[[nodiscard]] inline Error other_stages(const WorkSpec& spec, const std::optional<Stages>& found) {
  const std::string title = "'" + spec.place.title() + "'";
  const auto& wanted = spec.stage_names;
  const bool is_pipeline = found && found->shape.is_pipeline();
  const std::string there =
      found ? "the stages " + list_of_stages(found->names) : std::string("other stages");
  if (wanted.empty()) {
    return make_error(Code::geometry, title + " is a pipeline of " + there +
                                          ", not a plain work queue: open it with "
                                          "Pipeline.open() and these stages, or unlink it first");
  }
  if (found && !is_pipeline) {
    return make_error(Code::geometry, title +
                                          " is a plain work queue, not a pipeline of the stages " +
                                          list_of_stages(wanted) +
                                          ": open it with WorkQueue.open(), or unlink it first");
  }
  if (found && found->names == wanted) {
    return make_error(
        Code::geometry,
        "pipeline " + title + " has the ordered stages " +
            list_of_stages(wanted, found->shape.ordered) + ", not " +
            list_of_stages(wanted, spec.ordered) +
            "; give `ordered` to the same stages everywhere, or unlink the pipeline first");
  }
  return make_error(Code::geometry, "pipeline " + title + " has " + there + ", not " +
                                        list_of_stages(wanted) +
                                        "; give the same stages in the same order everywhere, "
                                        "or unlink the pipeline first");
}

}  // namespace detail

}  // namespace millrace
