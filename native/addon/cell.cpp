// The two sides of a cell as JavaScript objects.
#include "millrace/cell.hpp"

#include "addon.hpp"
#include "arguments.hpp"
#include "channel.hpp"

namespace millrace::addon {

namespace {

// What both sides do alike. Side is CellWriter or CellReader; nullptr once closed.
template <typename Side>
class CellHandle final : public Closable {
 public:
  explicit CellHandle(Napi::Env env) : environment_(Environment::of(env)) {}
  ~CellHandle() override { leave(); }

  // `open_side(mode, doorbell)` gives a Result<std::unique_ptr<Side>>. False with an exception pending.
  template <typename OpenSide>
  bool open(const Napi::CallbackInfo& info, const Options& options, OpenSide&& open_side) {
    auto opened = try_open(options, open_side);
    if (!opened.ok()) {
      environment_.raise(opened.error());
      return false;
    }
    side_ = opened.take();
    environment_.add(this);
    Napi::Object self = info.This().As<Napi::Object>();
    self.Set("maxBytes",
             Napi::Number::New(info.Env(), static_cast<double>(side_->plan().max_bytes)));
    self.Set("slots", Napi::Number::New(info.Env(), side_->plan().slots));
    self.Set("path", Napi::String::New(info.Env(), side_->segment().path()));
    return true;
  }
  void close_now() noexcept override { leave(); }
  void close() {
    leave();
    buffer_.detach();
  }

  [[nodiscard]] Side* side() noexcept { return side_.get(); }
  [[nodiscard]] Environment& environment() noexcept { return environment_; }
  void wake_token(const Napi::CallbackInfo& info) {
    token_ = small_natural(info.Env(), info[0], 0);
  }
  [[nodiscard]] std::uint32_t token() const noexcept { return token_; }
  [[nodiscard]] os::BellTrust trust() const noexcept { return side_->segment().trust(); }
  Napi::Value damage(Napi::Env env) {
    if (!side_) return env.Undefined();
    return damage_of(environment_, env, side_->segment(), [this] { close(); });
  }
  Napi::Value buffer(Napi::Env env) {
    return side_ ? buffer_.get(env, side_->pool()) : env.Undefined();
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

class CellWriterObject final : public Napi::ObjectWrap<CellWriterObject> {
 public:
  using Handle = CellHandle<CellWriter>;

  // new CellWriter({ name, maxBytes, slots, mode, owner?, keep, schema })
  explicit CellWriterObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<CellWriterObject>(info), handle_(info.Env()) {
    const Options options(info[0]);
    const bool opened = handle_.open(info, options, [&](mode_t mode, std::uint64_t doorbell) {
      CellWriterSpec spec;
      spec.place = options.place();
      spec.max_bytes = options.number("maxBytes", 0);
      spec.slots = options.small("slots", 0);
      spec.mode = mode;
      spec.owner = options.user("owner");
      spec.keep = options.flag("keep");
      spec.schema = options.schema();
      spec.doorbell = doorbell;
      return CellWriter::open(spec, os::Deadline::after(kEnterTimeoutNs));
    });
    if (!opened) return;
    handle_.side()->use_ringer(&handle_.environment().ringer());
    Napi::Object self = info.This().As<Napi::Object>();
    define_hot(self, this, "write", write);
    define_hot(self, this, "begin", begin);
    define_hot(self, this, "publish", publish);
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "CellWriter",
                       {
                           InstanceMethod<&CellWriterObject::copy_newest>("copyNewest"),
                           InstanceMethod<&CellWriterObject::version>("version"),
                           InstanceMethod<&CellWriterObject::length>("length"),
                           InstanceMethod<&CellWriterObject::has_readers>("hasReaders"),
                           InstanceMethod<&CellWriterObject::buffer>("buffer"),
                           InstanceMethod<&CellWriterObject::close>("close"),
                       });
  }

 private:
  // write(bytes) -> version, or kTooLarge, kClosed, kInvalid
  static napi_value write(napi_env env, napi_callback_info info) {
    const HotCall<CellWriterObject, 1> call(env, info);
    CellWriter* side = call.handle->handle_.side();
    if (side == nullptr) return number(env, std::int32_t{kClosed});
    const auto bytes = bytes_of(env, call.arguments[0]);
    if (!bytes) return number(env, std::int32_t{kInvalid});
    if (bytes->size > side->plan().max_bytes) return number(env, std::int32_t{kTooLarge});
    call.handle->begun_ = false;
    side->write(bytes->data, bytes->size);
    return number(env, static_cast<std::int64_t>(side->version()));
  }
  // begin() -> offset in the buffer of the slot that the next publish() makes the newest value; kClosed
  static napi_value begin(napi_env env, napi_callback_info info) {
    const HotCall<CellWriterObject, 0> call(env, info);
    CellWriter* side = call.handle->handle_.side();
    if (side == nullptr) return number(env, std::int32_t{kClosed});
    side->begin();
    call.handle->begun_ = true;
    return number(env, static_cast<std::int64_t>(side->next_slot() * side->plan().stride));
  }
  // publish(length) -> version, or kClosed, kInvalid (longer than a slot, or nothing was begun)
  static napi_value publish(napi_env env, napi_callback_info info) {
    const HotCall<CellWriterObject, 1> call(env, info);
    CellWriter* side = call.handle->handle_.side();
    if (side == nullptr) return number(env, std::int32_t{kClosed});
    const std::uint64_t most = side->plan().max_bytes;
    const std::uint64_t length = natural(env, call.arguments[0], most + 1);
    if (length > most || !call.handle->begun_) return number(env, std::int32_t{kInvalid});
    call.handle->begun_ = false;
    side->publish(length);
    return number(env, static_cast<std::int64_t>(side->version()));
  }

  // copyNewest(): after begin(), the slot starts as the newest value
  void copy_newest(const Napi::CallbackInfo& /*info*/) {
    if (handle_.side() != nullptr && begun_) handle_.side()->copy_newest();
  }
  Napi::Value version(const Napi::CallbackInfo& info) {
    CellWriter* side = handle_.side();
    return Napi::Number::New(info.Env(),
                             side == nullptr ? 0 : static_cast<double>(side->version()));
  }
  Napi::Value length(const Napi::CallbackInfo& info) {
    CellWriter* side = handle_.side();
    return Napi::Number::New(info.Env(), side == nullptr ? 0 : static_cast<double>(side->length()));
  }
  Napi::Value has_readers(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(),
                              handle_.side() != nullptr && handle_.side()->has_readers());
  }
  Napi::Value buffer(const Napi::CallbackInfo& info) { return handle_.buffer(info.Env()); }
  void close(const Napi::CallbackInfo& /*info*/) { handle_.close(); }

