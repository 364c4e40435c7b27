// The two sides of a cell as JavaScript objects. lib/cell writes and reads short values by itself, in the memory that
// control() and buffer() lend it; what is long or rare it leaves to the calls here.
#include "millrace/cell.hpp"

#include "addon.hpp"
#include "facts.hpp"
#include "handle.hpp"
#include "lent_cursor.hpp"

namespace millrace::addon {

namespace {

// `maxBytes` and `slots`, which both sides tell.
void tell_plan(Napi::Object object, const detail::CellPlan& plan) {
  object.Set("maxBytes", static_cast<double>(plan.max_bytes));
  object.Set("slots", static_cast<double>(plan.slots));
}

// Versions, who waits, and the slots' records. What lies between is of no use to JavaScript, and does no harm.
Napi::Value lend_control(Napi::Env env, SharedBuffer& buffer, const Segment& segment,
                         const detail::CellPlan& plan) {
  return buffer.get(env, segment.control(), layout::kCellControlOffset,
                    layout::kCellSlotsOffset - layout::kCellControlOffset +
                        plan.slots * sizeof(layout::CellSlot));
}

class CellWriterObject final : public HandleObject<CellWriterObject, CellWriter> {
 public:
  // new CellWriter({ place, maxBytes, slots, mode, owner?, keep, timestamps, schema })
  explicit CellWriterObject(const Napi::CallbackInfo& info) : HandleObject(info) {
    const Options options(info[0]);
    const bool opened = open<CellWriterSpec>(options, [&](CellWriterSpec& spec) {
      spec.max_bytes = options.number("maxBytes", 0);
      spec.slots = options.small("slots", 0);
      spec.timestamps = options.flag("timestamps");
      return CellWriter::open(spec, soon());
    });
    if (!opened) return;
    tell_plan(info.This().As<Napi::Object>(), core()->plan());
    define_hot<&CellWriterObject::write>("write");
    define_hot<&CellWriterObject::begin>("begin");
    define_hot<&CellWriterObject::publish>("publish");
  }

  static Napi::Function define(Napi::Env env) {
    return define_class(env, "CellWriter",
                        {
                            method<&CellWriterObject::control>("control"),
                            method<&CellWriterObject::cursor>("cursor"),
                            method<&CellWriterObject::wake>("wake"),
                            method<&CellWriterObject::copy_newest>("copyNewest"),
                            method<&CellWriterObject::version>("version"),
                            method<&CellWriterObject::length>("length"),
                            method<&CellWriterObject::has_readers>("hasReaders"),
                        });
  }

  void detach_buffers() {
    HandleObject::detach_buffers();
    control_.detach();
  }

 private:
  // write(bytes) -> version, or kTooLarge, kClosed, kInvalid
  std::int64_t write(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    const auto bytes = bytes_of(given.env, given[0]);
    if (!bytes) return kInvalid;
    if (bytes->size > core()->plan().max_bytes) return kTooLarge;
    begun_ = false;
    core()->write(bytes->data, bytes->size);
    return static_cast<std::int64_t>(core()->version());
  }
  // begin() -> offset in the buffer of the slot that the next publish() makes the newest value; kClosed
  std::int64_t begin() {
    if (core() == nullptr) return kClosed;
    core()->begin();
    begun_ = true;
    return static_cast<std::int64_t>(core()->next_slot() * core()->plan().stride);
  }
  // publish(length) -> version, or kClosed, kInvalid (longer than a slot, or nothing was begun)
  std::int64_t publish(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    const std::uint64_t most = core()->plan().max_bytes;
    const std::uint64_t length = natural(given.env, given[0], most + 1);
    if (length > most || !begun_) return kInvalid;
    begun_ = false;
    core()->publish(length);
    return static_cast<std::int64_t>(core()->version());
  }

  // control() -> the memory from `published` to the last slot's record; undefined once closed
  Napi::Value control() {
    if (core() == nullptr) return Env().Undefined();
    return lend_control(Env(), control_, core()->segment(), core()->plan());
  }
  // cursor() -> the CellCursor, which stays there until the side is closed
  Napi::Value cursor() {
    return core() == nullptr ? Env().Undefined() : cursor_.get(Env(), core()->cursor());
  }
  // wake(): after a publish that JavaScript has done
  void wake() {
    if (core() != nullptr) core()->wake_readers();
  }
  // copyNewest(): after begin(), the slot starts as the newest value
  void copy_newest() {
    if (core() != nullptr && begun_) core()->copy_newest();
  }
  double version() { return core() == nullptr ? 0 : static_cast<double>(core()->version()); }
  double length() { return core() == nullptr ? 0 : static_cast<double>(core()->length()); }
  bool has_readers() { return core() != nullptr && core()->has_readers(); }

