// The two sides of an SPSC queue as JavaScript objects.
#include "millrace/queue.hpp"

#include "addon.hpp"
#include "arguments.hpp"
#include "channel.hpp"

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

// What both sides do alike. Side is QueueProducer or QueueConsumer; nullptr once closed.
template <typename Side>
class QueueHandle final : public Closable {
 public:
  explicit QueueHandle(Napi::Env env) : environment_(Environment::of(env)) {}
  ~QueueHandle() override { leave(false); }

  // False with an exception pending.
  bool open(const Napi::CallbackInfo& info) {
    auto opened = open_side(Options(info[0]));
    if (!opened.ok()) {
      environment_.raise(opened.error());
      return false;
    }
    side_ = opened.take();
    side_->side().use_ringer(&environment_.ringer());
    environment_.add(this);
    Napi::Object self = info.This().As<Napi::Object>();
    self.Set("capacity",
             Napi::Number::New(info.Env(), static_cast<double>(side_->side().capacity())));
    self.Set("path", Napi::String::New(info.Env(), side_->side().segment().path()));
    return true;
  }
  void close_now() noexcept override { leave(false); }
  void close(bool discard) {
    leave(discard);
    buffer_.detach();
    control_.detach();
  }

  [[nodiscard]] Side* side() noexcept { return side_.get(); }
  // True: the peer was there a moment ago, and both its leaving and its death would wake us.
  bool park() {
    if (!side_) return false;
    auto bell = environment_.doorbell(trust());  // made long ago: open() asked for it
    if (!bell.ok()) return false;
    side_->side().sleeper().park_on_bell(WakeAddress{bell.value(), token_});
    return side_->side().peer_attached() &&
           environment_.watches(token_, side_->side().peer_doorbell());
  }
  void wake_token(const Napi::CallbackInfo& info) {
    token_ = small_natural(info.Env(), info[0], 0);
  }
  Napi::Value buffer(Napi::Env env) {
    return side_ ? buffer_.get(env, side_->side().data()) : env.Undefined();
  }
  // What lib/queue works on besides the messages themselves. The positions stay where they are put here,
  // in an ArrayBuffer of JavaScript's, until the handle is closed.
  Napi::Value control(Napi::Env env) {
    if (!side_) return env.Undefined();
    const Segment& segment = side_->side().segment();
    return control_.get(env, segment.control(),
                        segment.geometry().values[layout::kQueueControlOffset],
                        sizeof(layout::RingControl));
  }
  Napi::Value cursor(Napi::Env env) {
    if (!side_) return env.Undefined();
    if (cursor_.IsEmpty()) {
      void* place = nullptr;
      napi_value buffer = nullptr;
      if (napi_create_arraybuffer(env, sizeof(RingCursor), &place, &buffer) != napi_ok) {
        return env.Undefined();
      }
      cursor_ = Napi::Persistent(Napi::ArrayBuffer(env, buffer));
      side_->ring().cursor().move_to(static_cast<RingCursor*>(place));
    }
    return cursor_.Value();
  }
  // After a publish or release that JavaScript has done.
  void wake() {
    if (side_) side_->side().wake_peer();
  }
  // JavaScript met an impossible position or record.
  void mark_corrupt() noexcept {
    if (side_) side_->ring().mark_corrupt();
  }
  Napi::Value peer(Napi::Env env) {
    const Peer peer = side_ ? side_->side().peer() : Peer::closed;
    return Napi::Number::New(env, static_cast<int>(peer));
  }
  Napi::Value peer_pid(Napi::Env env) {
    return Napi::Number::New(env, side_ ? side_->side().peer_pid() : 0);
  }
  Napi::Value watch_peer(Napi::Env env) {
    return Napi::Boolean::New(
        env, side_ && environment_.watch(token_, side_->side().peer_doorbell(), trust()));
  }
  void unpark() noexcept {
    if (side_) side_->side().sleeper().unpark();
  }
  // See QueueSide::still. A closed side has nobody who asks.
  Napi::Value still(Napi::Env env) {
    return Napi::Boolean::New(env, side_ && side_->side().still());
  }
  Napi::Value damage(Napi::Env env) {
    if (!side_) return env.Undefined();
    return damage_of(environment_, env, side_->side().segment(), [this] { close(false); });
  }

