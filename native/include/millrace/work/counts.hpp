// What is counted in a work queue. The holder of a seat counts what it does often in the seat's own record, by plain stores; whoever
// frees the seat adds that to the counters of the queue. So a number of the queue is the sum of both.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "../layout/work.hpp"

namespace millrace {

// A counter of seats, and the one of the queue that it becomes part of.
struct SeatCounter {
  std::atomic<std::uint64_t> layout::SeatRecord::*of_seat;
  layout::WorkCount of_queue;
};
inline constexpr std::array<SeatCounter, 5> kSeatCounters{{
    {&layout::SeatRecord::pushed, layout::WorkCount::pushed},
    {&layout::SeatRecord::taken, layout::WorkCount::taken},
    {&layout::SeatRecord::completed, layout::WorkCount::completed},
    {&layout::SeatRecord::returned, layout::WorkCount::returned},
    {&layout::SeatRecord::rejected, layout::WorkCount::rejected},
}};

inline std::atomic<std::uint64_t>& counter_of(layout::WorkControl& control,
                                              layout::WorkCount what) noexcept {
  return control.counters[static_cast<std::size_t>(what)];
}

// What the holder of that seat has counted becomes the queue's. Whoever dies in it has counted something twice at most.
inline void hand_over_counts(layout::WorkControl& control, layout::SeatRecord& seat) noexcept {
  for (const auto& [of_seat, of_queue] : kSeatCounters) {
    auto& own = seat.*of_seat;
    const std::uint64_t more = own.load(std::memory_order_relaxed);
    if (more == 0) continue;
    counter_of(control, of_queue).fetch_add(more, std::memory_order_relaxed);
    own.store(0, std::memory_order_relaxed);
  }
}

// A number of the whole queue, over all who are on it (Seats).
template <typename Seats>
[[nodiscard]] std::uint64_t counted(layout::WorkControl& control, Seats& seats,
                                    layout::WorkCount what) {
  std::uint64_t sum = counter_of(control, what).load(std::memory_order_relaxed);
  for (const auto& [of_seat, of_queue] : kSeatCounters) {
    if (of_queue != what) continue;
    const auto own = of_seat;
    seats.for_each_present([&sum, &seats, own](std::uint32_t seat) {
      sum += (seats.seat_record(seat).*own).load(std::memory_order_relaxed);
    });
  }
  return sum;
}

}  // namespace millrace
