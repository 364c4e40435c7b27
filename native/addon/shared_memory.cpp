// A raw memory object as a JavaScript object.
#include "millrace/shared_memory.hpp"

#include <cstring>

#include "addon.hpp"
#include "arguments.hpp"
#include "channel.hpp"

namespace millrace::addon {

namespace {

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
    self.Set("path", Napi::String::New(info.Env(), os::object_path(memory_->name())));
  }
  ~MemoryObject() override { leave(); }

  void close_now() noexcept override { leave(); }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "SharedMemory",
                       {
                           InstanceMethod<&MemoryObject::buffer>("buffer"),
                           InstanceMethod<&MemoryObject::read>("read"),
                           InstanceMethod<&MemoryObject::write>("write"),
                           InstanceMethod<&MemoryObject::close>("close"),
                       });
  }

 private:
  static Result<std::unique_ptr<SharedMemory>> open(const Options& options) {
    auto mode = options.mode();
    if (!mode.ok()) return mode.error();
    MemorySpec spec;
    spec.name = options.text("name");
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
    copy(memory_->memory()->data() + offset, *mine);
    return Napi::Number::New(info.Env(), static_cast<double>(mine->size));
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
