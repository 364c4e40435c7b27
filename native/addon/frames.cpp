// The two sides of a frame channel as JavaScript objects.
#include <cstring>

#include "addon.hpp"
#include "arguments.hpp"
#include "channel.hpp"
#include "millrace/frame_reader.hpp"
#include "millrace/frame_writer.hpp"

namespace millrace::addon {

namespace {

// What both sides do alike. Side is FrameWriter or FrameReader; nullptr once closed.
template <typename Side>
class FramesHandle final : public Closable {
 public:
  explicit FramesHandle(Napi::Env env) : environment_(Environment::of(env)) {}
  ~FramesHandle() override { leave(); }

  // `open_side(doorbell)` gives a Result<std::unique_ptr<Side>>. False with an exception pending.
  template <typename OpenSide>
  bool open(const Napi::CallbackInfo& info, const Options& options, OpenSide&& open_side) {
    auto opened = try_open(options, open_side);
    if (!opened.ok()) {
      environment_.raise(opened.error());
      return false;
    }
    side_ = opened.take();
    side_->use_ringer(&environment_.ringer());
    environment_.add(this);
    const layout::FramesPlan& plan = side_->plan();
    Napi::Object self = info.This().As<Napi::Object>();
    const auto set = [&](const char* key, std::uint64_t value) {
      self.Set(key, Napi::Number::New(info.Env(), static_cast<double>(value)));
    };
    set("slotBytes", plan.slot_bytes);
    set("slots", plan.slots);
    set("maxReaders", plan.readers);
    set("history", plan.history);
    set("payloadOffset", plan.payload_offset);
    set("slotStride", plan.slot_stride);
    self.Set("path", Napi::String::New(info.Env(), side_->segment().path()));
    return true;
  }
  void close_now() noexcept override { leave(); }
  void close() {
    leave();
    buffer_.detach();
  }

  [[nodiscard]] Side* side() noexcept { return side_.get(); }
  void park() {
    if (!side_) return;
    auto bell = environment_.doorbell(trust());  // made long ago: open() asked for it
    if (bell.ok()) side_->sleeper().park_on_bell(WakeAddress{bell.value(), token_});
  }
  void wake_token(const Napi::CallbackInfo& info) {
    token_ = small_natural(info.Env(), info[0], 0);
  }
  bool watch(std::uint64_t doorbell) { return environment_.watch(token_, doorbell, trust()); }
  Napi::Value buffer(Napi::Env env) {
    return side_ ? buffer_.get(env, side_->pool()) : env.Undefined();
  }
  void unpark() noexcept {
    if (side_) side_->sleeper().unpark();
  }
  Napi::Value damage(Napi::Env env) {
    if (!side_) return env.Undefined();
    return damage_of(environment_, env, side_->segment(), [this] { close(); });
  }
  // The payload of a slot, `size` bytes from its start; nothing if that is outside the slot.
  [[nodiscard]] std::byte* payload(std::uint32_t slot, std::uint64_t offset, std::uint64_t size) {
    const layout::FramesPlan& plan = side_->plan();
    if (slot >= plan.slots || offset > plan.slot_bytes || size > plan.slot_bytes - offset) {
      return nullptr;
    }
    return side_->pool()->data() + plan.payload_offset + plan.slot_stride * slot + offset;
  }

 private:
  template <typename OpenSide>
  Result<std::unique_ptr<Side>> try_open(const Options& options, OpenSide&& open_side) {
    auto mode = options.mode();
    if (!mode.ok()) return mode.error();
    BellChoice bell(environment_, mode.value());
    auto known = bell.before();
    if (!known.ok()) return known.error();
    Result<std::unique_ptr<Side>> opened = open_side(mode.value(), known.value());
    if (!opened.ok()) return opened;
    auto late = bell.after(opened.value()->segment().trust());
    if (!late.ok()) return late.error();
    if (late.value() != 0) opened.value()->announce_doorbell(late.value());
    return opened;
  }
  [[nodiscard]] os::BellTrust trust() const noexcept { return side_->segment().trust(); }
  void leave() noexcept {
    if (!side_) return;
    environment_.remove(this);
    environment_.unwatch(token_);
    side_->close();
    side_.reset();
  }

