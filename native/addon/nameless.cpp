// Nameless segments as JavaScript objects, and the two ends of handing them over.
#include <fcntl.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "addon.hpp"
#include "arguments.hpp"
#include "environment.hpp"
#include "method.hpp"
#include "millrace/hand_over.hpp"
#include "millrace/place.hpp"

namespace millrace::addon {

namespace {

// Holds the one descriptor. Closed with close(), with the object, or with its environment.
class NamelessObject final : public Napi::ObjectWrap<NamelessObject> {
 public:
  // new NamelessSegment({ mode, hugePages }), a new one; ({ given: fd }), an own description of what that
  // descriptor leads to; ({ own: fd }), which becomes ours
  explicit NamelessObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NamelessObject>(info) {
    auto got = obtain(Options(info[0]));
    if (!got.ok()) {
      Environment::of(info.Env()).raise(got.error());
      return;
    }
    fd_ = got.take();
    const Napi::Object self = info.This().As<Napi::Object>();
    self.Set("fd", to_js(info.Env(), fd_.get()));
    self.Set("title", Place::nameless(fd_.get()).title());
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NamelessSegment",
                       {method_of<NamelessObject, &NamelessObject::close>("close")});
  }

 private:
  static Result<os::Descriptor> obtain(const Options& options) {
    constexpr std::uint64_t none = ~std::uint64_t{0};
    if (const std::uint64_t own = options.number("own", none); own != none) {
      return os::Descriptor(static_cast<int>(own));
    }
    if (const std::uint64_t given = options.number("given", none); given != none) {
      const Place place = Place::nameless(static_cast<int>(given));
      if (auto possible = place.check(); !possible.ok()) return possible.error();
      return place.open(os::Access::read_write);
    }
    auto mode = options.mode();
    if (!mode.ok()) return mode.error();
    return os::create_nameless(mode.value(), options.flag("hugePages"));
  }
  void close() { fd_.reset(); }

  os::Descriptor fd_;
};

AllowList allow_list(const Options& options) {
  return AllowList{options.small_list("uids"), options.small_list("gids"),
                   options.small_list("pids")};
}

// A descriptor watched by the event loop, with a function that is called when it is readable.
class Watched {
 public:
  explicit Watched(Napi::Env env) : environment_(Environment::of(env)) {}
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
  ~Watched() { stop(); }

  Result<void> start(int fd, std::function<void()> on_readable) {
    auto watcher = environment_.watcher();
    if (!watcher.ok()) return watcher.error();
    watcher_ = watcher.value();
    watch_ = watcher_->start(fd, Interest::readable, std::move(on_readable));
    if (watch_ != nullptr) return {};
    return make_error(Code::unsupported_runtime, "this runtime refuses to poll a socket");
  }
  void hold(bool alive) {
    if (watch_ != nullptr) watcher_->hold(watch_, alive);
  }
  void stop() {
    if (watch_ != nullptr) watcher_->stop(std::exchange(watch_, nullptr));
  }

 private:
  Environment& environment_;
  Watcher* watcher_ = nullptr;
  Watcher::Watch* watch_ = nullptr;
};

class OfferObject final : public Napi::ObjectWrap<OfferObject>, public Closable {
 public:
  // new SegmentOffer({ path, mode, names, fds, uids, gids, pids }, onPeer(outcome, uid, gid, pid)). Without names the peer gets
  // what give() hands to it, which onPeer calls; or nothing.
  explicit OfferObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<OfferObject>(info),
        environment_(Environment::of(info.Env())),
        watched_(info.Env()) {
    auto done = open(Options(info[0]));
    if (!done.ok()) {
      offer_.reset();
      environment_.raise(done.error());
      return;
    }
    on_peer_ = Napi::Persistent(info[1].As<Napi::Function>());
    environment_.add(this);
  }
  ~OfferObject() override { leave(); }

