// Queues. Outcomes and messages are those of the blocking calls of queue_sync.hpp.
#include <algorithm>
#include <limits>
#include <string>

#include "handle.hpp"
#include "millrace/queue_sync.hpp"

using millrace::Code;
using millrace::make_error;
using millrace::Message;
using millrace::QueueConsumer;
using millrace::QueueProducer;
using millrace::QueueSpec;
using millrace::RingStatus;
namespace capi = millrace::capi;

struct millrace_queue_producer : capi::Handle<QueueProducer> {
  using Handle::Handle;
  static constexpr std::uint64_t kNothing = ~std::uint64_t{0};
  std::uint64_t reserved = kNothing;  // bytes
};
struct millrace_queue_consumer : capi::Handle<QueueConsumer> {
  using Handle::Handle;
  Message peeked;  // its status is ok as long as it is not released
};

namespace millrace::capi {

namespace {

constexpr std::uint32_t kQueueFlags =
    MILLRACE_KEEP | MILLRACE_FRESH | MILLRACE_HAS_OWNER | kMemoryFlags;

[[nodiscard]] std::uint32_t length_of(std::uint64_t length) noexcept {
  // What does not fit 32 bits does not fit a queue either.
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(length, std::numeric_limits<std::uint32_t>::max()));
}

// Of memory of the caller's: what does not fit an address is not there.
[[nodiscard]] std::size_t size_of(std::uint64_t bytes) noexcept {
  return static_cast<std::size_t>(
      std::min<std::uint64_t>(bytes, std::numeric_limits<std::size_t>::max()));
}

template <typename Object, typename Side>
[[nodiscard]] std::int32_t open_queue(const char* what, const char* place,
                                      const millrace_queue_options* given, Object** handle) {
  if (handle == nullptr) return no_argument(what);
  auto options = options_of(given, kQueueFlags);
  if (!options.ok()) return fail(options.error());
  QueueSpec spec;
  spec.capacity = options.value().capacity;
  spec.fresh = (options.value().flags & MILLRACE_FRESH) != 0;
  return open_handle(what, place, options.value(), handle, spec,
                     [](const QueueSpec& wanted) { return Side::open(wanted, soon()); });
}

// --- the producer ---

[[nodiscard]] std::int32_t corrupt(millrace_queue_producer& producer) {
  return fail(millrace::detail::impossible(producer.core->side().segment().name()));
}
// There is no room, and somebody has looked: is there somebody who will read?
[[nodiscard]] std::int32_t no_room(millrace_queue_producer& producer, bool thorough) {
  if (!thorough) return MILLRACE_WOULD_BLOCK;
  if (const std::int32_t code = damage(producer); code != MILLRACE_OK) return code;
  if (auto error = millrace::detail::no_consumer(*producer.core)) return fail(*error);
  return MILLRACE_WOULD_BLOCK;
}
[[nodiscard]] std::int32_t too_large(millrace_queue_producer& producer, std::uint64_t length) {
  auto settled = producer.core->settle(true);
  if (!settled.ok()) return fail(settled.error());
  return fail(make_error(Code::too_large,
                         "a message of " + std::to_string(length) + " bytes does not fit queue '" +
                             producer.core->side().segment().name() + "', whose limit is " +
                             std::to_string(producer.core->ring().max_message()) +
                             " bytes; create it with a larger capacity, or send it in parts"));
}
// After a call that found no room: a call that waits for none asks the kernel only once in a while.
[[nodiscard]] std::int32_t refused(millrace_queue_producer& producer) {
  const bool left = !producer.core->side().peer_attached();
  return no_room(producer, producer.thorough() || left);
}
[[nodiscard]] std::int32_t push_now(millrace_queue_producer& producer, const void* message,
                                    std::uint64_t length) {
  switch (producer.core->try_push(message, length_of(length))) {
    case RingStatus::ok:
      return MILLRACE_OK;
    case RingStatus::too_large:
      return too_large(producer, length);
    case RingStatus::corrupt:
      return corrupt(producer);
    default:
      return MILLRACE_WOULD_BLOCK;
  }
}
// What is given out in place stays mapped until the free. The ring of a handle is mapped once, and never another.
template <typename Object>
void keep_mapped(Object& handle) {
  if (!handle.kept) [[unlikely]]
    handle.kept = handle.core->side().data();
}
[[nodiscard]] std::int32_t reserve_now(millrace_queue_producer& producer, std::uint64_t length,
                                       void** room) {
  std::byte* const place = producer.core->reserve(length_of(length));
  if (place != nullptr) {
    keep_mapped(producer);
    producer.reserved = length;
    *room = place;
    return MILLRACE_OK;
  }
  if (layout::record_bytes(length_of(length)) > producer.core->ring().capacity()) {
    return too_large(producer, length);
  }
  return producer.core->corrupt() ? corrupt(producer) : MILLRACE_WOULD_BLOCK;
}

template <typename Try>
[[nodiscard]] std::int32_t wait_for_room(millrace_queue_producer& producer, std::uint64_t length,
                                         std::int64_t timeout, Try&& attempt) {
  const std::uint64_t bytes = layout::record_bytes(length_of(length));
  return block(
      producer, timeout,
      [&](bool thorough) {
        const std::int32_t code = attempt();
        return code == MILLRACE_WOULD_BLOCK ? no_room(producer, thorough) : code;
      },
      [&](std::uint64_t spin, std::uint64_t left) {
        return producer.core->wait_room(bytes, spin, left);
      },
      [&] {
        return late("room in queue '" + producer.core->side().segment().name() + "'", timeout);
      });
}

template <typename Object>
[[nodiscard]] std::int32_t wait_for_peer(Object& handle, std::int64_t timeout) {
  auto& side = handle.core->side();
  const auto there = [&side] { return side.peer() == Peer::attached; };
  return block(
      handle, timeout, [&](bool) { return there() ? MILLRACE_OK : MILLRACE_WOULD_BLOCK; },
      [&](std::uint64_t /*spin*/, std::uint64_t left) {
        return wait_slice(side.sleeper(), 0, left, there);
      },
      [&] { return late("a peer on queue '" + side.segment().name() + "'", timeout); });
}

template <typename Object>
[[nodiscard]] std::int32_t tell_peer_of(Object* handle, millrace_peer* peer) {
  if (peer == nullptr) return no_argument("peer");
  const Rarely inside(handle);
  if (!inside) return inside.code();
  auto& side = handle->core->side();
  millrace_peer told{};
  const Peer state = side.peer();
  tell_peer(told, state, side.peer_pid(), state == Peer::failed ? side.peer_reason() : "");
  return give(peer, told);
}

template <typename Object>
void watch_peer(Object& handle) {
  auto& side = handle.core->side();
  handle.bell.begin_watching();
  if (side.peer_attached()) handle.bell.watch(side.peer_doorbell());
  handle.bell.end_watching();
  handle.bell.alarm(Bell::kSafetyNs);
}
// Is there, after a park, something about the peer to be told?
template <typename Object>
[[nodiscard]] bool peer_has_news(Object& handle) {
  const Peer peer = handle.core->side().peer();
  if (peer == Peer::attached || peer == Peer::absent) return false;
  handle.look_soon();
  return true;
}

// --- the consumer ---

[[nodiscard]] std::int32_t corrupt(millrace_queue_consumer& consumer) {
  return fail(millrace::detail::impossible(consumer.core->side().segment().name()));
}
// Nothing is there: has the producer left? `look` looks once more, for what it sent before that.
template <typename Look>
[[nodiscard]] std::int32_t nothing(millrace_queue_consumer& consumer, Look&& look) {
  if (const std::int32_t code = damage(consumer); code != MILLRACE_OK) return code;
  auto& side = consumer.core->side();
  const Peer producer = side.peer();
  if (producer == Peer::attached || producer == Peer::absent) return MILLRACE_WOULD_BLOCK;
  if (const std::int32_t code = look(); code != MILLRACE_WOULD_BLOCK) return code;
  if (producer == Peer::closed) return MILLRACE_END;
  if (producer == Peer::failed) {
    return fail(millrace::detail::failed_peer(
        "producer", side, "everything that it sent is read: wait for another, or close"));
  }
  return fail(make_error(Code::peer_gone, "the producer of queue '" + side.segment().name() +
                                              "' (process " + std::to_string(side.peer_pid()) +
                                              ") died; wait for another, or close"));
}
[[nodiscard]] std::int32_t peek_now(millrace_queue_consumer& consumer, Message& message) {
  message = consumer.core->peek();
  if (message.status == RingStatus::ok) return MILLRACE_OK;
  return message.status == RingStatus::corrupt ? corrupt(consumer) : MILLRACE_WOULD_BLOCK;
}
[[nodiscard]] std::int32_t take(millrace_queue_consumer& consumer, const Message& message,
                                void* buffer, std::uint64_t size, std::uint64_t* length) {
  if (length != nullptr) *length = message.length;
  if (message.length > size) {
    return fail(make_error(Code::too_large, "the next message of queue '" +
                                                consumer.core->side().segment().name() + "' has " +
                                                std::to_string(message.length) +
                                                " bytes, and there is room for " +
                                                std::to_string(size) + "; it stays: give more"));
  }
  if (message.length != 0) std::memcpy(buffer, message.data, message.length);
  consumer.peeked.status = RingStatus::empty;
  consumer.core->release(message);
  return MILLRACE_OK;
}
template <typename Then>
[[nodiscard]] std::int32_t wait_for_message(millrace_queue_consumer& consumer, std::int64_t timeout,
                                            Then&& then) {
  Message message;
  const auto look = [&] { return peek_now(consumer, message); };
  const std::int32_t code = block(
      consumer, timeout,
      [&](bool thorough) {
        const std::int32_t found = look();
        return found == MILLRACE_WOULD_BLOCK && thorough ? nothing(consumer, look) : found;
      },
      [&](std::uint64_t spin, std::uint64_t left) { return consumer.core->wait_data(spin, left); },
      [&] {
        return late("a message in queue '" + consumer.core->side().segment().name() + "'", timeout);
      });
  return code == MILLRACE_OK ? then(message) : code;
}
template <typename Then>
[[nodiscard]] std::int32_t try_message(millrace_queue_consumer& consumer, Then&& then) {
  Message message;
  const auto look = [&] { return peek_now(consumer, message); };
  std::int32_t code = look();
  if (code == MILLRACE_WOULD_BLOCK) {
    const bool left = !consumer.core->side().peer_attached();
    if (!consumer.thorough() && !left) return code;
    code = nothing(consumer, look);
  }
  return code == MILLRACE_OK ? then(message) : code;
}

}  // namespace

}  // namespace millrace::capi

