// The calls of a queue that block the thread; see blocking.hpp. Outcomes are those of pushSync, popSync,
// end and waitForPeer in JavaScript.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "blocking.hpp"
#include "queue.hpp"

namespace millrace {

namespace detail {

inline Error failed_peer(const char* who, const QueueSide& side, const char* cure) {
  return make_error(Code::peer_failed, "the " + std::string(who) + " of queue '" +
                                           side.segment().name() + "' (process " +
                                           std::to_string(side.peer_pid()) + ") " +
                                           failure_text(side.peer_reason()) + "; " + cure);
}

// There is no room, or not everything is read: is there somebody who will read?
inline std::optional<Error> no_consumer(QueueProducer& producer) {
  auto& side = producer.side();
  const std::string& name = side.segment().name();
  switch (side.peer()) {
    case Peer::absent:
    case Peer::attached:
      return std::nullopt;
    case Peer::closed:
      return make_error(Code::closed, "the consumer of queue '" + name +
                                          "' has closed; wait for another, or close");
    case Peer::gone:
      return make_error(Code::peer_gone, "the consumer of queue '" + name + "' (process " +
                                             std::to_string(side.peer_pid()) +
                                             ") died; wait for another, or close");
    case Peer::failed:
      return failed_peer("consumer", side, "wait for another, or close");
  }
  return std::nullopt;
}

template <typename Side>
Result<void> wait_for_peer_sync(Side& side, const BlockingOptions& options) {
  auto& queue = side.side();
  const auto there = [&] { return queue.peer() == Peer::attached; };
  const auto came = block(
      options, [&](bool) { return there() ? std::optional(true) : std::nullopt; },
      [&](std::uint64_t /*spin*/, std::uint64_t left) {
        return wait_slice(queue.sleeper(), 0, left, there);
      });
  if (came) return {};
  return late("a peer on queue '" + queue.segment().name() + "'", options);
}

}  // namespace detail

// Room for a message of `length` bytes inside the ring: write there, then producer.commit(length).
// too_large, timeout; closed, peer_failed or peer_gone if the consumer leaves, fails or dies while there is no
// room.
inline Result<std::span<std::byte>> reserve_sync(QueueProducer& producer, std::uint32_t length,
                                                 const BlockingOptions& options = {}) {
  using Room = std::optional<Result<std::span<std::byte>>>;
  const std::string& name = producer.side().segment().name();
  const std::uint64_t bytes = layout::record_bytes(length);
  if (bytes > producer.ring().capacity()) {
    return make_error(Code::too_large,
                      "a message of " + std::to_string(length) + " bytes does not fit queue '" +
                          name + "', whose limit is " +
                          std::to_string(producer.ring().max_message()) +
                          " bytes; create it with a larger capacity, or send it in parts");
  }
  auto room = detail::block(
      options,
      [&](bool thorough) -> Room {
        if (std::byte* place = producer.reserve(length)) return std::span(place, length);
        if (producer.ring().corrupt()) return detail::impossible(name);
        if (thorough) {
          if (auto error = detail::no_consumer(producer)) return *std::move(error);
        }
        return std::nullopt;
      },
      [&](std::uint64_t spin, std::uint64_t left) {
        return producer.wait_room(bytes, spin, left);
      });
  if (room) return *std::move(room);
  return detail::late("room in queue '" + name + "'", options);
}

// Sends a message. Errors as reserve_sync.
inline Result<void> push_sync(QueueProducer& producer, std::span<const std::byte> message,
                              const BlockingOptions& options = {}) {
  // What does not fit 32 bits does not fit a queue either.
  const auto length = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(message.size(), std::numeric_limits<std::uint32_t>::max()));
  auto room = reserve_sync(producer, length, options);
  if (!room.ok()) return std::move(room.error());
  if (length != 0) std::memcpy(room.value().data(), message.data(), length);
  producer.commit(length);
  return {};
}

// Returns when the consumer has read everything, and closes. closed, peer_failed or peer_gone if it leaves, fails
// or dies before that, timeout; the queue stays open then.
inline Result<void> end_sync(QueueProducer& producer, const BlockingOptions& options = {}) {
  const std::string& name = producer.side().segment().name();
  auto ended = detail::block(
      options,
      [&](bool thorough) -> std::optional<Result<void>> {
        if (producer.ring().drained()) return Result<void>();
        if (producer.ring().corrupt()) return detail::impossible(name);
        if (!thorough) return std::nullopt;
        auto error = detail::no_consumer(producer);
        if (!error) return std::nullopt;
        // It may have read the last message between our look and its leaving.
        if (producer.ring().drained()) return Result<void>();
        return *std::move(error);
      },
      [&](std::uint64_t spin, std::uint64_t left) {
        return producer.wait_room(producer.ring().capacity(), spin, left);
      });
  if (!ended) return detail::late("reading everything in queue '" + name + "'", options);
  if (ended->ok()) producer.close(false);
  return *std::move(ended);
}

// The oldest message, where it lies: valid until consumer.release(message). Nothing when the producer
// has closed and everything is read (another may follow: wait_for_peer_sync). peer_failed or peer_gone if the
// producer failed or died, and everything that it published is read; corrupt, timeout.
inline Result<std::optional<Message>> peek_sync(QueueConsumer& consumer,
                                                const BlockingOptions& options = {}) {
  using Found = std::optional<Result<std::optional<Message>>>;
  auto& side = consumer.side();
  const std::string& name = side.segment().name();
  const auto look = [&]() -> Found {
    const Message message = consumer.peek();
    if (message.status == RingStatus::ok) return std::optional(message);
    if (message.status == RingStatus::corrupt) return detail::impossible(name);
    return std::nullopt;
  };
  auto found = detail::block(
      options,
      [&](bool thorough) -> Found {
        if (auto message = look(); message || !thorough) return message;
        const Peer producer = side.peer();
        if (producer == Peer::attached || producer == Peer::absent) return std::nullopt;
        // It may have published between our look and its leaving.
        if (auto message = look()) return message;
        if (producer == Peer::closed) return std::optional<Message>();
        if (producer == Peer::failed) {
          return detail::failed_peer("producer", side,
                                     "everything that it sent is read: wait for another, or close");
        }
        return make_error(Code::peer_gone, "the producer of queue '" + name + "' (process " +
                                               std::to_string(side.peer_pid()) +
                                               ") died; wait for another, or close");
      },
      [&](std::uint64_t spin, std::uint64_t left) { return consumer.wait_data(spin, left); });
  if (found) return *std::move(found);
  return detail::late("a message in queue '" + name + "'", options);
}

// Returns as soon as somebody has the other side. timeout.
inline Result<void> wait_for_peer_sync(QueueProducer& producer,
                                       const BlockingOptions& options = {}) {
  return detail::wait_for_peer_sync(producer, options);
}
inline Result<void> wait_for_peer_sync(QueueConsumer& consumer,
                                       const BlockingOptions& options = {}) {
  return detail::wait_for_peer_sync(consumer, options);
}

}  // namespace millrace
