// Events.
#include "millrace/sync/event.hpp"

#include <optional>
#include <string>

#include "handle.hpp"

using millrace::Code;
using millrace::Event;
using millrace::EventSpec;
using millrace::make_error;
namespace capi = millrace::capi;

struct millrace_event : capi::Handle<Event> {
  using Handle::Handle;
  std::optional<std::uint64_t> mark;  // of the wait that arm() began
};

namespace millrace::capi {

namespace {

void end_wait(millrace_event& event) {
  if (!event.mark) return;
  event.mark.reset();
  event.core->end_wait();
}
[[nodiscard]] bool passes(millrace_event& event) {
  const bool passed = event.mark ? event.core->try_wait(*event.mark) : event.core->try_wait();
  if (passed) end_wait(event);
  return passed;
}

}  // namespace

}  // namespace millrace::capi

using capi::fail;
using capi::no_argument;
using capi::Rarely;

int32_t millrace_event_open(const char* name, const millrace_event_options* options,
                            millrace_event** event) {
  if (event == nullptr) return no_argument("event");
  auto read = capi::options_of(options, MILLRACE_KEEP | MILLRACE_HAS_OWNER);
  if (!read.ok()) return fail(read.error());
  EventSpec spec;
  switch (read.value().reset) {
    case MILLRACE_RESET_ANY:
      break;
    case MILLRACE_RESET_AUTO:
      spec.reset = millrace::layout::Reset::automatic;
      break;
    case MILLRACE_RESET_MANUAL:
      spec.reset = millrace::layout::Reset::manual;
      break;
    default:
      return fail(
          make_error(Code::invalid_argument, "options.reset is none of enum millrace_event_reset"));
  }
  return capi::open_handle("event", name, read.value(), event, spec, [](const EventSpec& wanted) {
    return Event::open(wanted, capi::soon());
  });
}
int32_t millrace_event_set(millrace_event* event) {
  const Rarely inside(event);
  if (!inside) return inside.code();
  event->core->set();
  return MILLRACE_OK;
}
int32_t millrace_event_reset_now(millrace_event* event) {
  const Rarely inside(event);
  if (!inside) return inside.code();
  event->core->reset();
  return MILLRACE_OK;
}
int32_t millrace_event_is_set(millrace_event* event) {
  const Rarely inside(event);
  if (!inside) return inside.code();
  return event->core->is_set() ? 1 : 0;
}
int32_t millrace_event_wait(millrace_event* event, int64_t timeout_ns) {
  const Rarely inside(event);
  if (!inside) return inside.code();
  if (capi::passes(*event)) return MILLRACE_OK;
  Event& core = *event->core;
  if (!event->mark) event->mark = core.begin_wait();
  const std::int32_t code = capi::block(
      *event, timeout_ns,
      [&](bool thorough) -> std::int32_t {
        if (core.try_wait(*event->mark)) return MILLRACE_OK;
        if (!thorough) return MILLRACE_WOULD_BLOCK;
        const std::int32_t damaged = capi::damage(*event);
        return damaged != MILLRACE_OK ? damaged : static_cast<std::int32_t>(MILLRACE_WOULD_BLOCK);
      },
      [&](std::uint64_t spin, std::uint64_t left) { return core.wait_slice(spin, left); },
      [&] {
        return capi::late("event '" + core.parties().segment().name() + "' being set", timeout_ns);
      });
  capi::end_wait(*event);
  return code;
}
int32_t millrace_event_try_wait(millrace_event* event) {
  const Rarely inside(event);
  if (!inside) return inside.code();
  return capi::passes(*event) ? MILLRACE_OK : MILLRACE_WOULD_BLOCK;
}
int32_t millrace_event_fd(millrace_event* event) {
  return capi::fd_of(event);
}
int32_t millrace_event_arm(millrace_event* event) {
  const Rarely inside(event);
  if (!inside) return inside.code();
  if (const std::int32_t code = capi::prepare_to_park(*event); code != MILLRACE_OK) return code;
  Event& core = *event->core;
  if (!event->mark) event->mark = core.begin_wait();
  auto& parties = core.parties();
  parties.sleeper().park_on_bell(event->bell.address());
  // Whoever sets it may die before it wakes us.
  event->bell.begin_watching();
  millrace::detail::for_each_bit(parties.present() & ~parties.bit(), [&](std::uint32_t seat) {
    event->bell.watch(parties.doorbell(seat));
  });
  event->bell.end_watching();
  event->bell.alarm(capi::Bell::kSafetyNs);
  if (!core.stirred()) return MILLRACE_OK;
  parties.sleeper().unpark();
  return MILLRACE_READY;
}
int32_t millrace_event_disarm(millrace_event* event) {
  {
    const Rarely inside(event);
    if (!inside) return inside.code();
    capi::end_wait(*event);
  }
  return capi::disarm(event);
}
int32_t millrace_event_close(millrace_event* event) {
  return capi::close_handle(event, [](Event& core) { core.close(); });
}
void millrace_event_free(millrace_event* event) {
  capi::free_handle(event, [](Event& core) { core.close(); });
}
