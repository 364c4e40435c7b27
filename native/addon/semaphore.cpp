// A named semaphore as a JavaScript object.
#include "millrace/sync/semaphore.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "addon.hpp"
#include "arguments.hpp"
#include "environment.hpp"
#include "method.hpp"
#include "millrace/sync/permit_taker.hpp"
#include "millrace/waiting.hpp"

namespace millrace::addon {

namespace {

class SemaphoreObject final : public Napi::ObjectWrap<SemaphoreObject>, public Closable {
 public:
  // new Semaphore({ name, initial, mode, owner?, how: 'create' | 'open' | 'either' })
  explicit SemaphoreObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<SemaphoreObject>(info), environment_(Environment::of(info.Env())) {
    auto opened = open(Options(info[0]));
    if (!opened.ok()) {
      environment_.raise(opened.error());
      return;
    }
    semaphore_ = opened.take();
    taker_ = std::make_unique<PermitTaker>(semaphore_);
    environment_.add(this);
    registered_ = true;
    const Napi::Object self = info.This().As<Napi::Object>();
    self.Set("created", to_js(info.Env(), semaphore_->created()));
    self.Set("path", to_js(info.Env(), semaphore_->path()));
    define_hot<SemaphoreObject, &SemaphoreObject::try_wait>(self, this, "tryWait");
    define_hot<SemaphoreObject, &SemaphoreObject::post>(self, this, "post");
  }
  ~SemaphoreObject() override { leave(); }

  void prepare_to_close() noexcept override {
    if (taker_) taker_->begin_to_finish();
  }
  // The semaphore itself stays: whoever listens for 'exit' may want to release a permit.
  void close_now() noexcept override {
    registered_ = false;
    if (taker_) taker_->finish();
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Semaphore",
                       {
                           method_of<SemaphoreObject, &SemaphoreObject::value>("value"),
                           method_of<SemaphoreObject, &SemaphoreObject::wait>("wait"),
                           method_of<SemaphoreObject, &SemaphoreObject::take>("take"),
                           method_of<SemaphoreObject, &SemaphoreObject::park>("park"),
                           method_of<SemaphoreObject, &SemaphoreObject::unpark>("unpark"),
                           method_of<SemaphoreObject, &SemaphoreObject::wake_token>("wakeToken"),
                           method_of<SemaphoreObject, &SemaphoreObject::leaving>("leaving"),
                           method_of<SemaphoreObject, &SemaphoreObject::leave_in>("leaveIn"),
                           method_of<SemaphoreObject, &SemaphoreObject::close>("close"),
                       });
  }

 private:
  static Result<std::shared_ptr<Semaphore>> open(const Options& options) {
    SemaphoreSpec spec;
    spec.name = options.text("name");
    spec.initial = options.small("initial", 0);
    spec.mode = static_cast<mode_t>(options.number("mode", 0600));
    spec.owner = options.user("owner");
    const std::string how = options.text("how");
    auto opened = how == "create" ? Semaphore::create(spec)
                  : how == "open" ? Semaphore::open(spec)
                                  : Semaphore::open_or_create(spec);
    if (!opened.ok()) return opened.error();
    return std::shared_ptr<Semaphore>(opened.take());
  }

  // tryWait() -> 1: got a permit, 0: there is none; or kClosed
  std::int32_t try_wait() { return semaphore_ ? std::int32_t{semaphore_->try_wait()} : kClosed; }
  // post(count) -> 0; or kClosed, kInvalid; throws if the semaphore has no room for that many
  std::int32_t post(const Arguments<1>& given) {
    if (!semaphore_) return kClosed;
    const std::uint64_t count = natural(given.env, given[0], os::kSemaphoreMax + std::uint64_t{1});
    if (count > os::kSemaphoreMax) return kInvalid;
    auto posted = semaphore_->post(static_cast<std::uint32_t>(count));
    if (!posted.ok()) environment_.raise(posted.error());
    return 0;
  }

  // value() -> permits there now; or kClosed
  double value() {
    if (!semaphore_) return kClosed;
    if (os::kSemaphoreHasValue) return semaphore_->value();
    environment_.raise(make_error(Code::unsupported_platform,
                                  "this system does not tell the value of a semaphore"));
    return kInvalid;
  }
  // wait(spinMs, timeoutMs) -> as tryWait(); sleeps for 20 ms at most
  std::int32_t wait(const Arguments<2>& given) {
    if (!semaphore_) return kClosed;
    const std::uint64_t spin = nanoseconds(given.env, given[0]);
    const std::uint64_t timeout = std::min(nanoseconds(given.env, given[1]), kSliceNs);
    return std::int32_t{semaphore_->wait_for(spin, timeout)};
  }

  // For waits in the event loop. take() -> as tryWait(), for the oldest of them.
  std::int32_t take() { return taker_ ? std::int32_t{taker_->take()} : kClosed; }
  // park(): rings as soon as take() has something. Throws if that cannot be had.
  void park() {
    if (!taker_) return;
    auto ready = prepare_bell();
    if (ready.ok()) ready = taker_->want();
    if (!ready.ok()) environment_.raise(ready.error());
  }
  Result<void> prepare_bell() {
    if (bell_of_ == environment_.renewals()) return {};
    const os::BellTrust trust{::geteuid(), 0, false};
    auto bell = environment_.doorbell(trust);
    if (!bell.ok()) return bell.error();
    (void)environment_.mend_bells();
    os::Descriptor line = os::open_bell(bell.value(), trust);
    // It may have lost its name again, and is made anew a moment later.
    if (!line) line = os::open_lost_bell(::getpid(), os::doorbell_path(bell.value()));
    if (!line) return system_error("open", errno, os::doorbell_path(bell.value()));
    taker_->ring_at(std::move(line), token_);
    bell_of_ = environment_.renewals();
    return {};
  }
  void unpark() {
    if (taker_) taker_->unwant();
  }
  void wake_token(const Arguments<1>& given) { token_ = small_natural(given.env, given[0], 0); }
  // leaving() -> is a permit that comes now still taken, and put back? Rings when that is over.
  bool leaving() { return taker_ && taker_->leaving(); }
  // leaveIn(ms): somebody may give up then
  void leave_in(const Arguments<1>& given) {
    if (taker_) taker_->expect_leaving_in(nanoseconds(given.env, given[0]));
  }

  void close() { leave(); }
  void leave() noexcept {
    if (!semaphore_) return;
    if (std::exchange(registered_, false)) environment_.remove(this);
    taker_.reset();
    semaphore_.reset();
  }

  Environment& environment_;
  std::shared_ptr<Semaphore> semaphore_;
  std::unique_ptr<PermitTaker> taker_;
  std::uint32_t token_ = 0;
  std::optional<std::uint64_t>
      bell_of_;              // Environment::renewals() when the taker learned where to ring
  bool registered_ = false;  // with the environment, which may be gone when this is collected
};

}  // namespace

Napi::Function define_semaphore(Napi::Env env) {
  return SemaphoreObject::define(env);
}

}  // namespace millrace::addon