  bool begun_ = false;
  SharedBuffer control_;
  LentCursor cursor_;
};

class CellReaderObject final : public WaitingObject<CellReaderObject, CellReader> {
 public:
  // new CellReader({ place, mode, owner?, schema })
  explicit CellReaderObject(const Napi::CallbackInfo& info) : WaitingObject(info) {
    const bool opened = open<CellReaderSpec>(Options(info[0]), [](const CellReaderSpec& spec) {
      return CellReader::open(spec, soon());
    });
    if (!opened) return;
    tell_plan(info.This().As<Napi::Object>(), core()->plan());
    facts_.give(info.This().As<Napi::Object>(), 3);
    define_hot<&CellReaderObject::read_into>("readInto");
    define_hot<&CellReaderObject::measure>("measure");
    define_hot<&CellReaderObject::version>("version");
  }

  static Napi::Function define(Napi::Env env) {
    return define_class(env, "CellReader",
                        {
                            method<&CellReaderObject::control>("control"),
                            method<&CellReaderObject::retries>("retries"),
                            method<&CellReaderObject::wait>("wait"),
                            method<&CellReaderObject::peer>("peer"),
                            method<&CellReaderObject::peer_pid>("peerPid"),
                            method<&CellReaderObject::watch_peer>("watchPeer"),
                        });
  }

  void detach_buffers() {
    WaitingObject::detach_buffers();
    control_.detach();
  }

  // park(): the writer wakes us from now on, and the caller looks once more. False: it will not, all
  // places to wait at are taken; look from time to time.
  bool park() {
    const auto address = wake_address();
    return address && core()->park(*address);
  }
  void unpark() noexcept {
    if (core() != nullptr) core()->unpark();
  }

 private:
  // control() -> as that of a writer
  Napi::Value control() {
    if (core() == nullptr) return Env().Undefined();
    return lend_control(Env(), control_, core()->segment(), core()->plan());
  }
  // readInto(target) -> length of the value copied to its start; or kWouldBlock (there is none yet),
  // kTooLarge, kLapped, kCorrupt, kClosed, kInvalid. `facts` = {version, length, timestamp}, also of a
  // value that is too large.
  std::int64_t read_into(const Arguments<1>& given) {
    if (core() == nullptr) return kClosed;
    const auto target = bytes_of(given.env, given[0]);
    if (!target) return kInvalid;
    return answer(core()->read(target->data, target->size), kTooLarge);
  }
  // measure() -> length of the newest value, otherwise as readInto
  std::int64_t measure() {
    if (core() == nullptr) return kClosed;
    return answer(core()->measure(), std::nullopt);
  }
  // version() -> of the newest value, 0 before the first; or kCorrupt, kClosed
  std::int64_t version() {
    if (core() == nullptr) return kClosed;
    const std::uint64_t newest = core()->version();
    if (newest > layout::kMaxCellVersion) return kCorrupt;
    return static_cast<std::int64_t>(newest);
  }
  // `too_small`: what to say of a value that the target has no room for; nothing: its length.
  std::int64_t answer(const CellRead& found, std::optional<Outcome> too_small) {
    switch (found.status) {
      case CellRead::Status::empty:
        return kWouldBlock;
      case CellRead::Status::torn:
        return kLapped;
      case CellRead::Status::corrupt:
        return kCorrupt;
      case CellRead::Status::ok:
      case CellRead::Status::too_small:
        break;
    }
    facts_[0] = found.version;
    facts_[1] = found.length;
    facts_[2] = found.timestamp;
    if (found.status == CellRead::Status::too_small && too_small) return *too_small;
    return static_cast<std::int64_t>(found.length);
  }

  // Attempts to read that the writer has spoilt so far.
  double retries() { return core() == nullptr ? 0 : static_cast<double>(core()->retries()); }
  // wait(version, spinMs, timeoutMs) -> true if there is another version or the writer has left; blocks
  // for 20 ms at most
  bool wait(const Arguments<3>& given) {
    return core() == nullptr ||
           core()->wait_change(natural(given.env, given[0], 0), nanoseconds(given.env, given[1]),
                               nanoseconds(given.env, given[2]));
  }

  Facts<Napi::BigUint64Array> facts_;
  SharedBuffer control_;
};

}  // namespace

Napi::Function define_cell_writer(Napi::Env env) {
  return CellWriterObject::define(env);
}
Napi::Function define_cell_reader(Napi::Env env) {
  return CellReaderObject::define(env);
}

}  // namespace millrace::addon
