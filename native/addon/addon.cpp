// The addon's entry: one Environment per JavaScript environment, and the exports typed in lib/addon/addon.ts.
#include "addon.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>

#include "arguments.hpp"
#include "environment.hpp"
#include "method.hpp"
#include "millrace/hand_over.hpp"
#include "millrace/os/clock.hpp"
#include "millrace/os/datagram.hpp"
#include "millrace/os/fence.hpp"
#include "millrace/os/file_lock.hpp"
#include "millrace/os/identity.hpp"
#include "millrace/queue.hpp"
#include "millrace/shared_memory.hpp"
#include "millrace/sync/semaphore.hpp"

namespace millrace::addon {

namespace {

// configure({ makeError, onWake, uv }) -> wakeList
Napi::Value configure(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  Environment& environment = Environment::of(info.Env());
  environment.configure(options.Get("makeError").As<Napi::Function>(),
                        options.Get("onWake").As<Napi::Function>(),
                        truth(info.Env(), options.Get("uv")));
  return environment.wake_list();
}

// hold(alive): whether somebody waits who should keep the event loop alive.
void hold(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).hold(truth(info.Env(), info[0]));
}

// mendBells() -> have all doorbells their names? If not, they are mended at a later call.
Napi::Value mend_bells(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), Environment::of(info.Env()).mend_bells());
}

// closeAll(failure?): leaves all channels, in good order or because of that.
void close_all(const Napi::CallbackInfo& info) {
  const std::string failure = text_of(info[0]);
  const bool failed = info[0].IsString();
  Environment::of(info.Env())
      .close_all(failed ? std::optional<std::string_view>(failure) : std::nullopt);
}

// failAtEnd(failure): the environment may end without a call of closeAll(); then because of that.
void fail_at_end(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).fail_at_end(text_of(info[0]));
}

Napi::Value answer(const Napi::CallbackInfo& info, const Result<bool>& result) {
  if (!result.ok()) {
    Environment::of(info.Env()).raise(result.error());
    return info.Env().Undefined();
  }
  return Napi::Boolean::New(info.Env(), result.value());
}

// unlinkChannel(letter, name) -> was there one? The letters are those of layout::Kind.
Napi::Value unlink_channel_(const Napi::CallbackInfo& info) {
  const std::string letter = text_of(info[0]);
  if (letter.size() != 1 || letter[0] < 'a' || letter[0] > 'z') {
    return answer(info, make_error(Code::invalid_argument, "there is no such kind of channel"));
  }
  return answer(info, unlink_channel(letter[0], text_of(info[1])));
}

Napi::Value unlink_memory(const Napi::CallbackInfo& info) {
  return answer(info, SharedMemory::unlink(text_of(info[0])));
}

Napi::Value unlink_semaphore(const Napi::CallbackInfo& info) {
  return answer(info, Semaphore::unlink(text_of(info[0])));
}

// unlinkFile(path) -> was there one?
Napi::Value unlink_file(const Napi::CallbackInfo& info) {
  return answer(info, os::unlink_file(text_of(info[0])));
}

// socketPeer(fd) -> [uid, gid, pid] of who is at the other side of a connected Unix socket.
Napi::Value socket_peer_(const Napi::CallbackInfo& info) {
  const auto peer = socket_peer(info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : -1);
  if (!peer.ok()) {
    Environment::of(info.Env()).raise(peer.error());
    return info.Env().Undefined();
  }
  Napi::Array ids = Napi::Array::New(info.Env(), 3);
  ids.Set(0U, to_js(info.Env(), static_cast<double>(peer.value().uid)));
  ids.Set(1U, to_js(info.Env(), static_cast<double>(peer.value().gid)));
  ids.Set(2U, to_js(info.Env(), static_cast<double>(peer.value().pid)));
  return ids;
}

// makePipe(path, mode) -> 0, or the number of the error.
Napi::Value make_pipe(const Napi::CallbackInfo& info) {
  const std::string path = text_of(info[0]);
  const auto mode = static_cast<mode_t>(info[1].ToNumber().Int32Value());
  const bool made = ::mkfifo(path.c_str(), mode) == 0;
  return Napi::Number::New(info.Env(), made ? 0 : errno);
}

