// The reading side of a cell: copies the newest value, and copies again if the writer lapped it meanwhile.
// The algorithm is in cell.hpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cell_segment.hpp"
#include "crash_point.hpp"
#include "layout/cell.hpp"
#include "os/clock.hpp"
#include "os/mapping.hpp"
#include "segment.hpp"
#include "waiting.hpp"
#include "words.hpp"

namespace millrace {

struct CellReaderSpec {
  Place place;
  mode_t mode = 0600;
  std::optional<uid_t> owner;
  std::uint64_t schema = 0;
  std::uint64_t doorbell = 0;
};

struct CellRead {
  enum class Status {
    ok,
    empty,      // nothing was ever written
    too_small,  // the target; `length` tells what the value takes
    torn,       // the writer lapped every attempt
    corrupt,
  };
  Status status = Status::empty;
  std::uint64_t version = 0;
  std::uint64_t length = 0;
  std::uint64_t timestamp = 0;  // 0: its writer keeps none
};

class CellReader {
 public:
  // not_found if there is no cell, or only one that nobody is on and nobody wanted kept.
  static Result<std::unique_ptr<CellReader>> open(const CellReaderSpec& spec,
                                                  const os::Deadline& deadline) {
    detail::CellPlan plan;
    auto entered = Segment::enter(detail::CellSegment::spec_of(spec), Entry::attach_only, deadline,
                                  [&](const layout::Geometry& found) -> Result<std::uint64_t> {
                                    auto there =
                                        detail::CellSegment::judge(found, spec.place.title());
                                    if (!there.ok()) return there.error();
                                    plan = there.value();
                                    return plan.pool_offset;
                                  });
    if (!entered.ok()) return entered.error();
    std::unique_ptr<CellReader> self(new CellReader);
    if (auto bound = self->cell_.bind(entered.take(), plan, false); !bound.ok()) {
      return bound.error();
    }
    if (auto shared = self->cell_.segment().share(layout::kCellReadersRole); !shared.ok()) {
      return shared.error();
    }
    self->entered_ = true;
    self->doorbell_ = spec.doorbell;
    self->cell_.segment().settle();
    return self;
  }
  CellReader(const CellReader&) = delete;
  CellReader& operator=(const CellReader&) = delete;
  ~CellReader() { close(); }

  // Copies the newest value to `target`, which has room for `size` bytes. Unless it returns ok, the
  // target's content is undefined.
  [[nodiscard]] CellRead read(std::byte* target, std::uint64_t size) noexcept {
    const CellRead found = find(target, size);
    if (found.status == CellRead::Status::ok) seen_ = found.version;
    return found;
  }
  // How long the newest value is (ok or too_small), for choosing a target. The writer may replace it by a
  // longer one at once.
  [[nodiscard]] CellRead measure() noexcept { return find(nullptr, 0); }

  // Of the newest value, 0 before the first. Not judged: read() does that.
  [[nodiscard]] std::uint64_t version() const noexcept {
    return cell_.control().writer.published.load(std::memory_order_acquire);
  }
  // Of the value read last.
  [[nodiscard]] std::uint64_t seen() const noexcept { return seen_; }
  // Attempts that a writer has spoilt so far by lapping us.
  [[nodiscard]] std::uint64_t retries() const noexcept { return retries_; }

  [[nodiscard]] bool stirred(std::uint64_t since) const noexcept {
    return version() != since || writer_left();
  }
  // Prepares to sleep in an event loop until there is a version other than `since`. The caller looks once
  // more. False: nobody will wake us, for all lanes are taken; look from time to time.
  [[nodiscard]] bool park(const WakeAddress& address) {
    if (!take_lane()) return false;
    sleeper_.park_on_bell(address);
    announce();
    return true;
  }
  void unpark() noexcept {
    if (!lane_) return;
    sleeper_.unpark();
    cell_.control().readers.waiting.fetch_and(~bit(), std::memory_order_relaxed);
  }
  // Blocks this thread for a slice at most: spins, then sleeps. True if stirred.
  [[nodiscard]] bool wait_change(std::uint64_t since, std::uint64_t spin_ns,
                                 std::uint64_t timeout_ns) {
    timeout_ns = std::min(timeout_ns, kSliceNs);
    spin_ns = std::min(spin_ns, timeout_ns);
    const auto ready = [&] { return stirred(since); };
    if (wait_blocking(sleeper_, spin_ns, spin_ns, ready)) return true;
    if (timeout_ns == spin_ns) return false;
    if (!take_lane()) {
      os::sleep_ns(std::min(timeout_ns - spin_ns, kLookEveryNs));
      return ready();
    }
    sleeper_.park_on_futex();
    announce();
    if (!ready()) sleeper_.sleep(timeout_ns - spin_ns);
    unpark();
    return ready();
  }

