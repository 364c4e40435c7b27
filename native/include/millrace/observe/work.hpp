// Work queues, pipelines and calls from outside.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "../bits.hpp"
#include "../layout/calls.hpp"
#include "../layout/work.hpp"
#include "../os/clock.hpp"
#include "../work/counts.hpp"
#include "../work/shape.hpp"
#include "channels.hpp"
#include "copies.hpp"
#include "latencies.hpp"
#include "observation.hpp"

namespace millrace::detail {

// By layout::WorkCount, as in lib/work/stats.ts.
inline constexpr std::array<const char*, 20> kWorkFigures{
    "pushed",       "taken",      "completed",   "returned",  "rejected",
    "deaths",       "givenBack",  "unfinished",  "timedOut",  "lostLeases",
    "deadLettered", "expired",    "deadDropped", "redriven",  "purged",
    "duplicates",   "idsDropped", "textsCut",    "recovered", "torn"};
static_assert(kWorkFigures.size() == static_cast<std::size_t>(layout::WorkCount::torn) + 1);
// Of calls, as in lib/rpc/stats.ts; nullptr: means nothing there.
inline constexpr std::array<const char*, 20> kCallFigures{
    "made",  "taken", "completed", "withdrawn", "unanswered", "deaths", "orphaned",
    nullptr, nullptr, "unwanted",  nullptr,     "expired",    nullptr,  nullptr,
    nullptr, nullptr, nullptr,     nullptr,     nullptr,      nullptr};

// What slots are, counted: all of them, or those of a stage.
class SlotCensus {
 public:
  void count(layout::SlotState state) noexcept { ++counts_[static_cast<std::size_t>(state) & 15U]; }
  [[nodiscard]] double of(layout::SlotState state) const noexcept {
    return static_cast<double>(counts_[static_cast<std::size_t>(state) & 15U]);
  }

 private:
  std::array<std::uint32_t, 16> counts_{};
};

struct WorkCensus {
  SlotCensus all;
  std::array<SlotCensus, layout::kMaxStages> stages;
  std::vector<std::uint32_t> in_hand;  // of each seat
  std::uint64_t oldest =
      ~std::uint64_t{0};  // nanoseconds since 1970, of the ready ones; all ones: there is none

  WorkCensus(const Copies& copies, const WorkShape& shape) : in_hand(shape.seats, 0) {
    copies.each<layout::Slot>(shape.slots_at(), shape.slots(),
                              [&](std::size_t, const layout::Slot& slot) { add(slot, shape); });
  }

