// The one ArrayBuffer that shows a mapping to JavaScript. The mapping stays until the engine has let go
// of the memory: close() detaches the buffer (its views become empty), and only the finalizer, whenever
// and wherever it runs, drops the reference that keeps the pages mapped.
#pragma once

#include <napi.h>

#include <memory>

#include "environment.hpp"
#include "millrace/os/mapping.hpp"

namespace millrace::addon {

// An ArrayBuffer over [offset, offset + size) of the mapping. nullptr with an exception pending if the
// runtime refuses external memory (Electron does).
inline napi_value external_buffer(napi_env env, const os::MappingPtr& mapping, std::size_t offset,
                                  std::size_t size) {
  auto* reference = new os::MappingPtr(mapping);
  napi_value buffer = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, mapping->data() + offset, size,
      [](napi_env, void*, void* hint) { delete static_cast<os::MappingPtr*>(hint); }, reference,
      &buffer);
  if (status == napi_ok) return buffer;
  delete reference;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) {
    Environment::of(env).raise(make_error(
        Code::unsupported_runtime,
        "this runtime does not allow ArrayBuffers over shared memory (Electron does not); use the "
        "copying calls: tryPush, tryPop, tryPopInto, read, write, copyTo"));
  }
  return nullptr;
}

class SharedBuffer {
 public:
  SharedBuffer() = default;
  SharedBuffer(const SharedBuffer&) = delete;
  SharedBuffer& operator=(const SharedBuffer&) = delete;
  ~SharedBuffer() = default;

  // The same buffer at every call.
  Napi::Value get(Napi::Env env, const os::MappingPtr& mapping) {
    return get(env, mapping, 0, mapping->size());
  }
  Napi::Value get(Napi::Env env, const os::MappingPtr& mapping, std::size_t offset,
                  std::size_t size) {
    if (!buffer_.IsEmpty()) return buffer_.Value();
    napi_value buffer = external_buffer(env, mapping, offset, size);
    if (buffer == nullptr) return env.Undefined();
    buffer_ = Napi::Persistent(Napi::ArrayBuffer(env, buffer));
    return buffer_.Value();
  }
  // Every view of it becomes empty; the memory itself may live on in the engine's hands.
  void detach() {
    if (buffer_.IsEmpty()) return;
    {
      const Napi::HandleScope scope(buffer_.Env());
      napi_detach_arraybuffer(buffer_.Env(), buffer_.Value());
    }
    buffer_.Reset();
  }

 private:
  Napi::Reference<Napi::ArrayBuffer> buffer_;
};

}  // namespace millrace::addon
