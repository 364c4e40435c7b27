// What is seen of one object from outside: what a list tells of it, and its numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../upkeep/report.hpp"

namespace millrace {

// A number by its name, which is that of lib/telemetry/figures.ts.
struct Figure {
  const char* name;
  double value;
};

// What an object has several of: readers, users, subscriptions, stages.
struct ObservedPart {
  const char* kind;
  std::uint32_t index = 0;  // lane, seat, entry, stage
  std::string name{};       // of a stage or a queue group; the filters of a subscription
  std::uint32_t pid = 0;    // 0: not recorded
  const char* policy = nullptr;
  std::vector<Figure> figures{};
};

struct Observation {
  ObjectReport object;
  std::vector<Figure> figures;  // none: of what is damaged, foreign or of another layout
  std::vector<ObservedPart> parts;
};

}  // namespace millrace