 private:
  void add(const layout::Slot& slot, const WorkShape& shape) noexcept {
    const layout::Word word = layout::unpack(slot.word.load(std::memory_order_relaxed));
    all.count(word.state);
    if (word.state == layout::SlotState::free || word.state == layout::SlotState::spare) return;
    const std::uint8_t stage = slot.stage.load(std::memory_order_relaxed);
    if (stage < shape.stages) stages[stage].count(word.state);
    if (word.state == layout::SlotState::leased && word.seat < in_hand.size()) ++in_hand[word.seat];
    if (word.state == layout::SlotState::ready && !shape.answers)
      oldest = std::min(oldest, slot.pushed_at);
  }
};

// Granules that payloads take up, as far as their owners' words say: store/arena.hpp counts runs likewise.
[[nodiscard]] inline std::uint64_t granule_bytes_used(const Copies& copies, std::uint64_t owners_at,
                                                      std::uint32_t granules) {
  std::uint64_t used = 0;
  std::uint64_t until = 0;
  copies.each<std::atomic<std::uint64_t>>(
      owners_at, granules, [&](std::size_t at, const std::atomic<std::uint64_t>& owner) {
        const std::uint64_t word = owner.load(std::memory_order_relaxed);
        if (word != 0) until = std::max<std::uint64_t>(until, at + 1 + (word >> 2U & 1023U));
        used += word != 0 || at < until ? 1 : 0;
      });
  return used * layout::kGranuleBytes;
}

inline void observe_seats(const Copies& copies, const WorkShape& shape,
                          const layout::WorkControl& control, const WorkCensus& census,
                          std::array<std::uint64_t, kWorkFigures.size()>& counts,
                          std::uint32_t& servers, Observation& seen) {
  for (std::uint32_t word = 0; word < shape.seat_words(); ++word) {
    for_each_bit(control.present[word].load(std::memory_order_relaxed), [&](std::uint32_t bit) {
      const std::uint32_t seat = word * 64 + bit;
      if (seat >= shape.seats) return;
      const auto role =
          copies.one<layout::RoleRecord>(layout::kRolesOffset + seat * sizeof(layout::RoleRecord));
      const auto record = copies.one<layout::SeatRecord>(shape.seat_records_at() +
                                                         seat * sizeof(layout::SeatRecord));
      const auto wait =
          copies.one<layout::WaitLine>(shape.wait_lines_at() + seat * sizeof(layout::WaitLine));
      const bool serves = record[0].serves.load(std::memory_order_relaxed) != 0;
      servers += serves ? 1 : 0;
      ObservedPart user{"user", seat, {}, role[0].pid.load(std::memory_order_relaxed)};
      user.figures.add("inHand", number(census.in_hand[seat]))
          .add("wakes", number(wait[0].wakes))
          .add("parked", is_parked(wait[0]));
      if (shape.answers) user.figures.add("serves", serves ? 1.0 : 0.0);
      for (const auto& [of_seat, of_queue] : kSeatCounters) {
        const auto what = static_cast<std::size_t>(of_queue);
        const std::uint64_t own = (record[0].*of_seat).load(std::memory_order_relaxed);
        counts[what] += own;
        const char* const name = shape.answers ? kCallFigures[what] : kWorkFigures[what];
        if (name != nullptr) user.figures.add(name, number(own));
      }
      seen.parts.push_back(std::move(user));
    });
  }
}

inline void observe_stages(const Copies& copies, const WorkShape& shape, const WorkCensus& census,
                           Observation& seen) {
  if (!shape.is_pipeline()) return;
  using layout::SlotState;
  const auto names = copies.some<layout::StageName>(shape.stage_names_at(), shape.stages);
  for (std::uint32_t i = 0; i < shape.stages; ++i) {
    const auto length = std::min<std::size_t>(names[i].length, layout::kStageNameMost);
    ObservedPart stage{"stage", i, std::string(names[i].text.data(), length)};
    const SlotCensus& found = census.stages[i];
    stage.figures.add("ready", found.of(SlotState::ready))
        .add("inHand", found.of(SlotState::leased) + found.of(SlotState::moving))
        .add("held", found.of(SlotState::held))
        .add("delayed", found.of(SlotState::delayed))
        .add("grouped", found.of(SlotState::grouped))
        .add("dead", found.of(SlotState::dead));
    seen.parts.push_back(std::move(stage));
  }
}

// Only those that were asked for.
inline void observe_work_times(const layout::WorkControl& control, bool answers,
                               Observation& seen) {
  constexpr std::array<const char*, layout::kWorkTimes> of_jobs{"worker", "handler"};
  constexpr std::array<const char*, layout::kWorkTimes> of_calls{"client", "server"};
  for (std::size_t i = 0; i < layout::kWorkTimes; ++i) {
    const auto what = static_cast<layout::WorkTime>(i);
    const auto told = [&](std::size_t at) {
      return layout::work_time(control, what, at).load(std::memory_order_relaxed);
    };
    if (told(0) == 0) continue;
    observe_latency<layout::WorkTimes>((answers ? of_calls : of_jobs)[i], 0, told(0),
                                       [&](std::size_t at) { return told(at + 1); }, seen);
  }
}

inline void observe_work(const Copies& copies, const layout::Geometry& geometry, bool answers,
                         Observation& seen) {
  const auto judged = WorkShape::judged(geometry, answers);
  if (!judged) return;
  const WorkShape& shape = *judged;
  const auto control_copy = copies.one<layout::WorkControl>(shape.control_at());
  const layout::WorkControl& control = control_copy[0];
  const WorkCensus census(copies, shape);
  std::array<std::uint64_t, kWorkFigures.size()> counts{};
  for (std::size_t i = 0; i < counts.size(); ++i)
    counts[i] = control.counters[i].load(std::memory_order_relaxed);
  std::uint32_t servers = 0;
  observe_seats(copies, shape, control, census, counts, servers, seen);

  using layout::SlotState;
  const double users = number(seen.parts.size());
  const double used = number(granule_bytes_used(copies, shape.owners_at(), shape.granules()));
  if (answers) {
    seen.figures.add("waiting", census.all.of(SlotState::ready))
        .add("inHand", census.all.of(SlotState::leased))
        .add("answered", census.all.of(SlotState::answered))
        .add("servers", number(std::uint64_t{servers}));
  } else {
    seen.figures.add("ready", census.all.of(SlotState::ready))
        .add("leased", census.all.of(SlotState::leased))
        .add("delayed", census.all.of(SlotState::delayed))
        .add("grouped", census.all.of(SlotState::grouped))
        .add("held", census.all.of(SlotState::held))
        .add("dead", census.all.of(SlotState::dead))
        .add("free", census.all.of(SlotState::free));
    if (census.oldest != ~std::uint64_t{0})
      seen.figures.add("oldestAge", age_ms(os::exact_real_ns(), census.oldest));
  }
  seen.figures.add("places", number(std::uint64_t{shape.jobs}));
  seen.figures.add("bytesUsed", used);
  seen.figures.add("bytes", number(shape.bytes));
  seen.figures.add("handles", users);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const char* const name = answers ? kCallFigures[i] : kWorkFigures[i];
    if (name != nullptr) seen.figures.add(name, number(counts[i]));
  }
  observe_stages(copies, shape, census, seen);
  observe_waits(copies, shape.wait_lines_at(), shape.seats, "user", seen);
  observe_work_times(control, answers, seen);
}

}  // namespace millrace::detail