// sendDatagram(path, text) -> 0, or the number of the error, EAGAIN if whoever reads has no room yet.
Napi::Value send_datagram(const Napi::CallbackInfo& info) {
  const int error = os::send_datagram(text_of(info[0]), text_of(info[1]));
  return Napi::Number::New(info.Env(), error);
}

// lockFile(fd, how) -> 0, or the number of the error, EAGAIN if another description has it. How: 0 takes the first byte for whoever
// writes; 1 only looks whether another one has that; 2 takes the whole for whoever listens, which the first byte does not touch.
Napi::Value lock_file(const Napi::CallbackInfo& info) {
  const int fd = info[0].ToNumber().Int32Value();
  const int how = info[1].ToNumber().Int32Value();
  errno = 0;
  bool done = false;
  if (how == 2) {
    done = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  } else {
    const auto lock = os::FileLock::within(fd);
    done =
        lock.ok() && (how == 0 ? lock.value().try_exclusive(0) : !lock.value().held_by_other(0, 1));
  }
  const int why = errno == 0 ? EAGAIN : errno;
  return Napi::Number::New(info.Env(), done ? 0 : why);
}

// detach(buffer): views of it become empty.
void detach(const Napi::CallbackInfo& info) {
  if (info[0].IsArrayBuffer()) napi_detach_arraybuffer(info.Env(), info[0]);
}

// monotonicNs() -> bigint, the clock of frame timestamps.
Napi::Value monotonic(const Napi::CallbackInfo& info) {
  return Napi::BigInt::New(info.Env(), os::monotonic_ns());
}

// now() -> milliseconds of the monotonic clock. Not Node's own: tests put others in the place of those.
napi_value now(napi_env env, napi_callback_info /*info*/) {
  return to_js(env, static_cast<double>(os::monotonic_ns()) / 1e6);
}

// lightFence() -> may JavaScript publish by an ordinary store by now? See os::light_fence(). True stays true.
napi_value light_fence(napi_env env, napi_callback_info /*info*/) {
  return to_js(env, os::light_fence_registered());
}

// yieldProcessor(): lets another thread that could run do so.
napi_value yield_processor(napi_env /*env*/, napi_callback_info /*info*/) {
  sched_yield();
  return nullptr;
}

// sleeperFence() -> false if the system refuses it. See Sleeper::announce_on_bell().
napi_value sleeper_fence_(napi_env env, napi_callback_info /*info*/) {
  return to_js(env, os::heavy_fence());
}

void run_on_own_thread(void (*job)()) {
  pthread_t thread{};
  const auto start = [](void* given) -> void* {
    reinterpret_cast<void (*)()>(given)();
    return nullptr;
  };
  if (pthread_create(&thread, nullptr, start, reinterpret_cast<void*>(job)) == 0) {
    pthread_detach(thread);
  } else {
    job();
  }
}

struct OfferedClass {
  const char* name;
  Napi::Function (*define)(Napi::Env);
};

// Never changed; Node-API takes no pointers to constants.
std::array offered_classes = {
    OfferedClass{"QueueProducer", define_queue_producer},
    OfferedClass{"QueueConsumer", define_queue_consumer},
    OfferedClass{"FrameWriter", define_frame_writer},
    OfferedClass{"FrameReader", define_frame_reader},
    OfferedClass{"SharedMemory", define_shared_memory},
    OfferedClass{"NamelessSegment", define_nameless_segment},
    OfferedClass{"SegmentOffer", define_segment_offer},
    OfferedClass{"SegmentReceipt", define_segment_receipt},
    OfferedClass{"Lock", define_lock},
    OfferedClass{"CellWriter", define_cell_writer},
    OfferedClass{"CellReader", define_cell_reader},
    OfferedClass{"Counter", define_counter},
    OfferedClass{"Semaphore", define_semaphore},
    OfferedClass{"Event", define_event},
    OfferedClass{"Barrier", define_barrier},
    OfferedClass{"RateLimiter", define_rate_limiter},
    OfferedClass{"Breaker", define_breaker},
    OfferedClass{"Topics", define_topics},
    OfferedClass{"Work", define_work},
    OfferedClass{"Calls", define_calls},
    OfferedClass{"ChannelWatch", define_channel_watch},
};