  Environment& environment_;
  std::unique_ptr<Side> side_;
  SharedBuffer buffer_;
  std::uint32_t token_ = 0;
};

// What goes with a hot call in either direction: 64-bit words in memory that both languages see, for JavaScript
// the two halves of each. Costs a third of what arguments and results do.
class Facts {
 public:
  // As `facts` of the object.
  void give(Napi::Object object, std::size_t words) {
    auto array = Napi::Int32Array::New(object.Env(), words * 2);
    array_ = Napi::Persistent(array);
    words_ = array.Data();
    object.Set("facts", array);
  }
  void set(std::size_t at, std::uint64_t value) noexcept {
    std::memcpy(words_ + at * 2, &value, sizeof value);
  }
  void set(std::size_t at, Outcome outcome) noexcept {
    set(at, static_cast<std::uint64_t>(std::int64_t{outcome}));
  }
  // To be judged: JavaScript may have written anything.
  [[nodiscard]] std::uint64_t get(std::size_t at) const noexcept {
    std::uint64_t value = 0;
    std::memcpy(&value, words_ + at * 2, sizeof value);
    return value;
  }
  [[nodiscard]] std::uint32_t slot(std::size_t at) const noexcept {
    return static_cast<std::uint32_t>(get(at));
  }

 private:
  Napi::Reference<Napi::Int32Array> array_;
  std::int32_t* words_ = nullptr;
};

class FrameWriterObject final : public Napi::ObjectWrap<FrameWriterObject> {
 public:
  using Handle = FramesHandle<FrameWriter>;

  explicit FrameWriterObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<FrameWriterObject>(info), handle_(info.Env()) {
    const Options options(info[0]);
    const bool opened = handle_.open(info, options, [&](mode_t mode, std::uint64_t doorbell) {
      FrameWriterSpec spec;
      spec.place = options.place();
      spec.memory = options.memory();
      spec.geometry.slot_bytes = options.number("slotBytes", 0);
      spec.geometry.slots = options.small("slots", spec.geometry.slots);
      spec.geometry.readers = options.small("maxReaders", spec.geometry.readers);
      spec.geometry.history = options.small("history", spec.geometry.history);
      spec.geometry.alignment = options.number("alignment", spec.geometry.alignment);
      spec.mode = mode;
      spec.doorbell = doorbell;
      spec.schema = options.schema();
      spec.keep = options.flag("keep");
      spec.replace = options.flag("replace");
      return FrameWriter::open(spec, os::Deadline::after(kEnterTimeoutNs));
    });
    if (!opened) return;
    Napi::Object self = info.This().As<Napi::Object>();
    facts_.give(self, kFacts);
    facts_.set(kSequence, handle_.side()->sequence());
    facts_.set(kNext, kWouldBlock);
    define_hot(self, this, "tryLoan", try_loan);
    define_hot(self, this, "publish", publish);
    define_hot(self, this, "publishAt", publish_at);
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "FrameWriter",
                       {
                           InstanceMethod<&FrameWriterObject::discard>("discard"),
                           InstanceMethod<&FrameWriterObject::write>("write"),
                           InstanceMethod<&FrameWriterObject::write_header>("writeHeader"),
                           InstanceMethod<&FrameWriterObject::readers>("readers"),
                           InstanceMethod<&FrameWriterObject::park>("park"),
                           InstanceMethod<&FrameWriterObject::wait>("wait"),
                           InstanceMethod<&FrameWriterObject::unpark>("unpark"),
                           InstanceMethod<&FrameWriterObject::damage>("damage"),
                           InstanceMethod<&FrameWriterObject::wake_token>("wakeToken"),
                           InstanceMethod<&FrameWriterObject::watch_readers>("watchReaders"),
                           InstanceMethod<&FrameWriterObject::buffer>("buffer"),
                           InstanceMethod<&FrameWriterObject::close>("close"),
                       });
  }

