// Jobs on their way: through the stages of a pipeline, as they are or as what they became, and on to another queue. Two queues
// whose words, numbers, places, promises and links lie, and seats that are buried in the middle of any step.
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <millrace/unlink.hpp>
#include <millrace/work/work_queue.hpp>

#include "fuzz.hpp"

using namespace millrace;
using namespace millrace::fuzz;

namespace {

constexpr std::size_t kHandles =
    4;  // the first three on the pipeline, the last on the queue behind it
constexpr std::uint32_t kStages = 3;

// An object that both a queue and its liar have.
class Named {
 public:
  explicit Named(const char* which)
      : name_("fuzz-flow-" + std::to_string(::getpid()) + "-" + which) {
    (void)unlink_channel('j', name_);
  }
  Named(const Named&) = delete;
  Named& operator=(const Named&) = delete;
  ~Named() { (void)unlink_channel('j', name_); }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  Liar& liar(const WorkShape& shape) {
    const Place place = Place(name_).for_segment('j');
    auto opened = place.open(os::Access::read_write);
    insist(opened.ok(), "the object has its name");
    const os::Descriptor fd = opened.take();
    auto mapped = os::map_shared(fd.get(), 0, shape.total_bytes(), {});
    insist(mapped.ok(), "mmap");
    map_ = mapped.take();
    const std::size_t control = shape.control_at();
    liar_ = Liar(map_->data(), map_->size(),
                 {{control, 48},
                  {control + offsetof(layout::WorkControl, dead_lock), 4},
                  {layout::kRolesOffset, 40},
                  {shape.seat_records_at(), 32},
                  {shape.links_at(), 16},
                  {shape.slots_at(), 192},
                  {shape.slots_at(), 192},
                  {shape.owners_at(), 32},
                  {shape.stage_names_at(), 8},
                  {shape.order_at(), 48},
                  {shape.order_ring_at(), 64},
                  {shape.data_at(), 32}});
    return liar_;
  }
  [[nodiscard]] layout::Slot& slot(const WorkShape& shape, std::size_t index) const noexcept {
    return reinterpret_cast<layout::Slot*>(map_->data() + shape.slots_at())[index];
  }

 private:
  std::string name_;
  os::MappingPtr map_;
  Liar liar_;
};

class Story {
 public:
  explicit Story(Input& input) : input_(input) {
    for (WorkSpec& spec : specs_) {
      spec.seats = 5;
      spec.levels = 2;
      spec.jobs = 9;
      spec.dead = 2;
      spec.bytes = 6144;
      spec.dead_bytes = 512;
      spec.keys = 10;
      spec.groups = 4;
      spec.window_ms = 1000;
      spec.attempts = 2;
      spec.lease_ms = 0;
    }
    specs_[0].place = pipeline_.name();
    specs_[0].stage_names = {"first", "second", "last"};
    specs_[0].ordered = static_cast<std::uint16_t>(input.below(4));
    specs_[0].lease_ms = input.flag() ? 1 : 0;
    specs_[1].place = behind_.name();
    for (std::size_t i = 0; i < kHandles; ++i)
      open(i);
    insist(handles_[0].queue != nullptr && handles_.back().queue != nullptr, "honest queues open");
  }

  void tell() {
    const std::array<WorkShape, 2> shapes{handles_.front().queue->parties().shape(),
                                          handles_.back().queue->parties().shape()};
    const std::array<Named*, 2> places{&pipeline_, &behind_};
    std::array<Liar*, 2> liars{&pipeline_.liar(shapes[0]), &behind_.liar(shapes[1])};
    std::optional<Storm> storm;
    weather(storm, *liars[0], input_);
    for (int steps = 0; steps < 200 && !input_.over(); ++steps) {
      const std::size_t which = input_.below(4) == 0 ? 1 : 0;
      switch (input_.below(6)) {
        case 0:
          liars[which]->lie(input_);
          break;
        case 1:
          make_word(places[which]->slot(shapes[which], input_.below(shapes[which].slots())));
          break;
        default:
          act(handles_[input_.below(kHandles)]);
      }
    }
    storm.reset();
    for (Handle& handle : handles_)
      leave(handle);
  }

 private:
  struct Handle {
    std::unique_ptr<WorkQueue> queue;
    std::vector<Lease> leases;
  };

  // A word as somebody leaves it who dies in the middle of a step; not every one of them with what belongs to it.
  void make_word(layout::Slot& slot) {
    layout::Word word = layout::unpack(slot.word.load());
    word.state = static_cast<layout::SlotState>(input_.below(13));
    word.flags = static_cast<std::uint8_t>(input_.below(8));
    word.seat = static_cast<std::uint16_t>(input_.below(5));
    word.attempt = static_cast<std::uint8_t>(input_.below(5));
    if (input_.flag()) ++word.token;
    slot.word.store(layout::pack(word));
    if (input_.flag()) {
      slot.forward = input_.below(40) | std::uint64_t{input_.below(40)} << 32U;
      slot.forward_queue = input_.below(3000);
    }
  }

