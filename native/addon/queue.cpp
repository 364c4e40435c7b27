// The two sides of an SPSC queue as JavaScript objects.
#include "millrace/queue.hpp"

#include "addon.hpp"
#include "handle.hpp"
#include "lent_cursor.hpp"

namespace millrace::addon {

namespace {

std::int32_t outcome_of(RingStatus status) noexcept {
  switch (status) {
    case RingStatus::ok:
      return 0;
    case RingStatus::empty:
    case RingStatus::full:
      return kWouldBlock;
    case RingStatus::too_large:
      return kTooLarge;
    case RingStatus::corrupt:
      return kCorrupt;
  }
  return kCorrupt;
}

// What both sides do alike. Side is QueueProducer or QueueConsumer.
template <typename Object, typename Side>
class QueueObject : public WaitingObject<Object, Side> {
  using Base = WaitingObject<Object, Side>;

 public:
  // For JavaScript:

  // close(discard)
  void close(const Arguments<1>& given) {
    this->end(truth(given.env, given[0]) ? Ending::discard : Ending::close);
    detach_buffers();
  }
  // What lib/queue works on besides the messages themselves.
  Napi::Value control() {
    if (this->core() == nullptr) return this->Env().Undefined();
    const Segment& segment = this->core()->side().segment();
    return control_.get(this->Env(), segment.control(),
                        segment.geometry().values[layout::kQueueControlOffset],
                        sizeof(layout::RingControl) + sizeof(layout::QueueLatency::MarksLine));
  }
  // cursor() -> the positions, which stay where they are put here, in an ArrayBuffer of JavaScript's, until the side
  // is closed
  Napi::Value cursor() {
    if (this->core() == nullptr) return this->Env().Undefined();
    return cursor_.get(this->Env(), this->core()->ring().cursor());
  }
  // settle(needed) -> bytes of the ring; 0 if that is not decided yet, or the side is closed. With `needed` it is
  // decided from now on. Throws if the ring cannot be mapped.
  Napi::Value settle(const Arguments<1>& given) {
    const Napi::Env env = this->Env();
    if (this->core() == nullptr) return Napi::Number::New(env, 0);
    if (auto settled = this->core()->settle(truth(given.env, given[0])); !settled.ok()) {
      this->environment().raise(settled.error());
      return env.Undefined();
    }
    return Napi::Number::New(env, static_cast<double>(this->core()->side().capacity()));
  }
  // wake(): after a publish or release that JavaScript has done
  void wake() {
    if (this->core() != nullptr) this->core()->side().wake_peer();
  }
  // park() -> what heard() says. The peer wakes us from now on; the caller looks once more, then sleeps or calls unpark()
  std::optional<bool> park() {
    const auto address = this->wake_address();
    if (!address) return std::nullopt;
    this->core()->side().sleeper().park_on_bell(*address);
    return heard();
  }
  // announce(): as park(), but the peer need not see it before sleeperFence() has been called. After that comes heard()
  void announce() {
    if (const auto address = this->wake_address()) {
      this->core()->side().sleeper().announce_on_bell(*address);
    }
  }
  // heard() -> true if nobody need look at the peer: it was there a moment ago, and both its leaving and its death would
  // wake us. A look at its state like any other (S3): before the fence it might miss a peer that leaves, and that did not
  // see us parked
  std::optional<bool> heard() {
    if (this->core() == nullptr) return std::nullopt;
    auto& side = this->core()->side();
    const bool heard =
        side.peer_attached() && this->environment().watches(this->token_, side.peer_doorbell());
    return heard ? std::optional(true) : std::nullopt;
  }
  // still() -> see QueueSide::still. A closed side has nobody who asks.
  bool still() { return this->core() != nullptr && this->core()->side().still(); }

  static void add_common(std::vector<Method>& methods) {
    Base::add_common(methods);
    Base::add_peer(methods);
    methods.push_back(Base::template method<&Object::peer_reason>("peerReason"));
    methods.push_back(Base::template method<&Object::settle>("settle"));
    methods.push_back(Base::template method<&Object::control>("control"));
    methods.push_back(Base::template method<&Object::cursor>("cursor"));
    methods.push_back(Base::template method<&Object::wake>("wake"));
    methods.push_back(Base::template method<&Object::still>("still"));
    methods.push_back(Base::template method<&Object::announce>("announce"));
    methods.push_back(Base::template method<&Object::heard>("heard"));
  }
  void detach_buffers() {
    Base::detach_buffers();
    control_.detach();
  }

 protected:
  explicit QueueObject(const Napi::CallbackInfo& info) : Base(info) {
    const Options options(info[0]);
    const bool opened = this->template open<QueueSpec>(options, [&](QueueSpec& spec) {
      spec.capacity = options.number("capacity", 0);
      spec.fresh = options.flag("fresh");
      return Side::open(spec, soon());
    });
    if (!opened) return;
    this->tell("discarded", static_cast<double>(this->core()->side().discarded()));
  }