 private:
  enum Fact : std::uint8_t { kSlot, kLength, kSequence, kNext, kFacts };

  // tryLoan() -> slot, or kWouldBlock, kClosed
  static napi_value try_loan(napi_env env, napi_callback_info info) {
    const HotCall<FrameWriterObject, 0> call(env, info);
    FrameWriter* side = call.handle->handle_.side();
    if (side == nullptr) return number(env, std::int32_t{kClosed});
    const auto slot = side->try_loan();
    return number(env, slot ? static_cast<std::int32_t>(*slot) : std::int32_t{kWouldBlock});
  }
  // publish() of `facts` {slot, length}. Leaves there the sequence, or kClosed, kInvalid; and the next slot, if
  // that could be loaned already.
  static napi_value publish(napi_env env, napi_callback_info info) {
    const HotCall<FrameWriterObject, 0> call(env, info);
    call.handle->publish_now(0);
    return nullptr;
  }
  // publishAt(timestamp: bigint), the same
  static napi_value publish_at(napi_env env, napi_callback_info info) {
    const HotCall<FrameWriterObject, 1> call(env, info);
    std::uint64_t timestamp = 0;
    bool lossless = false;
    if (napi_get_value_bigint_uint64(env, call.arguments[0], &timestamp, &lossless) != napi_ok) {
      timestamp = 0;
    }
    call.handle->publish_now(timestamp);
    return nullptr;
  }
  void publish_now(std::uint64_t timestamp) {
    FrameWriter* side = handle_.side();
    if (side == nullptr) {
      facts_.set(kSequence, kClosed);
      return;
    }
    const std::uint64_t sequence =
        side->publish(facts_.slot(kSlot), facts_.get(kLength), timestamp);
    if (sequence == 0) {
      facts_.set(kSequence, kInvalid);
      return;
    }
    facts_.set(kSequence, sequence);
    // One that was left there before and not taken yet stays.
    if (facts_.slot(kNext) < layout::kMaxSlots) return;
    if (const auto next = side->loan_ahead()) facts_.set(kNext, *next);
  }

