// A handle of calls in an event loop.
#pragma once

#include <poll.h>

#include <algorithm>
#include <memory>

#include "calls.hpp"

namespace millrace::test::calls {

// It is told by its doorbell, and looks no sooner.
class Loop {
 public:
  Loop(const Calls& names, CallSpec spec) : bell_(names.bell()) {
    spec.doorbell = bell_.id();
    queue = must(CallQueue::open(spec, soon()));
  }
  // Sleeps until it is rung; true: it was, in time.
  template <typename Look>
  bool sleep_until(std::uint32_t kinds, int timeout_ms, Look&& look) {
    const os::Deadline end =
        os::Deadline::after(static_cast<std::uint64_t>(timeout_ms) * kMillisecond);
    for (;;) {
      queue->sleepers().park_on_bell(kinds, {bell_.id(), 1});
      const bool watch = queue->keep_watch();
      if (look()) {
        queue->unpark();
        return true;
      }
      pollfd waits{bell_.fd(), POLLIN, 0};
      int left = static_cast<int>(end.left_ns() / kMillisecond) + 1;
      if (watch) left = std::min(left, static_cast<int>(Lookouts::kLookMs));
      if (::poll(&waits, 1, left) > 0) {
        (void)bell_.drain([](std::uint64_t) {});
      } else if (counts_rings && look()) {
        // It came at this very moment, and the ring is on its way; or nobody rings.
        if (::poll(&waits, 1, 2000) == 0) ++unrung;
        queue->unpark();
        return true;
      } else if (watch) {
        (void)queue->look();
      }
      if (end.passed()) {
        const bool found = look();
        queue->unpark();
        return found;
      }
    }
  }

  std::unique_ptr<CallQueue> queue;
  // Where nobody dies: how often something was there, and no ring came.
  bool counts_rings = false;
  int unrung = 0;

 private:
  os::Doorbell bell_;
};

}  // namespace millrace::test::calls
