// A raw memory object as a JavaScript object.
#include "millrace/shared_memory.hpp"

#include <cstring>
#include <utility>

#include "addon.hpp"
#include "arguments.hpp"
#include "channel.hpp"

namespace millrace::addon {

namespace {

// One flush on its way. It keeps the memory mapped: close() need not wait for it.
class Flush final : public Napi::AsyncWorker {
 public:
  Flush(Napi::Env env, Napi::Promise::Deferred deferred, os::MappingPtr memory, std::string path)
      : Napi::AsyncWorker(env),
        deferred_(deferred),
        memory_(std::move(memory)),
        path_(std::move(path)) {}

  void Execute() override { done_ = SharedMemory::flush(*memory_, path_); }
  void OnOK() override {
    if (done_.ok()) {
      deferred_.Resolve(Env().Undefined());
    } else {
      deferred_.Reject(Environment::of(Env()).error_of(done_.error()));
    }
  }

 private:
  Napi::Promise::Deferred deferred_;
  os::MappingPtr memory_;
  std::string path_;
  Result<void> done_;
};

class MemoryObject final : public Napi::ObjectWrap<MemoryObject>, public Closable {
 public:
  // new SharedMemory({ name, size?, mode, owner?, create, readOnly })
  explicit MemoryObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<MemoryObject>(info), environment_(Environment::of(info.Env())) {
    const Options options(info[0]);
    auto opened = open(options);
    if (!opened.ok()) {
      environment_.raise(opened.error());
      return;
    }
    memory_ = opened.take();
    environment_.add(this);
    Napi::Object self = info.This().As<Napi::Object>();
    self.Set("size", Napi::Number::New(info.Env(), static_cast<double>(memory_->memory()->size())));
    self.Set("path", Napi::String::New(info.Env(), memory_->path()));
  }
  ~MemoryObject() override { leave(); }

  void close_now() noexcept override { leave(); }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "SharedMemory",
                       {
                           InstanceMethod<&MemoryObject::buffer>("buffer"),
                           InstanceMethod<&MemoryObject::read>("read"),
                           InstanceMethod<&MemoryObject::write>("write"),
                           InstanceMethod<&MemoryObject::flush>("flush"),
                           InstanceMethod<&MemoryObject::flush_now>("flushNow"),
                           InstanceMethod<&MemoryObject::close>("close"),
                       });
  }

 private:
  static Result<std::unique_ptr<SharedMemory>> open(const Options& options) {
    auto mode = options.mode();
    if (!mode.ok()) return mode.error();
    MemorySpec spec;
    spec.place = options.place();
    spec.memory = options.memory();
    spec.size = options.number("size", 0);
    spec.mode = mode.value();
    spec.owner = options.user("owner");
    spec.schema = options.schema();
    const auto deadline = os::Deadline::after(kEnterTimeoutNs);
    if (options.flag("create")) return SharedMemory::create(spec, deadline);
    return SharedMemory::open(
        spec, options.flag("readOnly") ? os::Access::read_only : os::Access::read_write, deadline);
  }

  Napi::Value buffer(const Napi::CallbackInfo& info) {
    return memory_ ? buffer_.get(info.Env(), memory_->memory()) : info.Env().Undefined();
  }
  // read(offset, target) and write(offset, source) copy -> bytes copied, or kClosed, kInvalid
  Napi::Value read(const Napi::CallbackInfo& info) {
    return copy(info, [](std::byte* shared, const Bytes& mine) {
      std::memcpy(mine.data, shared, mine.size);
    });
  }
  Napi::Value write(const Napi::CallbackInfo& info) {
    return copy(info, [](std::byte* shared, const Bytes& mine) {
      std::memcpy(shared, mine.data, mine.size);
    });
  }
  template <typename Copy>
  Napi::Value copy(const Napi::CallbackInfo& info, Copy&& copy) {
    if (!memory_) return Napi::Number::New(info.Env(), kClosed);
    const std::uint64_t size = memory_->memory()->size();
    const std::uint64_t offset = natural(info.Env(), info[0], size + 1);
    const auto mine = bytes_of(info.Env(), info[1]);
    if (!mine || offset > size || mine->size > size - offset) {
      return Napi::Number::New(info.Env(), kInvalid);
    }
    if (auto intact = memory_->check_intact(); !intact.ok()) {
      environment_.raise(intact.error());
      return info.Env().Undefined();
    }
    copy(memory_->memory()->data() + offset, *mine);
    return Napi::Number::New(info.Env(), static_cast<double>(mine->size));
  }
  // flush() -> promise, fulfilled when all is on the disk. A thread of the pool waits for that.
  Napi::Value flush(const Napi::CallbackInfo& info) {
    const auto deferred = Napi::Promise::Deferred::New(info.Env());
    auto intact = memory_ ? memory_->check_intact() : make_error(Code::closed, "closed");
    if (!intact.ok()) {
      deferred.Reject(environment_.error_of(intact.error()));
    } else {
      (new Flush(info.Env(), deferred, memory_->memory(), memory_->path()))->Queue();
    }
    return deferred.Promise();
  }
  void flush_now(const Napi::CallbackInfo& /*info*/) {
    if (!memory_) return;
    auto done = memory_->check_intact();
    if (done.ok()) done = SharedMemory::flush(*memory_->memory(), memory_->path());
    if (!done.ok()) environment_.raise(done.error());
  }
  void close(const Napi::CallbackInfo& /*info*/) {
    leave();
    buffer_.detach();
  }
  void leave() noexcept {
    if (!memory_) return;
    environment_.remove(this);
    memory_->close();
    memory_.reset();
  }

  Environment& environment_;
  std::unique_ptr<SharedMemory> memory_;
  SharedBuffer buffer_;
};

}  // namespace

Napi::Function define_shared_memory(Napi::Env env) {
  return MemoryObject::define(env);
}

}  // namespace millrace::addon
