// A cell: always the newest complete value of one writer, for any number of readers.
//
// Each version goes to the next of several slots. A slot's sequence says which version it holds, and
// whether it is complete; `published` says which version is the newest. The writer never looks at what
// readers do: it is wait-free, and a reader costs it nothing. A reader copies the newest slot and then
// looks whether its sequence is still the same. Only a writer that laps it, by slots - 1 versions during
// one copy, makes it start again, with a newer value.
//
// Sources: Lameter, "Effective synchronization on Linux/NUMA systems" (2005) for the seqlock; Boehm (2012,
// see words.hpp) for its memory order; several slots instead of one, so that a writer that dies in the
// middle leaves the value before it readable, as in the buffer ring of Peterson, "Concurrent reading
// while writing" (1983).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "bits.hpp"
#include "crash_point.hpp"
#include "layout/cell.hpp"
#include "os/clock.hpp"
#include "os/mapping.hpp"
#include "segment.hpp"
#include "waiting.hpp"
#include "words.hpp"

namespace millrace {

inline constexpr std::uint32_t kDefaultCellSlots = 4;

struct CellWriterSpec {
  Place place;
  std::uint64_t max_bytes = 0;  // of a value
  std::uint32_t slots = 0;      // 0: what is there, or the default for a new cell
  mode_t mode = 0600;
  std::optional<uid_t> owner;
  bool keep = false;         // the value stays when everybody has gone
  std::uint64_t schema = 0;  // see SegmentSpec
  std::uint64_t doorbell = 0;
};

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
  std::uint64_t timestamp = 0;
};

namespace detail {

// How a cell is cut up.
struct CellPlan {
  std::uint64_t max_bytes = 0;
  std::uint32_t slots = 0;
  std::uint64_t stride = 0;
  std::uint64_t pool_offset = 0;
  std::uint64_t pool_bytes = 0;
};

inline Result<CellPlan> plan_cell(std::uint64_t max_bytes, std::uint64_t slots) {
  const auto refuse = [](const std::string& what) {
    return make_error(Code::invalid_argument, what);
  };
  if (max_bytes < 1 || max_bytes > layout::kMaxCellBytes) {
    return refuse("maxBytes is " + std::to_string(max_bytes) + "; use 1 to " +
                  std::to_string(layout::kMaxCellBytes));
  }
  if (slots < layout::kMinCellSlots || slots > layout::kMaxCellSlots) {
    return refuse("slots is " + std::to_string(slots) + "; use " +
                  std::to_string(layout::kMinCellSlots) + " to " +
                  std::to_string(layout::kMaxCellSlots));
  }
  CellPlan plan;
  plan.max_bytes = max_bytes;
  plan.slots = static_cast<std::uint32_t>(slots);
  plan.stride = os::round_up(max_bytes, 64);
  plan.pool_offset =
      os::round_up(layout::kCellSlotsOffset + slots * sizeof(layout::CellSlot), os::page_size());
  plan.pool_bytes = plan.stride * slots;
  if (plan.pool_bytes > layout::kMaxCellPool) {
    return refuse("slots × maxBytes is " + std::to_string(plan.pool_bytes) +
                  " bytes; a cell holds at most 4 GiB");
  }
  return plan;
}

// What writer and readers of a cell share: the segment and the views into it.
class CellSegment {
 public:
  static layout::Geometry geometry_of(const CellPlan& plan) {
    layout::Geometry geometry{};
    geometry.total_bytes = plan.pool_offset + plan.pool_bytes;
    geometry.values[layout::kCellMaxBytes] = plan.max_bytes;
    geometry.values[layout::kCellSlots] = plan.slots;
    geometry.values[layout::kCellPoolOffset] = plan.pool_offset;
    return geometry;
  }
  // Recomputes the plan from a segment's geometry; no offset is taken on trust.
  static Result<CellPlan> judge(const layout::Geometry& found, const std::string& name) {
    auto plan = plan_cell(found.values[layout::kCellMaxBytes], found.values[layout::kCellSlots]);
    if (!plan.ok() || found.values[layout::kCellPoolOffset] != plan.value().pool_offset ||
        found.total_bytes != plan.value().pool_offset + plan.value().pool_bytes) {
      return make_error(Code::corrupt, "cell '" + name + "' has an impossible geometry; remove it");
    }
    return plan;
  }
  template <typename Spec>  // of a writer or a reader
  static SegmentSpec spec_of(const Spec& spec) {
    SegmentSpec wanted;
    wanted.kind = layout::Kind::cell;
    wanted.letter = 'c';
    wanted.place = spec.place;
    wanted.mode = spec.mode;
    wanted.owner = spec.owner;
    wanted.schema = spec.schema;
    wanted.bury = bury_all;
    return wanted;
  }
  // Removes the doorbells of dead holders. Only under the lifecycle lock, when nobody else is alive.
  static void bury_all(const Segment& stale) {
    stale.bury(*stale.at<layout::RoleRecord>(layout::kRolesOffset));
    const auto* lanes = stale.at<layout::CellLane>(layout::kCellLanesOffset);
    for (std::uint32_t lane = 0; lane < layout::kCellLanes; ++lane)
      stale.bury(lanes[lane].role);
  }

