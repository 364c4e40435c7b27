// The two sides of a frame channel as JavaScript objects.
#include <cstring>

#include "addon.hpp"
#include "facts.hpp"
#include "handle.hpp"
#include "millrace/frame_reader.hpp"
#include "millrace/frame_writer.hpp"

namespace millrace::addon {

namespace {

// 64-bit words, for JavaScript the two halves of each.
class FrameFacts : private Facts<Napi::Int32Array> {
 public:
  void give(Napi::Object object, std::size_t words) { Facts::give(object, words * 2); }
  void set(std::size_t at, std::uint64_t value) noexcept {
    std::memcpy(&(*this)[at * 2], &value, sizeof value);
  }
  void set(std::size_t at, Outcome outcome) noexcept {
    set(at, static_cast<std::uint64_t>(std::int64_t{outcome}));
  }
  [[nodiscard]] std::uint64_t get(std::size_t at) const noexcept {
    std::uint64_t value = 0;
    std::memcpy(&value, &(*this)[at * 2], sizeof value);
    return value;
  }
  [[nodiscard]] std::uint32_t slot(std::size_t at) const noexcept {
    return static_cast<std::uint32_t>(get(at));
  }
};

// What both sides do alike. Side is FrameWriter or FrameReader.
template <typename Object, typename Side>
class FramesObject : public WaitingObject<Object, Side> {
 protected:
  explicit FramesObject(const Napi::CallbackInfo& info) : WaitingObject<Object, Side>(info) {}

  void tell_plan() {
    const layout::FramesPlan& plan = this->core()->plan();
    const auto tell = [&](const char* name, std::uint64_t value) {
      this->tell(name, static_cast<double>(value));
    };
    tell("slotBytes", plan.slot_bytes);
    tell("slots", plan.slots);
    tell("maxReaders", plan.readers);
    tell("history", plan.history);
    tell("payloadOffset", plan.payload_offset);
    tell("slotStride", plan.slot_stride);
    const std::uint64_t instance = this->core()->segment().instance();
    this->tell("instance", static_cast<napi_value>(Napi::BigInt::New(this->Env(), instance)));
  }
  // `size` bytes of the payload of a slot; nothing if that is outside the slot.
  [[nodiscard]] std::byte* payload(std::uint32_t slot, std::uint64_t offset, std::uint64_t size) {
    const layout::FramesPlan& plan = this->core()->plan();
    if (slot >= plan.slots || offset > plan.slot_bytes || size > plan.slot_bytes - offset) {
      return nullptr;
    }
    return this->core()->pool()->data() + plan.payload_offset + plan.slot_stride * slot + offset;
  }

  FrameFacts facts_;
};

class FrameWriterObject final : public FramesObject<FrameWriterObject, FrameWriter> {
 public:
  // new FrameWriter({ place, memory, slotBytes, slots?, maxReaders?, history?, alignment?, mode, keep, replace, schema })
  explicit FrameWriterObject(const Napi::CallbackInfo& info) : FramesObject(info) {
    const Options options(info[0]);
    const bool opened = open<FrameWriterSpec>(options, [&](FrameWriterSpec& spec) {
      spec.geometry.slot_bytes = options.number("slotBytes", 0);
      spec.geometry.slots = options.small("slots", spec.geometry.slots);
      spec.geometry.readers = options.small("maxReaders", spec.geometry.readers);
      spec.geometry.history = options.small("history", spec.geometry.history);
      spec.geometry.alignment = options.number("alignment", spec.geometry.alignment);
      spec.replace = options.flag("replace");
      return FrameWriter::open(spec, soon());
    });
    if (!opened) return;
    tell_plan();
    facts_.give(Value(), kFacts);
    facts_.set(kSequence, core()->sequence());
    facts_.set(kNext, kWouldBlock);
    define_hot<&FrameWriterObject::try_loan>("tryLoan");
    define_hot<&FrameWriterObject::publish>("publish");
    define_hot<&FrameWriterObject::publish_at>("publishAt");
  }

  static Napi::Function define(Napi::Env env) {
    return define_class(env, "FrameWriter",
                        {
                            method<&FrameWriterObject::discard>("discard"),
                            method<&FrameWriterObject::write>("write"),
                            method<&FrameWriterObject::write_header>("writeHeader"),
                            method<&FrameWriterObject::readers>("readers"),
                            method<&FrameWriterObject::wait>("wait"),
                            method<&FrameWriterObject::watch_readers>("watchReaders"),
                        });
  }

 private:
  enum Fact : std::uint8_t { kSlot, kLength, kSequence, kNext, kFacts };

