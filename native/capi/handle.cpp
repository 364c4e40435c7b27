#include "handle.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "millrace/shared_memory.hpp"
#include "millrace/sync/semaphore.hpp"
#include "millrace/unlink.hpp"

namespace millrace::capi {

std::int32_t HandleBase::closed() const noexcept {
  return fail(
      make_error(Code::closed, std::string("the ") + what_ + " is closed; open it again to go on"));
}
std::int32_t HandleBase::forked() const noexcept {
  return fail_as(MILLRACE_FORKED,
                 "the handle is the parent's, from before the fork; open one in this process");
}
std::int32_t HandleBase::in_use() const noexcept {
  return fail(
      make_error(Code::busy, std::string("another thread is in this ") + what_ +
                                 "; use a handle in one thread at a time, or open one for each"));
}

Result<Place> place_of(const char* text) {
  if (text == nullptr) {
    return make_error(Code::invalid_argument, "the name is NULL; give it 1 to 240 characters");
  }
  const std::string_view given(text);
  if (given.starts_with("file:")) return Place::file(std::string(given.substr(5)));
  if (!given.starts_with("fd:")) return Place(std::string(given));
  const std::string_view digits = given.substr(3);
  int fd = -1;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), fd);
  if (parsed.ec != std::errc{} || parsed.ptr != digits.data() + digits.size() || fd < 0) {
    return make_error(Code::invalid_argument,
                      "'" + std::string(given) + "' is no descriptor; write fd: and its number");
  }
  return Place::nameless(fd);
}

Result<std::string> name_of(const char* text) {
  if (text != nullptr) return std::string(text);
  return make_error(Code::invalid_argument, "the name is NULL; give it 1 to 240 characters");
}

Result<mode_t> mode_of(std::uint32_t mode) {
  return os::check_mode(mode == 0 ? 0600 : mode);
}

os::MemoryOptions memory_of(std::uint32_t flags) {
  os::MemoryOptions memory;
  memory.huge_pages = (flags & MILLRACE_HUGE_PAGES) != 0;
  memory.lock = (flags & MILLRACE_LOCK_MEMORY) != 0;
  memory.prefault = (flags & MILLRACE_PREFAULT) != 0;
  memory.zero_on_close = (flags & MILLRACE_ZERO_ON_CLOSE) != 0;
  return memory;
}

void tell_peer(millrace_peer& to, Peer state, std::uint32_t pid, std::string_view reason) noexcept {
  to.state = static_cast<std::int32_t>(state);
  to.pid = pid;
  const std::string_view text = millrace::detail::cut_text(reason, sizeof to.reason - 1);
  std::memcpy(to.reason, text.data(), text.size());
  to.reason[text.size()] = '\0';
}

Result<void> check_out(std::uint64_t size, std::uint64_t /*known*/, const char* what) {
  if (size >= sizeof size && size <= kMostOptions) return {};
  return make_error(Code::invalid_argument, std::string(what) + " is " + std::to_string(size) +
                                                "; set it to the sizeof of the struct");
}

}  // namespace millrace::capi

namespace {

struct Kind {
  const char* name;
  char letter;
};
constexpr Kind kKinds[] = {{"queue", 'q'},   {"frames", 'f'}, {"cell", 'c'},
                           {"mutex", 'x'},   {"rwlock", 'w'}, {"event", 'e'},
                           {"counter", 'n'}, {"work", 'j'},   {"topics", 't'}};

millrace::Result<bool> unlink_of(std::string_view kind, const std::string& name) {
  if (kind == "semaphore") return millrace::Semaphore::unlink(name);
  if (kind == "memory") return millrace::SharedMemory::unlink(name);
  for (const Kind& known : kKinds) {
    if (kind == known.name) return millrace::unlink_channel(known.letter, name);
  }
  return millrace::make_error(millrace::Code::invalid_argument,
                              "there is no kind '" + std::string(kind) +
                                  "'; use queue, frames, cell, mutex, rwlock, event, counter, "
                                  "semaphore, memory, work or topics");
}

}  // namespace

int32_t millrace_unlink(const char* kind, const char* name) {
  if (kind == nullptr) return millrace::capi::no_argument("kind");
  if (name == nullptr) return millrace::capi::no_argument("name");
  auto removed = unlink_of(kind, name);
  if (!removed.ok()) return millrace::capi::fail(removed.error());
  return removed.value() ? 1 : 0;
}
