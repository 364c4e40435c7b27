// A raw memory object as a JavaScript object.
#include "millrace/shared_memory.hpp"

#include <cstring>
#include <utility>

#include "addon.hpp"
#include "handle.hpp"

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

class MemoryObject final : public HandleObject<MemoryObject, SharedMemory> {
 public:
  // new SharedMemory({ place, size?, mode, owner?, create, readOnly })
  explicit MemoryObject(const Napi::CallbackInfo& info) : HandleObject(info) {
    const Options options(info[0]);
    const bool opened = open<MemorySpec>(options, [&](MemorySpec& spec) {
      spec.size = options.number("size", 0);
      if (options.flag("create")) return SharedMemory::create(spec, soon());
      const bool read_only = options.flag("readOnly");
      return SharedMemory::open(spec, read_only ? os::Access::read_only : os::Access::read_write,
                                soon());
    });
    if (opened) tell("size", static_cast<double>(core()->memory()->size()));
  }

  static Napi::Function define(Napi::Env env) {
    return define_class(env, "SharedMemory",
                        {
                            method<&MemoryObject::read>("read"),
                            method<&MemoryObject::write>("write"),
                            method<&MemoryObject::flush>("flush"),
                            method<&MemoryObject::flush_now>("flushNow"),
                        });
  }

 private:
  // read(offset, target) and write(offset, source) copy -> bytes copied, or kClosed, kInvalid
  double read(const Arguments<2>& given) {
    return copy(given, [](std::byte* shared, const Bytes& mine) {
      std::memcpy(mine.data, shared, mine.size);
    });
  }
  double write(const Arguments<2>& given) {
    return copy(given, [](std::byte* shared, const Bytes& mine) {
      std::memcpy(shared, mine.data, mine.size);
    });
  }
  template <typename Copy>
  double copy(const Arguments<2>& given, Copy&& copy) {
    if (core() == nullptr) return kClosed;
    const std::uint64_t size = core()->memory()->size();
    const std::uint64_t offset = natural(given.env, given[0], size + 1);
    const auto mine = bytes_of(given.env, given[1]);
    if (!mine || offset > size || mine->size > size - offset) return kInvalid;
    if (auto intact = core()->check_intact(); !intact.ok()) {
      environment().raise(intact.error());
      return kInvalid;
    }
    copy(core()->memory()->data() + offset, *mine);
    return static_cast<double>(mine->size);
  }
  // flush() -> promise, fulfilled when all is on the disk. A thread of the pool waits for that.
  Napi::Value flush() {
    const auto deferred = Napi::Promise::Deferred::New(Env());
    auto intact = core() != nullptr ? core()->check_intact() : make_error(Code::closed, "closed");
    if (!intact.ok()) {
      deferred.Reject(environment().error_of(intact.error()));
    } else {
      (new Flush(Env(), deferred, core()->memory(), core()->path()))->Queue();
    }
    return deferred.Promise();
  }
  void flush_now() {
    if (core() == nullptr) return;
    auto done = core()->check_intact();
    if (done.ok()) done = SharedMemory::flush(*core()->memory(), core()->path());
    if (!done.ok()) environment().raise(done.error());
  }
};

}  // namespace

Napi::Function define_shared_memory(Napi::Env env) {
  return MemoryObject::define(env);
}

}  // namespace millrace::addon
