// A named SPSC queue: the ring of spsc_ring.hpp inside a segment, with its two roles, waiting and leaving.
// Either side may come first and may be replaced; each side is used by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "latency.hpp"
#include "layout/queue.hpp"
#include "queue_side.hpp"
#include "result.hpp"
#include "spsc_ring.hpp"
#include "waiting.hpp"

namespace millrace {

class QueueProducer {
 public:
  static Result<std::unique_ptr<QueueProducer>> open(const QueueSpec& spec,
                                                     const os::Deadline& deadline) {
    std::unique_ptr<QueueProducer> self(new QueueProducer);
    if (auto entered = self->side_.enter(spec, deadline); !entered.ok()) return entered.error();
    self->take_ring();
    if (self->ring_.corrupt()) return detail::impossible(spec.place.title());
    return self;
  }
  QueueProducer(const QueueProducer&) = delete;
  QueueProducer& operator=(const QueueProducer&) = delete;
  ~QueueProducer() { close(false); }

  [[nodiscard]] RingStatus try_push(const void* payload, std::uint32_t length) {
    // As everything is to a ring that is not known yet. The comparison is that of push().
    if (layout::record_bytes(length) > ring_.capacity()) [[unlikely]]
      (void)settles();
    const RingStatus status = ring_.push(payload, length);
    if (status == RingStatus::ok) side_.wake_peer();
    return status;
  }
  // See RingProducer::push_packed. 0, too, if the ring is corrupt.
  template <typename LengthOf>
  [[nodiscard]] std::uint64_t try_push_packed(std::span<const std::byte> bytes, std::uint64_t count,
                                              const LengthOf& length_of) {
    if (ring_.capacity() == 0) [[unlikely]]
      (void)settles();
    const std::uint64_t sent = ring_.push_packed(bytes, count, length_of);
    if (sent > 0) side_.wake_peer();
    return sent;
  }
  [[nodiscard]] std::byte* reserve(std::uint32_t length) {
    if (ring_.capacity() == 0) [[unlikely]]
      (void)settles();
    return ring_.reserve(length);
  }
  // Free bytes of the ring, without deciding how large it is.
  [[nodiscard]] std::uint64_t room() noexcept {
    return side_.capacity() != 0 ? ring_.room() : side_.expected_capacity();
  }
  // Has the consumer released everything?
  [[nodiscard]] bool drained() noexcept { return ring_.drained(); }
  void commit(std::uint32_t length) {
    ring_.commit(length);
    side_.wake_peer();
  }
  // See RingProducer::publish.
  void publish(std::uint64_t bytes, std::uint64_t messages) {
    ring_.publish(bytes, messages);
    side_.wake_peer();
  }

  // Something has happened that a producer waiting for room for `bytes` should look at.
  [[nodiscard]] bool stirred(std::uint64_t bytes) noexcept {
    return ring_.has_room(bytes) || ring_.corrupt() || side_.peer_left();
  }
  // Blocks this thread for a slice at most: spins, then sleeps. True if stirred.
  [[nodiscard]] bool wait_room(std::uint64_t bytes, std::uint64_t spin_ns,
                               std::uint64_t timeout_ns) {
    return wait_slice(side_.sleeper(), spin_ns, timeout_ns, [&] { return stirred(bytes); });
  }
  // Prepares to sleep in an event loop. False: there is something to do already, do not sleep.
  [[nodiscard]] bool park(const WakeAddress& address, std::uint64_t bytes) noexcept {
    side_.sleeper().park_on_bell(address);
    if (!stirred(bytes)) return true;
    side_.sleeper().unpark();
    return false;
  }

  // Is it decided how large the ring is? With `needed` it is from now on. An error if it cannot be mapped, or that was
  // decided by somebody hostile.
  Result<bool> settle(bool needed) {
    if (side_.capacity() != 0) return true;
    auto settled = side_.settle(needed);
    if (settled.ok() && settled.value()) take_ring();
    return settled;
  }
  // Settled, if that is possible; else it has no room.
  [[nodiscard]] RingProducer& ring() {
    (void)settle(true);
    return ring_;
  }
  // Has the peer written nonsense? To a ring of which nothing is known, everything is impossible.
  [[nodiscard]] bool corrupt() const noexcept { return side_.capacity() != 0 && ring_.corrupt(); }
  [[nodiscard]] detail::QueueSide& side() noexcept { return side_; }
  // For who has been asked to say how long messages take: one of kLatencyEvery is to be marked before it is sent (latency.hpp).
  [[nodiscard]] LatencyMarker latency_marker() const noexcept {
    return {side_.latency(), side_.control()};
  }
  bool mark(LatencyMarker& marker) {
    RingProducer& sending = ring();
    return marker.mark(sending.cursor()->mine, sending.capacity());
  }
  void close(bool discard) noexcept { side_.leave(discard, corrupt()); }
  // As close(false), but after what is published the consumer's waits end with peer_failed and the reason:
  // UTF-8, of which the first 200 bytes are kept.
  void abort(std::string_view reason) noexcept { side_.leave(false, corrupt(), reason); }

