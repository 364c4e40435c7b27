// How long calls take: from the request until its result at the client, and from taken until answered at the server. What a handle has
// beside its calls if it was opened to count that; nothing of what is done to calls knows of it. One of 64 is measured, and stands for
// those before it. Both times are the business of one handle, so nothing goes with the call.
#pragma once

#include <cstdint>

#include "../layout/calls.hpp"
#include "../os/clock.hpp"
#include "../work/memory.hpp"
#include "../work/ready.hpp"
#include "../work/times.hpp"
#include "call_facts.hpp"

namespace millrace {

class CallMeter {
 public:
  explicit CallMeter(const WorkMemory& memory) noexcept : memory_(memory) {}

  // Before a request is made: its time, or 0 if this one is not measured.
  [[nodiscard]] std::uint64_t asking() noexcept { return asks_.next() ? os::monotonic_ns() : 0; }
  // It was made, or (no ticket) it was not.
  void asked(std::uint64_t since, const Ticket* ticket) noexcept {
    if (since != 0) begin(since, ticket);
  }
  // It is over. Not counted unless a server has answered it.
  void heard(const Ticket& ticket, bool answered) noexcept {
    if (asked_.any()) end(ticket, answered);
  }
  // A call has just been taken.
  void taken(const Lease& lease) noexcept {
    if (takes_.next()) begin(lease);
  }
  // Is there one that answered() is to be told of? Then its lease is to be kept.
  [[nodiscard]] bool serving() const noexcept { return in_hand_.any(); }
  // It was answered; `lease` as it was before. Not counted if nobody wanted to know.
  void answered(const Lease& lease, bool wanted) noexcept {
    if (in_hand_.any()) end(lease, wanted);
  }

 private:
  // Each of these ends by a call of its handle, so it is in hand until then.
  static constexpr auto kStill = [](std::uint64_t) { return true; };

  static std::uint64_t id_of(const Ticket& ticket) noexcept {
    return layout::work_job(ticket.slot, ticket.born);
  }
  static std::uint64_t id_of(const Lease& lease) noexcept {
    return layout::work_job(lease.slot, layout::unpack(lease.word).token);
  }
  // These are out of the way of the calls that are not measured.
  [[gnu::noinline]] void begin(std::uint64_t since, const Ticket* ticket) noexcept {
    if (ticket == nullptr) {
      asks_.put_off();
    } else {
      (void)asked_.start(ticket->slot, id_of(*ticket), since, asks_, kStill);
    }
  }
  [[gnu::noinline]] void end(const Ticket& ticket, bool answered) noexcept {
    asked_.stop(ticket.slot, id_of(ticket), memory_.control(), layout::WorkTime::arrival, answered);
  }
  [[gnu::noinline]] void begin(const Lease& lease) noexcept {
    (void)in_hand_.start(lease.slot, id_of(lease), os::monotonic_ns(), takes_, kStill);
  }
  [[gnu::noinline]] void end(const Lease& lease, bool wanted) noexcept {
    in_hand_.stop(lease.slot, id_of(lease), memory_.control(), layout::WorkTime::service, wanted);
  }

  WorkMemory memory_;
  Sampling asks_;
  Sampling takes_;
  Stopwatches asked_;
  Stopwatches in_hand_;
};

}  // namespace millrace
