// Topics on three handles whose cells, slots, rows, positions, texts, pins and payloads lie.
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <millrace/topics/topic_bus.hpp>

#include "fuzz.hpp"

using namespace millrace;
using namespace millrace::fuzz;

namespace {

constexpr std::size_t kHandles = 3;
constexpr std::array<std::string_view, 6> kSubjects{"a", "a.b", "a.c", "b.x.y", "b.x.z", ".wrong"};
constexpr std::array<std::string_view, 6> kFilters{">", "a.*", "a", "b.>", "*.x.*", "a.>.b"};

class Story {
 public:
  explicit Story(Input& input) : input_(input) {
    spec_.place = memory_.place();
    spec_.seats = 5;
    spec_.subscriptions = 6;
    spec_.subjects = 6;
    spec_.messages = 8;
    spec_.bytes = 4096;
    for (std::size_t i = 0; i < kHandles; ++i)
      open(i);
    insist(handles_[0].bus != nullptr, "honest topics open");
  }

  void tell() {
    const TopicShape shape = handles_[0].bus->shape();
    const std::size_t control = shape.control_at();
    Liar& liar = memory_.liar({{control, 16},
                               {control + offsetof(layout::TopicControl, room_waiters), 32},
                               {control + offsetof(layout::TopicControl, tail), 1},
                               {control + offsetof(layout::TopicControl, head), 1},
                               {control + offsetof(layout::TopicControl, floor), 1},
                               {control + offsetof(layout::TopicControl, subjects_lock), 1},
                               {control + offsetof(layout::TopicControl, entry_seats), 2},
                               {layout::kRolesOffset, 40},
                               {shape.seat_records_at(), 96},
                               {shape.wait_lines_at(), 80},
                               {shape.entries_at(), 384},
                               {shape.rows_at(), 6},
                               {shape.subject_records_at(), 48},
                               {shape.buckets_at(), 4},
                               {shape.texts_at(), 192},
                               {shape.filters_at(), 64},
                               {shape.cells_at(), 8},
                               {shape.slots_at(), 112},
                               {shape.slots_at(), 112},
                               {shape.free_groups_at(), 1},
                               {shape.owners_at(), 16},
                               {shape.data_at(), 64}});
    std::optional<Storm> storm;
    weather(storm, liar, input_);
    for (int steps = 0; steps < 200 && !input_.over(); ++steps) {
      if (input_.below(3) == 0) {
        liar.lie(input_);
      } else {
        act(handles_[input_.below(kHandles)]);
      }
    }
    storm.reset();
    for (Handle& handle : handles_)
      leave(handle);
  }

 private:
  struct Handle {
    std::unique_ptr<TopicBus> bus;
    std::vector<std::uint32_t> entries;
    std::vector<std::uint32_t> pins;
    TopicLoan loan;
  };

  void open(std::size_t which) {
    auto opened = TopicBus::open(spec_, os::Deadline::after(0));
    if (opened.ok()) handles_[which].bus = opened.take();
  }
  static void leave(Handle& handle) { handle = Handle{}; }

  void act(Handle& handle) {
    const std::size_t what = input_.below(16);
    if (!handle.bus || what == 0) {
      leave(handle);
      return open(static_cast<std::size_t>(&handle - handles_.data()));
    }
    TopicBus& bus = *handle.bus;
    switch (what) {
      case 1:
      case 2:
      case 3:
      case 4:
        return publish(bus);
      case 5:
        return lend(handle);
      case 6:
        return subscribe(handle);
      case 7:
        if (handle.entries.empty()) return;
        bus.unsubscribe(handle.entries.back());
        handle.entries.pop_back();
        return;
      case 8:
      case 9:
      case 10:
        return read(handle);
      case 11:
        return pump(handle);
      case 12:
        while (!handle.pins.empty()) {
          bus.release(handle.pins.back());
          handle.pins.pop_back();
        }
        return;
      case 13:
        bus.park_on_bell(static_cast<std::uint32_t>(1 + input_.below(3)), {1, 1});
        (void)bus.keep_watch();
        (void)bus.parked();
        return;
      case 14:
        return bus.unpark();
      default:
        (void)bus.look();
        (void)bus.keeping().bury(input_.below(spec_.seats.value()));
        (void)bus.facts();
        for (std::uint32_t subject = 0; subject < 8; ++subject)
          (void)bus.subject_text(subject);
    }
  }

