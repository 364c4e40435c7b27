// The messages of a channel seen from outside, as a JavaScript object: it holds a descriptor, and no channel.
#include "millrace/watch.hpp"
#include "millrace/os/clock.hpp"

#include "addon.hpp"
#include "arguments.hpp"
#include "environment.hpp"

namespace millrace::addon {

namespace {

class ChannelWatchObject final : public Napi::ObjectWrap<ChannelWatchObject> {
 public:
  // new ChannelWatch(letter, name, oldest)
  explicit ChannelWatchObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ChannelWatchObject>(info) {
    const std::string letter = text_of(info[0]);
    auto opened = millrace::ChannelWatch::open(
        {text_of(info[1]), letter.size() == 1 ? letter[0] : '-', info[2].ToBoolean().Value()});
    if (opened.ok()) {
      core_ = opened.take();
    } else {
      Environment::of(info.Env()).raise(opened.error());
    }
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "ChannelWatch",
                       {
                           InstanceMethod<&ChannelWatchObject::look>("look"),
                           InstanceMethod<&ChannelWatchObject::missed>("missed"),
                           InstanceMethod<&ChannelWatchObject::seen_at>("seenAt"),
                           InstanceMethod<&ChannelWatchObject::is_pipeline>("isPipeline"),
                           InstanceMethod<&ChannelWatchObject::close>("close"),
                       });
  }

 private:
  // look(target, heads, most, cut) -> how many messages were copied, at most so many, each of them a Watched of `heads`; below zero: so many
  // bytes the target would have to have for the first one. Payloads are cut to `cut` bytes. 0 once closed.
  Napi::Value look(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const auto target = bytes_of(env, info[0]);
    const auto heads = bytes_of(env, info[1]);
    if (!core_ || !target || !heads) return Napi::Number::New(env, 0);
    auto* const messages = reinterpret_cast<millrace::Watched*>(heads->data);
    const std::size_t most = std::min<std::size_t>(heads->size / sizeof(millrace::Watched),
                                                   small_natural(env, info[2], 0));
    if (reinterpret_cast<std::uintptr_t>(messages) % alignof(millrace::Watched) != 0)
      return Napi::Number::New(env, 0);
    WatchSink sink(std::span<std::byte>(target->data, target->size),
                   std::span<millrace::Watched>(messages, most),
                   natural(env, info[3], ~std::uint64_t{0}));
    const auto looked = core_->look(sink);
    seen_at_ = os::exact_real_ns();
    // What was copied before something impossible is told first; the next look finds that again.
    if (!looked.ok() && sink.count() == 0) {
      Environment::of(env).raise(looked.error());
      return env.Undefined();
    }
    return sink.needed() != 0 ? Napi::Number::New(env, -static_cast<double>(sink.needed()))
                              : Napi::Number::New(env, static_cast<double>(sink.count()));
  }
  // seenAt() -> when it looked the last time: nanoseconds since 1970, as the system has them whatever clock a program has put in their
  // place
  Napi::Value seen_at(const Napi::CallbackInfo& info) {
    return Napi::BigInt::New(info.Env(), seen_at_);
  }
  // missed() -> bigint
  Napi::Value missed(const Napi::CallbackInfo& info) {
    return Napi::BigInt::New(info.Env(), core_ ? core_->missed() : std::uint64_t{0});
  }
  Napi::Value is_pipeline(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), core_ && core_->is_pipeline());
  }
  void close(const Napi::CallbackInfo& /*info*/) { core_.reset(); }

  std::unique_ptr<millrace::ChannelWatch> core_;
  std::uint64_t seen_at_ = 0;
};

}  // namespace

Napi::Function define_channel_watch(Napi::Env env) {
  return ChannelWatchObject::define(env);
}

}  // namespace millrace::addon
