// Another queue, looked at by whoever buries one that worked on both: it is found by its place, mapped without any lock, and who
// waits on it is woken for what has come.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "../bits.hpp"
#include "../layout/header.hpp"
#include "../os/mapping.hpp"
#include "../os/object.hpp"
#include "../place.hpp"
#include "../words.hpp"
#include "forward.hpp"
#include "memory.hpp"
#include "seats.hpp"
#include "wakers.hpp"

namespace millrace {

// The seats of a queue on which we have none, as wakers see them. We ring as we do on our own.
class OtherSeats {
 public:
  // Of a work queue; see Seats.
  [[nodiscard]] static constexpr bool fences_in_full() noexcept { return false; }
  OtherSeats(Seats& ours, std::byte* base, const WorkShape& shape) noexcept
      : ours_(&ours), base_(base), shape_(shape) {}

  [[nodiscard]] std::uint32_t seat() const noexcept { return layout::DutyWord::kNoSeat; }
  [[nodiscard]] const WorkShape& shape() const noexcept { return shape_; }
  [[nodiscard]] layout::WorkControl& control() const noexcept {
    return *at<layout::WorkControl>(shape_.control_at());
  }
  [[nodiscard]] std::atomic<std::uint64_t>* sleeper_sets() const noexcept {
    return at<std::atomic<std::uint64_t>>(shape_.sleepers_at());
  }
  // Where that cannot be told, the next one is woken as well.
  [[nodiscard]] bool vacant(std::uint32_t) const noexcept { return true; }
  Woken wake(std::uint32_t seat) { return ours_->wake(line(seat)); }
  Woken nudge(std::uint32_t seat) { return ours_->nudge(line(seat)); }

 private:
  template <typename T>
  [[nodiscard]] T* at(std::uint64_t offset) const noexcept {
    return reinterpret_cast<T*>(base_ + offset);
  }
  [[nodiscard]] layout::WaitLine& line(std::uint32_t seat) const noexcept {
    return at<layout::WaitLine>(shape_.wait_lines_at())[seat];
  }

  Seats* ours_;
  std::byte* base_;
  WorkShape shape_;
};

class OtherWakers : public Wakers<OtherSeats> {
 public:
  explicit OtherWakers(OtherSeats& seats) noexcept : Wakers(seats) {}
};

// Shows look(base, shape) the work queue of that place, if `wanted` says so of its header and its owner. Without a lock, and nobody
// learns of it. What is not whole, or is something else by now, is as good as gone.
template <typename Wanted, typename Look>
Reached look_at_queue(const Place& at, Wanted&& wanted, Look&& look) {
  const Place place = at.for_segment('j');
  if (!place.check().ok()) return Reached::gone;
  auto opened = place.open(os::Access::read_write);
  if (!opened.ok()) {
    return opened.error().code == Code::not_found ? Reached::gone : Reached::later;
  }
  const os::Descriptor fd = opened.take();
  const auto facts = os::inspect_object(fd.get(), place.path());
  if (!facts.ok()) return Reached::later;
  const std::uint64_t size = facts.value().size;
  if (size < os::page_size() || size < sizeof(layout::Header)) return Reached::gone;
  layout::Header head;
  {
    const auto mapped = os::map_shared(fd.get(), 0, os::page_size(), place.path());
    if (!mapped.ok()) return Reached::later;
    const std::byte* const bytes = mapped.value()->data();
    if (layout::origin_of(*reinterpret_cast<const layout::Header*>(bytes)) !=
        layout::Origin::ours) {
      return Reached::gone;
    }
    // The one copy that is judged and used.
    copy_from_shared(reinterpret_cast<std::byte*>(&head),
                     reinterpret_cast<const SharedWord*>(bytes), sizeof head);
  }
  if (!wanted(head, facts.value().owner) || head.major != layout::kMajor ||
      head.kind != layout::Kind::work || head.endian_tag != layout::kEndianTag ||
      head.page_bytes != os::page_size()) {
    return Reached::gone;
  }
  const auto shape = WorkShape::judged(head.geometry);
  if (!shape || shape->total_bytes() > size) return Reached::gone;
  const auto mapped = os::map_shared(fd.get(), 0, shape->data_at(), place.path());
  if (!mapped.ok()) return Reached::later;
  look(mapped.value()->data(), *shape);
  return Reached::yes;
}
// The one of that instance, if it belongs to whom ours does. Who waits there is woken for what has come.
inline Reached reach(const Place& at, std::uint64_t instance, Seats& ours, const LookAt& look) {
  return look_at_queue(
      at,
      [&](const layout::Header& head, uid_t owner) {
        return owner == ours.segment().trust().owner && head.instance == instance;
      },
      [&](std::byte* base, const WorkShape& shape) {
        const std::uint32_t stirred = look(WorkMemory(base, nullptr, shape));
        OtherSeats others(ours, base, shape);
        OtherWakers wakers(others);
        detail::for_each_bit(stirred,
                             [&](std::uint32_t stage) { (void)wakers.after_publish(stage); });
      });
}

}  // namespace millrace
