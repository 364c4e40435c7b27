// A frame channel with one writer and two readers, all of them liars' victims. Two surfaces tell stories
// about it: frames.cpp lies between their operations, ledger.cpp lets a writer inherit a lie.
#pragma once

#include <optional>

#include <millrace/frame_reader.hpp>
#include <millrace/frame_writer.hpp>

#include "fuzz.hpp"

namespace millrace::fuzz {

class FrameScene {
 public:
  static constexpr std::uint32_t kSlots = 5;
  static constexpr std::uint32_t kReaders = 3;

  explicit FrameScene(Input& input) : input_(input) {
    writer_spec_.place = reader_spec_.place = memory_.place();
    writer_spec_.geometry.slot_bytes = 100;
    writer_spec_.geometry.slots = kSlots;
    writer_spec_.geometry.readers = kReaders;
    writer_spec_.geometry.history = 2;
    insist(open_writer(), "an honest channel opens");
    for (std::size_t i = 0; i < readers_.size(); ++i)
      open_reader(i);
    const layout::FramesPlan& plan = writer_->plan();
    std::vector<Target> targets{{layout::kWriterControlOffset, 4},        // sequences
                                {layout::kWriterControlOffset + 128, 1},  // active lanes
                                {layout::kWriterControlOffset + 256, 4},  // the writer's wait line
                                {512, 8}};                                // its role
    for (std::uint32_t lane = 0; lane < kReaders; ++lane) {
      const std::size_t at = plan.lanes_offset + lane * plan.lane_stride;
      targets.push_back({at, 10});                                  // role, policy, depth
      targets.push_back({at + offsetof(layout::Lane, writer), 4});  // its write position
      targets.push_back({at + offsetof(layout::Lane, reader), 2});  // its read position
      targets.push_back({at + offsetof(layout::Lane, wait), 4});
      targets.push_back({at + sizeof(layout::Lane), plan.cells + plan.ledger_words});
    }
    for (std::uint32_t slot = 0; slot < kSlots; ++slot)
      targets.push_back({plan.slots_offset + slot * sizeof(layout::SlotRecord), 4});
    liar_ = &memory_.liar(std::move(targets));
  }

  [[nodiscard]] Liar& liar() noexcept { return *liar_; }
  [[nodiscard]] const layout::FramesPlan& plan() const noexcept { return plan_; }

  // One operation of somebody; false when the channel is beyond repair.
  bool act() {
    Reader& reader = readers_[input_.below(readers_.size())];
    switch (input_.below(12)) {
      case 0:
        loan(writer_->try_loan());
        break;
      case 1:
        loan(writer_->loan_ahead());
        break;
      case 2:
      case 3:
        publish();
        break;
      case 4:
        if (!loans_.empty()) {
          writer_->discard(loans_.back());
          loans_.pop_back();
        }
        break;
      case 5:
      case 6:
        take(reader, false);
        break;
      case 7:
        take(reader, true);
        break;
      case 8:
        release(reader);
        break;
      case 9:
        look(reader);
        break;
      case 10:
        open_reader(static_cast<std::size_t>(&reader - readers_.data()));
        break;
      default:
        (void)open_writer();
    }
    return writer_ != nullptr;
  }
  bool open_writer() {
    writer_.reset();
    loans_.clear();
    auto opened = FrameWriter::open(writer_spec_, os::Deadline::after(0));
    if (!opened.ok()) return false;
    writer_ = opened.take();
    plan_ = writer_->plan();
    return true;
  }

 private:
  struct Reader {
    std::unique_ptr<FrameReader> side;
    std::vector<ReceivedFrame> held;
  };

  void open_reader(std::size_t index) {
    Reader& reader = readers_[index];
    reader.side.reset();
    reader.held.clear();
    reader_spec_.policy = static_cast<layout::Policy>(input_.below(3));
    reader_spec_.depth = static_cast<std::uint32_t>(input_.below(kSlots));
    reader_spec_.history = static_cast<std::uint32_t>(input_.below(4));
    auto opened = FrameReader::open(reader_spec_, os::Deadline::after(0));
    if (opened.ok()) reader.side = opened.take();
  }
  void loan(const std::optional<std::uint32_t>& slot) {
    if (!slot) return;
    insist(*slot < kSlots, "a slot that there is");
    for (const std::uint32_t other : loans_)
      insist(other != *slot, "a slot is lent once");
    insist_within(writer_->pool(), writer_->payload(*slot));
    insist_within(writer_->pool(), writer_->user_header(*slot));
    write_all(writer_->payload(*slot));
    write_all(writer_->user_header(*slot));
    loans_.push_back(*slot);
  }
  void publish() {
    if (loans_.empty()) return;
    const std::uint64_t length = input_.below(101);
    const std::uint64_t sequence = writer_->publish(loans_.back(), length, 1);
    insist(sequence != 0, "what is on loan can be published");
    loans_.pop_back();
  }
  void take(Reader& reader, bool newest) {
    if (!reader.side) return;
    const ReceivedFrame frame = newest ? reader.side->latest() : reader.side->receive();
    if (frame.status == ReceivedFrame::Status::corrupt) {
      reader.side->close();
      reader.side.reset();
      reader.held.clear();
      return;
    }
    if (frame.status != ReceivedFrame::Status::ok) return;
    insist(frame.slot < kSlots && frame.length <= plan_.slot_bytes, "a frame that fits");
    insist(reader.side->holds(frame.slot, frame.sequence), "what was received is held");
    insist_within(reader.side->pool(), reader.side->payload(frame));
    insist_within(reader.side->pool(), reader.side->user_header(frame));
    read_all(reader.side->payload(frame));
    read_all(reader.side->user_header(frame));
    reader.held.push_back(frame);
    insist(reader.held.size() == reader.side->held(), "what is held is counted");
    insist(reader.held.size() <= reader.side->max_held(), "no more is held than may be");
  }
  void release(Reader& reader) {
    if (!reader.side || reader.held.empty()) return;
    const ReceivedFrame frame = reader.held.back();
    reader.held.pop_back();
    insist(reader.side->release(frame.slot, frame.sequence), "what is held can be released");
  }
  void look(Reader& reader) {
    (void)writer_->stirred();
    (void)writer_->readers();
    (void)writer_->reap_dead_readers();
    writer_->for_each_reader_bell([](std::uint64_t) {});
    (void)writer_->wait_free(0, 0);
    if (writer_->park({input_.word(), 1})) writer_->sleeper().unpark();
    if (!reader.side) return;
    (void)reader.side->lost();
    (void)reader.side->waiting_frames();
    (void)reader.side->writer();
    insist(reader.side->writer_reason().size() <= 3 * layout::kReasonBytes, "a reason is short");
    (void)reader.side->excluded();
    (void)reader.side->wait_frame(0, 0);
    if (reader.side->park({input_.word(), 2})) reader.side->sleeper().unpark();
  }

  Input& input_;
  Memory memory_;
  FrameWriterSpec writer_spec_;
  FrameReaderSpec reader_spec_;
  layout::FramesPlan plan_;
  std::unique_ptr<FrameWriter> writer_;
  std::array<Reader, 2> readers_;
  std::vector<std::uint32_t> loans_;
  Liar* liar_ = nullptr;
};

}  // namespace millrace::fuzz
