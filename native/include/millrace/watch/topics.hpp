// The messages of a bus, seen from outside: those that are in its log, in the one order that they have.
//
// A look is that of any subscriber (topics/reading.hpp) without an entry of its own: the cell, the message, acquire fence, the cell
// once more; whoever claims a slot for another message fences after the cell was emptied and before it writes (TopicSlots::try_slot).
// Some messages are copied between two looks at their cells. What holds for copies by system calls is in queue.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>

#include "../crash_point.hpp"
#include "../layout/topics.hpp"
#include "../observe/copies.hpp"
#include "../observe/topics.hpp"
#include "../topics/shape.hpp"
#include "../topics/turns.hpp"
#include "message.hpp"

namespace millrace::detail {

class TopicsWatch final : public Watcher {
 public:
  TopicsWatch(Copies copies, const TopicShape& shape, std::string name, bool oldest)
      : copies_(copies),
        shape_(shape),
        turns_(shape.messages),
        name_(std::move(name)),
        oldest_(oldest) {}

  [[nodiscard]] Result<void> look(WatchSink& sink) override {
    if (!std::exchange(begun_, true)) {
      const auto control = copies_.one<layout::TopicControl>(shape_.control_at());
      const auto [head, tail] = TopicEnds::of(copies_, shape_, control[0]);
      at_ = oldest_ ? head : tail;
    }
    // All of the log twice, and no more than that: who lies, or is quicker, does not keep us.
    for (std::uint32_t looked = 0; looked <= 2 * shape_.messages / kPiece + 2 && !sink.full();
         ++looked) {
      bool more = false;
      auto copied = look_at_some(sink, more);
      if (!copied.ok() || !more) return copied;
    }
    return {};
  }

 private:
  static constexpr std::uint32_t kPiece = 64;
  using Cells = std::array<std::uint64_t, kPiece>;