  Handle handle_;
  bool begun_ = false;
};

class CellReaderObject final : public Napi::ObjectWrap<CellReaderObject> {
 public:
  using Handle = CellHandle<CellReader>;

  // new CellReader({ name, mode, owner?, schema })
  explicit CellReaderObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<CellReaderObject>(info), handle_(info.Env()) {
    const Options options(info[0]);
    const bool opened = handle_.open(info, options, [&](mode_t mode, std::uint64_t doorbell) {
      CellReaderSpec spec;
      spec.place = options.place();
      spec.mode = mode;
      spec.owner = options.user("owner");
      spec.schema = options.schema();
      spec.doorbell = doorbell;
      return CellReader::open(spec, os::Deadline::after(kEnterTimeoutNs));
    });
    if (!opened) return;
    Napi::Object self = info.This().As<Napi::Object>();
    auto facts = Napi::BigUint64Array::New(info.Env(), 3);
    facts_ = Napi::Persistent(facts);
    fact_words_ = facts.Data();
    self.Set("facts", facts);
    define_hot(self, this, "readInto", read_into);
    define_hot(self, this, "measure", measure);
    define_hot(self, this, "version", version);
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "CellReader",
                       {
                           InstanceMethod<&CellReaderObject::retries>("retries"),
                           InstanceMethod<&CellReaderObject::park>("park"),
                           InstanceMethod<&CellReaderObject::wait>("wait"),
                           InstanceMethod<&CellReaderObject::unpark>("unpark"),
                           InstanceMethod<&CellReaderObject::damage>("damage"),
                           InstanceMethod<&CellReaderObject::wake_token>("wakeToken"),
                           InstanceMethod<&CellReaderObject::peer>("peer"),
                           InstanceMethod<&CellReaderObject::peer_pid>("peerPid"),
                           InstanceMethod<&CellReaderObject::watch_peer>("watchPeer"),
                           InstanceMethod<&CellReaderObject::close>("close"),
                       });
  }