  // Maps the values: shared for the writer, privately for readers.
  Result<void> bind(Segment segment, const CellPlan& plan, bool writable) {
    auto mapped = writable ? segment.map_shared(plan.pool_offset, plan.pool_bytes)
                           : segment.map_private(plan.pool_offset, plan.pool_bytes);
    if (!mapped.ok()) {
      if (segment.created()) segment.unlink();
      return mapped.error();
    }
    segment_ = std::move(segment);
    plan_ = plan;
    pool_ = mapped.take();
    return {};
  }
  // Removes the name, if nobody is left and nobody wanted it kept. Under the lifecycle lock.
  void remove_if_last() {
    if (segment_.anyone_else()) return;
    bury_all(segment_);
    if (!segment_.kept()) segment_.unlink();
  }
  // Leaves it without touching it if that must not be touched.
  [[nodiscard]] bool forsaken() noexcept {
    if (segment_.intact()) return false;
    pool_.reset();
    segment_.forsake();
    return true;
  }
  void reset() noexcept {
    pool_.reset();
    segment_ = Segment();
  }

  [[nodiscard]] Segment& segment() noexcept { return segment_; }
  [[nodiscard]] const Segment& segment() const noexcept { return segment_; }
  [[nodiscard]] const CellPlan& plan() const noexcept { return plan_; }
  [[nodiscard]] const os::MappingPtr& pool() const noexcept { return pool_; }
  [[nodiscard]] layout::RoleRecord& writer_record() const noexcept {
    return *segment_.at<layout::RoleRecord>(layout::kRolesOffset);
  }
  [[nodiscard]] layout::CellControl& control() const noexcept {
    return *segment_.at<layout::CellControl>(layout::kCellControlOffset);
  }
  [[nodiscard]] layout::CellLane& lane(std::uint32_t index) const noexcept {
    return segment_.at<layout::CellLane>(layout::kCellLanesOffset)[index];
  }
  [[nodiscard]] std::uint64_t slot_of(std::uint64_t version) const noexcept {
    return version % plan_.slots;
  }
  [[nodiscard]] layout::CellSlot& slot(std::uint64_t index) const noexcept {
    return segment_.at<layout::CellSlot>(layout::kCellSlotsOffset)[index];
  }
  [[nodiscard]] SharedWord* words(std::uint64_t index) const noexcept {
    return reinterpret_cast<SharedWord*>(pool_->data() + plan_.stride * index);
  }

 private:
  Segment segment_;
  CellPlan plan_;
  os::MappingPtr pool_;
};

}  // namespace detail

