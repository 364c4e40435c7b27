// Topics: publishing, subscribing, reading, and the headers of messages.
#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "handle.hpp"
#include "millrace/topics/topic_bus.hpp"
#include "trace.hpp"

using millrace::Code;
using millrace::make_error;
using millrace::Published;
using millrace::TopicBus;
using millrace::TopicMessage;
using millrace::TopicSpec;
namespace capi = millrace::capi;
namespace layout = millrace::layout;

struct millrace_topics : capi::Handle<TopicBus> {
  using Handle::Handle;
  std::vector<std::uint32_t> subscriptions;
};

namespace millrace::capi {

namespace {

constexpr std::uint32_t kTopicFlags =
    MILLRACE_KEEP | MILLRACE_HAS_OWNER | MILLRACE_OPEN_ONLY | kMemoryFlags;
// As lib/topics/headers.ts writes them.
constexpr std::size_t kHeaderHead = 3;
constexpr std::size_t kLongestName = 255;
constexpr std::uint32_t kMostRead = 64;

[[nodiscard]] std::string title(millrace_topics& topics) {
  return "topics '" + topics.core->parties().segment().name() + "'";
}

// --- headers ---

struct Headers {
  std::array<std::byte, layout::kTopicHeadersMost> bytes;
  std::size_t size = 0;

  [[nodiscard]] std::span<const std::byte> span() const noexcept { return {bytes.data(), size}; }
};
[[nodiscard]] Result<void> encode(const millrace_header* given, std::uint64_t count,
                                  Headers& headers) {
  if (given == nullptr && count != 0) {
    return make_error(Code::invalid_argument, "headers is NULL, and header_count is not 0");
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    const millrace_header& header = given[i];
    if (header.name == nullptr || header.name_length == 0 || header.name_length > kLongestName) {
      return make_error(Code::invalid_argument, "the name of a header has 1 to 255 bytes of UTF-8");
    }
    if (header.value == nullptr && header.value_length != 0) {
      return make_error(Code::invalid_argument, "the value of a header is NULL");
    }
    const std::size_t size = kHeaderHead + header.name_length + header.value_length;
    if (size > headers.bytes.size() - headers.size) {
      return make_error(Code::invalid_argument,
                        "headers take up at most " + std::to_string(headers.bytes.size()) +
                            " bytes of UTF-8, and 3 for each; put what is larger into the payload");
    }
    std::byte* to = headers.bytes.data() + headers.size;
    to[0] = static_cast<std::byte>(header.name_length);
    to[1] = static_cast<std::byte>(header.value_length & 0xFFU);
    to[2] = static_cast<std::byte>(header.value_length >> 8U);
    std::memcpy(to + kHeaderHead, header.name, header.name_length);
    if (header.value_length != 0) {
      std::memcpy(to + kHeaderHead + header.name_length, header.value, header.value_length);
    }
    headers.size += size;
  }
  return {};
}

// --- publish ---

[[nodiscard]] std::int32_t outcome(millrace_topics& topics, Published published,
                                   std::uint32_t matched, std::uint64_t length) {
  switch (published) {
    case Published::yes:
      return static_cast<std::int32_t>(matched);
    case Published::full:
    case Published::busy:
      return MILLRACE_WOULD_BLOCK;
    case Published::too_large:
      return fail(make_error(Code::too_large, "a message of " + std::to_string(length) +
                                                  " bytes (with its headers) does not fit " +
                                                  title(topics) + ", whose limit is " +
                                                  std::to_string(topics.core->shape().largest()) +
                                                  " bytes; create them with more `bytes`"));
    case Published::no_subjects:
    case Published::bad_subject:
      break;
  }
  return fail(make_error(Code::invalid_argument,
                         "there is no subject of that number; ask millrace_topics_subject() of "
                         "this handle for it"));
}

// --- read ---

[[nodiscard]] bool has(millrace_topics& topics, std::uint32_t subscription) {
  const auto& all = topics.subscriptions;
  return std::find(all.begin(), all.end(), subscription) != all.end();
}
[[nodiscard]] std::int32_t no_subscription() {
  return fail(make_error(Code::invalid_argument,
                         "that is no subscription of this handle (any more); subscribe first"));
}
void tell(millrace_topics& topics, const TopicMessage& message, const std::byte* buffer,
          millrace_message& to) {
  const bool copied = message.pin == TopicMessage::kCopied;
  const std::byte* const base = copied ? buffer : topics.core->data()->data();
  to.data = base + message.at;
  to.length = message.length;
  to.headers = base + message.headers_at();
  to.headers_length = message.headers_length;
  to.index = message.index;
  to.published_at = message.published_at;
  to.missed = message.missed;
  to.subject = message.subject;
  to.pin = copied ? UINT32_MAX : message.pin;
}
struct Reading {
  std::uint32_t subscription;
  std::byte* buffer;
  std::uint64_t size;
  millrace_message* messages;
  std::uint32_t most;
  std::uint64_t* needed = nullptr;  // bytes for the next one, if they are too few
};
[[nodiscard]] std::int32_t read_now(millrace_topics& topics, const Reading& reading) {
  TopicBus& core = *topics.core;
  std::array<TopicMessage, kMostRead> found;
  // Of the caller's memory: what does not fit an address is not there.
  const auto size = static_cast<std::size_t>(
      std::min<std::uint64_t>(reading.size, std::numeric_limits<std::size_t>::max()));
  const std::uint32_t count =
      core.read(reading.subscription, found.data(), std::min(reading.most, kMostRead),
                {reading.buffer, size}, true);
  for (std::uint32_t i = 0; i < count; ++i)
    tell(topics, found[i], reading.buffer, reading.messages[i]);
  if (count != 0) return static_cast<std::int32_t>(count);
  const std::uint64_t needed = core.next_bytes(reading.subscription);
  if (needed == 0 || needed <= reading.size) return MILLRACE_WOULD_BLOCK;
  if (reading.needed != nullptr) *reading.needed = needed;
  return fail(make_error(Code::too_large, "the next message takes " + std::to_string(needed) +
                                              " bytes, and there is room for " +
                                              std::to_string(reading.size) +
                                              "; give more, or release messages"));
}

}  // namespace

}  // namespace millrace::capi