  void discard(const Napi::CallbackInfo& info) {
    if (handle_.side() != nullptr) {
      handle_.side()->discard(small_natural(info.Env(), info[0], layout::kMaxSlots));
    }
  }
  // write(slot, offset, source) copies into a loaned slot -> bytes, or kClosed, kInvalid
  Napi::Value write(const Napi::CallbackInfo& info) {
    FrameWriter* side = handle_.side();
    if (side == nullptr) return Napi::Number::New(info.Env(), kClosed);
    const std::uint32_t slot = small_natural(info.Env(), info[0], layout::kMaxSlots);
    const auto source = bytes_of(info.Env(), info[2]);
    if (!source || !side->is_loaned(slot)) return Napi::Number::New(info.Env(), kInvalid);
    std::byte* payload =
        handle_.payload(slot, natural(info.Env(), info[1], ~std::uint64_t{0}), source->size);
    if (payload == nullptr) return Napi::Number::New(info.Env(), kInvalid);
    std::memcpy(payload, source->data, source->size);
    return Napi::Number::New(info.Env(), static_cast<double>(source->size));
  }
  // writeHeader(slot, source) copies to the start of a loaned slot's header -> bytes, or kClosed, kInvalid
  Napi::Value write_header(const Napi::CallbackInfo& info) {
    FrameWriter* side = handle_.side();
    if (side == nullptr) return Napi::Number::New(info.Env(), kClosed);
    const auto header = side->user_header(small_natural(info.Env(), info[0], layout::kMaxSlots));
    const auto source = bytes_of(info.Env(), info[1]);
    if (!source || source->size > header.size()) return Napi::Number::New(info.Env(), kInvalid);
    std::memcpy(header.data(), source->data, source->size);
    return Napi::Number::New(info.Env(), static_cast<double>(source->size));
  }
  Napi::Value readers(const Napi::CallbackInfo& info) {
    FrameWriter* side = handle_.side();
    return Napi::Number::New(info.Env(), side == nullptr ? 0 : side->readers());
  }
  // park(): the peer wakes us from now on; the caller looks once more, then sleeps or calls unpark()
  void park(const Napi::CallbackInfo& /*info*/) { handle_.park(); }
  // wait(spinMs, timeoutMs) -> true if something stirred; blocks for 20 ms at most
  Napi::Value wait(const Napi::CallbackInfo& info) {
    FrameWriter* side = handle_.side();
    const bool stirred = side == nullptr || side->wait_free(nanoseconds(info.Env(), info[0]),
                                                            nanoseconds(info.Env(), info[1]));
    return Napi::Boolean::New(info.Env(), stirred);
  }
  void unpark(const Napi::CallbackInfo& /*info*/) { handle_.unpark(); }
  void wake_token(const Napi::CallbackInfo& info) { handle_.wake_token(info); }
  // Will onWake be called when any of the readers dies?
  Napi::Value watch_readers(const Napi::CallbackInfo& info) {
    bool all = true;
    if (FrameWriter* side = handle_.side()) {
      side->for_each_reader_bell([&](std::uint64_t bell) { all = handle_.watch(bell) && all; });
    }
    return Napi::Boolean::New(info.Env(), all);
  }
  Napi::Value damage(const Napi::CallbackInfo& info) { return handle_.damage(info.Env()); }
  Napi::Value buffer(const Napi::CallbackInfo& info) { return handle_.buffer(info.Env()); }
  void close(const Napi::CallbackInfo& /*info*/) { handle_.close(); }

  Handle handle_;
  Facts facts_;
};

class FrameReaderObject final : public Napi::ObjectWrap<FrameReaderObject> {
 public:
  using Handle = FramesHandle<FrameReader>;

  explicit FrameReaderObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<FrameReaderObject>(info), handle_(info.Env()) {
    const Options options(info[0]);
    const bool opened = handle_.open(info, options, [&](mode_t mode, std::uint64_t doorbell) {
      FrameReaderSpec spec;
      spec.place = options.place();
      spec.memory = options.memory();
      spec.policy =
          static_cast<layout::Policy>(std::min<std::uint32_t>(options.small("policy", 0), 2));
      spec.depth = options.small("depth", 0);
      spec.history = options.small("history", 0);
      spec.after = options.number_if_any("after");
      spec.max_held = options.small("maxHeld", 0);
      spec.mode = mode;
      spec.owner = options.user("owner");
      spec.doorbell = doorbell;
      spec.schema = options.schema();
      return FrameReader::open(spec, os::Deadline::after(kEnterTimeoutNs));
    });
    if (!opened) return;
    Napi::Object self = info.This().As<Napi::Object>();
    self.Set("maxHeld", Napi::Number::New(info.Env(), handle_.side()->max_held()));
    facts_.give(self, kFacts);
    define_hot(self, this, "receive", receive);
    define_hot(self, this, "latest", latest);
    define_hot(self, this, "release", release);
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "FrameReader",
                       {
                           InstanceMethod<&FrameReaderObject::read>("read"),
                           InstanceMethod<&FrameReaderObject::read_header>("readHeader"),
                           InstanceMethod<&FrameReaderObject::slot_buffer>("slotBuffer"),
                           InstanceMethod<&FrameReaderObject::counters>("counters"),
                           InstanceMethod<&FrameReaderObject::excluded>("excluded"),
                           InstanceMethod<&FrameReaderObject::park>("park"),
                           InstanceMethod<&FrameReaderObject::wait>("wait"),
                           InstanceMethod<&FrameReaderObject::unpark>("unpark"),
                           InstanceMethod<&FrameReaderObject::damage>("damage"),
                           InstanceMethod<&FrameReaderObject::wake_token>("wakeToken"),
                           InstanceMethod<&FrameReaderObject::buffer>("buffer"),
                           InstanceMethod<&FrameReaderObject::peer>("peer"),
                           InstanceMethod<&FrameReaderObject::peer_pid>("peerPid"),
                           InstanceMethod<&FrameReaderObject::watch_peer>("watchPeer"),
                           InstanceMethod<&FrameReaderObject::close>("close"),
                       });
  }