  // tryLoan() -> slot, or kWouldBlock, kClosed
  std::int32_t try_loan() {
    if (core() == nullptr) return kClosed;
    const auto slot = core()->try_loan();
    return slot ? static_cast<std::int32_t>(*slot) : kWouldBlock;
  }
  // publish() of `facts` {slot, length}. Leaves there the sequence, or kClosed, kInvalid; and the next slot, if
  // that could be loaned already.
  void publish() { publish_now(0); }
  // publishAt(timestamp: bigint), the same
  void publish_at(const Arguments<1>& given) {
    std::uint64_t timestamp = 0;
    bool lossless = false;
    if (napi_get_value_bigint_uint64(given.env, given[0], &timestamp, &lossless) != napi_ok) {
      timestamp = 0;
    }
    publish_now(timestamp);
  }
  void publish_now(std::uint64_t timestamp) {
    if (core() == nullptr) {
      facts_.set(kSequence, kClosed);
      return;
    }
    const std::uint64_t sequence =
        core()->publish(facts_.slot(kSlot), facts_.get(kLength), timestamp);
    if (sequence == 0) {
      facts_.set(kSequence, kInvalid);
      return;
    }
    facts_.set(kSequence, sequence);
    // One that was left there before and not taken yet stays.
    if (facts_.slot(kNext) < layout::kMaxSlots) return;
    if (const auto next = core()->loan_ahead()) facts_.set(kNext, *next);
  }

  // discard(slot)
  void discard(const Arguments<1>& given) {
    if (core() != nullptr) {
      core()->discard(small_natural(given.env, given[0], layout::kMaxSlots));
    }
  }
  // write(slot, offset, source) copies into a loaned slot -> bytes, or kClosed, kInvalid
  double write(const Arguments<3>& given) {
    if (core() == nullptr) return kClosed;
    const std::uint32_t slot = small_natural(given.env, given[0], layout::kMaxSlots);
    const auto source = bytes_of(given.env, given[2]);
    if (!source || !core()->is_loaned(slot)) return kInvalid;
    std::byte* target =
        payload(slot, natural(given.env, given[1], ~std::uint64_t{0}), source->size);
    if (target == nullptr) return kInvalid;
    std::memcpy(target, source->data, source->size);
    return static_cast<double>(source->size);
  }
  // writeHeader(slot, source) copies to the start of a loaned slot's header -> bytes, or kClosed, kInvalid
  double write_header(const Arguments<2>& given) {
    if (core() == nullptr) return kClosed;
    const auto header = core()->user_header(small_natural(given.env, given[0], layout::kMaxSlots));
    const auto source = bytes_of(given.env, given[1]);
    if (!source || source->size > header.size()) return kInvalid;
    std::memcpy(header.data(), source->data, source->size);
    return static_cast<double>(source->size);
  }
  std::uint32_t readers() { return core() == nullptr ? 0 : core()->readers(); }
  // wait(spinMs, timeoutMs) -> true if something stirred; blocks for 20 ms at most
  bool wait(const Arguments<2>& given) {
    return core() == nullptr ||
           core()->wait_free(nanoseconds(given.env, given[0]), nanoseconds(given.env, given[1]));
  }
  // watchReaders() -> will the death of any of them wake us?
  bool watch_readers() {
    bool all = true;
    if (core() != nullptr) {
      core()->for_each_reader_bell([&](std::uint64_t bell) { all = watch(bell) && all; });
    }
    return all;
  }
};

class FrameReaderObject final : public FramesObject<FrameReaderObject, FrameReader> {
 public:
  // new FrameReader({ place, memory, policy, depth, history, after?, afterInstance?, maxHeld, mode, owner?, schema })
  explicit FrameReaderObject(const Napi::CallbackInfo& info) : FramesObject(info) {
    const Options options(info[0]);
    const bool opened = open<FrameReaderSpec>(options, [&](FrameReaderSpec& spec) {
      spec.policy =
          static_cast<layout::Policy>(std::min<std::uint32_t>(options.small("policy", 0), 2));
      spec.depth = options.small("depth", 0);
      spec.history = options.small("history", 0);
      spec.after = options.number_if_any("after");
      spec.after_instance = options.bits_if_any("afterInstance");
      spec.max_held = options.small("maxHeld", 0);
      return FrameReader::open(spec, soon());
    });
    if (!opened) return;
    tell_plan();
    tell("maxHeld", core()->max_held());
    facts_.give(Value(), kFacts);
    define_hot<&FrameReaderObject::receive>("receive");
    define_hot<&FrameReaderObject::latest>("latest");
    define_hot<&FrameReaderObject::release>("release");
  }

  static Napi::Function define(Napi::Env env) {
    return define_class(env, "FrameReader",
                        {
                            method<&FrameReaderObject::read>("read"),
                            method<&FrameReaderObject::read_header>("readHeader"),
                            method<&FrameReaderObject::slot_buffer>("slotBuffer"),
                            method<&FrameReaderObject::counters>("counters"),
                            method<&FrameReaderObject::has_frame>("hasFrame"),
                            method<&FrameReaderObject::excluded>("excluded"),
                            method<&FrameReaderObject::wait>("wait"),
                            method<&FrameReaderObject::count_latency>("countLatency"),
                            method<&FrameReaderObject::peer>("peer"),
                            method<&FrameReaderObject::peer_pid>("peerPid"),
                            method<&FrameReaderObject::peer_reason>("peerReason"),
                            method<&FrameReaderObject::watch_peer>("watchPeer"),
                        });
  }

