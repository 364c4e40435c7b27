// The classes the addon exports; one file each.
#pragma once

#include <napi.h>

namespace millrace::addon {

Napi::Function define_queue_producer(Napi::Env env);
Napi::Function define_queue_consumer(Napi::Env env);
Napi::Function define_rate_limiter(Napi::Env env);
Napi::Function define_frame_writer(Napi::Env env);
Napi::Function define_frame_reader(Napi::Env env);
Napi::Function define_shared_memory(Napi::Env env);
Napi::Function define_nameless_segment(Napi::Env env);
Napi::Function define_segment_offer(Napi::Env env);
Napi::Function define_segment_receipt(Napi::Env env);
Napi::Function define_lock(Napi::Env env);
Napi::Function define_cell_writer(Napi::Env env);
Napi::Function define_cell_reader(Napi::Env env);
Napi::Function define_counter(Napi::Env env);
Napi::Function define_semaphore(Napi::Env env);
Napi::Function define_event(Napi::Env env);
Napi::Function define_barrier(Napi::Env env);
Napi::Function define_breaker(Napi::Env env);
Napi::Function define_topics(Napi::Env env);
Napi::Function define_work(Napi::Env env);
Napi::Function define_calls(Napi::Env env);
Napi::Function define_channel_watch(Napi::Env env);
void define_upkeep(Napi::Env env, Napi::Object exports);

}  // namespace millrace::addon