  // The cells from our position on, as far as they lie in a row.
  [[nodiscard]] Result<void> look_at_some(WatchSink& sink, bool& more) {
    const auto place = static_cast<std::uint32_t>(at_ & (shape_.messages - 1));
    const std::uint32_t count = std::min(kPiece, shape_.messages - place);
    Cells cells{};
    if (!read(place, count, cells)) return shortened();
    std::atomic_thread_fence(
        std::memory_order_acquire);  // pairs with the commit of who filled them
    // Copied, and not looked at again yet.
    std::array<Watched, kPiece> found;
    std::array<std::uint64_t, kPiece> ends{};
    std::uint32_t full = 0;
    std::uint64_t used = sink.used();
    const std::uint64_t limit = sink.used() + sink.left();
    std::uint64_t no_room = 0;  // bytes for which there is none
    for (; full < count; ++full) {
      const std::uint64_t index = at_ + full;
      if (turns_.age_of(cells[full], index) != TopicTurns::Age::full) break;
      auto copied = copy(sink, cells[full], index, used, limit, found[full], no_room);
      if (!copied.ok()) return copied;
      if (no_room != 0) break;
      ends[full] = used;
    }
    MILLRACE_CRASH_POINT("watch.topics.copied");
    // Pairs with the fence of who claims a slot next (topics/slots.hpp).
    std::atomic_thread_fence(std::memory_order_acquire);
    Cells again{};
    if (!read(place, count, again)) return shortened();
    const std::uint64_t from = at_;
    std::uint64_t begin = sink.used();
    for (std::uint32_t i = 0; i < full && !sink.full(); ++i) {
      at_ = from + i + 1;
      // Evicted meanwhile, or damaged: what was copied is none. Its bytes lie before those of the next one.
      if (again[i] != cells[i] || found[i].op != WatchedOp::message) {
        ++missed_;
        continue;
      }
      sink.keep(found[i], ends[i] - begin);
      begin = ends[i];
    }
    more = full == count;
    if (no_room != 0) (void)sink.room(no_room);
    if (no_room != 0 || full == count || at_ != from + full) return {};
    // Why no further?
    switch (turns_.age_of(cells[full], at_)) {
      case TopicTurns::Age::later: {
        const auto control = copies_.one<layout::TopicControl>(shape_.control_at());
        const std::uint64_t next = std::max(turns_.behind(cells[full], at_),
                                            TopicEnds::of(copies_, shape_, control[0]).head);
        missed_ += next - at_;
        at_ = next;
        more = true;
        return {};
      }
      case TopicTurns::Age::impossible:
        return impossible();
      default:
        return {};
    }
  }
  // The message of that cell, behind what was copied before.
  [[nodiscard]] Result<void> copy(WatchSink& sink, std::uint64_t cell, std::uint64_t index,
                                  std::uint64_t& used, std::uint64_t limit, Watched& message,
                                  std::uint64_t& no_room) {
    message = Watched{};
    message.op = WatchedOp::value;  // none
    const std::uint32_t slot = layout::slot_of_topic_cell(cell);
    if (slot >= shape_.slots()) return {};
    const auto its = copies_.one<layout::TopicSlot>(
        shape_.slots_at() + std::uint64_t{slot} * sizeof(layout::TopicSlot));
    const std::uint32_t granule = its[0].granule.load(std::memory_order_relaxed);
    const std::uint32_t granules = its[0].granules.load(std::memory_order_relaxed);
    const std::uint64_t length = its[0].length.load(std::memory_order_relaxed);
    const std::uint64_t headers = its[0].headers_length.load(std::memory_order_relaxed);
    const std::uint32_t subject = its[0].subject.load(std::memory_order_relaxed);
    const std::uint64_t room =
        granules == 0 ? layout::kTopicInlineBytes : std::uint64_t{granules} * layout::kGranuleBytes;
    const std::uint64_t behind = (length + 7) / 8 * 8;
    const bool possible =
        (headers == 0 ? length : behind + headers) <= room &&
        headers <= layout::kTopicHeadersMost && subject < shape_.subjects &&
        (granules == 0 || (granule < shape_.granules() && granules <= shape_.granules() - granule));
    if (!possible) return {};
    const std::string* const found = subject_text(subject);
    if (found == nullptr) return {};
    const std::string& text = *found;
    const std::uint64_t wanted = sink.cut(length);
    const std::uint64_t texts = (wanted + 7) / 8 * 8;
    const std::uint64_t bytes = texts + text.size() + headers;
    if (bytes > limit - used) {
      no_room = bytes;
      return {};
    }
    const std::uint64_t from =
        shape_.data_at() +
        (granules == 0 ? std::uint64_t{slot} * layout::kTopicInlineBytes
                       : shape_.granules_at() + std::uint64_t{granule} * layout::kGranuleBytes);
    std::byte* const to = sink.room(0) + (used - sink.used());
    if (!copies_.into(from, to, wanted) ||
        !copies_.into(from + behind, to + texts + text.size(), headers)) {
      return shortened();
    }
    std::copy(text.begin(), text.end(), reinterpret_cast<char*>(to + texts));
    message.op = WatchedOp::message;
    message.sequence = index;
    message.published_at = its[0].published_at.load(std::memory_order_relaxed);
    message.at = used;
    message.length = length;
    message.copied = wanted;
    message.texts_at = used + texts;
    message.subject_length = static_cast<std::uint16_t>(text.size());
    message.headers_length = static_cast<std::uint16_t>(headers);
    used = (used + bytes + 7) / 8 * 8;
    return {};
  }
  // Of a subject that there is, the text never changes. Of one that there is not yet, no message tells.
  [[nodiscard]] const std::string* subject_text(std::uint32_t subject) {
    const auto known = subjects_.find(subject);
    if (known != subjects_.end()) return &known->second;
    const auto control = copies_.one<layout::TopicControl>(shape_.control_at());
    if (subject >= control[0].subjects.load(std::memory_order_relaxed)) return nullptr;
    std::atomic_thread_fence(std::memory_order_acquire);  // pairs with the release of who made it
    const auto record = copies_.one<layout::SubjectRecord>(
        shape_.subject_records_at() + std::uint64_t{subject} * sizeof(layout::SubjectRecord));
    std::string text(
        std::min(record[0].length.load(std::memory_order_relaxed), layout::kSubjectMost), '\0');
    (void)copies_.into(shape_.texts_at() + std::uint64_t{subject} * sizeof(layout::SubjectText),
                       text.data(), text.size());
    return &subjects_.emplace(subject, std::move(text)).first->second;
  }
  [[nodiscard]] bool read(std::uint32_t place, std::uint32_t count, Cells& cells) const {
    return copies_.into(shape_.cells_at() + std::uint64_t{place} * sizeof(layout::TopicCell),
                        cells.data(), count * sizeof(layout::TopicCell));
  }
  [[nodiscard]] Error impossible() const {
    return make_error(Code::corrupt, "topics '" + name_ + "' hold what no publisher writes");
  }
  [[nodiscard]] Error shortened() const {
    return make_error(Code::corrupt, "topics '" + name_ + "' are shorter than they should be");
  }

  Copies copies_;
  TopicShape shape_;
  TopicTurns turns_;
  std::string name_;
  bool oldest_;
  bool begun_ = false;
  std::uint64_t at_ = 0;  // index of the next message
  std::unordered_map<std::uint32_t, std::string> subjects_;
};

}  // namespace millrace::detail
