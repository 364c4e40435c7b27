// Electron forbids ArrayBuffers over memory that is not V8's own. This library, preloaded, stands in for it: the addon's
// name for the function is changed to this one (refuse-buffers.mjs).
//
// napi_no_external_buffers_allowed is 22.
int nope_create_external_arraybuffer(void* env, void* data, unsigned long length, void* finalize,
                                     void* hint, void** result) {
  (void)env, (void)data, (void)length, (void)finalize, (void)hint, (void)result;
  return 22;
}
