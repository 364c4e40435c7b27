// Queues, frames, cells and counters from outside.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

#include "../bits.hpp"
#include "../cell_segment.hpp"
#include "../frame_channel.hpp"
#include "../layout/cell.hpp"
#include "../layout/counter.hpp"
#include "../layout/frames.hpp"
#include "../layout/latency.hpp"
#include "../layout/queue.hpp"
#include "../os/clock.hpp"
#include "copies.hpp"
#include "latencies.hpp"
#include "observation.hpp"
#include "waits.hpp"

namespace millrace::detail {

[[nodiscard]] inline double number(const std::atomic<std::uint64_t>& word) noexcept {
  return static_cast<double>(word.load(std::memory_order_relaxed));
}
[[nodiscard]] inline double number(std::uint64_t value) noexcept {
  return static_cast<double>(value);
}
[[nodiscard]] inline double is_parked(const layout::WaitLine& line) noexcept {
  return line.parked.load(std::memory_order_relaxed) != 0 ? 1 : 0;
}
// Of two numbers that grow, `behind` never beyond `ahead`, copied at different instants: how far they are apart, `most` at most.
[[nodiscard]] inline std::uint64_t distance(std::uint64_t ahead, std::uint64_t behind,
                                            std::uint64_t most) noexcept {
  return ahead <= behind ? 0 : std::min(ahead - behind, most);
}
[[nodiscard]] inline double age_ms(std::uint64_t now_ns, std::uint64_t then_ns) noexcept {
  return now_ns <= then_ns ? 0 : static_cast<double>(now_ns - then_ns) / 1e6;
}

inline void observe_queue(const Copies& copies, const layout::Geometry& geometry,
                          Observation& seen) {
  const auto copy = copies.one<layout::RingControl>(geometry.values[layout::kQueueControlOffset]);
  const layout::RingControl& ring = copy[0];
  const std::uint64_t decided = ring.consumer.capacity.load(std::memory_order_relaxed);
  const std::uint64_t capacity = decided != 0 ? decided : geometry.values[layout::kQueueCapacity];
  const std::uint64_t written = ring.producer.write_position.load(std::memory_order_relaxed);
  const std::uint64_t read = ring.consumer.read_position.load(std::memory_order_relaxed);
  const std::uint64_t sent = ring.producer.messages.load(std::memory_order_relaxed);
  const std::uint64_t received = ring.consumer.messages.load(std::memory_order_relaxed);
  seen.figures.add("sent", number(sent))
      .add("received", number(received))
      .add("sentBytes", number(written))
      .add("receivedBytes", number(read))
      .add("messages", number(distance(sent, received, capacity / layout::kRecordHeaderBytes)))
      .add("bytes", number(distance(written, read, capacity)))
      .add("capacity", number(capacity))
      .add("producerWakes", number(ring.producer_wait.wakes))
      .add("consumerWakes", number(ring.consumer_wait.wakes))
      .add("producerParked", is_parked(ring.producer_wait))
      .add("consumerParked", is_parked(ring.consumer_wait));
  observe_wait(ring.producer_wait, "producer", 0, seen);
  observe_wait(ring.consumer_wait, "consumer", 0, seen);
  const std::uint64_t latency_at =
      geometry.values[layout::kQueueControlOffset] + layout::kQueueLatencyOffset;
  // As most have none, the sum of it is looked at first.
  std::uint64_t took = 0;
  if (!copies.into(latency_at + offsetof(layout::QueueLatency, taken), &took, sizeof took) ||
      took == 0)
    return;
  const auto latency = copies.one<layout::QueueLatency>(latency_at);
  const auto& taken = latency[0].taken;
  observe_latency<layout::QueueLatency::Times>(
      "consumer", 0, taken.nanoseconds.load(std::memory_order_relaxed),
      [&](std::size_t i) { return taken.counts[i].load(std::memory_order_relaxed); }, seen);
}

inline void observe_lane_latency(const layout::Lane& lane, std::uint32_t index, Observation& seen) {
  const std::uint64_t took = lane.reader.latency_ns.load(std::memory_order_relaxed);
  if (took == 0) return;
  observe_latency<layout::FrameTimes>(
      "reader", index, took,
      [&](std::size_t i) { return layout::latency_count(lane, i).load(std::memory_order_relaxed); },
      seen);
}

inline void observe_frames(const Copies& copies, const layout::Geometry& geometry,
                           Observation& seen) {
  const auto judged = FrameChannel::judge(geometry, {});
  if (!judged.ok()) return;
  const layout::FramesPlan& plan = judged.value();
  const auto control = copies.one<layout::WriterControl>(layout::kWriterControlOffset);
  const layout::WriterControl& writer = control[0];
  const std::uint64_t published = writer.sequence.published.load(std::memory_order_relaxed);
  const std::uint64_t now = os::monotonic_ns();
  std::uint64_t held = 0;
  std::uint64_t newest = 0;
  std::uint64_t newest_at = 0;
  std::uint64_t newest_bytes = 0;
  copies.each<layout::SlotRecord>(
      plan.slots_offset, plan.slots, [&](std::size_t, const layout::SlotRecord& slot) {
        held += slot.holders.load(std::memory_order_relaxed) != 0 ? 1 : 0;
        const std::uint64_t sequence = slot.sequence.load(std::memory_order_relaxed);
        if (sequence > published || sequence <= newest) return;
        newest = sequence;
        newest_at = slot.timestamp.load(std::memory_order_relaxed);
        newest_bytes = slot.length.load(std::memory_order_relaxed);
      });
  std::uint64_t dropped = 0;
  std::uint64_t evicted = 0;
  std::uint64_t received = 0;
  std::uint64_t queued = 0;
  for_each_bit(writer.lanes.active.load(std::memory_order_relaxed), [&](std::uint32_t index) {
    if (index >= plan.readers) return;
    const auto copy = copies.one<layout::Lane>(plan.lanes_offset + plan.lane_stride * index);
    const layout::Lane& lane = copy[0];
    const std::uint64_t behind =
        distance(lane.writer.write_position.load(std::memory_order_relaxed),
                 lane.reader.read_position.load(std::memory_order_relaxed), plan.cells);
    ObservedPart reader{"reader", index, {}, lane.join.role.pid.load(std::memory_order_relaxed)};
    const auto policy =
        static_cast<layout::Policy>(lane.join.policy.load(std::memory_order_relaxed));
    reader.policy = policy == layout::Policy::wait          ? "wait"
                    : policy == layout::Policy::drop_newest ? "drop-newest"
                                                            : "overwrite-oldest";
    reader.figures.add("queued", number(behind))
        .add("depth", static_cast<double>(lane.join.depth.load(std::memory_order_relaxed)))
        .add("received", number(lane.reader.received))
        .add("dropped", number(lane.writer.dropped))
        .add("evicted", number(lane.writer.evicted))
        .add("wakes", number(lane.wait.wakes))
        .add("parked", is_parked(lane.wait));
    dropped += lane.writer.dropped.load(std::memory_order_relaxed);
    evicted += lane.writer.evicted.load(std::memory_order_relaxed);
    received += lane.reader.received.load(std::memory_order_relaxed);
    queued += behind;
    seen.parts.push_back(std::move(reader));
    observe_wait(lane.wait, "reader", index, seen);
    observe_lane_latency(lane, index, seen);
  });
  // Of readers that have died or left, what they counted stays until somebody else has their lane.
  const std::uint64_t active = writer.lanes.active.load(std::memory_order_relaxed);
  for (std::uint32_t index = 0; index < plan.readers; ++index) {
    if ((active >> index & 1U) != 0) continue;
    const auto copy = copies.one<layout::Lane>(plan.lanes_offset + plan.lane_stride * index);
    observe_lane_latency(copy[0], index, seen);
  }
  seen.figures.add("published", number(published))
      .add("received", number(received))
      .add("queued", number(queued))
      .add("dropped", number(dropped))
      .add("evicted", number(evicted))
      .add("readers", number(seen.parts.size()))
      .add("slots", number(std::uint64_t{plan.slots}))
      .add("slotsHeld", number(held))
      .add("slotBytes", number(plan.slot_bytes))
      .add("newestBytes", number(newest_bytes))
      .add("writerWakes", number(writer.wait.wakes))
      .add("writerParked", is_parked(writer.wait));
  if (newest_at != 0) seen.figures.add("newestAge", age_ms(now, newest_at));
  observe_wait(writer.wait, "writer", 0, seen);
}

inline void observe_cell(const Copies& copies, const layout::Geometry& geometry,
                         Observation& seen) {
  const auto judged = CellSegment::judge(geometry, {});
  if (!judged.ok()) return;
  const auto copy = copies.one<layout::CellControl>(layout::kCellControlOffset);
  const layout::CellControl& control = copy[0];
  const std::uint64_t version = control.writer.published.load(std::memory_order_relaxed);
  std::uint64_t waiting = 0;
  for_each_bit(control.readers.waiting.load(std::memory_order_relaxed),
               [&waiting](std::uint32_t) { ++waiting; });
  seen.figures.add("version", number(version))
      .add("maxBytes", number(judged.value().max_bytes))
      .add("readersParked", number(waiting));
  copies.each<layout::CellLane>(layout::kCellLanesOffset, layout::kCellLanes,
                                [&](std::size_t at, const layout::CellLane& lane) {
                                  observe_wait(lane.wait, "reader", static_cast<std::uint32_t>(at),
                                               seen);
                                });
  if (version == 0) return;
  const auto slot = copies.one<layout::CellSlot>(
      layout::kCellSlotsOffset + version % judged.value().slots * sizeof(layout::CellSlot));
  if (slot[0].sequence.load(std::memory_order_relaxed) != layout::complete(version)) return;
  seen.figures.add("newestBytes", number(slot[0].length));
  const std::uint64_t at = slot[0].timestamp.load(std::memory_order_relaxed);
  if (at != 0) seen.figures.add("newestAge", age_ms(os::monotonic_ns(), at));
}

inline void observe_counter(const Copies& copies, Observation& seen) {
  const auto copy = copies.one<layout::CounterRecord>(layout::kCounterOffset);
  seen.figures.add("value", static_cast<double>(copy[0].value.load(std::memory_order_relaxed)));
}

}  // namespace millrace::detail
