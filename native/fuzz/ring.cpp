// A queue whose positions, records and wait lines lie: both sides at once, each the other's liar.
#include <millrace/queue.hpp>

#include "fuzz.hpp"

using namespace millrace;
using namespace millrace::fuzz;

namespace {

class Story {
 public:
  explicit Story(Input& input) : input_(input) {
    spec_.place = memory_.place();
    spec_.capacity = 4096;
  }

  void tell() {
    open_producer();
    open_consumer();
    insist(producer_ != nullptr && consumer_ != nullptr, "an honest queue opens");
    const std::size_t page = os::page_size();
    Liar& liar = memory_.liar({{page, 2},        // producer's line
                               {page + 128, 2},  // consumer's line
                               {page + 256, 4},  // their wait lines
                               {page + 384, 4},
                               {512, 16},          // roles
                               {page * 2, 512}});  // records
    std::optional<Storm> storm;
    weather(storm, liar, input_);
    while (!input_.over()) {
      switch (input_.below(16)) {
        case 0:
        case 1:
        case 2:
        case 3:
          liar.lie(input_);
          break;
        case 4:
          push();
          break;
        case 5:
          reserve();
          break;
        case 6:
          batch();
          break;
        case 7:
        case 8:
          peek();
          break;
        case 9:
          walk();
          break;
        case 10:
          look();
          break;
        case 11:
          wait();
          break;
        case 12:
          if (input_.flag()) consumer_->close(input_.flag());
          open_consumer();
          break;
        case 13:
          if (input_.flag()) producer_->close(input_.flag());
          open_producer();
          break;
        case 14:
          pack();
          break;
        default:
          unpack();
      }
      if (!producer_ || !consumer_) return;  // who comes later was told that it is corrupt
    }
  }

 private:
  void open_producer() {
    producer_.reset();
    auto opened = QueueProducer::open(spec_, os::Deadline::after(0));
    if (opened.ok()) producer_ = opened.take();
  }
  void open_consumer() {
    consumer_.reset();
    auto opened = QueueConsumer::open(spec_, os::Deadline::after(0));
    if (opened.ok()) consumer_ = opened.take();
  }

  void push() {
    if (!producer_->side().open()) return;
    const std::vector<std::byte> payload(input_.below(5000));
    (void)producer_->try_push(payload.data(), static_cast<std::uint32_t>(payload.size()));
  }
  void reserve() {
    if (!producer_->side().open()) return;
    const auto length = static_cast<std::uint32_t>(input_.below(5000));
    std::byte* room = producer_->reserve(length);
    if (room == nullptr) return;
    insist_within(producer_->side().data(), {room, length});
    write_all({room, length});
    if (input_.flag()) producer_->commit(static_cast<std::uint32_t>(input_.below(length + 1)));
  }
  void batch() {
    if (!producer_->side().open()) return;
    const std::uint64_t bytes = input_.below(520) * layout::kRecordAlign;
    auto& ring = producer_->ring();
    if (bytes > ring.capacity() || !ring.has_room(bytes)) return;
    insist_within(producer_->side().data(), {ring.data() + ring.next_offset(), bytes});
    write_all({ring.data() + ring.next_offset(), bytes});
    producer_->publish(bytes, 1);
  }
  // Lengths that may change between two looks, as those in shared memory do, and that go beyond the bytes there are.
  void pack() {
    if (!producer_->side().open()) return;
    const std::vector<std::byte> bytes(input_.below(6000), std::byte{0x5a});
    const std::uint64_t count = input_.below(100);
    std::uint64_t asked = 0;
    const std::uint64_t sent = producer_->try_push_packed(bytes, count, [&](std::uint64_t i) {
      insist(i == asked++ && i < count, "each length is asked for once");
      const std::uint8_t kind = input_.byte();
      if (kind < 16) return static_cast<std::uint32_t>(input_.word());
      return kind < 128 ? std::uint32_t{64} : static_cast<std::uint32_t>(kind - 128);
    });
    insist(sent <= count, "no more is sent than was given");
  }
  void unpack() {
    if (!consumer_->side().open()) return;
    std::vector<std::byte> target(input_.below(6000));
    std::vector<std::uint32_t> lengths(input_.below(100));
    const auto popped = consumer_->try_pop_packed(target, lengths);
    insist(popped.messages <= lengths.size(), "each message has a place for its length");
    insist(popped.messages == 0 || popped.status == RingStatus::ok, "what was taken is told of");
    std::uint64_t filled = 0;
    for (std::uint64_t i = 0; i < popped.messages; ++i)
      filled += lengths[i];
    insist(filled <= target.size(), "what was taken is in the target");
    read_all({target.data(), filled});
  }
  void peek() {
    if (!consumer_->side().open()) return;
    const Message message = consumer_->peek();
    if (message.status != RingStatus::ok) return;
    insist(message.length <= consumer_->ring().capacity(), "a message fits the ring");
    insist_within(consumer_->side().data(), message.bytes());
    read_all(message.bytes());
    if (input_.flag()) consumer_->release(message);
  }
  // As `drain` does: the caller walks the records itself.
  void walk() {
    if (!consumer_->side().open()) return;
    auto& ring = consumer_->ring();
    const std::uint64_t available = ring.available();
    insist(available <= ring.capacity(), "no more than the ring holds");
    insist_within(consumer_->side().data(), {ring.data() + ring.next_offset(), available});
    read_all({ring.data() + ring.next_offset(), available});
    (void)consumer_->release_bytes(input_.word() % (available + 9), 1);
  }
  void look() {
    for (auto* side : {&producer_->side(), &consumer_->side()}) {
      if (!side->open()) continue;
      (void)side->peer();
      (void)side->peer_left();
      (void)side->peer_pid();
      insist(side->peer_reason().size() <= 3 * layout::kReasonBytes, "a reason is short");
    }
    if (producer_->side().open()) {
      (void)producer_->ring().room();
      (void)producer_->ring().drained();
    }
  }
  void wait() {
    if (consumer_->side().open()) {
      (void)consumer_->wait_data(0, 0);
      if (consumer_->park({input_.word(), 1})) consumer_->side().sleeper().unpark();
    }
    if (producer_->side().open()) {
      (void)producer_->wait_room(input_.below(5000), 0, 0);
      if (producer_->park({input_.word(), 2}, 8)) producer_->side().sleeper().unpark();
    }
  }

  Input& input_;
  Memory memory_;
  QueueSpec spec_;
  std::unique_ptr<QueueProducer> producer_;
  std::unique_ptr<QueueConsumer> consumer_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Story(input).tell();
  return 0;
}