using capi::fail;
using capi::no_argument;
using capi::Rarely;

int32_t millrace_topics_open(const char* place, const millrace_topics_options* options,
                             millrace_topics** topics) {
  if (topics == nullptr) return no_argument("topics");
  auto read = capi::options_of(options, capi::kTopicFlags);
  if (!read.ok()) return fail(read.error());
  const millrace_topics_options& own = read.value();
  TopicSpec spec;
  spec.attach_only = (own.flags & MILLRACE_OPEN_ONLY) != 0;
  const auto set = [](auto& to, auto value) {
    if (value != 0) to = value;
  };
  set(spec.bytes, own.bytes);
  set(spec.messages, own.messages);
  set(spec.subjects, own.subjects);
  set(spec.subscriptions, own.subscriptions);
  set(spec.seats, own.seats);
  return capi::open_handle("topics", place, own, topics, spec, [](const TopicSpec& wanted) {
    return TopicBus::open(wanted, capi::soon());
  });
}
int32_t millrace_topics_subject(millrace_topics* topics, const char* subject, uint32_t* number) {
  if (subject == nullptr) return no_argument("subject");
  if (number == nullptr) return no_argument("number");
  const Rarely inside(topics);
  if (!inside) return inside.code();
  const auto found = topics->core->subject(subject);
  if (!found.ok()) return fail(found.error());
  *number = found.value();
  return MILLRACE_OK;
}
int32_t millrace_topics_subject_text(millrace_topics* topics, uint32_t number, char* buffer,
                                     uint64_t size) {
  if (buffer == nullptr && size != 0) return no_argument("buffer");
  const Rarely inside(topics);
  if (!inside) return inside.code();
  const std::string text = topics->core->subject_text(number);
  if (text.empty()) {
    return fail(make_error(Code::not_found, "there is no subject of that number"));
  }
  if (text.size() >= size) {
    return fail(make_error(Code::too_large, "the subject has " + std::to_string(text.size()) +
                                                " bytes, and a NUL; give more room"));
  }
  std::memcpy(buffer, text.c_str(), text.size() + 1);
  return static_cast<int32_t>(text.size());
}
int32_t millrace_topics_publish(millrace_topics* topics, uint32_t subject, const void* payload,
                                uint64_t length, const millrace_header* headers,
                                uint64_t header_count, int64_t timeout_ns) {
  if (payload == nullptr && length != 0) return no_argument("payload");
  capi::Headers encoded;
  if (auto done = capi::encode(headers, header_count, encoded); !done.ok()) {
    return fail(done.error());
  }
  const Rarely inside(topics);
  if (!inside) return inside.code();
  TopicBus& core = *topics->core;
  const std::span bytes(static_cast<const std::byte*>(payload), length);
  Published done = Published::full;
  std::uint32_t matched = 0;
  bool told = false;
  return capi::block(
      *topics, timeout_ns,
      [&](bool thorough) {
        if (thorough) {
          if (const std::int32_t code = capi::damage(*topics); code != MILLRACE_OK) return code;
          (void)core.look();
        }
        if (!std::exchange(told, false)) {
          done = core.try_publish(subject, bytes, encoded.span(), matched);
        }
        return capi::outcome(*topics, done, matched, length + encoded.size);
      },
      [&](std::uint64_t spin, std::uint64_t left) {
        return told = core.wait(millrace::kForTopicRoom, spin, left, [&] {
          done = core.try_publish(subject, bytes, encoded.span(), matched);
          return done != Published::full && done != Published::busy;
        });
      },
      [&] { return capi::late("room in " + capi::title(*topics), timeout_ns); });
}
int32_t millrace_topics_try_publish(millrace_topics* topics, uint32_t subject, const void* payload,
                                    uint64_t length, const millrace_header* headers,
                                    uint64_t header_count) {
  if (payload == nullptr && length != 0) return no_argument("payload");
  capi::Headers encoded;
  if (auto done = capi::encode(headers, header_count, encoded); !done.ok()) {
    return fail(done.error());
  }
  const Rarely inside(topics);
  if (!inside) return inside.code();
  const std::span bytes(static_cast<const std::byte*>(payload), length);
  std::uint32_t matched = 0;
  Published done = topics->core->try_publish(subject, bytes, encoded.span(), matched);
  if (done == Published::full && topics->thorough() && topics->core->look() != 0) {
    done = topics->core->try_publish(subject, bytes, encoded.span(), matched);
  }
  return capi::outcome(*topics, done, matched, length + encoded.size);
}
int32_t millrace_topics_subscribe(millrace_topics* topics, const char* const* filters,
                                  uint64_t filter_count, const millrace_subscribe_options* options,
                                  uint32_t* subscription) {
  if (filters == nullptr) return no_argument("filters");
  if (filter_count == 0) return capi::none_of("filter_count", "name one filter at least");
  if (subscription == nullptr) return no_argument("subscription");
  auto own = capi::options_of(options);
  if (!own.ok()) return fail(own.error());
  if (own.value().policy > MILLRACE_TOPIC_OVERWRITE) {
    return fail(
        make_error(Code::invalid_argument, "options.policy is none of enum millrace_topic_policy"));
  }
  std::vector<std::string_view> texts;
  for (uint64_t i = 0; i < filter_count; ++i) {
    if (filters[i] == nullptr) return no_argument("one of filters");
    texts.emplace_back(filters[i]);
  }
  const Rarely inside(topics);
  if (!inside) return inside.code();
  millrace::SubscribeOptions wanted;
  wanted.policy = own.value().policy == MILLRACE_TOPIC_WAIT ? layout::TopicPolicy::wait
                                                            : layout::TopicPolicy::overwrite;
  wanted.depth = own.value().depth;
  wanted.replay.newest = own.value().replay;
  wanted.replay.last = own.value().replay_last != 0;
  const auto entry = topics->core->subscribe(texts, wanted);
  if (!entry.ok()) return fail(entry.error());
  topics->subscriptions.push_back(entry.value());
  *subscription = entry.value();
  return MILLRACE_OK;
}
int32_t millrace_topics_unsubscribe(millrace_topics* topics, uint32_t subscription) {
  const Rarely inside(topics);
  if (!inside) return inside.code();
  if (!capi::has(*topics, subscription)) return capi::no_subscription();
  topics->core->unsubscribe(subscription);
  auto& all = topics->subscriptions;
  all.erase(std::find(all.begin(), all.end(), subscription));
  return MILLRACE_OK;
}
int32_t millrace_topics_read(millrace_topics* topics, uint32_t subscription, void* buffer,
                             uint64_t size, millrace_message* messages, uint32_t most,
                             int64_t timeout_ns, uint64_t* needed) {
  if (buffer == nullptr && size != 0) return no_argument("buffer");
  if (messages == nullptr) return no_argument("messages");
  if (most == 0) return capi::none_of("most", "say how many messages there is room for");
  const Rarely inside(topics);
  if (!inside) return inside.code();
  if (!capi::has(*topics, subscription)) return capi::no_subscription();
  TopicBus& core = *topics->core;
  capi::Reading reading{subscription, static_cast<std::byte*>(buffer), size, messages, most};
  reading.needed = needed;
  return capi::block(
      *topics, timeout_ns,
      [&](bool thorough) {
        if (thorough) {
          if (const std::int32_t code = capi::damage(*topics); code != MILLRACE_OK) return code;
          (void)core.look();
        }
        return capi::read_now(*topics, reading);
      },
      [&](std::uint64_t spin, std::uint64_t left) {
        return core.wait(millrace::kForMessages, spin, left,
                         [&] { return core.ready(subscription); });
      },
      [&] { return capi::late("a message of " + capi::title(*topics), timeout_ns); });
}
int32_t millrace_topics_try_read(millrace_topics* topics, uint32_t subscription, void* buffer,
                                 uint64_t size, millrace_message* messages, uint32_t most,
                                 uint64_t* needed) {
  if (buffer == nullptr && size != 0) return no_argument("buffer");
  if (messages == nullptr) return no_argument("messages");
  if (most == 0) return capi::none_of("most", "say how many messages there is room for");
  const Rarely inside(topics);
  if (!inside) return inside.code();
  if (!capi::has(*topics, subscription)) return capi::no_subscription();
  capi::Reading reading{subscription, static_cast<std::byte*>(buffer), size, messages, most};
  reading.needed = needed;
  const std::int32_t code = capi::read_now(*topics, reading);
  if (code != MILLRACE_WOULD_BLOCK || !topics->thorough()) return code;
  return topics->core->look() == 0 ? code : capi::read_now(*topics, reading);
}
int32_t millrace_topics_release(millrace_topics* topics, const millrace_message* message) {
  if (message == nullptr) return no_argument("message");
  const Rarely inside(topics);
  if (!inside) return inside.code();
  if (message->pin != UINT32_MAX) topics->core->release(message->pin);
  return MILLRACE_OK;
}
int64_t millrace_topics_missed(millrace_topics* topics, uint32_t subscription) {
  const Rarely inside(topics);
  if (!inside) return inside.code();
  if (!capi::has(*topics, subscription)) return capi::no_subscription();
  return static_cast<int64_t>(topics->core->missed(subscription));
}
int32_t millrace_headers_next(const void* headers, uint64_t length, uint64_t* at, char* trace,
                              millrace_header* header) {
  if (headers == nullptr && length != 0) return no_argument("headers");
  if (at == nullptr) return no_argument("at");
  if (header == nullptr) return no_argument("header");
  const auto* const bytes = static_cast<const unsigned char*>(headers);
  while (*at < length) {
    const std::uint64_t left = length - *at;
    const unsigned char* const head = bytes + *at;
    const std::uint64_t name = left < capi::kHeaderHead ? 0 : head[0];
    const std::uint64_t value = left < capi::kHeaderHead ? 0 : head[1] | head[2] << 8U;
    if (left < capi::kHeaderHead || left - capi::kHeaderHead < name + value) {
      return fail(make_error(Code::corrupt,
                             "these are no headers; whoever published them wrote something else"));
    }
    const auto* const text = reinterpret_cast<const char*>(head) + capi::kHeaderHead;
    *at += capi::kHeaderHead + name + value;
    if (name != 0) {
      *header = {text, text + name, static_cast<uint32_t>(name), static_cast<uint32_t>(value)};
      return 1;
    }
    const std::span context(reinterpret_cast<const std::byte*>(text), value);
    if (trace == nullptr || !capi::unpack_trace(context, trace)) continue;
    *header = {"traceparent", trace, 11, static_cast<uint32_t>(capi::kTraceText)};
    return 1;
  }
  return 0;
}
int32_t millrace_topics_counts_of(millrace_topics* topics, millrace_topics_counts* counts) {
  if (counts == nullptr) return no_argument("counts");
  const Rarely inside(topics);
  if (!inside) return inside.code();
  const millrace::TopicFacts facts = topics->core->facts();
  const auto counted = [&facts](layout::TopicCount what) {
    return facts.counts[static_cast<std::size_t>(what)];
  };
  millrace_topics_counts told{};
  told.messages = facts.messages;
  told.subjects = facts.subjects;
  told.subscriptions = facts.entries;
  told.handles = facts.seats;
  told.published = counted(layout::TopicCount::published);
  told.matched = counted(layout::TopicCount::matched);
  told.evicted = counted(layout::TopicCount::evicted);
  told.waits = counted(layout::TopicCount::waits);
  told.deaths = counted(layout::TopicCount::deaths);
  return capi::give(counts, told);
}