  [[nodiscard]] Peer writer() const noexcept {
    return cell_.segment().peer(cell_.writer_record(), layout::kCellWriterRole);
  }
  [[nodiscard]] bool writer_left() const noexcept {
    return cell_.writer_record().state.load(std::memory_order_acquire) ==
           static_cast<std::uint32_t>(layout::RoleState::closed);
  }
  [[nodiscard]] std::uint64_t writer_doorbell() const noexcept {
    return cell_.writer_record().doorbell.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t writer_pid() const noexcept {
    return cell_.writer_record().pid.load(std::memory_order_relaxed);
  }

  [[nodiscard]] const detail::CellPlan& plan() const noexcept { return cell_.plan(); }
  [[nodiscard]] const os::MappingPtr& pool() const noexcept { return cell_.pool(); }
  [[nodiscard]] const Segment& segment() const noexcept { return cell_.segment(); }
  // For a reader that learns only from the segment which doorbell suits it.
  void announce_doorbell(std::uint64_t doorbell) noexcept { doorbell_ = doorbell; }

  void close() noexcept {
    if (!entered_) return;
    entered_ = false;
    if (cell_.forsaken()) return;
    const bool locked = cell_.segment().lock_lifecycle(os::Deadline::after(1'000'000'000)).ok();
    if (lane_) {
      unpark();
      cell_.segment().resign(cell_.lane(*lane_).role, layout::kFirstCellLaneRole + *lane_);
      lane_.reset();
    }
    MILLRACE_CRASH_POINT("cell.close.unparked");
    cell_.segment().unlock_role(layout::kCellReadersRole);
    MILLRACE_CRASH_POINT("cell.close.unlocked");
    if (locked) cell_.remove_if_last();
    cell_.reset();
  }

 private:
  static constexpr int kAttempts = 64;
  // Without a lane: how often to look, and how often to try for a lane.
  static constexpr std::uint64_t kLookEveryNs = 1'000'000;
  static constexpr std::uint64_t kTryEveryNs = 100'000'000;

  CellReader() = default;
  [[nodiscard]] std::uint64_t bit() const noexcept { return 1ULL << *lane_; }

  CellRead find(std::byte* target, std::uint64_t size) noexcept {
    // Bounded: a writer that laps us for ever cannot hold us.
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      CellRead found;
      // acquire: pairs with the release in CellWriter::publish: the slot's sequence comes with it.
      found.version = cell_.control().writer.published.load(std::memory_order_acquire);
      if (found.version < seen_ || found.version > layout::kMaxCellVersion) return corrupt();
      if (found.version == 0) return found;
      const std::uint64_t index = cell_.slot_of(found.version);
      const layout::CellSlot& slot = cell_.slot(index);
      const std::uint64_t sequence = layout::complete(found.version);
      // acquire: pairs with the release in CellWriter::publish (the value is complete) or, if we have
      // been lapped, in CellWriter::begin (`published` has moved on).
      if (slot.sequence.load(std::memory_order_acquire) != sequence) {
        if (!lapped(found.version)) return corrupt();
        continue;
      }
      found.length = slot.length.load(std::memory_order_relaxed);
      found.timestamp = slot.timestamp.load(std::memory_order_relaxed);
      const bool fits = found.length <= size && found.length <= plan().max_bytes;
      if (fits) {
        copy_from_shared(target, cell_.words(index), static_cast<std::size_t>(found.length));
      }
      // Pairs with the release fence in
      // CellWriter::begin: had we copied one word of a later value, we would now see its sequence.
      std::atomic_thread_fence(std::memory_order_acquire);
      if (slot.sequence.load(std::memory_order_acquire) != sequence) {
        if (!lapped(found.version)) return corrupt();
        continue;
      }
      if (found.length > plan().max_bytes) return corrupt();
      found.status = fits ? CellRead::Status::ok : CellRead::Status::too_small;
      return found;
    }
    CellRead torn;
    torn.status = CellRead::Status::torn;
    return torn;
  }
  static CellRead corrupt() noexcept {
    CellRead result;
    result.status = CellRead::Status::corrupt;
    return result;
  }
  // A slot changed under us, or was not what it should be: for that, the writer must have published.
  bool lapped(std::uint64_t version) noexcept {
    ++retries_;
    return cell_.control().writer.published.load(std::memory_order_acquire) != version;
  }

  // (S1b) of waiting.hpp: the writer looks at one word for all readers. Only after `parked` says how we
  // sleep: whoever takes the bit away then also finds us parked. The fence comes last.
  void announce() noexcept {
    MILLRACE_CRASH_POINT("cell.announce.parked");
    // release: pairs with the acquire in CellWriter::wake_readers.
    cell_.control().readers.waiting.fetch_or(bit(), std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("cell.announce.told");
    sleeper_fence(cell_.control().readers.needs_full_fence, waited_);
  }

  // A lane is taken at the first wait and kept: most readers never wait.
  bool take_lane() {
    if (lane_) return true;
    const std::uint64_t now = os::monotonic_ns();
    if (now < next_try_) return false;
    next_try_ = now + kTryEveryNs;
    // Who holds the lifecycle lock may be stopped: that is no reason for us to stop, too.
    if (!cell_.segment().lock_lifecycle(os::Deadline::after(0)).ok()) {
      next_try_ = now;
      return false;
    }
    for (std::uint32_t i = 0; i < layout::kCellLanes && !lane_; ++i) {
      const std::uint32_t role = layout::kFirstCellLaneRole + i;
      if (!cell_.segment().try_role_lock(role)) continue;
      // claim() takes the same byte again, which is ours by now.
      if (cell_.segment().claim(cell_.lane(i).role, role, doorbell_, "waiting reader").ok())
        lane_ = i;
    }
    MILLRACE_CRASH_POINT("cell.lane.claimed");
    cell_.segment().settle();
    if (!lane_) return false;
    auto& readers = cell_.control().readers;
    readers.waiting.fetch_and(~bit(), std::memory_order_relaxed);  // a dead predecessor's
    sleeper_ = Sleeper(&cell_.lane(*lane_).wait);
    return true;
  }

  detail::CellSegment cell_;
  bool entered_ = false;
  std::uint64_t seen_ = 0;
  std::uint64_t retries_ = 0;
  std::uint64_t doorbell_ = 0;
  std::optional<std::uint32_t> lane_;
  std::uint64_t next_try_ = 0;
  Sleeper sleeper_;
  bool waited_ = false;  // see sleeper_fence
};

}  // namespace millrace
