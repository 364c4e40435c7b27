// Just enough of a JavaScript engine behind Node-API for a program in C to load the addon and call what it exports. One
// thread, no garbage collection: values live until the process ends.
#pragma once

#include <js_native_api.h>
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Loads a .node file and registers it; returns its exports. Ends the process if that fails.
napi_value engine_load(const char* path);

// What JavaScript would write. An exception ends the process, with its message.
napi_value engine_undefined(void);
napi_value engine_number(double value);
napi_value engine_bigint(uint64_t value);
napi_value engine_string(const char* text);
napi_value engine_boolean(bool value);
napi_value engine_object(void);
napi_value engine_bytes(size_t length);
napi_value engine_function(napi_callback callback);
void engine_set(napi_value object, const char* key, napi_value value);
napi_value engine_get(napi_value object, const char* key);
napi_value engine_new(napi_value constructor, napi_value argument);
napi_value engine_call(napi_value self, const char* method, size_t count, const napi_value* values);

double engine_to_number(napi_value value);
int64_t engine_to_bigint(napi_value value);
// Of an ArrayBuffer or a typed array.
uint8_t* engine_data(napi_value value, size_t* length);

// Runs what native threads have asked for; waits up to that long for the first. Was there anything?
bool engine_turn(unsigned milliseconds);
// Clean-up hooks, last to first, then the finalizers of all objects: as at the end of a worker.
void engine_end(void);