int32_t millrace_topics_fd(millrace_topics* topics) {
  return capi::fd_of(topics);
}
int32_t millrace_topics_arm(millrace_topics* topics, uint32_t what) {
  const Rarely inside(topics);
  if (!inside) return inside.code();
  constexpr std::uint32_t all = MILLRACE_FOR_MESSAGES | MILLRACE_FOR_ROOM;
  if (what == 0 || (what & ~all) != 0) {
    return fail(make_error(Code::invalid_argument, "what is none of enum millrace_wait"));
  }
  if (const std::int32_t code = capi::prepare_to_park(*topics); code != MILLRACE_OK) return code;
  TopicBus& core = *topics->core;
  const std::uint32_t kinds = ((what & MILLRACE_FOR_MESSAGES) != 0 ? millrace::kForMessages : 0) |
                              ((what & MILLRACE_FOR_ROOM) != 0 ? millrace::kForTopicRoom : 0);
  core.park_on_bell(kinds, topics->bell.address());
  const auto ready = [&core](std::uint32_t subscription) { return core.ready(subscription); };
  if ((what & MILLRACE_FOR_MESSAGES) != 0 &&
      std::any_of(topics->subscriptions.begin(), topics->subscriptions.end(), ready)) {
    core.unpark();
    topics->bell.no_alarm();
    return MILLRACE_READY;
  }
  topics->bell.begin_watching();
  topics->bell.end_watching();
  topics->bell.alarm(core.keep_watch() ? TopicBus::kLookMs * 1'000'000 : capi::Bell::kSafetyNs);
  return MILLRACE_OK;
}
int32_t millrace_topics_disarm(millrace_topics* topics) {
  return capi::disarm(topics, [](TopicBus& core) { core.unpark(); });
}
int32_t millrace_topics_close(millrace_topics* topics) {
  return capi::close_handle(topics, [](TopicBus& core) { core.close(); });
}
void millrace_topics_free(millrace_topics* topics) {
  capi::free_handle(topics, [](TopicBus& core) { core.close(); });
}
