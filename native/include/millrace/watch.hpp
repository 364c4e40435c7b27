// The messages of a channel, seen from outside while it is at work, or after everybody has died.
//
// Takes no part in anything: no role, no seat, no lane, no lock, and not a byte is written. Who writes is not slowed down, and so can
// be too quick: then messages are missed, and counted. What is told is whole: each kind of channel has a file in watch/ that says why.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "os/inventory.hpp"
#include "upkeep/inspection.hpp"
#include "watch/cell.hpp"
#include "watch/frames.hpp"
#include "watch/message.hpp"
#include "watch/queue.hpp"
#include "watch/topics.hpp"
#include "watch/work.hpp"

namespace millrace {

struct WatchSpec {
  std::string name;
  char letter = 'q';    // of its kind
  bool oldest = false;  // begin with what is there
};

class ChannelWatch {
 public:
  static Result<std::unique_ptr<ChannelWatch>> open(const WatchSpec& spec) {
    std::unique_ptr<ChannelWatch> self(new ChannelWatch(spec));
    auto entered = self->enter(spec.oldest);
    if (!entered.ok()) return entered.error();
    return self;
  }

  // Copies what has come since the last look, as far as there is room. If the channel was made anew, it goes on with that one, from
  // its beginning; as long as there is none, with nothing.
  [[nodiscard]] Result<void> look(WatchSink& sink) {
    auto looked = watcher_->look(sink);
    if (!looked.ok() || sink.count() != 0 || sink.needed() != 0) return looked;
    if (!inspection_->unlinked()) return {};
    // What was stored before it was removed can be seen now.
    looked = watcher_->look(sink);
    if (!looked.ok() || sink.count() != 0 || sink.needed() != 0) return looked;
    const std::uint64_t missed = watcher_->missed();
    auto entered = enter(true);
    if (!entered.ok()) {
      if (entered.error().code == Code::not_found) return {};
      return entered;
    }
    missed_ += missed;
    return watcher_->look(sink);
  }
  [[nodiscard]] std::uint64_t missed() const noexcept { return missed_ + watcher_->missed(); }
  [[nodiscard]] bool is_pipeline() const noexcept { return pipeline_; }

 private:
  explicit ChannelWatch(WatchSpec spec) : spec_(std::move(spec)) {}

  // The channel of that name as it is now. If there is none, all is as it was.
  Result<void> enter(bool oldest) {
    auto found =
        detail::Inspection::of(object_name_of(spec_.letter, spec_.name), os::Access::read_only);
    if (!found) return not_found();
    auto inspection = std::make_unique<detail::Inspection>(std::move(*found));
    inspection->look();
    const layout::Header* const header = inspection->usable();
    if (header == nullptr)
      return inspection->unfinished() ? Result<void>(not_found())
                                      : Result<void>(unusable(inspection->report()));
    const detail::Copies copies(inspection->descriptor());
    auto watcher = watcher_for(copies, *header, oldest);
    if (watcher == nullptr)
      return make_error(Code::corrupt,
                        "'" + spec_.name + "' has an impossible geometry; remove it");
    watcher_ = std::move(watcher);
    inspection_ = std::move(inspection);
    return {};
  }
  std::unique_ptr<Watcher> watcher_for(const detail::Copies& copies, const layout::Header& header,
                                       bool oldest) {
    const layout::Geometry& geometry = header.geometry;
    const std::string& name = spec_.name;
    switch (header.kind) {
      case layout::Kind::queue:
        return std::make_unique<detail::QueueWatch>(copies, header, name, oldest);
      case layout::Kind::frames: {
        const auto plan = detail::FrameChannel::judge(geometry, name);
        if (!plan.ok()) return nullptr;
        return std::make_unique<detail::FramesWatch>(copies, plan.value(), name, oldest);
      }
      case layout::Kind::cell: {
        const auto plan = detail::CellSegment::judge(geometry, name);
        if (!plan.ok()) return nullptr;
        return std::make_unique<detail::CellWatch>(copies, plan.value(), name, oldest);
      }
      case layout::Kind::topics: {
        const auto shape = TopicShape::judged(geometry);
        if (!shape) return nullptr;
        return std::make_unique<detail::TopicsWatch>(copies, *shape, name, oldest);
      }
      case layout::Kind::work:
      case layout::Kind::calls: {
        const auto shape = WorkShape::judged(geometry, header.kind == layout::Kind::calls);
        if (!shape) return nullptr;
        pipeline_ = shape->is_pipeline();
        return std::make_unique<detail::WorkWatch>(copies, *shape, name, oldest);
      }
      default:
        return nullptr;
    }
  }
  [[nodiscard]] Error not_found() const {
    return make_error(
        Code::not_found,
        "'" + spec_.name + "' does not exist (yet); start the process that creates it");
  }
  [[nodiscard]] Error unusable(const ObjectReport& report) const {
    const std::string named = "'" + spec_.name + "' cannot be watched: ";
    if (report.condition == Condition::foreign)
      return make_error(Code::not_ours, named + report.detail);
    if (report.major != layout::kMajor)
      return make_error(Code::layout, named + "it was made by another version of millrace");
    return make_error(Code::corrupt, named + "it is damaged; remove it");
  }

  WatchSpec spec_;
  std::unique_ptr<detail::Inspection> inspection_;
  std::unique_ptr<Watcher> watcher_;
  std::uint64_t missed_ = 0;  // of those before this one
  bool pipeline_ = false;
};

}  // namespace millrace