using capi::fail;
using capi::no_argument;
using capi::Often;
using capi::Rarely;

int32_t millrace_queue_producer_open(const char* place, const millrace_queue_options* options,
                                     millrace_queue_producer** producer) {
  return capi::open_queue<millrace_queue_producer, QueueProducer>("queue producer", place, options,
                                                                  producer);
}
int32_t millrace_queue_push(millrace_queue_producer* producer, const void* message, uint64_t length,
                            int64_t timeout_ns) {
  const Often inside(producer);
  if (!inside) return inside.code();
  if (message == nullptr && length != 0) return no_argument("message");
  producer->reserved = millrace_queue_producer::kNothing;
  return capi::wait_for_room(*producer, length, timeout_ns,
                             [&] { return capi::push_now(*producer, message, length); });
}
int32_t millrace_queue_try_push(millrace_queue_producer* producer, const void* message,
                                uint64_t length) {
  const Often inside(producer);
  if (!inside) [[unlikely]]
    return inside.code();
  if (message == nullptr && length != 0) [[unlikely]]
    return no_argument("message");
  producer->reserved = millrace_queue_producer::kNothing;
  if (producer->core->try_push(message, capi::length_of(length)) == RingStatus::ok) [[likely]]
    return MILLRACE_OK;
  const std::int32_t code = capi::push_now(*producer, message, length);
  return code != MILLRACE_WOULD_BLOCK ? code : capi::refused(*producer);
}
int64_t millrace_queue_try_push_many(millrace_queue_producer* producer, const void* messages,
                                     uint64_t bytes, const uint32_t* lengths, uint64_t count) {
  const Often inside(producer);
  if (!inside) return inside.code();
  if (lengths == nullptr && count != 0) return no_argument("lengths");
  if (messages == nullptr && bytes != 0) return no_argument("messages");
  if (count == 0) return 0;
  producer->reserved = millrace_queue_producer::kNothing;
  const std::uint64_t sent = producer->core->try_push_packed(
      {static_cast<const std::byte*>(messages), capi::size_of(bytes)}, count,
      [lengths](std::uint64_t i) { return lengths[i]; });
  if (sent > 0) return static_cast<int64_t>(sent);
  if (producer->core->corrupt()) return capi::corrupt(*producer);
  if (lengths[0] > bytes) {
    return fail(make_error(Code::too_large, "the first message is longer than all bytes given"));
  }
  if (lengths[0] > producer->core->ring().max_message()) {
    return capi::too_large(*producer, lengths[0]);
  }
  const std::int32_t code = capi::refused(*producer);
  return code == MILLRACE_WOULD_BLOCK ? 0 : code;
}
int32_t millrace_queue_reserve(millrace_queue_producer* producer, uint64_t length,
                               int64_t timeout_ns, void** room) {
  if (room == nullptr) return no_argument("room");
  const Often inside(producer);
  if (!inside) return inside.code();
  producer->reserved = millrace_queue_producer::kNothing;
  return capi::wait_for_room(*producer, length, timeout_ns,
                             [&] { return capi::reserve_now(*producer, length, room); });
}
int32_t millrace_queue_try_reserve(millrace_queue_producer* producer, uint64_t length,
                                   void** room) {
  if (room == nullptr) return no_argument("room");
  const Often inside(producer);
  if (!inside) return inside.code();
  producer->reserved = millrace_queue_producer::kNothing;
  const std::int32_t code = capi::reserve_now(*producer, length, room);
  return code != MILLRACE_WOULD_BLOCK ? code : capi::refused(*producer);
}
int32_t millrace_queue_commit(millrace_queue_producer* producer, uint64_t length) {
  const Often inside(producer);
  if (!inside) return inside.code();
  if (producer->reserved == millrace_queue_producer::kNothing || length > producer->reserved) {
    return fail(
        make_error(Code::invalid_argument,
                   "nothing is reserved, or fewer bytes than are to be sent; reserve first"));
  }
  producer->reserved = millrace_queue_producer::kNothing;
  producer->core->commit(static_cast<std::uint32_t>(length));
  return MILLRACE_OK;
}
int32_t millrace_queue_end(millrace_queue_producer* producer, int64_t timeout_ns) {
  {
    const Rarely inside(producer);
    if (!inside) return inside.code();
    auto& core = *producer->core;
    const auto look = [&]() -> std::int32_t {
      if (core.ring().drained()) return MILLRACE_OK;
      if (core.corrupt()) return capi::corrupt(*producer);
      return MILLRACE_WOULD_BLOCK;
    };
    const std::int32_t code = capi::block(
        *producer, timeout_ns,
        [&](bool thorough) -> std::int32_t {
          std::int32_t found = look();
          if (found != MILLRACE_WOULD_BLOCK || !thorough) return found;
          auto error = millrace::detail::no_consumer(core);
          if (!error) return MILLRACE_WOULD_BLOCK;
          // It may have read the last message between our look and its leaving.
          found = look();
          return found != MILLRACE_WOULD_BLOCK ? found : fail(*error);
        },
        [&](std::uint64_t spin, std::uint64_t left) {
          return core.wait_room(core.ring().capacity(), spin, left);
        },
        [&] {
          return capi::late("reading everything in queue '" + core.side().segment().name() + "'",
                            timeout_ns);
        });
    if (code != MILLRACE_OK) return code;
  }
  return millrace_queue_producer_close(producer, 0);
}
int32_t millrace_queue_producer_wait_peer(millrace_queue_producer* producer, int64_t timeout_ns) {
  const Rarely inside(producer);
  return inside ? capi::wait_for_peer(*producer, timeout_ns) : inside.code();
}
int32_t millrace_queue_producer_peer(millrace_queue_producer* producer, millrace_peer* peer) {
  return capi::tell_peer_of(producer, peer);
}
int64_t millrace_queue_producer_capacity(millrace_queue_producer* producer) {
  const Rarely inside(producer);
  if (!inside) return inside.code();
  if (auto settled = producer->core->settle(true); !settled.ok()) return fail(settled.error());
  return static_cast<int64_t>(producer->core->side().capacity());
}
int64_t millrace_queue_producer_max_message(millrace_queue_producer* producer) {
  const int64_t capacity = millrace_queue_producer_capacity(producer);
  return capacity < 0 ? capacity
                      : capacity - static_cast<int64_t>(millrace::layout::kRecordHeaderBytes);
}
int64_t millrace_queue_producer_room(millrace_queue_producer* producer) {
  const Often inside(producer);
  if (!inside) return inside.code();
  const std::uint64_t room = producer->core->room();
  return producer->core->corrupt() ? capi::corrupt(*producer) : static_cast<int64_t>(room);
}
int64_t millrace_queue_producer_discarded(millrace_queue_producer* producer) {
  const Rarely inside(producer);
  return inside ? static_cast<int64_t>(producer->core->side().discarded()) : inside.code();
}
int32_t millrace_queue_producer_fd(millrace_queue_producer* producer) {
  return capi::fd_of(producer);
}
int32_t millrace_queue_producer_arm(millrace_queue_producer* producer, uint64_t length) {
  const Rarely inside(producer);
  if (!inside) return inside.code();
  if (const std::int32_t code = capi::prepare_to_park(*producer); code != MILLRACE_OK) return code;
  auto& core = *producer->core;
  if (auto settled = core.settle(true); !settled.ok()) return fail(settled.error());
  const std::uint64_t bytes = millrace::layout::record_bytes(capi::length_of(length));
  if (bytes > core.ring().capacity()) return capi::too_large(*producer, length);
  capi::watch_peer(*producer);
  if (!core.park(producer->bell.address(), bytes)) {
    if (!core.side().peer_attached()) producer->look_soon();
    return MILLRACE_READY;
  }
  if (!capi::peer_has_news(*producer)) return MILLRACE_OK;
  core.side().sleeper().unpark();
  return MILLRACE_READY;
}
int32_t millrace_queue_producer_disarm(millrace_queue_producer* producer) {
  return capi::disarm(producer);
}
int32_t millrace_queue_producer_close(millrace_queue_producer* producer, int32_t discard) {
  return capi::close_handle(producer, [&](QueueProducer& core) { core.close(discard != 0); });
}
int32_t millrace_queue_producer_abort(millrace_queue_producer* producer, const char* reason) {
  return capi::close_handle(
      producer, [&](QueueProducer& core) { core.abort(reason == nullptr ? "" : reason); });
}
void millrace_queue_producer_free(millrace_queue_producer* producer) {
  capi::free_handle(producer, [](QueueProducer& core) { core.close(false); });
}