 private:
  enum Fact : std::uint8_t { kSlot, kSequence, kLength, kMissed, kTimestamp, kFacts };

  // receive() and latest() leave the frame in `facts`; or, as its slot, kWouldBlock, kCorrupt, kClosed,
  // kTooManyHeld
  static napi_value receive(napi_env env, napi_callback_info info) {
    const HotCall<FrameReaderObject, 0> call(env, info);
    FrameReader* side = call.handle->handle_.side();
    if (side == nullptr) return call.handle->refuse(kClosed);
    return call.handle->hand_over(side->receive());
  }
  static napi_value latest(napi_env env, napi_callback_info info) {
    const HotCall<FrameReaderObject, 0> call(env, info);
    FrameReader* side = call.handle->handle_.side();
    if (side == nullptr) return call.handle->refuse(kClosed);
    return call.handle->hand_over(side->latest());
  }
  // release() of `facts` {slot, sequence}; nothing happens if that frame is not held
  static napi_value release(napi_env env, napi_callback_info info) {
    const HotCall<FrameReaderObject, 0> call(env, info);
    FrameReader* side = call.handle->handle_.side();
    const Facts& facts = call.handle->facts_;
    if (side != nullptr) side->release(facts.slot(kSlot), facts.get(kSequence));
    return nullptr;
  }
  napi_value refuse(Outcome why) noexcept {
    facts_.set(kSlot, why);
    return nullptr;
  }
  napi_value hand_over(const ReceivedFrame& frame) noexcept {
    switch (frame.status) {
      case ReceivedFrame::Status::ok:
        facts_.set(kSlot, frame.slot);
        facts_.set(kSequence, frame.sequence);
        facts_.set(kLength, frame.length);
        facts_.set(kMissed, frame.missed);
        facts_.set(kTimestamp, frame.timestamp);
        return nullptr;
      case ReceivedFrame::Status::empty:
        return refuse(kWouldBlock);
      case ReceivedFrame::Status::too_many_held:
        return refuse(kTooManyHeld);
      case ReceivedFrame::Status::corrupt:
        break;
    }
    return refuse(kCorrupt);
  }

