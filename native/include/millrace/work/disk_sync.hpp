// When what was pushed is on the disk. One sync covers all that was written to the file before it began, by all processes; so
// those that wait share it, and at most one is under way.
//
// Whoever has written something takes a ticket: the number of the next sync to begin. It is certain as soon as a sync of that
// number, or of a greater one, has ended.
//
//   writer   (W1) writes                      sync   (S1) number = ++syncs_begun
//            (W2) full fence                         (S2) writes dirty pages
//            (W3) ticket = syncs_begun + 1           (S3) syncs_done = max(syncs_done, number)
//
// (S1) comes after (W3) in the order of syncs_begun if its number is the ticket's or more, and then (S2) sees (W1).
//
// Who syncs says so in WorkControl::syncer, and the others sleep until it has ended, for a while: one that is stopped, or died,
// holds them up no longer than kPatience. Two syncs at a time are dear, and not wrong.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "../crash_point.hpp"
#include "../layout/work.hpp"
#include "../os/clock.hpp"
#include "../os/descriptor.hpp"
#include "../os/futex.hpp"
#include "../os/mapping.hpp"
#include "../os/sync.hpp"
#include "../result.hpp"

namespace millrace {

// Lives as long as a sync may be under way, whatever becomes of the handle: it has a descriptor and the maps of its own.
class DiskSync {
 public:
  // `fd`: of the file, the syncer's own. `control` lies in one of the maps.
  DiskSync(os::Descriptor fd, std::string path, os::MappingPtr control_map, os::MappingPtr data_map,
           layout::WorkControl& control, std::uint16_t seat)
      : fd_(std::move(fd)),
        path_(std::move(path)),
        control_map_(std::move(control_map)),
        data_map_(std::move(data_map)),
        control_(&control),
        seat_(seat) {}

  // Of all that this thread has written until now.
  [[nodiscard]] std::uint64_t ticket() const noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // (W2)
    return control_->syncs_begun.load(std::memory_order_seq_cst) + 1;
  }
  [[nodiscard]] bool certain(std::uint64_t ticket) const noexcept {
    // acquire: pairs with the release of (S3).
    return control_->syncs_done.load(std::memory_order_acquire) >= ticket;
  }
  // Has one failed? Then none can succeed any more: what the system could not write it may have forgotten.
  [[nodiscard]] bool failed() const noexcept {
    return control_->sync_error.load(std::memory_order_acquire) != 0;
  }

  // How, and what is to be done. Only if one has.
  [[nodiscard]] Error error() const {
    Error error = system_error(
        "fdatasync", static_cast<int>(control_->sync_error.load(std::memory_order_relaxed)), path_);
    error.message +=
        "; the queue takes nothing more that it would have to keep on the disk: close it in all "
        "processes, see to the disk, and open it again";
    return error;
  }
  // Blocks until it is certain. From any thread; those of one handle do not wait for each other.
  [[nodiscard]] Result<void> wait(std::uint64_t ticket) {
    for (;;) {
      if (certain(ticket)) return {};
      if (failed()) return error();
      // acquire: before syncer and syncs_done, which change before it does.
      const std::uint32_t ends = control_->sync_ends.load(std::memory_order_acquire);
      std::uint64_t seen = control_->syncer.load(std::memory_order_seq_cst);
      const std::uint64_t now = now_ms();
      const std::uint64_t since = now - (seen & kMillis);
      if (seen != 0 && since < kPatienceMs && seen >> 48U != mine()) {
        if (certain(ticket)) return {};
        (void)os::futex_wait(control_->sync_ends, ends, (kPatienceMs - since) * 1'000'000);
        continue;
      }
      const std::uint64_t own = mine() << 48U | (now & kMillis);
      if (!control_->syncer.compare_exchange_strong(seen, own, std::memory_order_seq_cst)) continue;
      MILLRACE_CRASH_POINT("work.sync.begun");
      Result<void> done;
      if (!certain(ticket)) done = failed() ? Result<void>(error()) : sync();
      std::uint64_t held = own;
      (void)control_->syncer.compare_exchange_strong(held, 0, std::memory_order_seq_cst);
      // release: whoever sees it sees the outcome.
      control_->sync_ends.fetch_add(1, std::memory_order_release);
      os::futex_wake_all(control_->sync_ends);
      if (!done.ok()) return error();
    }
  }

 private:
  static constexpr std::uint64_t kPatienceMs = 200;
  static constexpr std::uint64_t kMillis = (1ULL << 48U) - 1;

  static std::uint64_t now_ms() noexcept { return os::monotonic_ns() / 1'000'000 & kMillis; }
  [[nodiscard]] std::uint64_t mine() const noexcept { return seat_ + 1U; }

  [[nodiscard]] Result<void> sync() {
    const std::uint64_t number =
        control_->syncs_begun.fetch_add(1, std::memory_order_seq_cst) + 1;  // (S1)
    const std::span<std::byte> maps[] = {{control_map_->data(), control_map_->size()},
                                         {data_map_->data(), data_map_->size()}};
    Result<void> done = os::sync_file(fd_.get(), maps, path_);  // (S2)
    // Whoever created the file may have died before its name was certain.
    if (done.ok() && !named_.load(std::memory_order_relaxed)) done = os::sync_name(path_);
    if (!done.ok()) {
      const int number_of_error = done.error().number;
      control_->sync_error.store(
          number_of_error == 0 ? EIO : static_cast<std::uint32_t>(number_of_error),
          std::memory_order_release);
      return done;
    }
    named_.store(true, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("work.sync.written");
    std::uint64_t found = control_->syncs_done.load(std::memory_order_relaxed);
    // (S3) release: pairs with the acquire of certain().
    while (found < number &&
           !control_->syncs_done.compare_exchange_weak(found, number, std::memory_order_release)) {
    }
    return {};
  }

  os::Descriptor fd_;
  std::string path_;
  os::MappingPtr control_map_;
  os::MappingPtr data_map_;
  layout::WorkControl* control_;
  std::uint16_t seat_;
  std::atomic<bool> named_{false};  // is the file's name certain?
};

}  // namespace millrace
