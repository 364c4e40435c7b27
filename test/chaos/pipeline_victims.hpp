// The victims of `npm run chaos` that work on a pipeline: they push into it, or work one of its stages. As in pipeline-party.ts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <millrace/millrace.hpp>

#include "content.hpp"
#include "work_victims.hpp"

namespace victims {

// What is done to a job in a stage follows from its number: it moves on as it is, or as something else, or as its own first half.
struct StagedContent {
  enum class Step : std::uint8_t { in_place, result, half };
  static constexpr std::uint64_t kScale = 4;

  StagedContent(std::uint64_t which, std::uint8_t stage) : number(which), nth(which % kEach) {
    for (std::uint8_t before = 0; before < stage; ++before)
      take(step(before), before);
  }

  [[nodiscard]] Step step(std::uint8_t stage) const {
    const bool first = stage == 0;
    if (first ? nth % 3 == 0 : nth % 3 == 1) return Step::in_place;
    return (first ? nth % 7 == 1 : nth % 5 == 4) ? Step::half : Step::result;
  }
  // What it is after that step.
  void take(Step step, std::uint8_t stage) {
    if (step == Step::half) words = (words + 1) / 2;
    if (step != Step::result) return;
    origin = static_cast<std::uint8_t>(stage + 1);
    const std::uint64_t wanted = stage == 0 ? (nth % 8 == 5 ? 128 + nth % 500 : 1 + nth % 40)
                                            : (nth % 16 == 7 ? 200 + nth % 300 : 1 + nth % 12);
    words = static_cast<std::uint32_t>(wanted);
  }
  [[nodiscard]] std::uint32_t length() const { return words * 8; }
  // The number in its bytes: which job, and in which stage they were made.
  [[nodiscard]] std::uint64_t key() const { return number * kScale + origin; }

  std::uint64_t number;
  std::uint64_t nth;
  std::uint8_t origin = 0;
  std::uint32_t words = static_cast<std::uint32_t>(WorkJob(number).length / 8);
};

inline WorkSpec staged(WorkSpec spec) {
  spec.stage_names = {"first", "middle", "last"};
  spec.ordered = 1U << 1U;
  return spec;
}

// Works one stage, a job at a time.
template <typename Part>
class StageWorker {
 public:
  StageWorker(Part& part, WorkQueue& queue, std::uint64_t who, std::uint8_t stage)
      : part_(&part), queue_(&queue), journal_(part.name, who), stage_(stage) {}

  void work(Lease lease) {
    JobFacts facts;
    if (!queue_->facts(lease.slot, facts)) ::_exit(7);
    const std::uint64_t key = number_in(queue_->data()->data() + facts.at, facts.length);
    const StagedContent content(key / StagedContent::kScale, stage_);
    if (key != content.key() || facts.length != content.length()) ::_exit(8);
    journal_.tell('s', content.number,
                  std::to_string(facts.attempt) + ' ' + std::to_string(facts.acquired) + ' ' +
                      std::to_string(stage_));
    part_->pause();
    if (part_->random.below(100) >= 85) {
      settle_otherwise(*part_, *queue_, lease, content.number, journal_);
      return;
    }
    journal_.tell('b', content.number, "step");
    journal_.tell(step_on(lease, facts, content) ? 'd' : 'l', content.number);
  }

 private:
  // False: the lease was lost.
  bool step_on(Lease& lease, const JobFacts& facts, StagedContent content) {
    using Step = StagedContent::Step;
    if (stage_ == 2) return queue_->complete(lease);
    const auto next = static_cast<std::uint8_t>(stage_ + 1);
    const Step step = content.step(stage_);
    if (step == Step::in_place) return queue_->move_on(lease, next);
    content.take(step, stage_);
    std::vector<std::byte> result(content.length());
    std::span<const std::byte> bytes = result;
    if (step == Step::half) {
      bytes = {queue_->data()->data() + facts.at, content.length()};
    } else {
      fill(result.data(), content.key(), content.length());
    }
    for (;;) {
      switch (queue_->become(lease, bytes, next)) {
        case Became::yes:
          return true;
        case Became::lost:
          return false;
        case Became::full_bytes:
          // Perhaps all wait for one that nobody has in hand.
          if (const Lease front = queue_->try_take_front(stage_)) {
            work(front);
          } else {
            os::sleep_ns(200'000);
          }
          break;
        case Became::too_large:
          ::_exit(6);
      }
    }
  }

  Part* part_;
  WorkQueue* queue_;
  Journal journal_;
  std::uint8_t stage_;
};

template <typename Part, typename Ledger>
void work_stage(Part& part, Ledger& ledger, WorkQueue& queue, std::uint64_t who,
                std::uint8_t stage) {
  StageWorker<Part> worker(part, queue, who, stage);
  for (int i = 0; i < 2000;) {
    const Lease lease = queue.wait_for_job(stage, true, 0, 20'000'000);
    if (!lease) continue;
    worker.work(lease);
    ledger.turns.fetch_add(1);
    ++i;
  }
}

template <typename Part, typename Ledger>
void use_stage(Part& part, Ledger& ledger, WorkQueue& queue) {
  constexpr std::uint64_t kSides = 8;  // survivors have the last one
  const std::uint8_t stage = part.side == "first"    ? 0
                             : part.side == "middle" ? 1
                             : part.side == "last"   ? 2
                                                     : 3;
  const std::uint64_t who = (ledger.base.fetch_add(1) + 1) * kSides + stage;
  ledger.holding.store(who);
  if (stage < 3) return work_stage(part, ledger, queue, who, stage);
  push_jobs(part, ledger, queue, who, {1, StagedContent::kScale});
}

}  // namespace victims
