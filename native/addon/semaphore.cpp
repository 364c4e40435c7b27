// A named semaphore as a JavaScript object.
#include "millrace/sync/semaphore.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "addon.hpp"
#include "arguments.hpp"
#include "channel.hpp"
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
    Napi::Object self = info.This().As<Napi::Object>();
    self.Set("created", Napi::Boolean::New(info.Env(), semaphore_->created()));
    self.Set("path", Napi::String::New(info.Env(), semaphore_->path()));
    define_hot(self, this, "tryWait", try_wait);
    define_hot(self, this, "post", post);
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
                           InstanceMethod<&SemaphoreObject::value>("value"),
                           InstanceMethod<&SemaphoreObject::wait>("wait"),
                           InstanceMethod<&SemaphoreObject::take>("take"),
                           InstanceMethod<&SemaphoreObject::park>("park"),
                           InstanceMethod<&SemaphoreObject::unpark>("unpark"),
                           InstanceMethod<&SemaphoreObject::wake_token>("wakeToken"),
                           InstanceMethod<&SemaphoreObject::leaving>("leaving"),
                           InstanceMethod<&SemaphoreObject::leave_in>("leaveIn"),
                           InstanceMethod<&SemaphoreObject::close>("close"),
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
  static napi_value try_wait(napi_env env, napi_callback_info info) {
    const HotCall<SemaphoreObject, 0> call(env, info);
    Semaphore* semaphore = call.handle->semaphore_.get();
    if (semaphore == nullptr) return number(env, std::int32_t{kClosed});
    return number(env, std::int32_t{semaphore->try_wait() ? 1 : 0});
  }
  // post(count) -> 0; or kClosed, kInvalid; throws if the semaphore has no room for that many
  static napi_value post(napi_env env, napi_callback_info info) {
    const HotCall<SemaphoreObject, 1> call(env, info);
    Semaphore* semaphore = call.handle->semaphore_.get();
    if (semaphore == nullptr) return number(env, std::int32_t{kClosed});
    const std::uint64_t count =
        natural(env, call.arguments[0], os::kSemaphoreMax + std::uint64_t{1});
    if (count > os::kSemaphoreMax) return number(env, std::int32_t{kInvalid});
    auto posted = semaphore->post(static_cast<std::uint32_t>(count));
    if (!posted.ok()) call.handle->environment_.raise(posted.error());
    return number(env, 0);
  }

  // value() -> permits there now; or kClosed
  Napi::Value value(const Napi::CallbackInfo& info) {
    if (!semaphore_) return Napi::Number::New(info.Env(), kClosed);
    if (!os::kSemaphoreHasValue) {
      environment_.raise(make_error(Code::unsupported_platform,
                                    "this system does not tell the value of a semaphore"));
      return info.Env().Undefined();
    }
    return Napi::Number::New(info.Env(), semaphore_->value());
  }
  // wait(spinMs, timeoutMs) -> as tryWait(); sleeps for 20 ms at most
  Napi::Value wait(const Napi::CallbackInfo& info) {
    if (!semaphore_) return Napi::Number::New(info.Env(), kClosed);
    const std::uint64_t spin = nanoseconds(info.Env(), info[0]);
    const std::uint64_t timeout = std::min(nanoseconds(info.Env(), info[1]), kSliceNs);
    return Napi::Number::New(info.Env(), semaphore_->wait_for(spin, timeout) ? 1 : 0);
  }

  // For waits in the event loop. take() -> as tryWait(), for the oldest of them.
  Napi::Value take(const Napi::CallbackInfo& info) {
    if (!taker_) return Napi::Number::New(info.Env(), kClosed);
    return Napi::Number::New(info.Env(), taker_->take() ? 1 : 0);
  }
  // park(): rings as soon as take() has something. Throws if that cannot be had.
  void park(const Napi::CallbackInfo& /*info*/) {
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
  void unpark(const Napi::CallbackInfo& /*info*/) {
    if (taker_) taker_->unwant();
  }
  void wake_token(const Napi::CallbackInfo& info) {
    token_ = small_natural(info.Env(), info[0], 0);
  }
  // leaving() -> is a permit that comes now still taken, and put back? Rings when that is over.
  Napi::Value leaving(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), taker_ && taker_->leaving());
  }
  // leaveIn(ms): somebody may give up then
  void leave_in(const Napi::CallbackInfo& info) {
    if (taker_) taker_->expect_leaving_in(nanoseconds(info.Env(), info[0]));
  }

  void close(const Napi::CallbackInfo& /*info*/) { leave(); }
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
