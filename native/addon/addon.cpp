// The addon's entry: one Environment per JavaScript environment, and the exports typed in lib/base/native.ts.
#include "addon.hpp"

#include <pthread.h>

#include "arguments.hpp"
#include "environment.hpp"
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

void close_all(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).close_all();
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

// detach(buffer): views of it become empty.
void detach(const Napi::CallbackInfo& info) {
  if (info[0].IsArrayBuffer()) napi_detach_arraybuffer(info.Env(), info[0]);
}

// monotonicNs() -> bigint, the clock of frame timestamps.
Napi::Value monotonic(const Napi::CallbackInfo& info) {
  return Napi::BigInt::New(info.Env(), os::monotonic_ns());
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

Napi::Object init(Napi::Env env, Napi::Object exports) {
  // Not on this thread: it would hold up require() for 10 ms. The addon is linked never to be unloaded,
  // so the thread may outlive the environment that started it.
  os::register_light_fence(run_on_own_thread);
  env.SetInstanceData(new Environment(env));
  exports.Set("configure", Napi::Function::New<configure>(env, "configure"));
  exports.Set("hold", Napi::Function::New<hold>(env, "hold"));
  exports.Set("closeAll", Napi::Function::New<close_all>(env, "closeAll"));
  exports.Set("unlinkChannel", Napi::Function::New<unlink_channel_>(env, "unlinkChannel"));
  exports.Set("unlinkMemory", Napi::Function::New<unlink_memory>(env, "unlinkMemory"));
  exports.Set("unlinkSemaphore", Napi::Function::New<unlink_semaphore>(env, "unlinkSemaphore"));
  exports.Set("unlinkFile", Napi::Function::New<unlink_file>(env, "unlinkFile"));
  exports.Set("detach", Napi::Function::New<detach>(env, "detach"));
  exports.Set("monotonicNs", Napi::Function::New<monotonic>(env, "monotonicNs"));
  exports.Set("pageBytes", Napi::Number::New(env, static_cast<double>(os::page_size())));
  exports.Set("maxPermits", Napi::Number::New(env, os::kSemaphoreMax));
  exports.Set("asymmetricFence", Napi::Boolean::New(env, os::asymmetric_fence_available()));
  exports.Set("QueueProducer", define_queue_producer(env));
  exports.Set("QueueConsumer", define_queue_consumer(env));
  exports.Set("FrameWriter", define_frame_writer(env));
  exports.Set("FrameReader", define_frame_reader(env));
  exports.Set("SharedMemory", define_shared_memory(env));
  exports.Set("NamelessSegment", define_nameless_segment(env));
  exports.Set("SegmentOffer", define_segment_offer(env));
  exports.Set("SegmentReceipt", define_segment_receipt(env));
  exports.Set("Lock", define_lock(env));
  exports.Set("CellWriter", define_cell_writer(env));
  exports.Set("CellReader", define_cell_reader(env));
  exports.Set("Counter", define_counter(env));
  exports.Set("Semaphore", define_semaphore(env));
  exports.Set("Event", define_event(env));
  exports.Set("Barrier", define_barrier(env));
  define_upkeep(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(millrace, init)

}  // namespace millrace::addon
