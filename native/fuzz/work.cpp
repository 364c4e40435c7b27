// A work queue on three handles whose words, hints, seats, duties and payloads lie.
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <millrace/work/work_queue.hpp>

#include "fuzz.hpp"

using namespace millrace;
using namespace millrace::fuzz;

namespace {

constexpr std::size_t kHandles = 3;
constexpr std::uint32_t kStages = 2;

class Story {
 public:
  explicit Story(Input& input) : input_(input) {
    spec_.place = memory_.place();
    spec_.seats = 5;
    spec_.levels = 3;
    spec_.stages = kStages;
    spec_.jobs = 9;
    spec_.dead = 3;
    spec_.bytes = 4096;
    spec_.dead_bytes = 512;
    spec_.keys = 10;
    spec_.groups = 10;
    spec_.window_ms = 1000;
    const std::size_t kind = input.below(4);
    spec_.lease_ms = kind % 2;
    if (kind / 2 != 0) {
      spec_.stage_names = {"first", "last"};
      spec_.ordered = 1;
    }
    spec_.attempts = 3;
    for (std::size_t i = 0; i < kHandles; ++i)
      open(i);
    insist(handles_[0].queue != nullptr, "an honest queue opens");
  }

  void tell() {
    const WorkShape shape = handles_[0].queue->parties().shape();
    const std::size_t control = shape.control_at();
    Liar& liar = memory_.liar(
        {{control, 48},                                            // masks, lookouts, who is there
         {control + offsetof(layout::WorkControl, sleepers), 17},  // and dead letters, duties
         {control + offsetof(layout::WorkControl, dead_lock), 4},
         {control + offsetof(layout::WorkControl, duties), 48},
         {layout::kRolesOffset, 40},
         {shape.seat_records_at(), 40},
         {shape.wait_lines_at(), 80},
         {shape.sleepers_at(), 3},
         {shape.returned_at(), 1},
         {shape.free_groups_at(), 1},
         {shape.due_groups_at(), 1},
         {shape.ring_ends_at(), 96},
         {shape.cells_at(), 12},
         {shape.slots_at(), 192},
         {shape.notes_at(), 40},
         {shape.keys_at(), 64},
         {shape.groups_at(), 64},
         {shape.owners_at(), 18},
         // Of a pipeline; of a plain queue what is in front of the payloads.
         {shape.stage_names_at(), 16},
         {shape.order_at(), 32},
         {shape.order_ring_at(), 64},
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
    for (Handle& handle : handles_)
      leave(handle);
  }

 private:
  struct Handle {
    std::unique_ptr<WorkQueue> queue;
    std::vector<Lease> leases;
    std::optional<Loan> loan;
  };

  void open(std::size_t which) {
    auto opened = WorkQueue::open(spec_, os::Deadline::after(0));
    if (opened.ok()) handles_[which].queue = opened.take();
  }
  static void leave(Handle& handle) {
    handle.leases.clear();
    handle.loan.reset();
    handle.queue.reset();
  }

  void act(Handle& handle) {
    const std::size_t what = input_.below(16);
    if (!handle.queue || what == 0) {
      leave(handle);
      return open(static_cast<std::size_t>(&handle - handles_.data()));
    }
    WorkQueue& queue = *handle.queue;
    switch (what) {
      case 1:
      case 2:
      case 3:
        return push(queue);
      case 4:
        return lend(handle);
      case 5:
      case 6:
      case 7:
        return take(handle);
      case 8:
      case 9:
        return settle(handle);
      case 10:
        (void)queue.look();
        return look_on(queue);
      case 11: {
        const auto kinds = static_cast<std::uint32_t>(input_.below(8));
        queue.sleepers().park_on_bell((kinds & 3U) | (kinds >> 2U) << layout::kForRoom, {1, 1});
        (void)queue.keep_watch();
        return;
      }
      case 12:
        return queue.unpark();
      case 13:
        for (std::uint32_t kind = 0; kind < kStages; ++kind)
          (void)queue.recheck(kind);
        (void)queue.recheck(layout::kForRoom);
        (void)queue.woke();
        return;
      case 14:
        return read_dead(queue);
      default: {
        Lease lease = queue.wait_for_job(0, true, 0, 0);
        if (lease) handle.leases.push_back(lease);
      }
    }
  }
  PushOptions options() {
    PushOptions chosen;
    chosen.level = static_cast<std::uint8_t>(input_.below(3));
    chosen.stage = static_cast<std::uint8_t>(input_.below(kStages));
    if (input_.below(4) == 0) chosen.delay_ns = input_.below(3) * 1'000'000;
    if (input_.below(4) == 0) chosen.ttl_ns = 1 + input_.below(3) * 1'000'000;
    if (input_.flag()) chosen.id = kIds[input_.below(kIds.size())];
    if (input_.flag()) chosen.group = kIds[input_.below(kIds.size())];
    if (input_.flag()) chosen.headers = std::as_bytes(std::span(kIds[0]));
    return chosen;
  }
  void push(WorkQueue& queue) {
    const std::vector<std::byte> payload(input_.below(1500), std::byte{7});
    (void)queue.try_push(payload, options());
  }
  void lend(Handle& handle) {
    WorkQueue& queue = *handle.queue;
    if (!handle.loan) {
      Loan loan;
      const std::uint64_t bytes = input_.below(1500);
      if (queue.reserve(bytes, 64, loan) != Pushed::yes) return;
      insist(loan.at + bytes <= queue.data()->size(), "what is lent lies in the data");
      write_all({queue.data()->data() + loan.at, static_cast<std::size_t>(bytes)});
      handle.loan = loan;
      lent_ = bytes;
    } else {
      if (input_.flag())
        (void)queue.push(*handle.loan, std::min<std::uint64_t>(lent_, 10), options());
      if (*handle.loan) queue.cancel(*handle.loan);
      handle.loan.reset();
    }
  }
  void take(Handle& handle) {
    Lease lease =
        handle.queue->try_take(static_cast<std::uint32_t>(input_.below(kStages)), input_.flag());
    if (!lease) return;
    read(*handle.queue, lease.slot);
    handle.leases.push_back(lease);
  }
  static void read(WorkQueue& queue, std::uint32_t slot) {
    JobFacts facts;
    if (!queue.facts(slot, facts)) return;
    const auto& data = queue.data();
    insist(facts.at <= data->size() && facts.length <= data->size() - facts.at,
           "a payload lies in the data");
    read_all({data->data() + facts.at, facts.length});
    read_all(std::as_bytes(std::span(facts.id)));
    read_all(std::as_bytes(std::span(facts.group)));
    read_all(facts.headers);
  }
  void settle(Handle& handle) {
    if (handle.leases.empty()) return;
    WorkQueue& queue = *handle.queue;
    Lease lease = handle.leases.back();
    handle.leases.pop_back();
    (void)queue.holds(lease);
    switch (input_.below(7)) {
      case 0:
        (void)queue.release(lease, input_.below(2) * 1'000'000);
        break;
      case 1:
        (void)queue.retry(lease, input_.below(2) * 1'000'000, "why");
        break;
      case 2:
        (void)queue.reject(lease, "never");
        break;
      case 3:
        (void)queue.move_on(lease, static_cast<std::uint8_t>(input_.below(kStages)));
        break;
      case 4:
        (void)queue.start(lease);
        (void)queue.extend(lease, 1'000'000);
        break;
      default:
        (void)queue.complete(lease);
    }
  }
  static void look_on(WorkQueue& queue) {
    (void)queue.store().counts();
    (void)queue.store().stage_counts(0);
    (void)queue.store().is_next(0);
    (void)queue.store().dead_count();
    (void)queue.next_due();
  }
  void read_dead(WorkQueue& queue) {
    std::vector<std::pair<std::uint32_t, std::uint64_t>> found;
    (void)queue.store().each_dead([&](std::uint32_t slot, std::uint64_t bits) {
      found.emplace_back(slot, bits);
      return found.size() < 20;
    });
    for (const auto& [slot, bits] : found) {
      read(queue, slot);
      if (input_.flag()) {
        (void)queue.store().redrive(slot, bits);
      } else {
        (void)queue.store().purge(slot, bits);
      }
    }
  }

  static constexpr std::array<std::string_view, 3> kIds{"one", "another", "a third"};

  Input& input_;
  Memory memory_;
  WorkSpec spec_;
  std::array<Handle, kHandles> handles_;
  std::uint64_t lent_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Story(input).tell();
  return 0;
}
