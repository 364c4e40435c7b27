// What is seen of one object from outside: what a list tells of it, and its numbers.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "../layout/header.hpp"
#include "../upkeep/report.hpp"

namespace millrace {

// A number by its name, which is that of lib/telemetry/figures.ts.
struct Figure {
  const char* name;
  double value;
};

class Figures {
 public:
  // Out of line: there are a hundred of them.
  [[gnu::noinline]] Figures& add(const char* name, double value) {
    all_.push_back({name, value});
    return *this;
  }
  [[nodiscard]] bool empty() const noexcept { return all_.empty(); }
  [[nodiscard]] auto begin() const noexcept { return all_.begin(); }
  [[nodiscard]] auto end() const noexcept { return all_.end(); }

 private:
  std::vector<Figure> all_;
};

// What an object has several of: readers, users, subscriptions, stages.
struct ObservedPart {
  const char* kind;
  std::uint32_t index = 0;  // lane, seat, entry, stage
  std::string name{};       // of a stage or a queue group; the filters of a subscription
  std::uint32_t pid = 0;    // 0: not recorded
  const char* policy = nullptr;
  Figures figures{};
};

// How somebody waits, and has waited, in one place: whoever has it now, and who had it before.
struct ObservedWait {
  const char* side;  // producer, consumer, writer, reader, user, party
  std::uint32_t index = 0;
  double waits = 0;  // that have ended
  double milliseconds = 0;
  std::optional<double> since{};  // milliseconds since the present one began
  std::array<std::uint32_t, layout::kWaitTimes> times{};
};

// How long one of so many messages took from who sent it to who took it, as they have counted it; and jobs and calls, also how long they
// were in hand.
struct ObservedLatency {
  struct Bucket {
    double below;  // milliseconds; infinite: longer than all others
    double count;
  };
  const char* side;  // consumer, reader, worker, handler, client, server
  std::uint32_t index = 0;
  double milliseconds = 0;  // all together
  std::vector<Bucket> buckets{};
};

struct Observation {
  ObjectReport object;
  Figures figures;  // none: of what is damaged, foreign or of another layout
  std::vector<ObservedPart> parts;
  std::vector<ObservedWait> waits;         // where nobody ever waited left out
  std::vector<ObservedLatency> latencies;  // where nothing was counted left out
};

}  // namespace millrace