class CellWriter {
 public:
  // Creates the cell, or goes on with the one that is there, after its newest version.
  static Result<std::unique_ptr<CellWriter>> open(const CellWriterSpec& spec,
                                                  const os::Deadline& deadline) {
    auto asked =
        detail::plan_cell(spec.max_bytes, spec.slots == 0 ? kDefaultCellSlots : spec.slots);
    if (!asked.ok()) return asked.error();
    SegmentSpec wanted = detail::CellSegment::spec_of(spec);
    wanted.keep = spec.keep;
    wanted.geometry = detail::CellSegment::geometry_of(asked.value());
    detail::CellPlan plan;
    auto entered = Segment::enter(
        wanted, Entry::attach_or_create, deadline,
        [&](const layout::Geometry& found) -> Result<std::uint64_t> {
          auto there = detail::CellSegment::judge(found, spec.place.title());
          if (!there.ok()) return there.error();
          plan = there.value();
          const bool other_slots = spec.slots != 0 && plan.slots != spec.slots;
          if (plan.max_bytes != spec.max_bytes || other_slots) {
            return make_error(Code::geometry,
                              "cell '" + spec.place.title() + "' exists with maxBytes " +
                                  std::to_string(plan.max_bytes) + " and " +
                                  std::to_string(plan.slots) +
                                  " slots; open it with the same, or unlink it first");
          }
          return plan.pool_offset;
        });
    if (!entered.ok()) return entered.error();
    std::unique_ptr<CellWriter> self(new CellWriter);
    const bool created = entered.value().created();
    if (auto bound = self->cell_.bind(entered.take(), plan, true); !bound.ok()) {
      return bound.error();
    }
    auto taken = self->take_role(spec);
    if (!taken.ok()) {
      if (created) self->cell_.segment().unlink();
      return taken.error();
    }
    self->cell_.segment().settle();
    MILLRACE_CRASH_POINT("cell.enter.settled");
    self->wake_readers();  // they wait for news of us, too
    return self;
  }
  CellWriter(const CellWriter&) = delete;
  CellWriter& operator=(const CellWriter&) = delete;
  ~CellWriter() { close(); }

  // Publishes a copy. At most max_bytes.
  void write(const std::byte* value, std::uint64_t length) {
    begin();
    copy_to_shared(cell_.words(next_slot()), value, static_cast<std::size_t>(length));
    MILLRACE_CRASH_POINT("cell.write.copied");
    publish(length);
  }

