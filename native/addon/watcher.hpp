// Tells the JavaScript thread that a descriptor became readable or lost its peer. Two ways, chosen once
// per environment: libuv's poll where it works (Node), one native thread elsewhere (Bun, Deno).
#pragma once

#include <node_api.h>

#include <functional>
#include <memory>

#include "millrace/result.hpp"

namespace millrace::addon {

enum class Interest { readable, hang_up };

class Watcher {
 public:
  // One watched descriptor. Owned by the watcher; ends with stop().
  class Watch {
   public:
    Watch() = default;
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    virtual ~Watch() = default;
  };
  // Runs on the JavaScript thread.
  using OnEvent = std::function<void()>;

  Watcher() = default;
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  virtual ~Watcher() = default;

  // Does not keep the event loop alive until hold() says so. nullptr: the system refused.
  virtual Watch* start(int fd, Interest interest, OnEvent on_event) = 0;
  // The descriptor may be closed afterwards; no event comes any more.
  virtual void stop(Watch* watch) = 0;
  // Keeps the event loop alive for this descriptor, or lets it end.
  virtual void hold(Watch* watch, bool alive) = 0;
};

// nullptr if this runtime has no usable libuv. Its functions are looked up at run time: a runtime
// without them still loads the addon.
std::unique_ptr<Watcher> make_uv_watcher(napi_env env);
Result<std::unique_ptr<Watcher>> make_thread_watcher(napi_env env);

}  // namespace millrace::addon
