// The jobs of a work queue or a pipeline, and the calls of calls, seen from outside: each when it is first seen, a job again when it is a
// dead letter, a call again when it is answered. Also those that have ended, as long as nobody has taken their slots and their bytes lie
// beside them.
//
// A look, of each slot with a job that was not told yet:
//
//   (A) the slot: its word, and what it says of its job
//   (C) the bytes, copied
//   (F) acquire fence
//   (S) the word, then, behind another fence, all of the slot once more
//
// Whoever takes a slot for another job changes its word to `writing`, stores `born`, and writes after that; it is `ready`, with
// release, when all of that is there. If (C) copied a byte of the next job, its word in (S) is not one of a job, or it is that job's, and
// then `born` is, too. So what (A) and (S) say alike of a job that is one in both was so in between. Of one that has ended all of the
// word is to be the same. What a worker changes in place while it has the job in hand is seen as it is then. What holds for copies by
// system calls is in queue.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../layout/calls.hpp"
#include "../layout/work.hpp"
#include "../observe/copies.hpp"
#include "../work/shape.hpp"
#include "message.hpp"

namespace millrace::detail {

class WorkWatch final : public Watcher {
 public:
  WorkWatch(Copies copies, const WorkShape& shape, std::string name, bool oldest)
      : copies_(copies),
        shape_(shape),
        name_(std::move(name)),
        oldest_(oldest),
        told_(shape.slots(), 0),
        told_of_(shape.slots(), 0) {
    if (!shape.is_pipeline()) return;
    const auto names = copies_.some<layout::StageName>(shape.stage_names_at(), shape.stages);
    for (std::uint32_t stage = 0; stage < shape.stages; ++stage) {
      const auto length = std::min<std::size_t>(names[stage].length, layout::kStageNameMost);
      stages_.emplace_back(names[stage].text.data(), length);
    }
  }