int32_t millrace_queue_consumer_open(const char* place, const millrace_queue_options* options,
                                     millrace_queue_consumer** consumer) {
  return capi::open_queue<millrace_queue_consumer, QueueConsumer>("queue consumer", place, options,
                                                                  consumer);
}
int32_t millrace_queue_pop(millrace_queue_consumer* consumer, void* buffer, uint64_t size,
                           uint64_t* length, int64_t timeout_ns) {
  const Often inside(consumer);
  if (!inside) return inside.code();
  if (buffer == nullptr && size != 0) return no_argument("buffer");
  if (length == nullptr && size != 0) return no_argument("length");
  return capi::wait_for_message(*consumer, timeout_ns, [&](const Message& message) {
    return capi::take(*consumer, message, buffer, size, length);
  });
}
int32_t millrace_queue_try_pop(millrace_queue_consumer* consumer, void* buffer, uint64_t size,
                               uint64_t* length) {
  const Often inside(consumer);
  if (!inside) [[unlikely]]
    return inside.code();
  if (buffer == nullptr && size != 0) [[unlikely]]
    return no_argument("buffer");
  if (length == nullptr && size != 0) [[unlikely]]
    return no_argument("length");
  if (const Message message = consumer->core->peek();
      message.status == RingStatus::ok && message.length <= size) [[likely]] {
    if (length != nullptr) *length = message.length;
    if (message.length != 0) std::memcpy(buffer, message.data, message.length);
    consumer->peeked.status = RingStatus::empty;
    consumer->core->release(message);
    return MILLRACE_OK;
  }
  return capi::try_message(*consumer, [&](const Message& message) {
    return capi::take(*consumer, message, buffer, size, length);
  });
}
int64_t millrace_queue_try_pop_many(millrace_queue_consumer* consumer, void* buffer, uint64_t size,
                                    uint32_t* lengths, uint64_t count) {
  const Often inside(consumer);
  if (!inside) return inside.code();
  if (buffer == nullptr && size != 0) return no_argument("buffer");
  if (lengths == nullptr) return no_argument("lengths");
  if (count == 0) return capi::none_of("count", "say how many messages there is room for");
  return capi::try_message(*consumer, [&](const Message& first) -> std::int32_t {
    const std::uint64_t most = std::min<std::uint64_t>(count, 1U << 30U);
    const auto popped = consumer->core->try_pop_packed(
        {static_cast<std::byte*>(buffer), capi::size_of(size)}, {lengths, capi::size_of(most)});
    consumer->peeked.status = RingStatus::empty;
    if (popped.status == RingStatus::ok) return static_cast<std::int32_t>(popped.messages);
    if (popped.status == RingStatus::corrupt) return capi::corrupt(*consumer);
    std::uint64_t length = 0;
    return capi::take(*consumer, first, nullptr, 0, &length);  // says that it is too large
  });
}
int32_t millrace_queue_peek(millrace_queue_consumer* consumer, const void** message,
                            uint64_t* length, int64_t timeout_ns) {
  if (message == nullptr) return no_argument("message");
  if (length == nullptr) return no_argument("length");
  const Often inside(consumer);
  if (!inside) return inside.code();
  return capi::wait_for_message(*consumer, timeout_ns, [&](const Message& found) {
    capi::keep_mapped(*consumer);
    consumer->peeked = found;
    *message = found.data;
    *length = found.length;
    return MILLRACE_OK;
  });
}
int32_t millrace_queue_try_peek(millrace_queue_consumer* consumer, const void** message,
                                uint64_t* length) {
  if (message == nullptr) return no_argument("message");
  if (length == nullptr) return no_argument("length");
  const Often inside(consumer);
  if (!inside) return inside.code();
  return capi::try_message(*consumer, [&](const Message& found) {
    capi::keep_mapped(*consumer);
    consumer->peeked = found;
    *message = found.data;
    *length = found.length;
    return MILLRACE_OK;
  });
}
int32_t millrace_queue_release(millrace_queue_consumer* consumer) {
  const Often inside(consumer);
  if (!inside) return inside.code();
  if (consumer->peeked.status != RingStatus::ok) {
    return fail(make_error(Code::invalid_argument, "no message was peeked; peek first"));
  }
  consumer->core->release(consumer->peeked);
  consumer->peeked.status = RingStatus::empty;
  return MILLRACE_OK;
}
int32_t millrace_queue_consumer_wait_peer(millrace_queue_consumer* consumer, int64_t timeout_ns) {
  const Rarely inside(consumer);
  return inside ? capi::wait_for_peer(*consumer, timeout_ns) : inside.code();
}
int32_t millrace_queue_consumer_peer(millrace_queue_consumer* consumer, millrace_peer* peer) {
  return capi::tell_peer_of(consumer, peer);
}
int64_t millrace_queue_consumer_available(millrace_queue_consumer* consumer) {
  const Often inside(consumer);
  if (!inside) return inside.code();
  const std::uint64_t bytes = consumer->core->available();
  return consumer->core->corrupt() ? capi::corrupt(*consumer) : static_cast<int64_t>(bytes);
}
int64_t millrace_queue_consumer_discarded(millrace_queue_consumer* consumer) {
  const Rarely inside(consumer);
  return inside ? static_cast<int64_t>(consumer->core->side().discarded()) : inside.code();
}
int32_t millrace_queue_consumer_fd(millrace_queue_consumer* consumer) {
  return capi::fd_of(consumer);
}
int32_t millrace_queue_consumer_arm(millrace_queue_consumer* consumer) {
  const Rarely inside(consumer);
  if (!inside) return inside.code();
  if (const std::int32_t code = capi::prepare_to_park(*consumer); code != MILLRACE_OK) return code;
  auto& core = *consumer->core;
  capi::watch_peer(*consumer);
  // What nobody has decided yet the first message will: it is looked for as everywhere.
  core.side().sleeper().park_on_bell(consumer->bell.address());
  const bool there = core.peek().status != RingStatus::empty;
  if (!there && !capi::peer_has_news(*consumer)) return MILLRACE_OK;
  core.side().sleeper().unpark();
  return MILLRACE_READY;
}
int32_t millrace_queue_consumer_disarm(millrace_queue_consumer* consumer) {
  return capi::disarm(consumer);
}
int32_t millrace_queue_consumer_close(millrace_queue_consumer* consumer, int32_t discard) {
  return capi::close_handle(consumer, [&](QueueConsumer& core) { core.close(discard != 0); });
}
int32_t millrace_queue_consumer_abort(millrace_queue_consumer* consumer, const char* reason) {
  return capi::close_handle(
      consumer, [&](QueueConsumer& core) { core.abort(reason == nullptr ? "" : reason); });
}
void millrace_queue_consumer_free(millrace_queue_consumer* consumer) {
  capi::free_handle(consumer, [](QueueConsumer& core) { core.close(false); });
}
