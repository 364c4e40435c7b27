// The serial numbers of jobs: in the order of their pushes. What is pushed after a push has ended has the greater number.
//
// Where stages are left in order (order.hpp) a ring tells where the job of each of the last numbers is. There a number is taken
// by filling its cell, in one step with saying whose it is, and only if the cells of all smaller ones have been filled: so
// nobody ever finds a number whose job cannot be seen yet. Nobody claims a number before that, so who is stopped here holds up
// no other push. `last` lags behind the cells by those who have not counted it up yet.
//
// Memory order. Slot::serial (and all that the job was before) is written before its cell is filled (sequentially consistent,
// so release). Who reads the cell, or a `last` that is not smaller (acquire), sees it: whoever raises `last` for another one
// has read that one's cell.
//
// So a slot may name a number for a moment that another one gets. Who looks for a number in the slots, because its cell is
// another one's by now, may find the wrong one, and wait for it: give() says so, and Order::advance() is to be called then.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "../crash_point.hpp"
#include "../layout/work.hpp"

namespace millrace {

class Serials {
 public:
  Serials() = default;
  // Without a ring.
  Serials(std::atomic<std::uint64_t>& last) noexcept : last_(&last) {}  // NOLINT(*-explicit-*)
  // `capacity`: of the ring, a power of two.
  Serials(std::atomic<std::uint64_t>& last, std::atomic<std::uint64_t>* ring,
          std::uint32_t capacity) noexcept
      : last_(&last), ring_(ring), mask_(capacity - 1) {}

  // The number that was given last.
  [[nodiscard]] std::uint64_t last() const noexcept {
    return last_->load(std::memory_order_seq_cst);
  }
  [[nodiscard]] std::uint64_t capacity() const noexcept { return std::uint64_t{mask_} + 1; }

  // Gives that slot the next number. Nobody else may write its `serial`. Returns whether it has named one before that it did not
  // get.
  bool give(std::uint32_t index, layout::Slot& slot) const noexcept {
    const auto count = [&](std::memory_order order) {
      slot.serial.store(last_->fetch_add(1, order) + 1, order);
    };
    if (ring_ == nullptr) {
      count(std::memory_order_relaxed);
      return false;
    }
    bool named = false;
    std::uint64_t next = last() + 1;
    // Everybody who is quicker has pushed a job. More than that can only be lies.
    for (std::uint64_t steps = 0; steps < 1024 * capacity(); ++steps) {
      std::atomic<std::uint64_t>& cell = ring_[next & mask_];
      std::uint64_t found = cell.load(std::memory_order_acquire);
      const std::int64_t ahead = ahead_of(found, next);
      if (ahead >= 0) {
        // Somebody has it, and has perhaps not counted yet. If it is a later one, `last` lags by turns.
        next += static_cast<std::uint64_t>(ahead) + 1;
        continue;
      }
      // seq_cst, where the one that it named before is taken back: as every change that somebody may wait for.
      slot.serial.store(next, named ? std::memory_order_seq_cst : std::memory_order_relaxed);
      MILLRACE_CRASH_POINT("work.serial.named");
      if (!cell.compare_exchange_strong(found, layout::order_cell(next, index),
                                        std::memory_order_seq_cst, std::memory_order_relaxed)) {
        named = true;
        continue;
      }
      MILLRACE_CRASH_POINT("work.serial.given");
      raise(next);
      return named;
    }
    count(std::memory_order_seq_cst);
    return true;
  }

  // The slot of the job that has (or had) this number; nothing if the ring does not tell any more.
  [[nodiscard]] std::optional<std::uint32_t> slot_of(std::uint64_t serial) const noexcept {
    // acquire: pairs with the filling in give().
    const std::uint64_t cell = ring_[serial & mask_].load(std::memory_order_acquire);
    if (ahead_of(cell, serial) != 0) return std::nullopt;
    return layout::slot_of_order(cell);
  }

 private:
  // By how much the number in that cell is greater.
  static std::int64_t ahead_of(std::uint64_t cell, std::uint64_t serial) noexcept {
    const std::uint64_t ahead = (cell >> layout::kSlotBits) - serial;
    return static_cast<std::int64_t>(ahead << layout::kSlotBits) >> layout::kSlotBits;
  }
  void raise(std::uint64_t serial) const noexcept {
    std::uint64_t found = last_->load(std::memory_order_relaxed);
    while (static_cast<std::int64_t>(serial - found) > 0 &&
           !last_->compare_exchange_weak(found, serial, std::memory_order_seq_cst,
                                         std::memory_order_relaxed)) {
    }
  }

  std::atomic<std::uint64_t>* last_ = nullptr;
  std::atomic<std::uint64_t>* ring_ = nullptr;
  std::uint32_t mask_ = 0;
};

}  // namespace millrace
