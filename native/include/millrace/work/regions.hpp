// Where in the memory of payloads what a stage has made may lie, so that a pipeline never waits for itself: what is full of
// payloads of one stage must not keep the next one from making room.
//
//   [ pushed: half ][ 1 ][ 2 ] … [ n-1 ][ 1's front ][ 2's front ] …
//
// What is pushed lies in the first half. What enters stage k lies anywhere below the end of part k, which is an equal share
// of the other half.
//
// Without order. Part k holds only what has entered stage k or a later one. What is in the last stage ends without needing
// room, so the last part becomes empty again and again, and what wants to enter it comes in, if it is not larger than the part;
// so what is in the last stage but one moves on, and so forth, down to the first. (What is pushed needs room once, before
// there is anything that it could be in the way of.)
//
// With order. What has been made in a stage that jobs leave in order waits there for older jobs, and keeps its memory. It and
// what comes behind it would fill every part as far as that stage while the oldest job, in a stage before it, wanted room
// there. So for each stage that is entered before the last ordered one is left half of the share is a part of its own, the
// front's. Only those lie there whose turn it is: all older jobs have left the first ordered stage that is still ahead of
// them (Order's watermark), or come late, who are never held. Suppose that nothing moves. Of the oldest job and those that
// come late, the one in the furthest stage wants to enter stage k. Who lies in k's front was the oldest when it came in, or came
// late: it is that job itself, in a stage before k, or one in k or later, which is further. So the front is empty, and the job
// comes in.
//
// Dead letters lie where they died, and can be in a part that would be empty but for them: there they make room
// (JobResults::clear_dead), for nobody else will.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "shape.hpp"

namespace millrace {

class Regions {
 public:
  struct Part {
    std::uint32_t first = 0;
    std::uint32_t below = 0;
    [[nodiscard]] std::uint32_t granules() const noexcept { return below - first; }
  };

  Regions() = default;
  explicit Regions(const WorkShape& shape) noexcept
      : later_stages_(has_results(shape) ? shape.stages - 1 : 0),
        fronts_(static_cast<std::uint32_t>(std::bit_width(std::uint32_t{shape.ordered}))),
        share_(later_stages_ == 0 ? 0 : shape.granules() / 2 / later_stages_),
        pushed_(shape.granules() - share_ * later_stages_) {}

  // What is pushed; where there are no results that is all.
  [[nodiscard]] Part pushed() const noexcept { return {0, pushed_}; }
  // The part that becomes empty when all that has entered that stage and later ones has gone.
  [[nodiscard]] Part part(std::uint32_t stage) const noexcept {
    if (stage == 0 || later_stages_ == 0) return pushed();
    const std::uint32_t before = std::min(stage, later_stages_) - 1;
    const std::uint32_t halves = std::min(before, fronts_);
    const std::uint32_t first = pushed_ + halves * shared() + (before - halves) * share_;
    return {first, first + (has_front(stage) ? shared() : share_)};
  }
  // Does anybody come to that stage who may wait for older ones afterwards?
  [[nodiscard]] bool has_front(std::uint32_t stage) const noexcept {
    return stage != 0 && stage <= fronts_;
  }
  // Only of stages that have one.
  [[nodiscard]] Part front(std::uint32_t stage) const noexcept {
    const std::uint32_t first = part(later_stages_).below + (stage - 1) * (share_ - shared());
    return {first, first + share_ - shared()};
  }
  // The most granules that what enters that stage can have.
  [[nodiscard]] std::uint32_t most(std::uint32_t stage) const noexcept {
    return (has_front(stage) ? front(stage) : part(stage)).granules();
  }

 private:
  // What is on disk stays as it was pushed.
  static bool has_results(const WorkShape& shape) noexcept {
    return shape.durability != layout::Durability::disk;
  }
  [[nodiscard]] std::uint32_t shared() const noexcept { return share_ / 2; }

  std::uint32_t later_stages_ = 0;
  std::uint32_t fronts_ = 0;  // stages 1 to this one have one
  std::uint32_t share_ = 0;
  std::uint32_t pushed_ = 0;
};

}  // namespace millrace