 private:
  Result<std::unique_ptr<Side>> open_side(const Options& options) {
    auto mode = options.mode();
    if (!mode.ok()) return mode.error();
    QueueSpec spec;
    spec.place = options.place();
    spec.memory = options.memory();
    spec.capacity = options.number("capacity", 0);
    spec.mode = mode.value();
    spec.owner = options.user("owner");
    spec.keep = options.flag("keep");
    spec.schema = options.schema();
    BellChoice bell(environment_, spec.mode);
    auto known = bell.before();
    if (!known.ok()) return known.error();
    spec.doorbell = known.value();
    auto opened = Side::open(spec, os::Deadline::after(kEnterTimeoutNs));
    if (!opened.ok()) return opened;
    auto late = bell.after(opened.value()->side().segment().trust());
    if (!late.ok()) return late.error();
    if (late.value() != 0) opened.value()->side().announce_doorbell(late.value());
    return opened;
  }
  [[nodiscard]] os::BellTrust trust() const noexcept { return side_->side().segment().trust(); }
  void leave(bool discard) noexcept {
    if (!side_) return;
    environment_.remove(this);
    environment_.unwatch(token_);
    side_->close(discard);
    side_.reset();
  }

  Environment& environment_;
  std::unique_ptr<Side> side_;
  SharedBuffer buffer_;
  SharedBuffer control_;
  Napi::Reference<Napi::ArrayBuffer> cursor_;
  std::uint32_t token_ = 0;
};

class ProducerObject final : public Napi::ObjectWrap<ProducerObject> {
 public:
  using Handle = QueueHandle<QueueProducer>;

  explicit ProducerObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ProducerObject>(info), handle_(info.Env()) {
    if (!handle_.open(info)) return;
    Napi::Object self = info.This().As<Napi::Object>();
    define_hot(self, &handle_, "tryPush", try_push);
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "QueueProducer",
                       {
                           InstanceMethod<&ProducerObject::publish>("publish"),
                           InstanceMethod<&ProducerObject::wake>("wake"),
                           InstanceMethod<&ProducerObject::control>("control"),
                           InstanceMethod<&ProducerObject::cursor>("cursor"),
                           InstanceMethod<&ProducerObject::room>("room"),
                           InstanceMethod<&ProducerObject::drained>("drained"),
                           InstanceMethod<&ProducerObject::park>("park"),
                           InstanceMethod<&ProducerObject::wait>("wait"),
                           InstanceMethod<&ProducerObject::unpark>("unpark"),
                           InstanceMethod<&ProducerObject::still>("still"),
                           InstanceMethod<&ProducerObject::damage>("damage"),
                           InstanceMethod<&ProducerObject::wake_token>("wakeToken"),
                           InstanceMethod<&ProducerObject::buffer>("buffer"),
                           InstanceMethod<&ProducerObject::peer>("peer"),
                           InstanceMethod<&ProducerObject::peer_pid>("peerPid"),
                           InstanceMethod<&ProducerObject::watch_peer>("watchPeer"),
                           InstanceMethod<&ProducerObject::close>("close"),
                       });
  }

 private:
  // tryPush(bytes) -> 0, kWouldBlock, kTooLarge, kCorrupt, kClosed or kInvalid
  static napi_value try_push(napi_env env, napi_callback_info info) {
    const HotCall<Handle, 1> call(env, info);
    QueueProducer* side = call.handle->side();
    if (side == nullptr) return number(env, std::int32_t{kClosed});
    const auto bytes = bytes_of(env, call.arguments[0]);
    if (!bytes) return number(env, std::int32_t{kInvalid});
    if (bytes->size > side->ring().max_message()) return number(env, std::int32_t{kTooLarge});
    return number(env,
                  outcome_of(side->try_push(bytes->data, static_cast<std::uint32_t>(bytes->size))));
  }
  // publish(recordBytes, messages): records that were laid down where the next one belongs.
  Napi::Value publish(const Napi::CallbackInfo& info) {
    QueueProducer* side = handle_.side();
    if (side == nullptr) return Napi::Number::New(info.Env(), kClosed);
    RingProducer& ring = side->ring();
    const std::uint64_t bytes = natural(info.Env(), info[0], ring.capacity() + 1);
    if (bytes % layout::kRecordAlign != 0 || bytes > ring.capacity() || !ring.has_room(bytes)) {
      return Napi::Number::New(info.Env(), kInvalid);
    }
    side->publish(bytes, natural(info.Env(), info[1], 1));
    return Napi::Number::New(info.Env(), 0);
  }
  // room() -> free bytes, headers included; or kCorrupt, kClosed
  Napi::Value room(const Napi::CallbackInfo& info) {
    QueueProducer* side = handle_.side();
    if (side == nullptr) return Napi::Number::New(info.Env(), kClosed);
    const std::uint64_t bytes = side->ring().room();
    if (side->ring().corrupt()) return Napi::Number::New(info.Env(), kCorrupt);
    return Napi::Number::New(info.Env(), static_cast<double>(bytes));
  }
  // drained() -> 1 if the consumer has released everything, else 0; or kCorrupt, kClosed
  Napi::Value drained(const Napi::CallbackInfo& info) {
    QueueProducer* side = handle_.side();
    if (side == nullptr) return Napi::Number::New(info.Env(), kClosed);
    if (side->ring().drained()) return Napi::Number::New(info.Env(), 1);
    return Napi::Number::New(info.Env(), side->ring().corrupt() ? kCorrupt : 0);
  }
  // park() -> true if nobody need look at the peer. It wakes us from now on; the caller looks once more,
  // then sleeps or calls unpark()
  Napi::Value park(const Napi::CallbackInfo& info) {
    return handle_.park() ? Napi::Boolean::New(info.Env(), true) : info.Env().Undefined();
  }
  // wait(recordBytes, spinMs, timeoutMs) -> true if something stirred; blocks for 20 ms at most
  Napi::Value wait(const Napi::CallbackInfo& info) {
    QueueProducer* side = handle_.side();
    const bool stirred = side == nullptr || side->wait_room(natural(info.Env(), info[0], 0),
                                                            nanoseconds(info.Env(), info[1]),
                                                            nanoseconds(info.Env(), info[2]));
    return Napi::Boolean::New(info.Env(), stirred);
  }
  void unpark(const Napi::CallbackInfo& /*info*/) { handle_.unpark(); }
  void wake_token(const Napi::CallbackInfo& info) { handle_.wake_token(info); }
  Napi::Value still(const Napi::CallbackInfo& info) { return handle_.still(info.Env()); }
  Napi::Value damage(const Napi::CallbackInfo& info) { return handle_.damage(info.Env()); }
  Napi::Value buffer(const Napi::CallbackInfo& info) { return handle_.buffer(info.Env()); }
  Napi::Value control(const Napi::CallbackInfo& info) { return handle_.control(info.Env()); }
  Napi::Value cursor(const Napi::CallbackInfo& info) { return handle_.cursor(info.Env()); }
  void wake(const Napi::CallbackInfo& /*info*/) { handle_.wake(); }
  Napi::Value peer(const Napi::CallbackInfo& info) { return handle_.peer(info.Env()); }
  Napi::Value peer_pid(const Napi::CallbackInfo& info) { return handle_.peer_pid(info.Env()); }
  Napi::Value watch_peer(const Napi::CallbackInfo& info) { return handle_.watch_peer(info.Env()); }
  void close(const Napi::CallbackInfo& info) { handle_.close(truth(info.Env(), info[0])); }

  Handle handle_;
};

