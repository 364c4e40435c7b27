// Calls on three handles whose words, bits, seats, places, requests and answers lie.
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include <millrace/rpc/call_queue.hpp>

#include "fuzz.hpp"

using namespace millrace;
using namespace millrace::fuzz;

namespace {

constexpr std::size_t kHandles = 3;

class Story {
 public:
  explicit Story(Input& input) : input_(input) {
    spec_.place = memory_.place();
    spec_.seats = 5;
    spec_.calls = 9;
    spec_.bytes = 8192;
    for (std::size_t i = 0; i < kHandles; ++i)
      open(i);
    insist(handles_[0].queue != nullptr, "honest calls open");
    handles_[0].queue->serve(true);
  }

  void tell() {
    const WorkShape shape = handles_[0].queue->parties().shape();
    const std::size_t control = shape.control_at();
    Liar& liar = memory_.liar({{control, 48},
                               {control + offsetof(layout::WorkControl, sleepers), 17},
                               {control + offsetof(layout::WorkControl, duties), 48},
                               {layout::kRolesOffset, 40},
                               {shape.seat_records_at(), 40},
                               {shape.wait_lines_at(), 80},
                               {shape.sleepers_at(), 3},
                               {shape.returned_at(), 1},
                               {shape.free_groups_at(), 1},
                               {shape.ring_ends_at(), 96},
                               {shape.cells_at(), 12},
                               {shape.slots_at(), 144},
                               {shape.slots_at(), 144},
                               {shape.owners_at(), 32},
                               {shape.data_at(), 64},
                               {shape.data_at() + shape.answers_at(), 64},
                               {shape.data_at() + shape.answered_at(), 10}});
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
    std::unique_ptr<CallQueue> queue;
    std::vector<Lease> leases;
    std::vector<Ticket> tickets;
    std::vector<Answer> answers;
  };

  void open(std::size_t which) {
    auto opened = CallQueue::open(spec_, os::Deadline::after(0));
    if (opened.ok()) handles_[which].queue = opened.take();
  }
  static void leave(Handle& handle) { handle = Handle{}; }

  void act(Handle& handle) {
    const std::size_t what = input_.below(16);
    if (!handle.queue || what == 0) {
      leave(handle);
      return open(static_cast<std::size_t>(&handle - handles_.data()));
    }
    CallQueue& queue = *handle.queue;
    switch (what) {
      case 1:
      case 2:
      case 3:
        return ask(handle);
      case 4:
      case 5:
        return poll(handle);
      case 6:
        if (handle.answers.empty()) return;
        queue.release(handle.answers.back());
        handle.answers.pop_back();
        return;
      case 7:
        if (handle.tickets.empty()) return;
        (void)queue.withdraw(handle.tickets.back());
        handle.tickets.pop_back();
        return;
      case 8:
        return queue.serve(input_.below(4) != 0);
      case 9:
      case 10:
        return take(handle);
      case 11:
      case 12:
        return settle(handle);
      case 13:
        queue.sleepers().park_on_bell(static_cast<std::uint32_t>(1 + input_.below(7)), {1, 1});
        (void)queue.keep_watch();
        (void)queue.still();
        return;
      case 14:
        return queue.unpark();
      default:
        (void)queue.look();
        for (std::uint32_t kind = 0; kind < 3; ++kind)
          (void)queue.recheck(kind);
        (void)queue.woke();
        (void)queue.servers();
    }
  }

  void ask(Handle& handle) {
    const std::vector<std::byte> request(input_.below(1500), std::byte{7});
    CallOptions options;
    options.method = static_cast<std::uint32_t>(input_.below(3));
    options.idempotent = input_.flag();
    if (input_.below(4) == 0)
      options.deadline_ns = os::monotonic_ns() + input_.below(3) * 1'000'000;
    Ticket ticket;
    if (handle.queue->try_call(request, options, ticket) == Asked::yes)
      handle.tickets.push_back(ticket);
  }
  void poll(Handle& handle) {
    CallQueue& queue = *handle.queue;
    Answer answer;
    if (queue.poll(answer) == Outcome::none) {
      std::uint32_t slot = 0;
      while (queue.next_cancelled(slot)) {
      }
      return;
    }
    const auto& data = queue.data();
    insist(answer.at <= data->size() && answer.length <= data->size() - answer.at,
           "an answer lies in the data");
    read_all({data->data() + answer.at, answer.length});
    handle.answers.push_back(answer);
  }
  void take(Handle& handle) {
    CallQueue& queue = *handle.queue;
    const Lease lease = queue.try_take(input_.flag());
    if (!lease) return;
    CallFacts facts;
    if (queue.facts(lease, facts)) {
      const auto& data = queue.data();
      insist(facts.at <= data->size() && facts.length <= data->size() - facts.at,
             "a request lies in the data");
      read_all({data->data() + facts.at, facts.length});
    }
    handle.leases.push_back(lease);
  }
  void settle(Handle& handle) {
    if (handle.leases.empty()) return;
    CallQueue& queue = *handle.queue;
    Lease lease = handle.leases.back();
    handle.leases.pop_back();
    (void)queue.cancelled(lease);
    if (input_.below(4) == 0) {
      (void)queue.give_back(lease);
      return;
    }
    if (!queue.start(lease)) return;
    const std::vector<std::byte> bytes(input_.below(1500), std::byte{9});
    const auto status = static_cast<std::uint8_t>(input_.below(kMostStatus + 1));
    const Answered done = queue.answer(lease, status, bytes);
    if (done == Answered::no_room || done == Answered::too_large)
      (void)queue.answer(lease, status, {});
  }

  Input& input_;
  Memory memory_;
  CallSpec spec_;
  std::array<Handle, kHandles> handles_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Story(input).tell();
  return 0;
}