  std::uint32_t subject_of(TopicBus& bus) {
    // One that was never made, now and then.
    if (input_.below(16) == 0) return static_cast<std::uint32_t>(input_.word());
    const auto made = bus.subject(kSubjects[input_.below(kSubjects.size())]);
    return made.ok() ? made.value() : 0;
  }
  void publish(TopicBus& bus) {
    const std::uint32_t subject = subject_of(bus);
    const std::vector<std::byte> payload(input_.below(700), std::byte{7});
    const std::vector<std::byte> headers(input_.below(3) * 8, std::byte{8});
    std::uint32_t matched = 0;
    (void)bus.try_publish(subject, payload, headers, matched);
  }
  void lend(Handle& handle) {
    TopicBus& bus = *handle.bus;
    if (!handle.loan) {
      const std::uint32_t subject = subject_of(bus);
      if (bus.reserve(subject, input_.below(900), input_.below(64), handle.loan) != Published::yes)
        return;
      const auto& data = bus.data();
      insist(handle.loan.at <= data->size() && handle.loan.room <= data->size() - handle.loan.at,
             "a loan lies in the data");
      write_all({data->data() + handle.loan.at, handle.loan.room});
      return;
    }
    std::uint32_t matched = 0;
    if (input_.flag()) {
      const std::uint64_t length = input_.below(handle.loan.room + 2);
      (void)bus.publish(handle.loan, length, {}, matched);
    }
    bus.cancel(handle.loan);
  }
  void subscribe(Handle& handle) {
    SubscribeOptions options;
    options.policy = input_.flag() ? layout::TopicPolicy::wait : layout::TopicPolicy::overwrite;
    options.replay.last = input_.flag();
    options.replay.newest = static_cast<std::uint32_t>(input_.below(12));
    options.depth = static_cast<std::uint32_t>(input_.below(10));
    if (input_.below(4) == 0) options.group = input_.flag() ? "group" : "other";
    const std::array<std::string_view, 2> filters{kFilters[input_.below(kFilters.size())],
                                                  kFilters[input_.below(kFilters.size())]};
    auto joined = handle.bus->subscribe(std::span(filters).first(1 + input_.below(2)), options);
    if (joined.ok()) handle.entries.push_back(joined.value());
  }
  void read(Handle& handle) {
    if (handle.entries.empty()) return;
    TopicBus& bus = *handle.bus;
    const std::uint32_t entry = handle.entries[input_.below(handle.entries.size())];
    (void)bus.ready(entry);
    (void)bus.next_bytes(entry);
    std::array<TopicMessage, 4> messages;
    std::vector<std::byte> target(input_.below(4) * 512);
    const bool in_place = input_.flag();
    const std::uint32_t count = bus.read(
        entry, messages.data(), static_cast<std::uint32_t>(1 + input_.below(4)), target, in_place);
    look_at(handle, std::span(messages).first(count), target);
  }
  void pump(Handle& handle) {
    if (handle.entries.empty()) return;
    TopicBus& bus = *handle.bus;
    const std::uint32_t entry = handle.entries[input_.below(handle.entries.size())];
    std::array<TopicMessage, 4> messages;
    std::vector<std::byte> target(1024);
    const std::uint32_t count = bus.pump_begin(entry, messages.data(), 4, target);
    if (count == TopicBus::kPumpBusy || count == 0) return;
    look_at(handle, std::span(messages).first(count), target);
    bus.pump_end(entry, input_.flag() ? messages[count - 1].index + 1 : input_.word());
  }
  void look_at(Handle& handle, std::span<const TopicMessage> messages,
               std::span<const std::byte> target) {
    for (const TopicMessage& message : messages) {
      const bool copied = message.pin == TopicMessage::kCopied;
      const auto& data = handle.bus->data();
      const std::span<const std::byte> where =
          copied ? target : std::span<const std::byte>(data->data(), data->size());
      const std::uint64_t bytes = message.headers_length == 0
                                      ? message.length
                                      : message.headers_at() + message.headers_length - message.at;
      insist(message.at <= where.size() && bytes <= where.size() - message.at,
             "a message lies where it is said to");
      read_all(where.subspan(message.at, bytes));
      (void)handle.bus->subject_text(message.subject);
      if (!copied) handle.pins.push_back(message.pin);
    }
  }

  Input& input_;
  Memory memory_;
  TopicSpec spec_;
  std::array<Handle, kHandles> handles_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Story(input).tell();
  return 0;
}