napi_value class_of(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  const auto* offered = static_cast<const OfferedClass*>(data);
  const auto index = static_cast<std::size_t>(offered - offered_classes.data());
  Environment& environment = Environment::of(env);
  if (environment.class_at(index).IsEmpty()) {
    const Napi::Function defined = offered->define(env);
    if (defined.IsEmpty()) return nullptr;  // a worker that is being terminated
    environment.class_at(index) = Napi::Persistent(defined);
  }
  return environment.class_at(index).Value();
}

// Each class is defined when it is first asked for: a program uses few of them.
void offer_classes(Napi::Env env, Napi::Object exports) {
  std::array<napi_property_descriptor, std::tuple_size_v<decltype(offered_classes)>> properties{};
  for (std::size_t i = 0; i < properties.size(); ++i) {
    properties[i].utf8name = offered_classes[i].name;
    properties[i].getter = class_of;
    properties[i].attributes = napi_enumerable;
    properties[i].data = &offered_classes[i];
  }
  napi_define_properties(env, exports, properties.size(), properties.data());
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  // Not on this thread: it would hold up require() for 10 ms. The addon is linked never to be unloaded,
  // so the thread may outlive the environment that started it.
  os::register_light_fence(run_on_own_thread);
  env.SetInstanceData(new Environment(env));
  exports.Set("configure", Napi::Function::New<configure>(env, "configure"));
  exports.Set("hold", Napi::Function::New<hold>(env, "hold"));
  exports.Set("mendBells", Napi::Function::New<mend_bells>(env, "mendBells"));
  exports.Set("closeAll", Napi::Function::New<close_all>(env, "closeAll"));
  exports.Set("failAtEnd", Napi::Function::New<fail_at_end>(env, "failAtEnd"));
  exports.Set("unlinkChannel", Napi::Function::New<unlink_channel_>(env, "unlinkChannel"));
  exports.Set("unlinkMemory", Napi::Function::New<unlink_memory>(env, "unlinkMemory"));
  exports.Set("unlinkSemaphore", Napi::Function::New<unlink_semaphore>(env, "unlinkSemaphore"));
  exports.Set("unlinkFile", Napi::Function::New<unlink_file>(env, "unlinkFile"));
  exports.Set("socketPeer", Napi::Function::New<socket_peer_>(env, "socketPeer"));
  exports.Set("makePipe", Napi::Function::New<make_pipe>(env, "makePipe"));
  exports.Set("sendDatagram", Napi::Function::New<send_datagram>(env, "sendDatagram"));
  exports.Set("lockFile", Napi::Function::New<lock_file>(env, "lockFile"));
  exports.Set("detach", Napi::Function::New<detach>(env, "detach"));
  exports.Set("monotonicNs", Napi::Function::New<monotonic>(env, "monotonicNs"));
  // Called in loops: without what wraps them.
  const auto set_plain = [&](const char* name, napi_callback call) {
    napi_value function = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function);
    exports.Set(name, function);
  };
  set_plain("yieldProcessor", yield_processor);
  set_plain("now", now);
  set_plain("lightFence", light_fence);
  set_plain("sleeperFence", sleeper_fence_);
  exports.Set("pageBytes", Napi::Number::New(env, static_cast<double>(os::page_size())));
  exports.Set("processors", Napi::Number::New(env, os::processors()));
  exports.Set("maxPermits", Napi::Number::New(env, os::kSemaphoreMax));
  exports.Set("asymmetricFence", Napi::Boolean::New(env, os::asymmetric_fence_available()));
  offer_classes(env, exports);
  define_upkeep(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(millrace, init)

}  // namespace millrace::addon