  [[nodiscard]] Result<void> look(WatchSink& sink) override {
    const std::uint64_t pushed = count_pushed();
    std::vector<Found> found;
    copies_.each<layout::Slot>(shape_.slots_at(), shape_.slots(),
                               [&](std::size_t slot, const layout::Slot& its) {
                                 find(static_cast<std::uint32_t>(slot), its, found);
                               });
    if (!std::exchange(begun_, true)) begin(pushed, found);
    // Calls do not say when they were made.
    std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
      return a.pushed_at != b.pushed_at ? a.pushed_at < b.pushed_at : a.slot < b.slot;
    });
    std::uint64_t left = 0;
    for (const Found& one : found) {
      if (sink.full()) {
        left += one.what == What::job ? 1 : 0;
        continue;
      }
      auto copied = copy(sink, one);
      if (!copied.ok()) return copied;
    }
    // Whoever frees a seat adds what it has counted to the queue's: for a moment it counts twice, but not at two looks.
    const std::uint64_t known = began_at_ + told_jobs_ + left;
    const std::uint64_t gone = pushed > known ? pushed - known : 0;
    missed_ = std::max(missed_, std::min(gone, std::exchange(gone_, gone)));
    return {};
  }

 private:
  enum class What : std::uint8_t { job, dead, answer };
  struct Found {
    std::uint64_t pushed_at;
    std::uint32_t slot;
    What what;
  };
  // In told_of_.
  enum Told : std::uint8_t { kToldJob = 1, kToldDead = 2, kToldAnswer = 4 };

  // A job that is there, or has ended (`over`); none of these: nothing, or one that is being written.
  struct Facts {
    bool there = false;
    bool over = false;
    bool answered = false;
    WatchedState state = WatchedState::none;
  };
  [[nodiscard]] Facts facts_of(std::uint64_t bits, std::uint32_t born) const noexcept {
    using layout::SlotState;
    const layout::Word word = layout::unpack(bits);
    Facts facts;
    switch (word.state) {
      case SlotState::ready:
      case SlotState::delayed:
      case SlotState::grouped:
      case SlotState::held:
        facts.there = true;
        facts.state = WatchedState::waiting;
        break;
      case SlotState::leased:
      case SlotState::cancelled:
        facts.there = true;
        facts.state = WatchedState::leased;
        break;
      case SlotState::dead:
        facts.there = true;
        facts.state = WatchedState::dead;
        break;
      case SlotState::answered:
        facts.there = true;
        facts.answered = word.level < layout::kFirstCallEnd;
        break;
      case SlotState::free:
        // Nobody has had in hand what was given up before it was pushed.
        facts.over = word.token != born;
        facts.answered = facts.over && shape_.answers && (bits & layout::kWasAnswered) != 0;
        break;
      default:
        break;
    }
    return facts;
  }
  void find(std::uint32_t slot, const layout::Slot& its, std::vector<Found>& found) {
    const std::uint32_t born = its.born.load(std::memory_order_relaxed);
    const Facts facts = facts_of(its.word.load(std::memory_order_relaxed), born);
    if (!facts.there && !facts.over) return;
    const std::uint8_t told = told_of(slot, born);
    const std::uint64_t pushed_at = shape_.answers ? 0 : its.pushed_at;
    if ((told & kToldJob) == 0) found.push_back({pushed_at, slot, What::job});
    if (facts.answered && (told & kToldAnswer) == 0)
      found.push_back({pushed_at, slot, What::answer});
    if (facts.state == WatchedState::dead && told == kToldJob)
      found.push_back({pushed_at, slot, What::dead});
  }
  [[nodiscard]] std::uint8_t told_of(std::uint32_t slot, std::uint32_t born) const noexcept {
    return told_[slot] == std::uint64_t{born} + 1 ? told_of_[slot] : std::uint8_t{0};
  }
  void tell(std::uint32_t slot, std::uint32_t born, std::uint8_t what) noexcept {
    told_of_[slot] = static_cast<std::uint8_t>(told_of(slot, born) | what);
    told_[slot] = std::uint64_t{born} + 1;
  }
  // Of what is there when we come, all is told, or nothing; of what has ended, nothing.
  void begin(std::uint64_t pushed, std::vector<Found>& found) {
    began_at_ = pushed;
    gone_ = 0;
    const auto known = [&](const Found& one) {
      const auto its = slot_of(one.slot);
      const std::uint32_t born = its[0].born.load(std::memory_order_relaxed);
      const Facts facts = facts_of(its[0].word.load(std::memory_order_relaxed), born);
      if (oldest_ && !facts.over) {
        // They were pushed before we came, and are not among those that we would miss.
        if (one.what == What::job && began_at_ != 0) --began_at_;
        return false;
      }
      tell(one.slot, born, kToldJob | kToldDead | kToldAnswer);
      return true;
    };
    found.erase(std::remove_if(found.begin(), found.end(), known), found.end());
  }

  struct Payload {
    std::uint64_t at = 0;
    std::uint64_t length = 0;
    std::uint64_t id = 0, group = 0, headers = 0;  // bytes
    std::uint32_t granules = 0;
    bool possible = false;

    friend bool operator==(const Payload&, const Payload&) = default;
    [[nodiscard]] std::uint64_t texts() const noexcept { return id + group + headers; }
  };
  [[nodiscard]] Payload payload_of(std::uint32_t index, const layout::Slot& slot,
                                   What what) const noexcept {
    const bool answer = what == What::answer;
    Payload its;
    std::uint64_t granule = 0;
    if (answer) {
      granule = static_cast<std::uint32_t>(slot.forward);
      its.granules = static_cast<std::uint32_t>(slot.forward >> 32U);
      its.length = slot.forward_queue;
    } else {
      granule = slot.granule.load(std::memory_order_relaxed);
      its.granules = slot.granules.load(std::memory_order_relaxed);
      its.length = slot.length;
      if (!shape_.answers) {
        its.id = slot.id_length;
        its.group = slot.group_length;
        its.headers = slot.headers_length;
      }
    }
    const std::uint64_t all = shape_.granules();
    const std::uint64_t room =
        its.granules == 0
            ? shape_.inline_most()
            : std::uint64_t{its.granules} * layout::kGranuleBytes - shape_.head_bytes();
    its.possible = its.length <= room && its.headers < 1U << 16U && end_of(its) <= room &&
                   (its.granules == 0 || (granule < all && its.granules <= all - granule));
    its.at = shape_.data_at();
    if (its.granules != 0) {
      its.at += shape_.granules_at() + granule * layout::kGranuleBytes + shape_.head_bytes();
    } else {
      its.at += (answer ? shape_.answers_at() : 0) + std::uint64_t{index} * layout::kInlineBytes;
    }
    return its;
  }
  [[nodiscard]] static std::uint64_t end_of(const Payload& its) noexcept {
    return its.texts() == 0 ? its.length : (its.length + 7) / 8 * 8 + its.texts();
  }

  [[nodiscard]] Result<void> copy(WatchSink& sink, const Found& found) {
    const auto before = slot_of(found.slot);  // (A)
    const layout::Slot& slot = before[0];
    const std::uint32_t born = slot.born.load(std::memory_order_relaxed);
    const std::uint64_t bits = slot.word.load(std::memory_order_relaxed);
    const Facts facts = facts_of(bits, born);
    if (!facts.there && !facts.over) return {};
    if (found.what == What::answer && !facts.answered) return {};
    const Payload its = payload_of(found.slot, slot, found.what);
    // Granules that belong to nobody may be anybody's by now.
    if (!its.possible || (facts.over && its.granules != 0)) {
      if (is_still(found, its, bits, born)) tell(found.slot, born, mark_of(found.what));
      return {};
    }
    const std::string stage = stage_of(slot);
    const std::uint64_t wanted = sink.cut(its.length);
    const std::uint64_t texts_at = (wanted + 7) / 8 * 8;
    std::byte* const to = sink.room(texts_at + stage.size() + its.texts());
    if (to == nullptr) return {};
    std::copy(stage.begin(), stage.end(), reinterpret_cast<char*>(to + texts_at));
    const bool read =
        copies_.into(its.at, to, wanted) &&  // (C)
        copies_.into(its.at + (its.length + 7) / 8 * 8, to + texts_at + stage.size(), its.texts());
    if (!read) return make_error(Code::corrupt, "'" + name_ + "' is shorter than it should be");
    if (!is_still(found, its, bits, born)) return {};
    const layout::Word word = layout::unpack(bits);
    Watched message;
    message.op = found.what == What::answer ? WatchedOp::answer
                 : shape_.answers           ? WatchedOp::request
                                            : WatchedOp::job;
    message.state = facts.state;
    message.sequence = ++number_;
    message.published_at = shape_.answers ? 0 : slot.pushed_at;
    message.at = sink.used();
    message.length = its.length;
    message.copied = wanted;
    message.texts_at = sink.used() + texts_at;
    message.subject_length = static_cast<std::uint16_t>(stage.size());
    message.id_length = static_cast<std::uint16_t>(its.id);
    message.group_length = static_cast<std::uint16_t>(its.group);
    message.headers_length = static_cast<std::uint16_t>(its.headers);
    message.priority = shape_.answers ? std::uint8_t{0} : word.level;
    message.attempts = facts.over ? std::uint8_t{0} : word.attempt;
    message.slot = found.slot;
    message.born = born;
    message.method = shape_.answers                      ? slot.headers_length
                     : facts.state == WatchedState::dead ? slot.reason
                                                         : 0;
    sink.keep(message, texts_at + stage.size() + its.texts());
    if (found.what == What::job) ++told_jobs_;
    // Told as what it is now: a dead letter is not told once more as one.
    const bool dead = facts.state == WatchedState::dead;
    tell(found.slot, born, static_cast<std::uint8_t>(mark_of(found.what) | (dead ? kToldDead : 0)));
    return {};
  }
  static std::uint8_t mark_of(What what) noexcept {
    return what == What::answer ? kToldAnswer : what == What::dead ? kToldDead : kToldJob;
  }
  // Is it still the job that (A) found?
  [[nodiscard]] bool is_still(const Found& found, const Payload& its, std::uint64_t bits,
                              std::uint32_t born) const {
    MILLRACE_CRASH_POINT("watch.work.copied");
    std::atomic_thread_fence(std::memory_order_acquire);  // (F)
    std::uint64_t word = 0;
    if (!copies_.into(slot_at(found.slot), &word, sizeof word)) return false;  // (S)
    // Pairs with the release of who made it ready: with its word comes `born`.
    std::atomic_thread_fence(std::memory_order_acquire);
    const auto after = slot_of(found.slot);
    if (after[0].born.load(std::memory_order_relaxed) != born) return false;
    const Facts facts = facts_of(word, born);
    if (facts_of(bits, born).over ? word != bits : !facts.there) return false;
    return payload_of(found.slot, after[0], found.what) == its;
  }

  [[nodiscard]] std::uint64_t count_pushed() const {
    const auto control = copies_.one<layout::WorkControl>(shape_.control_at());
    std::uint64_t pushed =
        control[0].counters[static_cast<std::size_t>(layout::WorkCount::pushed)].load(
            std::memory_order_relaxed);
    for (std::uint32_t word = 0; word < shape_.seat_words(); ++word) {
      for_each_bit(control[0].present[word].load(std::memory_order_relaxed),
                   [&](std::uint32_t bit) {
                     const std::uint32_t seat = word * 64 + bit;
                     if (seat >= shape_.seats) return;
                     std::uint64_t own = 0;
                     (void)copies_.into(shape_.seat_records_at() +
                                            std::uint64_t{seat} * sizeof(layout::SeatRecord) +
                                            offsetof(layout::SeatRecord, pushed),
                                        &own, sizeof own);
                     pushed += own;
                   });
    }
    return pushed;
  }
  [[nodiscard]] std::string stage_of(const layout::Slot& slot) const {
    const std::uint8_t stage = slot.stage.load(std::memory_order_relaxed);
    return stage < stages_.size() ? stages_[stage] : std::string();
  }
  [[nodiscard]] std::uint64_t slot_at(std::uint32_t slot) const noexcept {
    return shape_.slots_at() + std::uint64_t{slot} * sizeof(layout::Slot);
  }
  [[nodiscard]] Copy<layout::Slot> slot_of(std::uint32_t slot) const {
    return copies_.one<layout::Slot>(slot_at(slot));
  }

  Copies copies_;
  WorkShape shape_;
  std::string name_;
  bool oldest_;
  bool begun_ = false;
  std::vector<std::string> stages_;
  std::vector<std::uint64_t> told_;    // of each slot, `born` + 1 of the job that was told last
  std::vector<std::uint8_t> told_of_;  // and what of it
  std::uint64_t number_ = 0;
  std::uint64_t told_jobs_ = 0;
  std::uint64_t began_at_ = 0;  // jobs that had been pushed when we came
  std::uint64_t gone_ = 0;
};

}  // namespace millrace::detail