 private:
  enum Fact : std::uint8_t { kSlot, kSequence, kLength, kMissed, kTimestamp, kFacts };

  // receive() and latest() leave the frame in `facts`; or, as its slot, kWouldBlock, kCorrupt, kClosed,
  // kTooManyHeld
  void receive() { core() == nullptr ? refuse(kClosed) : hand_over(core()->receive()); }
  void latest() { core() == nullptr ? refuse(kClosed) : hand_over(core()->latest()); }
  // release() of `facts` {slot, sequence}; nothing happens if that frame is not held
  void release() {
    if (core() != nullptr) core()->release(facts_.slot(kSlot), facts_.get(kSequence));
  }
  void refuse(Outcome why) noexcept { facts_.set(kSlot, why); }
  void hand_over(const ReceivedFrame& frame) noexcept {
    switch (frame.status) {
      case ReceivedFrame::Status::ok:
        facts_.set(kSlot, frame.slot);
        facts_.set(kSequence, frame.sequence);
        facts_.set(kLength, frame.length);
        facts_.set(kMissed, frame.missed);
        facts_.set(kTimestamp, frame.timestamp);
        return;
      case ReceivedFrame::Status::empty:
        return refuse(kWouldBlock);
      case ReceivedFrame::Status::too_many_held:
        return refuse(kTooManyHeld);
      case ReceivedFrame::Status::corrupt:
        return refuse(kCorrupt);
    }
  }

  // read(slot, sequence, offset, target) copies out of a held frame -> bytes, or kClosed, kInvalid
  double read(const Arguments<4>& given) {
    if (core() == nullptr) return kClosed;
    const std::uint32_t slot = small_natural(given.env, given[0], layout::kMaxSlots);
    const auto target = bytes_of(given.env, given[3]);
    if (!target || !core()->holds(slot, natural(given.env, given[1], 0))) return kInvalid;
    const std::byte* source =
        payload(slot, natural(given.env, given[2], ~std::uint64_t{0}), target->size);
    if (source == nullptr) return kInvalid;
    std::memcpy(target->data, source, target->size);
    return static_cast<double>(target->size);
  }
  // readHeader(slot, sequence, target) copies the start of a held frame's header -> bytes, or kClosed, kInvalid
  double read_header(const Arguments<3>& given) {
    if (core() == nullptr) return kClosed;
    ReceivedFrame frame;
    frame.slot = small_natural(given.env, given[0], layout::kMaxSlots);
    frame.sequence = natural(given.env, given[1], 0);
    const auto header = core()->user_header(frame);
    const auto target = bytes_of(given.env, given[2]);
    if (!target || target->size > header.size()) return kInvalid;
    std::memcpy(target->data, header.data(), target->size);
    return static_cast<double>(target->size);
  }
  // slotBuffer(slot) -> an ArrayBuffer of its own over the slot, which can be detached by itself
  napi_value slot_buffer(const Arguments<1>& given) {
    if (core() == nullptr) return nullptr;
    const layout::FramesPlan& plan = core()->plan();
    const std::uint32_t slot = small_natural(given.env, given[0], 0) % plan.slots;
    return external_buffer(given.env, core()->pool(), plan.payload_offset + plan.slot_stride * slot,
                           plan.slot_bytes);
  }
  // counters() -> [received, lost, skipped, joinedAfter, waiting, held]
  Napi::Value counters() {
    auto counted = Napi::Float64Array::New(Env(), 6);
    if (core() != nullptr) {
      double* list = counted.Data();
      list[0] = static_cast<double>(core()->received());
      list[1] = static_cast<double>(core()->lost());
      list[2] = static_cast<double>(core()->skipped());
      list[3] = static_cast<double>(core()->joined_after());
      list[4] = static_cast<double>(core()->waiting_frames());
      list[5] = static_cast<double>(core()->held());
    }
    return counted;
  }
  // countLatency(): of the frame in `facts`, which has just been received
  void count_latency() {
    if (core() == nullptr) return;
    ReceivedFrame frame;
    frame.status = ReceivedFrame::Status::ok;
    frame.sequence = facts_.get(kSequence);
    frame.timestamp = facts_.get(kTimestamp);
    core()->count_latency(frame);
  }
  // hasFrame() -> is there one that was not received? Takes nothing
  bool has_frame() { return core() != nullptr && core()->has_frame(); }
  // Has the writer shut us out because our positions were impossible?
  bool excluded() { return core() != nullptr && core()->excluded(); }
  // wait(spinMs, timeoutMs) -> true if something stirred; blocks for 20 ms at most
  bool wait(const Arguments<2>& given) {
    return core() == nullptr ||
           core()->wait_frame(nanoseconds(given.env, given[0]), nanoseconds(given.env, given[1]));
  }
};

}  // namespace

Napi::Function define_frame_writer(Napi::Env env) {
  return FrameWriterObject::define(env);
}
Napi::Function define_frame_reader(Napi::Env env) {
  return FrameReaderObject::define(env);
}

}  // namespace millrace::addon