  // read(slot, sequence, offset, target) copies out of a held frame -> bytes, or kClosed, kInvalid
  Napi::Value read(const Napi::CallbackInfo& info) {
    FrameReader* side = handle_.side();
    if (side == nullptr) return Napi::Number::New(info.Env(), kClosed);
    const std::uint32_t slot = small_natural(info.Env(), info[0], layout::kMaxSlots);
    const auto target = bytes_of(info.Env(), info[3]);
    if (!target || !side->holds(slot, natural(info.Env(), info[1], 0))) {
      return Napi::Number::New(info.Env(), kInvalid);
    }
    const std::byte* payload =
        handle_.payload(slot, natural(info.Env(), info[2], ~std::uint64_t{0}), target->size);
    if (payload == nullptr) return Napi::Number::New(info.Env(), kInvalid);
    std::memcpy(target->data, payload, target->size);
    return Napi::Number::New(info.Env(), static_cast<double>(target->size));
  }
  // readHeader(slot, sequence, target) copies the start of a held frame's header -> bytes, or kClosed, kInvalid
  Napi::Value read_header(const Napi::CallbackInfo& info) {
    FrameReader* side = handle_.side();
    if (side == nullptr) return Napi::Number::New(info.Env(), kClosed);
    ReceivedFrame frame;
    frame.slot = small_natural(info.Env(), info[0], layout::kMaxSlots);
    frame.sequence = natural(info.Env(), info[1], 0);
    const auto header = side->user_header(frame);
    const auto target = bytes_of(info.Env(), info[2]);
    if (!target || target->size > header.size()) return Napi::Number::New(info.Env(), kInvalid);
    std::memcpy(target->data, header.data(), target->size);
    return Napi::Number::New(info.Env(), static_cast<double>(target->size));
  }
  // slotBuffer(slot) -> an ArrayBuffer of its own over the slot, which can be detached by itself
  Napi::Value slot_buffer(const Napi::CallbackInfo& info) {
    FrameReader* side = handle_.side();
    if (side == nullptr) return info.Env().Undefined();
    const layout::FramesPlan& plan = side->plan();
    const std::uint32_t slot = small_natural(info.Env(), info[0], 0) % plan.slots;
    napi_value buffer = external_buffer(
        info.Env(), side->pool(), plan.payload_offset + plan.slot_stride * slot, plan.slot_bytes);
    return buffer == nullptr ? info.Env().Undefined() : Napi::Value(info.Env(), buffer);
  }
  // counters() -> [received, lost, skipped, joinedAfter, waiting, held]
  Napi::Value counters(const Napi::CallbackInfo& info) {
    auto counted = Napi::Float64Array::New(info.Env(), 6);
    if (FrameReader* side = handle_.side()) {
      double* list = counted.Data();
      list[0] = static_cast<double>(side->received());
      list[1] = static_cast<double>(side->lost());
      list[2] = static_cast<double>(side->skipped());
      list[3] = static_cast<double>(side->joined_after());
      list[4] = static_cast<double>(side->waiting_frames());
      list[5] = static_cast<double>(side->held());
    }
    return counted;
  }
  // Has the writer shut us out because our positions were impossible?
  Napi::Value excluded(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), handle_.side() != nullptr && handle_.side()->excluded());
  }
  // park(): the peer wakes us from now on; the caller looks once more, then sleeps or calls unpark()
  void park(const Napi::CallbackInfo& /*info*/) { handle_.park(); }
  // wait(spinMs, timeoutMs) -> true if something stirred; blocks for 20 ms at most
  Napi::Value wait(const Napi::CallbackInfo& info) {
    FrameReader* side = handle_.side();
    const bool stirred = side == nullptr || side->wait_frame(nanoseconds(info.Env(), info[0]),
                                                             nanoseconds(info.Env(), info[1]));
    return Napi::Boolean::New(info.Env(), stirred);
  }
  void unpark(const Napi::CallbackInfo& /*info*/) { handle_.unpark(); }
  void wake_token(const Napi::CallbackInfo& info) { handle_.wake_token(info); }
  Napi::Value damage(const Napi::CallbackInfo& info) { return handle_.damage(info.Env()); }
  Napi::Value buffer(const Napi::CallbackInfo& info) { return handle_.buffer(info.Env()); }
  Napi::Value peer(const Napi::CallbackInfo& info) {
    const Peer peer = handle_.side() != nullptr ? handle_.side()->writer() : Peer::closed;
    return Napi::Number::New(info.Env(), static_cast<int>(peer));
  }
  Napi::Value peer_pid(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(),
                             handle_.side() != nullptr ? handle_.side()->writer_pid() : 0);
  }
  Napi::Value watch_peer(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(
        info.Env(), handle_.side() != nullptr && handle_.watch(handle_.side()->writer_doorbell()));
  }
  void close(const Napi::CallbackInfo& /*info*/) { handle_.close(); }

  Handle handle_;
  Facts facts_;
};

}  // namespace

Napi::Function define_frame_writer(Napi::Env env) {
  return FrameWriterObject::define(env);
}
Napi::Function define_frame_reader(Napi::Env env) {
  return FrameReaderObject::define(env);
}

}  // namespace millrace::addon