class ConsumerObject final : public Napi::ObjectWrap<ConsumerObject> {
 public:
  using Handle = QueueHandle<QueueConsumer>;

  explicit ConsumerObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ConsumerObject>(info), handle_(info.Env()) {
    if (!handle_.open(info)) return;
    Napi::Object self = info.This().As<Napi::Object>();
    define_hot(self, &handle_, "popInto", pop_into);
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "QueueConsumer",
                       {
                           InstanceMethod<&ConsumerObject::next_length>("nextLength"),
                           InstanceMethod<&ConsumerObject::available>("available"),
                           InstanceMethod<&ConsumerObject::release>("release"),
                           InstanceMethod<&ConsumerObject::wake>("wake"),
                           InstanceMethod<&ConsumerObject::control>("control"),
                           InstanceMethod<&ConsumerObject::cursor>("cursor"),
                           InstanceMethod<&ConsumerObject::mark_corrupt>("markCorrupt"),
                           InstanceMethod<&ConsumerObject::park>("park"),
                           InstanceMethod<&ConsumerObject::wait>("wait"),
                           InstanceMethod<&ConsumerObject::unpark>("unpark"),
                           InstanceMethod<&ConsumerObject::still>("still"),
                           InstanceMethod<&ConsumerObject::damage>("damage"),
                           InstanceMethod<&ConsumerObject::wake_token>("wakeToken"),
                           InstanceMethod<&ConsumerObject::buffer>("buffer"),
                           InstanceMethod<&ConsumerObject::peer>("peer"),
                           InstanceMethod<&ConsumerObject::peer_pid>("peerPid"),
                           InstanceMethod<&ConsumerObject::watch_peer>("watchPeer"),
                           InstanceMethod<&ConsumerObject::close>("close"),
                       });
  }

 private:
  // popInto(target, offset) -> length of the message copied to target[offset…], or kWouldBlock, kTooLarge
  // (nothing taken), kCorrupt, kClosed, kInvalid
  static napi_value pop_into(napi_env env, napi_callback_info info) {
    const HotCall<Handle, 2> call(env, info);
    QueueConsumer* side = call.handle->side();
    if (side == nullptr) return number(env, std::int32_t{kClosed});
    const Message message = side->peek();
    if (message.status != RingStatus::ok) return number(env, outcome_of(message.status));
    const auto target = bytes_of(env, call.arguments[0]);
    const std::uint64_t offset = natural(env, call.arguments[1], 0);
    if (!target || offset > target->size) return number(env, std::int32_t{kInvalid});
    if (message.length > target->size - offset) return number(env, std::int32_t{kTooLarge});
    std::memcpy(target->data + offset, message.data, message.length);
    side->release(message);
    return number(env, static_cast<std::int32_t>(message.length));
  }
  // available() -> bytes of records ready to be read in place, or kCorrupt, kClosed
  Napi::Value available(const Napi::CallbackInfo& info) {
    QueueConsumer* side = handle_.side();
    if (side == nullptr) return Napi::Number::New(info.Env(), kClosed);
    const std::uint64_t bytes = side->ring().available();
    return Napi::Number::New(
        info.Env(), side->ring().corrupt() ? double{kCorrupt} : static_cast<double>(bytes));
  }
  // release(recordBytes, messages) -> 0, kClosed or kInvalid
  Napi::Value release(const Napi::CallbackInfo& info) {
    QueueConsumer* side = handle_.side();
    if (side == nullptr) return Napi::Number::New(info.Env(), kClosed);
    const std::uint64_t bytes = natural(info.Env(), info[0], ~std::uint64_t{0});
    const bool done = side->release_bytes(bytes, natural(info.Env(), info[1], 1));
    return Napi::Number::New(info.Env(), done ? 0 : kInvalid);
  }

  // nextLength() -> length of the next message without taking it, or kWouldBlock, kCorrupt, kClosed
  Napi::Value next_length(const Napi::CallbackInfo& info) {
    QueueConsumer* side = handle_.side();
    if (side == nullptr) return Napi::Number::New(info.Env(), kClosed);
    const Message message = side->peek();
    return Napi::Number::New(info.Env(), message.status == RingStatus::ok
                                             ? static_cast<double>(message.length)
                                             : outcome_of(message.status));
  }
  void mark_corrupt(const Napi::CallbackInfo& /*info*/) { handle_.mark_corrupt(); }
  // park() -> true if nobody need look at the peer. It wakes us from now on; the caller looks once more,
  // then sleeps or calls unpark()
  Napi::Value park(const Napi::CallbackInfo& info) {
    return handle_.park() ? Napi::Boolean::New(info.Env(), true) : info.Env().Undefined();
  }
  // wait(spinMs, timeoutMs) -> true if something stirred; blocks for 20 ms at most
  Napi::Value wait(const Napi::CallbackInfo& info) {
    QueueConsumer* side = handle_.side();
    const bool stirred = side == nullptr || side->wait_data(nanoseconds(info.Env(), info[0]),
                                                            nanoseconds(info.Env(), info[1]));
    return Napi::Boolean::New(info.Env(), stirred);
  }
  void unpark(const Napi::CallbackInfo& /*info*/) { handle_.unpark(); }
  void wake_token(const Napi::CallbackInfo& info) { handle_.wake_token(info); }
  Napi::Value still(const Napi::CallbackInfo& info) { return handle_.still(info.Env()); }
  Napi::Value damage(const Napi::CallbackInfo& info) { return handle_.damage(info.Env()); }
  Napi::Value buffer(const Napi::CallbackInfo& info) { return handle_.buffer(info.Env()); }
  Napi::Value control(const Napi::CallbackInfo& info) { return handle_.control(info.Env()); }
  Napi::Value cursor(const Napi::CallbackInfo& info) { return handle_.cursor(info.Env()); }
  void wake(const Napi::CallbackInfo& /*info*/) { handle_.wake(); }
  Napi::Value peer(const Napi::CallbackInfo& info) { return handle_.peer(info.Env()); }
  Napi::Value peer_pid(const Napi::CallbackInfo& info) { return handle_.peer_pid(info.Env()); }
  Napi::Value watch_peer(const Napi::CallbackInfo& info) { return handle_.watch_peer(info.Env()); }
  void close(const Napi::CallbackInfo& info) { handle_.close(truth(info.Env(), info[0])); }

  Handle handle_;
};

}  // namespace

Napi::Function define_queue_producer(Napi::Env env) {
  return ProducerObject::define(env);
}
Napi::Function define_queue_consumer(Napi::Env env) {
  return ConsumerObject::define(env);
}

}  // namespace millrace::addon
