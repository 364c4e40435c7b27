// Watching from one native thread per environment, for runtimes without libuv. The thread sleeps in
// poll(2); what it finds it hands to the JavaScript thread through a threadsafe function, and it looks
// again only after that has been dealt with, so that a readable descriptor does not make it spin.
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "millrace/os/descriptor.hpp"
#include "millrace/os/quiet_pipe.hpp"
#include "watcher.hpp"

namespace millrace::addon {

namespace {

class ThreadWatch final : public Watcher::Watch {
 public:
  ThreadWatch(int fd, Interest interest, Watcher::OnEvent on_event)
      : fd(fd), interest(interest), on_event(std::move(on_event)) {}
  int fd;
  Interest interest;
  Watcher::OnEvent on_event;
  bool held = false;
};

class ThreadWatcher final : public Watcher {
 public:
  explicit ThreadWatcher(napi_env env) : env_(env) {}
  ~ThreadWatcher() override { finish(); }

  Result<void> open() {
    if (!os::make_pipe(control_read_, control_write_)) return system_error("pipe2", errno);
    napi_value name = nullptr;
    if (napi_create_string_utf8(env_, "millrace", NAPI_AUTO_LENGTH, &name) != napi_ok ||
        napi_create_threadsafe_function(env_, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this,
                                        deliver, &to_javascript_) != napi_ok) {
      return make_error(Code::unsupported_runtime,
                        "this runtime offers neither libuv polling nor threadsafe functions");
    }
    napi_unref_threadsafe_function(env_, to_javascript_);
    const auto begin = [](void* self) -> void* {
      static_cast<ThreadWatcher*>(self)->run();
      return nullptr;
    };
    if (const int number = ::pthread_create(&thread_, nullptr, begin, this); number != 0) {
      Error error = system_error("pthread_create", number);
      if (number == EAGAIN) {
        error.message +=
            "; end what has threads, or raise the limit of processes and threads (ulimit -u, "
            "TasksMax, pids.max)";
      }
      return error;
    }
    runs_ = true;
    // Registered after the threadsafe function and therefore run before its own clean-up: the thread
    // must be joined before the function it calls is gone, or ending a Worker aborts the process.
    napi_add_env_cleanup_hook(
        env_, [](void* self) { static_cast<ThreadWatcher*>(self)->finish(); }, this);
    return {};
  }

  Watch* start(int fd, Interest interest, OnEvent on_event) override {
    if (finished_) return nullptr;
    auto watch = std::make_unique<ThreadWatch>(fd, interest, std::move(on_event));
    ThreadWatch* result = watch.get();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      watches_.push_back(std::move(watch));
    }
    poke();
    return result;
  }
  void stop(Watch* watch) override {
    hold(watch, false);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      std::erase_if(watches_, [watch](const auto& known) { return known.get() == watch; });
      std::erase(ready_, static_cast<ThreadWatch*>(watch));
    }
    poke();
  }
  void hold(Watch* any, bool alive) override {
    auto* watch = static_cast<ThreadWatch*>(any);
    if (watch->held == alive || finished_) return;
    watch->held = alive;
    held_ += alive ? 1 : -1;
    if (alive && held_ == 1) napi_ref_threadsafe_function(env_, to_javascript_);
    if (!alive && held_ == 0) napi_unref_threadsafe_function(env_, to_javascript_);
  }

 private:
  void run() {
    std::vector<pollfd> polled;
    std::vector<ThreadWatch*> owners;
    for (;;) {
      polled.assign(1, pollfd{control_read_.get(), POLLIN, 0});
      owners.clear();
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (stopping_) return;
        if (ready_.empty()) {  // otherwise the last finding is still being dealt with
          for (const auto& watch : watches_) {
            const short events = watch->interest == Interest::readable ? POLLIN : 0;
            polled.push_back(pollfd{watch->fd, events, 0});
            owners.push_back(watch.get());
          }
        }
      }
      if (os::retry_eintr([&] { return ::poll(polled.data(), polled.size(), -1); }) < 0) return;
      char bytes[64];
      while (::read(control_read_.get(), bytes, sizeof bytes) > 0) {
      }
      bool found = false;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (std::size_t i = 0; i < owners.size(); ++i) {
          if (polled[i + 1].revents == 0) continue;
          const bool known = std::any_of(watches_.begin(), watches_.end(), [&](const auto& watch) {
            return watch.get() == owners[i];
          });
          if (known) ready_.push_back(owners[i]);
        }
        found = !ready_.empty() && !owners.empty();
      }
      if (found) napi_call_threadsafe_function(to_javascript_, nullptr, napi_tsfn_nonblocking);
    }
  }
  static void deliver(napi_env env, napi_value /*function*/, void* context, void* /*data*/) {
    if (env != nullptr) static_cast<ThreadWatcher*>(context)->on_ready();
  }
  void on_ready() {
    for (;;) {
      OnEvent on_event;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (ready_.empty()) break;
        const ThreadWatch* watch = ready_.back();
        on_event = watch->on_event;  // a copy: the event may stop the watch
        ready_.pop_back();
      }
      on_event();
    }
    poke();
  }
  void poke() const noexcept {
    const char byte = 0;
    (void)!::write(control_write_.get(), &byte, 1);
  }
  void finish() {
    if (finished_) return;
    finished_ = true;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      ready_.clear();
    }
    poke();
    if (std::exchange(runs_, false)) ::pthread_join(thread_, nullptr);
    if (to_javascript_ != nullptr)
      napi_release_threadsafe_function(to_javascript_, napi_tsfn_abort);
  }

  napi_env env_;
  os::Descriptor control_read_;
  os::Descriptor control_write_;
  napi_threadsafe_function to_javascript_ = nullptr;
  pthread_t thread_{};  // std::thread cannot say that there is none to be had: nothing throws here
  bool runs_ = false;
  std::mutex mutex_;
  std::vector<std::unique_ptr<ThreadWatch>> watches_;
  std::vector<ThreadWatch*> ready_;
  int held_ = 0;
  bool stopping_ = false;
  bool finished_ = false;
};

}  // namespace

Result<std::unique_ptr<Watcher>> make_thread_watcher(napi_env env) {
  auto watcher = std::make_unique<ThreadWatcher>(env);
  if (auto opened = watcher->open(); !opened.ok()) return opened.error();
  return std::unique_ptr<Watcher>(std::move(watcher));
}

}  // namespace millrace::addon