 private:
  SharedBuffer control_;
  LentCursor cursor_;
};

class ProducerObject final : public QueueObject<ProducerObject, QueueProducer> {
 public:
  // new QueueProducer({ place, memory, capacity, mode, owner?, keep, fresh, schema })
  explicit ProducerObject(const Napi::CallbackInfo& info) : QueueObject(info) {
    if (core() != nullptr) define_hot<&ProducerObject::try_push>("tryPush");
  }

  static Napi::Function define(Napi::Env env) {
    return define_class(env, "QueueProducer",
                        {
                            method<&ProducerObject::try_push_packed>("tryPushPacked"),
                            method<&ProducerObject::publish>("publish"),
                            method<&ProducerObject::room>("room"),
                            method<&ProducerObject::drained>("drained"),
                            method<&ProducerObject::wait>("wait"),
                            method<&ProducerObject::mark>("mark"),
                        });
  }

 private:
  // tryPush(bytes) -> 0, kWouldBlock, kTooLarge, kCorrupt, kClosed or kInvalid
  std::int32_t try_push(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    const auto bytes = bytes_of(given.env, given[0]);
    if (!bytes) return kInvalid;
    if (bytes->size > core()->ring().max_message()) return kTooLarge;
    return outcome_of(core()->try_push(bytes->data, static_cast<std::uint32_t>(bytes->size)));
  }
  // tryPushPacked(bytes, size | lengths, count) -> how many messages were sent; or kCorrupt, kClosed, kInvalid
  std::int64_t try_push_packed(const Arguments<3>& given) {
    if (core() == nullptr) return kClosed;
    const auto bytes = bytes_of(given.env, given[0]);
    if (!bytes) return kInvalid;
    const std::span<const std::byte> packed(bytes->data, bytes->size);
    std::uint64_t count = natural(given.env, given[2], 0);
    std::uint64_t sent = 0;
    if (const auto lengths = bytes_of(given.env, given[1])) {
      auto* words = reinterpret_cast<std::uint32_t*>(lengths->data);
      if (reinterpret_cast<std::uintptr_t>(words) % alignof(std::uint32_t) != 0) return kInvalid;
      count = std::min<std::uint64_t>(count, lengths->size / sizeof(std::uint32_t));
      sent = core()->try_push_packed(packed, count, [words](std::uint64_t i) {
        // Another thread may change it meanwhile.
        return std::atomic_ref<std::uint32_t>(words[i]).load(std::memory_order_relaxed);
      });
    } else {
      const std::uint32_t size = small_natural(given.env, given[1], ~std::uint32_t{0});
      sent = core()->try_push_packed(packed, count, [size](std::uint64_t) { return size; });
    }
    if (sent == 0 && core()->corrupt()) return kCorrupt;
    return static_cast<std::int64_t>(sent);
  }
  // publish(recordBytes, messages): records that were laid down where the next one belongs.
  std::int32_t publish(const Arguments<2>& given) {
    if (core() == nullptr) return kClosed;
    RingProducer& ring = core()->ring();
    const std::uint64_t bytes = natural(given.env, given[0], ring.capacity() + 1);
    if (bytes % layout::kRecordAlign != 0 || bytes > ring.capacity() || !ring.has_room(bytes)) {
      return kInvalid;
    }
    core()->publish(bytes, natural(given.env, given[1], 1));
    return 0;
  }
  // room() -> free bytes, headers included; or kCorrupt, kClosed
  double room() {
    if (core() == nullptr) return kClosed;
    const std::uint64_t bytes = core()->room();
    return core()->corrupt() ? double{kCorrupt} : static_cast<double>(bytes);
  }
  // drained() -> 1 if the consumer has released everything, else 0; or kCorrupt, kClosed
  std::int32_t drained() {
    if (core() == nullptr) return kClosed;
    if (core()->drained()) return 1;
    return core()->corrupt() ? kCorrupt : 0;
  }
  // wait(recordBytes, spinMs, timeoutMs) -> true if something stirred; blocks for 20 ms at most
  bool wait(const Arguments<3>& given) {
    return core() == nullptr ||
           core()->wait_room(natural(given.env, given[0], 0), nanoseconds(given.env, given[1]),
                             nanoseconds(given.env, given[2]));
  }
  // mark(): the next message, to be called before it is sent, one of kLatencyEvery
  void mark() {
    if (core() == nullptr) return;
    if (!marker_) marker_ = core()->latency_marker();
    (void)core()->mark(*marker_);
  }

