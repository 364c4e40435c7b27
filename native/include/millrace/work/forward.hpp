// Forwarding: a job is done, and what it became is a job of another queue, in one step.
//
//   the result's word, there                the job's word, here
//   writing -> promised                                             it names the job: nobody can take it yet
//                                           leased -> moving        nobody can take the job away any more
//                                           moving -> forwarded     the one step; it names the result
//   promised -> ready (or delayed)
//                                           forwarded -> free
//
// It is one synchronous call, so only the death of the process cuts it, and that of both seats. Whoever buries either looks at
// the other word: what is promised holds if the job says that it was forwarded to exactly this, and is undone otherwise; of what
// is forwarded the result is made ready first, then the job is freed. The two may be buried at the same time and in any order:
// every change is a compare-and-swap, and the job is freed only when the result is no longer promised.
//
// Where the result's queue is on disk, its record is written with `promised`, and a sync comes between that and the job's end, whose
// record is wiped on the way from `forwarded` to `free`. So after a power cut, which leaves records only, the result is there, or the
// job, or both: then the job is done again, and its result is a duplicate if it has an id that is still known. Never neither. For
// as long as the sync takes the job is in hand as before, and each of the two seats may leave, or lose the job: what is promised is
// undone then as for a dead one. Nobody is kept waiting by it but who pushes the same id.
//
// A result has no group. It would have to take its place in the group with the promise, while it can still be refused; and a promise
// that is undone would have to be taken out of the middle of that chain, which only the lock of its bucket allows, which somebody
// may have who is stopped. Whoever buries it, and whoever has lost the job, cannot wait for that.
//
// The two words may be in two segments. Each keeps a table of links, by which whoever buries finds the other one: it maps
// that without any lock, so no two lifecycle locks are ever held at once.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "../crash_point.hpp"
#include "../place.hpp"
#include "due.hpp"
#include "memory.hpp"
#include "ready.hpp"

namespace millrace {

enum class Forwarded : std::uint8_t {
  yes,
  duplicate,  // done, and nothing was pushed: a job of that id was pushed lately
  lost,       // the lease is over: nothing was done
  // Nothing was done, and the job is still in hand. As of Pushed, and of the other queue.
  full,
  full_bytes,
  busy,
  too_large,
};

// A result that is complete, and counts when the job it is of says so.
struct Promise {
  std::uint32_t slot = 0;
  std::uint64_t word = 0;  // 0: none

  [[nodiscard]] explicit operator bool() const noexcept { return word != 0; }
};

// What a promise is: the queue of the job it is of, and that job (layout::work_job()).
struct Origin {
  std::uint64_t queue = 0;
  std::uint64_t job = 0;
};

// How a queue was found.
enum class Reached : std::uint8_t {
  yes,
  gone,   // there is no such queue any more
  later,  // it could not be looked at now
};
// Returns the stages for which there are jobs by then, a bit each.
using LookAt = std::function<std::uint32_t(const WorkMemory&)>;
// Shows the queue of that instance, and wakes who waits there for what has come.
using Reach = std::function<Reached(std::uint64_t instance, const LookAt&)>;

namespace detail {

[[nodiscard]] inline std::uint32_t slot_of_job(std::uint64_t job) noexcept {
  return static_cast<std::uint32_t>(job);
}
[[nodiscard]] inline std::uint32_t token_of_job(std::uint64_t job) noexcept {
  return static_cast<std::uint32_t>(job >> 32U);
}

// Does that job say that it was forwarded to `result` in `queue`?
[[nodiscard]] inline bool was_forwarded(const WorkMemory& memory, std::uint64_t job,
                                        std::uint64_t queue, std::uint64_t result) noexcept {
  if (slot_of_job(job) >= memory.shape().slots()) return false;
  const layout::Slot& slot = memory.slot(slot_of_job(job));
  // acquire: pairs with the store of `forwarded`: what it was forwarded to is written before.
  const layout::Word word = layout::unpack(slot.word.load(std::memory_order_seq_cst));
  return word.state == layout::SlotState::forwarded && word.token == token_of_job(job) &&
         slot.forward == result && slot.forward_queue == queue;
}

// What was promised is a job, at the end of its lane as it was then. Once or again, by anybody. Returns its stage. `origin`: the job
// that became it. A queue on disk that was recovered may promise under the same number again, to another one.
inline std::uint32_t keep_promise(const WorkMemory& memory, std::uint64_t result,
                                  const Origin& origin) {
  const std::uint32_t index = slot_of_job(result);
  if (index >= memory.shape().slots()) return 0;
  layout::Slot& slot = memory.slot(index);
  std::uint64_t bits = slot.word.load(std::memory_order_seq_cst);
  layout::Word word = layout::unpack(bits);
  const std::uint32_t stage = slot.stage.load(std::memory_order_relaxed) % memory.shape().stages;
  if (word.token != token_of_job(result)) return stage;
  if (word.state == layout::SlotState::promised) {
    if (slot.forward != origin.job || slot.forward_queue != origin.queue) return stage;
    const bool delayed = slot.due.load(std::memory_order_relaxed) != 0;
    word.state = delayed ? layout::SlotState::delayed : layout::SlotState::ready;
    word.flags = delayed ? std::uint8_t{0} : std::uint8_t{layout::kReturned};
    if (slot.word.compare_exchange_strong(bits, layout::pack(word), std::memory_order_seq_cst)) {
      MILLRACE_CRASH_POINT("work.promise.kept");
    } else {
      word = layout::unpack(bits);
    }
  }
  // Also if another one has done it, who may have died since.
  if (word.token != token_of_job(result)) return stage;
  const DueTimes due(memory);
  if (word.state == layout::SlotState::ready && (word.flags & layout::kReturned) != 0) {
    const auto level = static_cast<std::uint8_t>(word.level % memory.shape().levels);
    ReadyLists(memory).add_returned(stage, level, index);
  }
  if (word.state == layout::SlotState::delayed) {
    due.set(index, slot.due.load(std::memory_order_relaxed));
  }
  const std::uint64_t expires = slot.expires.load(std::memory_order_relaxed);
  if (expires != 0) due.set(index, expires);
  return stage;
}

}  // namespace detail

// The other queues that jobs of this one go to or come from: a table in the segment, written without a lock. Whoever writes an
// entry has it for itself meanwhile; whoever buries him frees it.
class Links {
 public:
  Links(const WorkMemory& memory, std::uint16_t seat) noexcept
      : links_(memory.links()), seat_(seat) {}