  // In place: begin(), write to next_bytes(), publish(). Without publish() nothing happened.
  void begin() noexcept {
    layout::CellSlot& slot = cell_.slot(next_slot());
    // release: pairs with the acquire loads of a reader that is still busy with what was here; it sees
    // `published` at least as we stored it, and so starts again instead of finding us corrupt.
    slot.sequence.store(layout::writing(version_ + 1), std::memory_order_release);
    MILLRACE_CRASH_POINT("cell.begin.marked");
    // No word of the new value before that: pairs with the acquire fence in CellReader::read. A reader
    // that copied one of them then finds the sequence changed.
    std::atomic_thread_fence(std::memory_order_release);
  }
  // After begin(): makes the next value start as the newest one, length() bytes.
  void copy_newest() noexcept {
    if (version_ == 0) return;
    copy_between_shared(cell_.words(next_slot()), cell_.words(cell_.slot_of(version_)),
                        static_cast<std::size_t>(length_));
  }
  void publish(std::uint64_t length) {
    layout::CellSlot& slot = cell_.slot(next_slot());
    slot.length.store(length, std::memory_order_relaxed);
    slot.timestamp.store(os::monotonic_ns(), std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("cell.publish.described");
    ++version_;
    length_ = length;
    // release: pairs with the acquire of the sequence in CellReader::read: who sees this version as
    // complete sees all of it.
    slot.sequence.store(layout::complete(version_), std::memory_order_release);
    MILLRACE_CRASH_POINT("cell.publish.complete");
    // release: pairs with the acquire of `published` in CellReader: the sequence comes with it.
    cell_.control().writer.published.store(version_, std::memory_order_release);
    MILLRACE_CRASH_POINT("cell.publish.published");
    wake_readers();
  }

  [[nodiscard]] std::uint64_t next_slot() const noexcept { return cell_.slot_of(version_ + 1); }
  [[nodiscard]] std::byte* next_bytes() const noexcept {
    return reinterpret_cast<std::byte*>(cell_.words(next_slot()));
  }
  [[nodiscard]] std::uint64_t version() const noexcept { return version_; }
  [[nodiscard]] std::uint64_t length() const noexcept { return length_; }
  [[nodiscard]] bool has_readers() const noexcept {
    return cell_.segment().role_held(layout::kCellReadersRole);
  }

  [[nodiscard]] const detail::CellPlan& plan() const noexcept { return cell_.plan(); }
  [[nodiscard]] const os::MappingPtr& pool() const noexcept { return cell_.pool(); }
  [[nodiscard]] const Segment& segment() const noexcept { return cell_.segment(); }
  void use_ringer(os::BellRinger* ringer) noexcept { ringer_ = ringer; }
  // For a writer that learns only from the segment which doorbell suits it.
  void announce_doorbell(std::uint64_t doorbell) const noexcept {
    cell_.writer_record().doorbell.store(doorbell, std::memory_order_relaxed);
  }

  void close() noexcept {
    if (!entered_) return;
    entered_ = false;
    if (cell_.forsaken()) return;
    const bool locked = cell_.segment().lock_lifecycle(os::Deadline::after(1'000'000'000)).ok();
    cell_.segment().resign(cell_.writer_record(), layout::kCellWriterRole);
    MILLRACE_CRASH_POINT("cell.leave.resigned");
    wake_readers();
    if (locked) cell_.remove_if_last();
    cell_.reset();
  }

 private:
  CellWriter() = default;

  Result<void> take_role(const CellWriterSpec& spec) {
    auto claimed = cell_.segment().claim(cell_.writer_record(), layout::kCellWriterRole,
                                         spec.doorbell, "writer");
    if (!claimed.ok()) return claimed;
    entered_ = true;  // from here on close() undoes everything, and wakes whoever seems to wait
    for (std::uint32_t i = 0; i < layout::kCellLanes; ++i)
      wakers_[i] = Waker(&cell_.lane(i).wait);
    MILLRACE_CRASH_POINT("cell.enter.claimed");
    if (spec.keep) cell_.segment().set_flag(layout::kKeep, true);
    // What a predecessor was writing when it died was never published: we write over it.
    version_ = cell_.control().writer.published.load(std::memory_order_relaxed);
    if (version_ != 0) {
      const layout::CellSlot& newest = cell_.slot(cell_.slot_of(version_));
      length_ = newest.length.load(std::memory_order_relaxed);
      if (version_ >= layout::kMaxCellVersion || length_ > plan().max_bytes ||
          newest.sequence.load(std::memory_order_relaxed) != layout::complete(version_)) {
        return make_error(Code::corrupt, "cell '" + spec.place.title() +
                                             "' holds impossible versions; unlink it, then "
                                             "open it again");
      }
    }
    return {};
  }

  // Three steps when nobody waits: fence, look, return. See waiting.hpp for the fence: `published` -> fence
  // -> `waiting` here, `waiting` -> heavy fence -> `published` in CellReader::park.
  void wake_readers() {
    auto& line = cell_.control().readers;
    if (line.needs_full_fence.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    } else {
      os::light_fence();
    }
    if (line.waiting.load(std::memory_order_relaxed) == 0) [[likely]]
      return;
    // acquire: pairs with the release of the bit in CellReader: how it sleeps is there.
    std::uint64_t lanes = line.waiting.exchange(0, std::memory_order_acq_rel);
    MILLRACE_CRASH_POINT("cell.wake.owed");
    lanes &= (1ULL << layout::kCellLanes) - 1;
    detail::for_each_bit(lanes, [this](std::uint32_t lane) {
      wakers_[lane].wake(ringer_ != nullptr ? *ringer_ : own_ringer_, cell_.segment().trust());
    });
  }

  detail::CellSegment cell_;
  bool entered_ = false;
  std::uint64_t version_ = 0;  // of the newest value; ours alone, whatever the shared one says
  std::uint64_t length_ = 0;
  std::array<Waker, layout::kCellLanes> wakers_;
  os::BellRinger* ringer_ = nullptr;
  os::BellRinger own_ringer_;
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
