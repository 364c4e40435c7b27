// Watching through the event loop's own poll. libuv is outside Node-API's promise of stability, so only
// functions whose signatures have not changed since libuv 1.0 are used, found by name at run time, and
// handles are opaque memory of the size that libuv itself states.
#include <dlfcn.h>

#include <new>
#include <set>

#include "watcher.hpp"

namespace millrace::addon {

namespace {

struct UvLoop;
// uv_handle_t begins with `void* data`; the rest is libuv's.
struct UvHandle {
  void* data;
};
using UvPollCallback = void (*)(UvHandle*, int status, int events);
using UvCloseCallback = void (*)(UvHandle*);

constexpr int kUvPollType = 8;  // UV_POLL in uv_handle_type
constexpr int kUvReadable = 1;
constexpr int kUvDisconnect = 4;

struct Uv {
  int (*poll_init)(UvLoop*, UvHandle*, int fd) = nullptr;
  int (*poll_start)(UvHandle*, int events, UvPollCallback) = nullptr;
  int (*poll_stop)(UvHandle*) = nullptr;
  void (*close)(UvHandle*, UvCloseCallback) = nullptr;
  void (*ref)(UvHandle*) = nullptr;
  void (*unref)(UvHandle*) = nullptr;
  std::size_t (*handle_size)(int type) = nullptr;
  napi_status (*event_loop)(napi_env, UvLoop**) = nullptr;

  template <typename Function>
  static bool find(const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, name));
    return function != nullptr;
  }
  bool load() {
    return find("uv_poll_init", poll_init) && find("uv_poll_start", poll_start) &&
           find("uv_poll_stop", poll_stop) && find("uv_close", close) && find("uv_ref", ref) &&
           find("uv_unref", unref) && find("uv_handle_size", handle_size) &&
           find("napi_get_uv_event_loop", event_loop);
  }
};

// State that closing handles still need after the watcher is gone.
struct Shared {
  Uv uv;
  UvLoop* loop = nullptr;
  std::size_t closing = 0;
  bool finished = false;
  napi_async_cleanup_hook_handle hook = nullptr;

  void release_hook_if_done() {
    if (!finished || closing > 0 || hook == nullptr) return;
    napi_remove_async_cleanup_hook(hook);
    hook = nullptr;
  }
};

class UvWatch final : public Watcher::Watch {
 public:
  UvWatch(std::shared_ptr<Shared> shared, Watcher::OnEvent on_event)
      : shared_(std::move(shared)),
        on_event_(std::move(on_event)),
        handle_(static_cast<UvHandle*>(::operator new(shared_->uv.handle_size(kUvPollType)))) {}
  ~UvWatch() override { ::operator delete(handle_); }

  bool start(int fd, Interest interest) {
    if (shared_->uv.poll_init(shared_->loop, handle_, fd) != 0) return false;
    handle_->data = this;
    shared_->uv.unref(handle_);
    // A hang-up on the write end of a FIFO arrives as an error: status < 0, and libuv stops the poll.
    const int events = interest == Interest::readable ? kUvReadable : kUvDisconnect;
    if (shared_->uv.poll_start(handle_, events, on_poll) == 0) return true;
    close();
    return false;
  }
  void close() {
    if (closed_) return;
    closed_ = true;
    ++shared_->closing;
    shared_->uv.poll_stop(handle_);
    shared_->uv.close(handle_, [](UvHandle* handle) {
      auto* self = static_cast<UvWatch*>(handle->data);
      const std::shared_ptr<Shared> shared = self->shared_;
      delete self;
      --shared->closing;
      shared->release_hook_if_done();
    });
  }
  void hold(bool alive) { alive ? shared_->uv.ref(handle_) : shared_->uv.unref(handle_); }

 private:
  static void on_poll(UvHandle* handle, int /*status*/, int /*events*/) {
    auto* self = static_cast<UvWatch*>(handle->data);
    if (!self->closed_) self->on_event_();
  }

  std::shared_ptr<Shared> shared_;
  Watcher::OnEvent on_event_;
  UvHandle* handle_;
  bool closed_ = false;
};

class UvWatcher final : public Watcher {
 public:
  UvWatcher(napi_env env, std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {
    // The environment must not go before libuv has closed our handles.
    napi_add_async_cleanup_hook(
        env,
        [](napi_async_cleanup_hook_handle, void* data) {
          auto* self = static_cast<UvWatcher*>(data);
          const std::shared_ptr<Shared> shared = self->shared_;
          shared->finished = true;
          self->stop_all();
          shared->release_hook_if_done();
        },
        this, &shared_->hook);
  }
  ~UvWatcher() override {
    stop_all();
    shared_->finished = true;
    shared_->release_hook_if_done();
  }

  Watch* start(int fd, Interest interest, OnEvent on_event) override {
    if (shared_->finished) return nullptr;
    auto* watch = new UvWatch(shared_, std::move(on_event));
    if (!watch->start(fd, interest)) return nullptr;
    watches_.insert(watch);
    return watch;
  }
  void stop(Watch* watch) override {
    auto* mine = static_cast<UvWatch*>(watch);
    if (watches_.erase(mine) > 0) mine->close();
  }
  void hold(Watch* watch, bool alive) override {
    auto* mine = static_cast<UvWatch*>(watch);
    if (watches_.count(mine) > 0) mine->hold(alive);
  }

 private:
  void stop_all() {
    for (UvWatch* watch : watches_)
      watch->close();
    watches_.clear();
  }

  std::shared_ptr<Shared> shared_;
  std::set<UvWatch*> watches_;
};

}  // namespace

std::unique_ptr<Watcher> make_uv_watcher(napi_env env) {
  auto shared = std::make_shared<Shared>();
  if (!shared->uv.load()) return nullptr;
  if (shared->uv.event_loop(env, &shared->loop) != napi_ok || shared->loop == nullptr)
    return nullptr;
  return std::make_unique<UvWatcher>(env, std::move(shared));
}

}  // namespace millrace::addon