  [[nodiscard]] bool is_behind(const Handle& handle) const noexcept {
    return &handle == &handles_.back();
  }
  void open(std::size_t which) {
    auto opened = WorkQueue::open(specs_[which + 1 == kHandles ? 1 : 0], os::Deadline::after(0));
    if (opened.ok()) handles_[which].queue = opened.take();
  }
  static void leave(Handle& handle) {
    handle.leases.clear();
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
      case 4: {
        const std::vector<std::byte> payload(input_.below(1500), std::byte{7});
        (void)queue.try_push(payload, options());
        return;
      }
      case 5:
      case 6:
      case 7:
      case 8:
        return take(handle);
      case 9:
        (void)queue.look();
        return;
      case 10:
        (void)queue.store().repair(static_cast<std::uint16_t>(input_.below(6)));
        return;
      case 11:
        queue.store().keep_order();
        for (std::uint32_t stage = 0; stage < queue.parties().shape().stages; ++stage)
          (void)queue.store().stage_counts(stage);
        return;
      default:
        return settle(handle);
    }
  }
  PushOptions options() {
    PushOptions chosen;
    chosen.level = static_cast<std::uint8_t>(input_.below(2));
    if (input_.below(4) == 0) chosen.id = kIds[input_.below(kIds.size())];
    if (input_.below(4) == 0) chosen.group = kIds[input_.below(kIds.size())];
    if (input_.below(4) == 0) chosen.headers = std::as_bytes(std::span(kIds[0]));
    return chosen;
  }
  void take(Handle& handle) {
    WorkQueue& queue = *handle.queue;
    const auto stage = static_cast<std::uint32_t>(input_.below(is_behind(handle) ? 1 : kStages));
    const Lease lease =
        input_.below(4) == 0 ? queue.store().take_front(stage, true) : queue.try_take(stage, true);
    if (!lease) return;
    (void)payload(queue, lease.slot);
    handle.leases.push_back(lease);
  }
  // Read as a worker would.
  static std::span<const std::byte> payload(WorkQueue& queue, std::uint32_t slot) {
    JobFacts facts;
    if (!queue.facts(slot, facts)) return {};
    const auto& data = queue.data();
    insist(facts.at <= data->size() && facts.length <= data->size() - facts.at,
           "a payload lies in the data");
    const std::span<const std::byte> bytes{data->data() + facts.at, facts.length};
    read_all(bytes);
    read_all(std::as_bytes(std::span(facts.id)));
    read_all(std::as_bytes(std::span(facts.group)));
    read_all(facts.headers);
    return bytes;
  }
  void settle(Handle& handle) {
    if (handle.leases.empty()) return;
    WorkQueue& queue = *handle.queue;
    Lease lease = handle.leases.back();
    handle.leases.pop_back();
    const auto now = payload(queue, lease.slot);
    const std::vector<std::byte> other(input_.below(1500), std::byte{9});
    // Its own bytes, the first of them, or others.
    std::span<const std::byte> result = other;
    if (input_.below(3) == 0) result = now.first(std::min<std::size_t>(now.size(), other.size()));
    const std::uint32_t stage = stage_of(queue, lease.slot);
    switch (input_.below(8)) {
      case 0:
      case 1:
      case 2:
        if (is_behind(handle) || stage + 1 >= kStages) return (void)queue.complete(lease);
        if (queue.become(lease, result, static_cast<std::uint8_t>(stage + 1)) ==
            Became::full_bytes) {
          (void)queue.release(lease, 0);
        }
        return;
      case 3:
        if (is_behind(handle)) return (void)queue.complete(lease);
        return (void)queue.move_on(lease, static_cast<std::uint8_t>(input_.below(kStages)));
      case 4:
      case 5: {
        // From one to the other, or to the same, perhaps by another handle.
        Handle& to = handles_[input_.below(kHandles)];
        if (!to.queue) return (void)queue.reject(lease, "nobody there");
        PushOptions chosen = options();
        chosen.group = {};
        const auto told = queue.forward(lease, result, *to.queue, chosen);
        if (lease && (!told.ok() || told.value() != Forwarded::yes)) (void)queue.release(lease, 0);
        return;
      }
      case 6:
        return (void)queue.retry(lease, 0, "why");
      default:
        return (void)queue.complete(lease);
    }
  }
  static std::uint32_t stage_of(WorkQueue& queue, std::uint32_t slot) {
    JobFacts facts;
    return queue.facts(slot, facts) ? facts.stage : 0;
  }

  static constexpr std::array<std::string_view, 3> kIds{"one", "another", "a third"};

  Input& input_;
  Named pipeline_{"pipeline"};
  Named behind_{"behind"};
  std::array<WorkSpec, 2> specs_;
  std::array<Handle, kHandles> handles_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Story(input).tell();
  return 0;
}
