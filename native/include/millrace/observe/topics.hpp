// Topics from outside.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "../bits.hpp"
#include "../layout/topics.hpp"
#include "../topics/shape.hpp"
#include "../topics/turns.hpp"
#include "channels.hpp"
#include "copies.hpp"
#include "latencies.hpp"
#include "observation.hpp"
#include "work.hpp"

namespace millrace::detail {

// By layout::TopicCount, as in lib/topics/stats.ts.
inline constexpr std::array<const char*, 7> kTopicFigures{
    "published", "matched", "evicted", "waits", "retainedDropped", "deaths", "unfinished"};
static_assert(kTopicFigures.size() == static_cast<std::size_t>(layout::TopicCount::unfinished) + 1);

// Texts of words that lie in a row, each ended by a zero, as one with commas between.
[[nodiscard]] inline std::string texts_of(const std::atomic<std::uint64_t>* words, std::size_t most,
                                          std::size_t bytes) {
  std::string text;
  for (std::size_t at = 0; at < std::min(bytes, most); ++at) {
    const std::uint64_t word = words[at / 8].load(std::memory_order_relaxed);
    const char letter = static_cast<char>(word >> at % 8 * 8);
    if (letter != '\0') {
      text += letter;
    } else if (at + 1 < bytes) {
      text += ',';
    }
  }
  return text;
}

// The messages between two positions of 36 bits; none if the first is not behind the other.
[[nodiscard]] inline std::uint64_t topic_lag(std::uint64_t tail, std::uint64_t at,
                                             std::uint64_t most) noexcept {
  constexpr std::uint64_t mask = (1ULL << layout::kPositionBits) - 1;
  const std::uint64_t behind = (tail - at) & mask;
  return behind > mask / 2 ? 0 : std::min(behind, most);
}

// The ends of the log, by its cells: what the control says of them lags behind.
struct TopicEnds {
  std::uint64_t head;
  std::uint64_t tail;

  static TopicEnds of(const Copies& copies, const TopicShape& shape,
                      const layout::TopicControl& control) {
    const TopicTurns turns(shape.messages);
    const auto cells = copies.some<layout::TopicCell>(shape.cells_at(), shape.messages);
    // Goes on while the cell says that the end is later.
    const auto find = [&](std::uint64_t at, bool beyond_full) {
      for (std::uint32_t steps = 0; steps < turns.most_steps(); ++steps) {
        const std::uint64_t cell =
            cells[at & (shape.messages - 1)].word.load(std::memory_order_relaxed);
        const TopicTurns::Age age = turns.age_of(cell, at);
        if (age == TopicTurns::Age::later) {
          at = turns.behind(cell, at);
        } else if (age == TopicTurns::Age::full && beyond_full) {
          ++at;
        } else {
          break;
        }
      }
      return at;
    };
    const std::uint64_t head = find(control.head.load(std::memory_order_relaxed), false);
    return {head, find(std::max(head, control.tail.load(std::memory_order_relaxed)), true)};
  }
};

inline ObservedPart observe_subscription(const Copies& copies, const TopicShape& shape,
                                         std::uint32_t index, std::uint64_t tail,
                                         Observation& seen) {
  const auto copy = copies.one<layout::Entry>(shape.entries_at() + index * sizeof(layout::Entry));
  const auto filters =
      copies.one<layout::FilterText>(shape.filters_at() + index * sizeof(layout::FilterText));
  const layout::Entry& entry = copy[0];
  const layout::EntryInfo info = layout::unpack_entry(entry.info.load(std::memory_order_relaxed));
  const auto position = layout::unpack_position(entry.position.load(std::memory_order_relaxed));
  ObservedPart part{info.group ? "group" : "subscription", index,
                    texts_of(filters[0].words, layout::kFilterMost,
                             entry.filter_bytes.load(std::memory_order_relaxed))};
  part.policy = info.policy == layout::TopicPolicy::wait ? "wait" : "overwrite-oldest";
  if (!info.group && info.seat < shape.seats) {
    const auto role = copies.one<layout::RoleRecord>(layout::kRolesOffset +
                                                     info.seat * sizeof(layout::RoleRecord));
    part.pid = role[0].pid.load(std::memory_order_relaxed);
  }
  part.figures.add("lag", number(topic_lag(tail, position.at, shape.messages)))
      .add("received", number(entry.received))
      .add("missed", number(entry.missed) + static_cast<double>(position.missed));
  if (info.group) {
    std::uint64_t members = 0;
    for (const auto& word : entry.members) {
      for_each_bit(word.load(std::memory_order_relaxed), [&members](std::uint32_t) { ++members; });
    }
    part.figures.add("members", number(members));
  }
  if (const std::uint64_t took = entry.latency_ns.load(std::memory_order_relaxed); took != 0) {
    observe_latency<layout::TopicTimes>(
        "subscriber", index, took,
        [&](std::size_t at) {
          return layout::topic_latency(entry, at).load(std::memory_order_relaxed);
        },
        seen);
  }
  return part;
}

inline void observe_topics(const Copies& copies, const layout::Geometry& geometry,
                           Observation& seen) {
  const auto judged = TopicShape::judged(geometry);
  if (!judged) return;
  const TopicShape& shape = *judged;
  const auto copy = copies.one<layout::TopicControl>(shape.control_at());
  const layout::TopicControl& control = copy[0];
  const auto [head, tail] = TopicEnds::of(copies, shape, control);
  std::array<std::uint64_t, kTopicFigures.size()> counts{};
  for (std::size_t i = 0; i < counts.size(); ++i)
    counts[i] = control.counters[i].load(std::memory_order_relaxed);
  std::uint64_t seats = 0;
  for (std::uint32_t word = 0; word < shape.seat_words(); ++word) {
    for_each_bit(control.present[word].load(std::memory_order_relaxed), [&](std::uint32_t bit) {
      const std::uint32_t seat = word * 64 + bit;
      if (seat >= shape.seats) return;
      ++seats;
      const auto record =
          copies.one<layout::TopicSeat>(shape.seat_records_at() + seat * sizeof(layout::TopicSeat));
      for (std::size_t i = 0; i < counts.size(); ++i)
        counts[i] += record[0].counters[i].load(std::memory_order_relaxed);
    });
  }
  std::uint64_t subscriptions = 0;
  const std::uint64_t end = tail;
  for (std::uint32_t word = 0; word < shape.row_words(); ++word) {
    for_each_bit(control.live[word].load(std::memory_order_relaxed), [&](std::uint32_t bit) {
      const std::uint32_t index = word * 64 + bit;
      if (index >= shape.subscriptions) return;
      ++subscriptions;
      seen.parts.push_back(observe_subscription(copies, shape, index, end, seen));
    });
  }
  seen.figures.add("messages", number(distance(tail, head, shape.messages)))
      .add("places", number(std::uint64_t{shape.messages}))
      .add("subjects", static_cast<double>(control.subjects.load(std::memory_order_relaxed)))
      .add("subscriptions", number(subscriptions))
      .add("handles", number(seats))
      .add("bytesUsed", number(granule_bytes_used(copies, shape.owners_at(), shape.granules())))
      .add("bytes", number(shape.bytes));
  observe_waits(copies, shape.wait_lines_at(), shape.seats, "user", seen);
  for (std::size_t i = 0; i < counts.size(); ++i)
    seen.figures.add(kTopicFigures[i], number(counts[i]));
}

}  // namespace millrace::detail