 private:
  QueueProducer() = default;
  // Apart, so that the calls of every message stay short.
  [[gnu::cold, gnu::noinline]] bool settles() { return settle(true).ok(); }
  void take_ring() noexcept {
    const auto& data = side_.data();
    ring_ = RingProducer(side_.control(), data ? data->data() : nullptr, side_.capacity(),
                         side_.epoch());
  }

  RingProducer ring_;
  detail::QueueSide side_{layout::kProducerRole, "producer"};
};

class QueueConsumer {
 public:
  static Result<std::unique_ptr<QueueConsumer>> open(const QueueSpec& spec,
                                                     const os::Deadline& deadline) {
    std::unique_ptr<QueueConsumer> self(new QueueConsumer);
    if (auto entered = self->side_.enter(spec, deadline); !entered.ok()) return entered.error();
    self->take_ring();
    if (self->ring_.corrupt()) return detail::impossible(spec.place.title());
    return self;
  }
  QueueConsumer(const QueueConsumer&) = delete;
  QueueConsumer& operator=(const QueueConsumer&) = delete;
  ~QueueConsumer() { close(false); }

  // The oldest message, in place until release().
  [[nodiscard]] Message peek() {
    if (ring_.capacity() == 0 && is_open()) [[unlikely]]
      return {};
    return ring_.peek();
  }
  // Bytes of whole records that are there. Asks the producer.
  [[nodiscard]] std::uint64_t available() {
    if (ring_.capacity() == 0 && is_open()) return 0;
    return ring_.available();
  }
  // See RingConsumer::pop_packed.
  [[nodiscard]] RingConsumer::Packed try_pop_packed(std::span<std::byte> target,
                                                    std::span<std::uint32_t> lengths) {
    if (ring_.capacity() == 0 && is_open()) [[unlikely]]
      return {};
    const RingConsumer::Packed popped = ring_.pop_packed(target, lengths);
    if (popped.messages > 0) side_.wake_peer();
    return popped;
  }
  void release(const Message& message) {
    ring_.release(message);
    side_.wake_peer();
  }
  // See RingConsumer::release_bytes.
  bool release_bytes(std::uint64_t bytes, std::uint64_t messages) {
    if (!ring_.release_bytes(bytes, messages)) return false;
    side_.wake_peer();
    return true;
  }

  [[nodiscard]] bool stirred() noexcept {
    return ring_.has_data() || ring_.corrupt() || side_.peer_left();
  }
  [[nodiscard]] bool wait_data(std::uint64_t spin_ns, std::uint64_t timeout_ns) {
    return wait_slice(side_.sleeper(), spin_ns, timeout_ns, [&] { return stirred(); });
  }
  [[nodiscard]] bool park(const WakeAddress& address) noexcept {
    side_.sleeper().park_on_bell(address);
    if (!stirred()) return true;
    side_.sleeper().unpark();
    return false;
  }

  // Is it decided how large the ring is? With `needed` it is from now on. An error if it cannot be mapped, or that was
  // decided by somebody hostile.
  Result<bool> settle(bool needed) {
    if (side_.capacity() != 0) return true;
    auto settled = side_.settle(needed);
    if (settled.ok() && settled.value()) take_ring();
    return settled;
  }
  // Settled, if that is possible; else nothing is in it.
  [[nodiscard]] RingConsumer& ring() {
    (void)settle(true);
    return ring_;
  }
  // Has the peer written nonsense? To a ring of which nothing is known, everything is impossible.
  [[nodiscard]] bool corrupt() const noexcept { return side_.capacity() != 0 && ring_.corrupt(); }
  [[nodiscard]] detail::QueueSide& side() noexcept { return side_; }
  // For who has been asked to say how long messages take: to be looked at when some have been taken (latency.hpp).
  [[nodiscard]] LatencyTaker latency_taker() const noexcept {
    return LatencyTaker(side_.latency());
  }
  std::uint64_t take(LatencyTaker& taker) { return taker.take(ring_.cursor()->mine); }
  void close(bool discard) noexcept { side_.leave(discard, corrupt()); }
  // As close(false), but a producer that waits for room, or for its messages to be read, gets peer_failed and
  // the reason: UTF-8, of which the first 200 bytes are kept.
  void abort(std::string_view reason) noexcept { side_.leave(false, corrupt(), reason); }

 private:
  QueueConsumer() = default;
  // Is it still open how large the ring is? Then nothing was sent a moment ago, and what is sent
  // now would be nonsense to a ring without a size. Apart, so that the calls of every message stay
  // short.
  [[gnu::cold, gnu::noinline]] bool is_open() {
    const auto settled = settle(false);
    return settled.ok() && !settled.value();
  }
  void take_ring() noexcept {
    const auto& data = side_.data();
    ring_ = RingConsumer(side_.control(), data ? data->data() : nullptr, side_.capacity());
  }

  RingConsumer ring_;
  detail::QueueSide side_{layout::kConsumerRole, "consumer"};
};

}  // namespace millrace