 private:
  // readInto(target) -> length of the value copied to its start; or kWouldBlock (there is none yet),
  // kTooLarge, kLapped, kCorrupt, kClosed, kInvalid. `facts` = {version, length, timestamp}, also of a
  // value that is too large.
  static napi_value read_into(napi_env env, napi_callback_info info) {
    const HotCall<CellReaderObject, 1> call(env, info);
    CellReader* side = call.handle->handle_.side();
    if (side == nullptr) return number(env, std::int32_t{kClosed});
    const auto target = bytes_of(env, call.arguments[0]);
    if (!target) return number(env, std::int32_t{kInvalid});
    return call.handle->answer(env, side->read(target->data, target->size), false);
  }
  // measure() -> length of the newest value, otherwise as readInto
  static napi_value measure(napi_env env, napi_callback_info info) {
    const HotCall<CellReaderObject, 0> call(env, info);
    CellReader* side = call.handle->handle_.side();
    if (side == nullptr) return number(env, std::int32_t{kClosed});
    return call.handle->answer(env, side->measure(), true);
  }
  // version() -> of the newest value, 0 before the first; or kCorrupt, kClosed
  static napi_value version(napi_env env, napi_callback_info info) {
    const HotCall<CellReaderObject, 0> call(env, info);
    CellReader* side = call.handle->handle_.side();
    if (side == nullptr) return number(env, std::int32_t{kClosed});
    const std::uint64_t newest = side->version();
    if (newest > layout::kMaxCellVersion) return number(env, std::int32_t{kCorrupt});
    return number(env, static_cast<std::int64_t>(newest));
  }
  napi_value answer(napi_env env, const CellRead& found, bool too_small_is_fine) const {
    switch (found.status) {
      case CellRead::Status::empty:
        return number(env, std::int32_t{kWouldBlock});
      case CellRead::Status::torn:
        return number(env, std::int32_t{kLapped});
      case CellRead::Status::corrupt:
        return number(env, std::int32_t{kCorrupt});
      case CellRead::Status::ok:
      case CellRead::Status::too_small:
        break;
    }
    fact_words_[0] = found.version;
    fact_words_[1] = found.length;
    fact_words_[2] = found.timestamp;
    if (found.status == CellRead::Status::too_small && !too_small_is_fine) {
      return number(env, std::int32_t{kTooLarge});
    }
    return number(env, static_cast<std::int64_t>(found.length));
  }

  // Attempts to read that the writer has spoilt so far.
  Napi::Value retries(const Napi::CallbackInfo& info) {
    CellReader* side = handle_.side();
    return Napi::Number::New(info.Env(),
                             side == nullptr ? 0 : static_cast<double>(side->retries()));
  }
  // park(): the writer wakes us from now on, and the caller looks once more. False: it will not, all
  // places to wait at are taken; look from time to time.
  Napi::Value park(const Napi::CallbackInfo& info) {
    CellReader* side = handle_.side();
    bool woken = false;
    if (side != nullptr) {
      auto bell = handle_.environment().doorbell(handle_.trust());  // made long ago, by open()
      woken = bell.ok() && side->park(WakeAddress{bell.value(), handle_.token()});
    }
    return Napi::Boolean::New(info.Env(), woken);
  }
  // wait(version, spinMs, timeoutMs) -> true if there is another version or the writer has left; blocks
  // for 20 ms at most
  Napi::Value wait(const Napi::CallbackInfo& info) {
    CellReader* side = handle_.side();
    const bool stirred = side == nullptr || side->wait_change(natural(info.Env(), info[0], 0),
                                                              nanoseconds(info.Env(), info[1]),
                                                              nanoseconds(info.Env(), info[2]));
    return Napi::Boolean::New(info.Env(), stirred);
  }
  void unpark(const Napi::CallbackInfo& /*info*/) {
    if (handle_.side() != nullptr) handle_.side()->unpark();
  }
  Napi::Value damage(const Napi::CallbackInfo& info) { return handle_.damage(info.Env()); }
  void wake_token(const Napi::CallbackInfo& info) { handle_.wake_token(info); }
  Napi::Value peer(const Napi::CallbackInfo& info) {
    const Peer peer = handle_.side() != nullptr ? handle_.side()->writer() : Peer::closed;
    return Napi::Number::New(info.Env(), static_cast<int>(peer));
  }
  Napi::Value peer_pid(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(),
                             handle_.side() != nullptr ? handle_.side()->writer_pid() : 0);
  }
  Napi::Value watch_peer(const Napi::CallbackInfo& info) {
    CellReader* side = handle_.side();
    return Napi::Boolean::New(
        info.Env(),
        side != nullptr &&
            handle_.environment().watch(handle_.token(), side->writer_doorbell(), handle_.trust()));
  }
  void close(const Napi::CallbackInfo& /*info*/) { handle_.close(); }

  Handle handle_;
  Napi::Reference<Napi::BigUint64Array> facts_;
  std::uint64_t* fact_words_ = nullptr;
};

}  // namespace

Napi::Function define_cell_writer(Napi::Env env) {
  return CellWriterObject::define(env);
}
Napi::Function define_cell_reader(Napi::Env env) {
  return CellReaderObject::define(env);
}

}  // namespace millrace::addon