  // False: there is no room for one more, or for a path as long as that.
  [[nodiscard]] bool add(std::uint64_t instance, const Place& place) noexcept {
    const std::string& title = place.title();
    if (title.size() > layout::kLinkPlaceMost || place.is_nameless()) return false;
    if (find(instance)) return true;
    const auto kind = place.is_file() ? layout::LinkState::file : layout::LinkState::name;
    // One that leads to what was there before is worth nothing any more.
    for (std::uint32_t i = 0; i < layout::kWorkLinks; ++i) {
      const std::uint64_t state = links_[i].state.load(std::memory_order_acquire);
      if (kind_of(state) == kind && place_of(links_[i]) == title &&
          write(links_[i], state, kind, instance, title)) {
        return true;
      }
    }
    for (std::uint32_t i = 0; i < layout::kWorkLinks; ++i) {
      const std::uint64_t state = links_[i].state.load(std::memory_order_acquire);
      if (kind_of(state) == layout::LinkState::none &&
          write(links_[i], state, kind, instance, title)) {
        return true;
      }
    }
    return false;
  }

  [[nodiscard]] std::optional<Place> find(std::uint64_t instance) const {
    for (std::uint32_t i = 0; i < layout::kWorkLinks; ++i) {
      const layout::WorkLink& link = links_[i];
      // acquire: pairs with the release in write(): what is read below is of this state.
      const std::uint64_t state = link.state.load(std::memory_order_acquire);
      const layout::LinkState kind = kind_of(state);
      if (kind != layout::LinkState::name && kind != layout::LinkState::file) continue;
      if (link.instance.load(std::memory_order_relaxed) != instance) continue;
      std::string title = place_of(link);
      std::atomic_thread_fence(std::memory_order_acquire);
      // Somebody wrote it anew meanwhile: it leads elsewhere.
      if (link.state.load(std::memory_order_relaxed) != state) continue;
      return kind == layout::LinkState::file ? Place::file(std::move(title))
                                             : Place(std::move(title));
    }
    return std::nullopt;
  }

  // Of a dead seat.
  void bury(std::uint16_t seat) noexcept {
    for (std::uint32_t i = 0; i < layout::kWorkLinks; ++i) {
      std::uint64_t state = links_[i].state.load(std::memory_order_acquire);
      if (kind_of(state) != layout::LinkState::writing || seat_of(state) != seat) continue;
      (void)links_[i].state.compare_exchange_strong(
          state, state_of(layout::LinkState::none, 0, version_of(state) + 1),
          std::memory_order_acq_rel);
    }
  }

 private:
  static layout::LinkState kind_of(std::uint64_t state) noexcept {
    return static_cast<layout::LinkState>(state & 3U);
  }
  static std::uint16_t seat_of(std::uint64_t state) noexcept {
    return static_cast<std::uint16_t>(state >> 2U & 0x3FFFU);
  }
  static std::uint64_t version_of(std::uint64_t state) noexcept { return state >> 16U; }
  static std::uint64_t state_of(layout::LinkState kind, std::uint16_t seat,
                                std::uint64_t version) noexcept {
    return static_cast<std::uint64_t>(kind) | std::uint64_t{seat} << 2U | version << 16U;
  }
  static std::string place_of(const layout::WorkLink& link) {
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(
        link.length.load(std::memory_order_relaxed), layout::kLinkPlaceMost));
    std::string title((length + 7) / 8 * 8, '\0');
    for (std::size_t at = 0; at < length; at += 8) {
      const std::uint64_t word = link.place[at / 8].load(std::memory_order_relaxed);
      std::memcpy(title.data() + at, &word, 8);
    }
    title.resize(length);
    return title;
  }
  // False: somebody else was quicker.
  bool write(layout::WorkLink& link, std::uint64_t state, layout::LinkState kind,
             std::uint64_t instance, const std::string& title) noexcept {
    const std::uint64_t mine = state_of(layout::LinkState::writing, seat_, version_of(state) + 1);
    if (!link.state.compare_exchange_strong(state, mine, std::memory_order_acq_rel)) return false;
    MILLRACE_CRASH_POINT("work.link.writing");
    // release: whoever reads any of what follows finds afterwards that the state has changed.
    std::atomic_thread_fence(std::memory_order_release);
    link.instance.store(instance, std::memory_order_relaxed);
    link.length.store(title.size(), std::memory_order_relaxed);
    for (std::size_t at = 0; at < title.size(); at += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, title.data() + at, std::min<std::size_t>(8, title.size() - at));
      link.place[at / 8].store(word, std::memory_order_relaxed);
    }
    link.state.store(state_of(kind, 0, version_of(mine) + 1), std::memory_order_release);
    MILLRACE_CRASH_POINT("work.link.written");
    return true;
  }

  layout::WorkLink* links_;
  std::uint16_t seat_;
};

}  // namespace millrace
