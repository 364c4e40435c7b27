// A core object's cursor (millrace/cursor.hpp) in memory of JavaScript's, where lib/ makes steps over it.
#pragma once

#include <napi.h>

#include "millrace/cursor.hpp"

namespace millrace::addon {

class LentCursor {
 public:
  // From the first call on the cursor is in this ArrayBuffer, as long as this object is there. Undefined in a worker that is
  // being terminated.
  template <typename Cursor>
  Napi::Value get(Napi::Env env, CursorPlace<Cursor>& cursor) {
    if (buffer_.IsEmpty()) {
      void* place = nullptr;
      napi_value buffer = nullptr;
      if (napi_create_arraybuffer(env, sizeof(Cursor), &place, &buffer) != napi_ok) {
        return env.Undefined();
      }
      buffer_ = Napi::Persistent(Napi::ArrayBuffer(env, buffer));
      cursor.move_to(static_cast<Cursor*>(place));
    }
    return buffer_.Value();
  }

 private:
  Napi::Reference<Napi::ArrayBuffer> buffer_;
};

}  // namespace millrace::addon