  std::optional<LatencyMarker> marker_;
};

class ConsumerObject final : public QueueObject<ConsumerObject, QueueConsumer> {
 public:
  // new QueueConsumer({ place, memory, capacity, mode, owner?, keep, fresh, schema })
  explicit ConsumerObject(const Napi::CallbackInfo& info) : QueueObject(info) {
    if (core() != nullptr) define_hot<&ConsumerObject::pop_into>("popInto");
  }

  static Napi::Function define(Napi::Env env) {
    return define_class(env, "QueueConsumer",
                        {
                            method<&ConsumerObject::next_length>("nextLength"),
                            method<&ConsumerObject::try_pop_packed>("tryPopPacked"),
                            method<&ConsumerObject::available>("available"),
                            method<&ConsumerObject::release>("release"),
                            method<&ConsumerObject::mark_corrupt>("markCorrupt"),
                            method<&ConsumerObject::wait>("wait"),
                            method<&ConsumerObject::count_taken>("countTaken"),
                        });
  }

 private:
  // popInto(target, offset) -> length of the message copied to target[offset…], or kWouldBlock, kTooLarge
  // (nothing taken), kCorrupt, kClosed, kInvalid
  std::int32_t pop_into(const Arguments<2>& given) {
    if (core() == nullptr) return kClosed;
    const Message message = core()->peek();
    if (message.status != RingStatus::ok) return outcome_of(message.status);
    const auto target = bytes_of(given.env, given[0]);
    const std::uint64_t offset = natural(given.env, given[1], 0);
    if (!target || offset > target->size) return kInvalid;
    if (message.length > target->size - offset) return kTooLarge;
    std::memcpy(target->data + offset, message.data, message.length);
    core()->release(message);
    return static_cast<std::int32_t>(message.length);
  }
  // tryPopPacked(target, lengths) -> how many messages were copied; or kWouldBlock, kTooLarge (the first does not fit),
  // kCorrupt, kClosed, kInvalid
  std::int64_t try_pop_packed(const Arguments<2>& given) {
    if (core() == nullptr) return kClosed;
    const auto target = bytes_of(given.env, given[0]);
    const auto lengths = bytes_of(given.env, given[1]);
    if (!target || !lengths) return kInvalid;
    auto* words = reinterpret_cast<std::uint32_t*>(lengths->data);
    if (reinterpret_cast<std::uintptr_t>(words) % alignof(std::uint32_t) != 0) return kInvalid;
    const auto popped = core()->try_pop_packed({target->data, target->size},
                                               {words, lengths->size / sizeof(std::uint32_t)});
    if (popped.status != RingStatus::ok) return outcome_of(popped.status);
    return static_cast<std::int64_t>(popped.messages);
  }
  // available() -> bytes of records ready to be read in place, or kCorrupt, kClosed
  double available() {
    if (core() == nullptr) return kClosed;
    const std::uint64_t bytes = core()->available();
    return core()->corrupt() ? double{kCorrupt} : static_cast<double>(bytes);
  }
  // release(recordBytes, messages) -> 0, kClosed or kInvalid
  std::int32_t release(const Arguments<2>& given) {
    if (core() == nullptr) return kClosed;
    const std::uint64_t bytes = natural(given.env, given[0], ~std::uint64_t{0});
    return core()->release_bytes(bytes, natural(given.env, given[1], 1)) ? 0 : kInvalid;
  }
  // nextLength() -> length of the next message without taking it, or kWouldBlock, kCorrupt, kClosed
  double next_length() {
    if (core() == nullptr) return kClosed;
    const Message message = core()->peek();
    if (message.status != RingStatus::ok) return outcome_of(message.status);
    return message.length;
  }
  // markCorrupt(): JavaScript met an impossible position or record
  void mark_corrupt() noexcept {
    if (core() != nullptr) core()->ring().mark_corrupt();
  }
  // wait(spinMs, timeoutMs) -> true if something stirred; blocks for 20 ms at most
  bool wait(const Arguments<2>& given) {
    return core() == nullptr ||
           core()->wait_data(nanoseconds(given.env, given[0]), nanoseconds(given.env, given[1]));
  }
  // countTaken() -> when something has been taken, how long the marked ones among that were on their way is counted: low half of the
  // position of the next marked message; 1: none is known. The first call says that this is going to be done.
  std::int32_t count_taken() {
    if (core() == nullptr) return kNothingDue;
    if (!taker_) taker_ = core()->latency_taker();
    const std::uint64_t due = core()->take(*taker_);
    return due == LatencyTaker::kNothingDue ? kNothingDue : static_cast<std::int32_t>(due);
  }

  static constexpr std::int32_t kNothingDue = 1;  // positions are multiples of 8
  std::optional<LatencyTaker> taker_;
};

}  // namespace

Napi::Function define_queue_producer(Napi::Env env) {
  return ProducerObject::define(env);
}
Napi::Function define_queue_consumer(Napi::Env env) {
  return ConsumerObject::define(env);
}

}  // namespace millrace::addon