  void close_now() noexcept override { leave(); }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "SegmentOffer",
                       {
                           method_of<OfferObject, &OfferObject::give>("give"),
                           method_of<OfferObject, &OfferObject::pause>("pause"),
                           method_of<OfferObject, &OfferObject::hold>("hold"),
                           method_of<OfferObject, &OfferObject::close>("close"),
                       });
  }

 private:
  static constexpr int kServedAtOnce = 16;  // then the event loop has its turn

  Result<void> open(const Options& options) {
    auto mode = options.mode();
    if (!mode.ok()) return mode.error();
    each_ = options.flag("each");
    auto opened = each_ ? Offer::open(options.text("path"), mode.value(), allow_list(options))
                        : open_all(options, mode.value());
    if (!opened.ok()) return opened.error();
    offer_ = opened.take();
    return watch();
  }
  static Result<std::unique_ptr<Offer>> open_all(const Options& options, mode_t mode) {
    auto segments = segments_of(options);
    if (!segments.ok()) return segments.error();
    return Offer::open(options.text("path"), mode, allow_list(options), segments.take());
  }
  static Result<std::vector<OfferedSegment>> segments_of(const Options& options) {
    const std::vector<std::string> names = options.text_list("names");
    const std::vector<std::uint32_t> fds = options.small_list("fds");
    if (names.size() != fds.size()) return make_error(Code::invalid_argument, "names without fds");
    std::vector<OfferedSegment> segments;
    for (std::size_t i = 0; i < names.size(); ++i) {
      os::Descriptor same(::fcntl(static_cast<int>(fds[i]), F_DUPFD_CLOEXEC, 0));
      if (!same) return system_error("fcntl", errno);
      segments.push_back({names[i], std::move(same)});
    }
    return segments;
  }
  Result<void> watch() {
    return watched_.start(offer_->fd(), [this] { on_readable(); });
  }
  void on_readable() {
    for (int i = 0; i < kServedAtOnce && offer_ && !paused_; ++i) {
      PeerIdentity peer;
      const Served served = each_ ? offer_->greet(peer, line_) : offer_->serve(peer);
      if (served == Served::nobody) return;
      const Napi::HandleScope scope(Env());
      const auto number = [this](double value) { return Napi::Number::New(Env(), value); };
      environment_.notify(on_peer_, {number(static_cast<double>(served)), number(peer.uid),
                                     number(peer.gid), number(peer.pid)});
      line_.reset();
    }
  }
  // give({ names, fds }) -> did the peer get them? Inside of onPeer; the descriptors stay the caller's.
  Napi::Value give(const Arguments<1>& given) {
    auto segments = segments_of(Options(Napi::Value(given.env, given[0])));
    const bool done = line_ && segments.ok() && Offer::give(line_.get(), segments.take());
    return Napi::Boolean::New(given.env, done);
  }
  // pause(true): who comes waits to be served, until pause(false)
  void pause(const Arguments<1>& given) {
    const bool wanted = truth(given.env, given[0]);
    if (!offer_ || wanted == paused_) return;
    paused_ = wanted;
    if (paused_) {
      watched_.stop();
    } else if (auto watched = watch(); !watched.ok()) {
      environment_.raise(watched.error());
    } else {
      watched_.hold(held_);
    }
  }
  void hold(const Arguments<1>& given) {
    held_ = truth(given.env, given[0]);
    watched_.hold(held_);
  }
  void close() { leave(); }
  void leave() noexcept {
    if (!offer_) return;
    environment_.remove(this);
    watched_.stop();
    line_.reset();
    offer_.reset();
    on_peer_.Reset();  // it leads back to this object: nobody else will break the circle
  }

  Environment& environment_;
  Watched watched_;
  std::unique_ptr<Offer> offer_;
  os::Descriptor line_;  // to the peer that onPeer is told of
  bool each_ = false;
  bool paused_ = false;
  bool held_ = false;
  Napi::FunctionReference on_peer_;
};

class ReceiptObject final : public Napi::ObjectWrap<ReceiptObject>, public Closable {
 public:
  // new SegmentReceipt({ path, uids, gids, pids }, onReadable)
  explicit ReceiptObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ReceiptObject>(info),
        environment_(Environment::of(info.Env())),
        watched_(info.Env()) {
    const Options options(info[0]);
    auto connected = Receipt::connect(options.text("path"), allow_list(options));
    if (!connected.ok()) {
      environment_.raise(connected.error());
      return;
    }
    receipt_ = connected.take();
    auto watched = watched_.start(receipt_->fd(), [this] {
      const Napi::HandleScope scope(Env());
      environment_.notify(on_readable_, {});
    });
    if (!watched.ok()) {
      receipt_.reset();
      environment_.raise(watched.error());
      return;
    }
    on_readable_ = Napi::Persistent(info[1].As<Napi::Function>());
    watched_.hold(true);
    environment_.add(this);
  }
  ~ReceiptObject() override { leave(); }

  void close_now() noexcept override { leave(); }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "SegmentReceipt",
                       {
                           method_of<ReceiptObject, &ReceiptObject::take>("take"),
                           method_of<ReceiptObject, &ReceiptObject::peer>("peer"),
                           method_of<ReceiptObject, &ReceiptObject::close>("close"),
                       });
  }

 private:
  // take() -> [name, fd, name, fd, …], the descriptors being the caller's; undefined: no answer yet
  Napi::Value take() {
    if (!receipt_) return Env().Undefined();
    auto taken = receipt_->take();
    if (!taken.ok()) {
      environment_.raise(taken.error());
      return Env().Undefined();
    }
    if (!taken.value()) return Env().Undefined();
    Napi::Array list = Napi::Array::New(Env());
    for (OfferedSegment& segment : *taken.value()) {
      list.Set(list.Length(), segment.name);
      list.Set(list.Length(), to_js(Env(), segment.fd.release()));
    }
    return list;
  }
  // peer() -> [uid, gid, pid] of who offers
  Napi::Value peer() {
    const PeerIdentity peer = receipt_ ? receipt_->peer() : PeerIdentity{};
    Napi::Array list = Napi::Array::New(Env());
    for (const double id : {double(peer.uid), double(peer.gid), double(peer.pid)}) {
      list.Set(list.Length(), Napi::Number::New(Env(), id));
    }
    return list;
  }
  void close() { leave(); }
  void leave() noexcept {
    if (!receipt_) return;
    environment_.remove(this);
    watched_.stop();
    receipt_.reset();
    on_readable_.Reset();  // as above
  }

  Environment& environment_;
  Watched watched_;
  std::unique_ptr<Receipt> receipt_;
  Napi::FunctionReference on_readable_;
};

}  // namespace

Napi::Function define_nameless_segment(Napi::Env env) {
  return NamelessObject::define(env);
}
Napi::Function define_segment_offer(Napi::Env env) {
  return OfferObject::define(env);
}
Napi::Function define_segment_receipt(Napi::Env env) {
  return ReceiptObject::define(env);
}

}  // namespace millrace::addon
