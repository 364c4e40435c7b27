#include "engine.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct property {
  char* key;
  napi_value value;
  napi_value getter;  // instead of a value
  struct property* next;
};

enum kind { OF_PLAIN, OF_ARRAY, OF_BUFFER, OF_TYPED, OF_PROMISE, OF_ERROR, OF_DATE };

struct napi_value__ {
  napi_valuetype type;
  enum kind kind;
  double number;  // also the length of an array
  int64_t bigint;
  char* text;
  size_t length;  // of text, or in bytes
  struct property* properties;
  napi_value prototype;
  napi_callback callback;
  void* callback_data;
  uint8_t* bytes;     // of a buffer
  napi_value buffer;  // of a typed array
  napi_typedarray_type element;
  void* wrapped;
  napi_finalize finalize;
  void* finalize_data;
  void* finalize_hint;
};

struct napi_callback_info__ {
  napi_value self;
  napi_value target;
  size_t count;
  const napi_value* values;
  void* data;
};

struct napi_ref__ {
  napi_value value;
};

struct napi_threadsafe_function__ {
  napi_threadsafe_function_call_js call;
  void* context;
  bool closing;
};

struct napi_async_work__ {
  napi_async_execute_callback execute;
  napi_async_complete_callback complete;
  void* data;
};

struct napi_deferred__ {
  napi_value promise;
};

struct hook {
  napi_cleanup_hook run;
  void* argument;
  struct hook* next;
};

struct finalizer {
  napi_finalize run;
  void* data;
  void* hint;
  struct finalizer* next;
};

struct turn {
  napi_threadsafe_function function;
  void* data;
  struct turn* next;
};

// Opaque to the addon, which only passes it back.
static struct napi_env__* const environment = (struct napi_env__*)&environment;
static napi_value pending;
static void* instance_data;
static struct hook* hooks;
static struct finalizer* finalizers;
static pthread_mutex_t turns_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turns_change = PTHREAD_COND_INITIALIZER;
static struct turn* turns;

static void* allocate(size_t size) {
  void* memory = calloc(1, size == 0 ? 1 : size);
  if (memory == NULL) abort();
  return memory;
}

static napi_value make(napi_valuetype type) {
  napi_value value = allocate(sizeof *value);
  value->type = type;
  return value;
}

static napi_value make_text(const char* text, size_t length) {
  napi_value value = make(napi_string);
  value->length = length == NAPI_AUTO_LENGTH ? strlen(text) : length;
  value->text = allocate(value->length + 1);
  memcpy(value->text, text, value->length);
  return value;
}

static bool has_properties(napi_value value) {
  return value != NULL && (value->type == napi_object || value->type == napi_function);
}

static void set(napi_value object, const char* key, napi_value value) {
  for (struct property* at = object->properties; at != NULL; at = at->next) {
    if (strcmp(at->key, key) != 0) continue;
    at->value = value;
    return;
  }
  struct property* made = allocate(sizeof *made);
  made->key = strdup(key);
  made->value = value;
  made->next = object->properties;
  object->properties = made;
}

static napi_value invoke(napi_value function, napi_value self, napi_value target, size_t count,
                         const napi_value* values);

static napi_value get(napi_value object, const char* key) {
  for (napi_value at = object; at != NULL; at = at->prototype) {
    for (struct property* own = at->properties; own != NULL; own = own->next) {
      if (strcmp(own->key, key) != 0) continue;
      return own->getter == NULL ? own->value : invoke(own->getter, object, NULL, 0, NULL);
    }
  }
  return NULL;
}

static napi_value make_function(napi_callback callback, void* data) {
  napi_value function = make(napi_function);
  function->callback = callback;
  function->callback_data = data;
  return function;
}

static void define(napi_value object, const napi_property_descriptor* descriptor) {
  const char* key = descriptor->utf8name != NULL ? descriptor->utf8name : descriptor->name->text;
  if (descriptor->method != NULL) {
    set(object, key, make_function(descriptor->method, descriptor->data));
  } else if (descriptor->value != NULL) {
    set(object, key, descriptor->value);
  } else if (descriptor->getter != NULL) {
    set(object, key, NULL);
    object->properties->getter = make_function(descriptor->getter, descriptor->data);
  } else {
    fprintf(stderr, "engine: setters are not supported (%s)\n", key);
    abort();
  }
}

static napi_value invoke(napi_value function, napi_value self, napi_value target, size_t count,
                         const napi_value* values) {
  struct napi_callback_info__ info = {self, target, count, values, function->callback_data};
  napi_value result = function->callback(environment, &info);
  return result == NULL ? engine_undefined() : result;
}

static void finalize_buffer(napi_value buffer) {
  napi_finalize finalize = buffer->finalize;
  buffer->finalize = NULL;
  if (finalize != NULL) finalize(environment, buffer->finalize_data, buffer->finalize_hint);
}

static void add_finalizer(napi_finalize run, void* data, void* hint) {
  if (run == NULL) return;
  struct finalizer* made = allocate(sizeof *made);
  *made = (struct finalizer){run, data, hint, finalizers};
  finalizers = made;
}

// --- Node-API, as far as the addon calls it -------------------------------------------------------------

#define UNUSED(name) (void)(name)

napi_status napi_get_last_error_info(napi_env env, const napi_extended_error_info** result) {
  UNUSED(env);
  static const napi_extended_error_info info = {"the engine refused", NULL, 0,
                                                napi_generic_failure};
  *result = &info;
  return napi_ok;
}
napi_status napi_get_undefined(napi_env env, napi_value* result) {
  UNUSED(env);
  *result = engine_undefined();
  return napi_ok;
}
napi_status napi_get_global(napi_env env, napi_value* result) {
  UNUSED(env);
  static napi_value global;
  if (global == NULL) global = make(napi_object);
  *result = global;
  return napi_ok;
}
napi_status napi_get_boolean(napi_env env, bool value, napi_value* result) {
  UNUSED(env);
  *result = engine_boolean(value);
  return napi_ok;
}
napi_status napi_create_object(napi_env env, napi_value* result) {
  UNUSED(env);
  *result = make(napi_object);
  return napi_ok;
}
napi_status napi_create_array_with_length(napi_env env, size_t length, napi_value* result) {
  UNUSED(env);
  *result = make(napi_object);
  (*result)->kind = OF_ARRAY;
  (*result)->number = (double)length;
  return napi_ok;
}
napi_status napi_create_array(napi_env env, napi_value* result) {
  return napi_create_array_with_length(env, 0, result);
}
napi_status napi_create_double(napi_env env, double value, napi_value* result) {
  UNUSED(env);
  *result = engine_number(value);
  return napi_ok;
}
napi_status napi_create_int32(napi_env env, int32_t value, napi_value* result) {
  return napi_create_double(env, value, result);
}
napi_status napi_create_uint32(napi_env env, uint32_t value, napi_value* result) {
  return napi_create_double(env, value, result);
}
napi_status napi_create_int64(napi_env env, int64_t value, napi_value* result) {
  return napi_create_double(env, (double)value, result);
}
napi_status napi_create_bigint_int64(napi_env env, int64_t value, napi_value* result) {
  UNUSED(env);
  *result = make(napi_bigint);
  (*result)->bigint = value;
  return napi_ok;
}
napi_status napi_create_bigint_uint64(napi_env env, uint64_t value, napi_value* result) {
  return napi_create_bigint_int64(env, (int64_t)value, result);
}
napi_status napi_create_string_utf8(napi_env env, const char* text, size_t length,
                                    napi_value* result) {
  UNUSED(env);
  *result = make_text(text, length);
  return napi_ok;
}
napi_status napi_create_string_latin1(napi_env env, const char* text, size_t length,
                                      napi_value* result) {
  return napi_create_string_utf8(env, text, length, result);
}
napi_status napi_create_date(napi_env env, double time, napi_value* result) {
  napi_create_object(env, result);
  (*result)->kind = OF_DATE;
  (*result)->number = time;
  return napi_ok;
}
napi_status napi_create_function(napi_env env, const char* name, size_t length,
                                 napi_callback callback, void* data, napi_value* result) {
  UNUSED(env), UNUSED(name), UNUSED(length);
  *result = make_function(callback, data);
  return napi_ok;
}
napi_status napi_create_error(napi_env env, napi_value code, napi_value message,
                              napi_value* result) {
  UNUSED(env);
  *result = make(napi_object);
  (*result)->kind = OF_ERROR;
  if (code != NULL) set(*result, "code", code);
  set(*result, "message", message);
  return napi_ok;
}
napi_status napi_create_type_error(napi_env env, napi_value code, napi_value message,
                                   napi_value* result) {
  return napi_create_error(env, code, message, result);
}
napi_status napi_throw(napi_env env, napi_value error) {
  UNUSED(env);
  pending = error;
  return napi_ok;
}
napi_status napi_is_exception_pending(napi_env env, bool* result) {
  UNUSED(env);
  *result = pending != NULL;
  return napi_ok;
}
napi_status napi_get_and_clear_last_exception(napi_env env, napi_value* result) {
  UNUSED(env);
  *result = pending != NULL ? pending : engine_undefined();
  pending = NULL;
  return napi_ok;
}
napi_status napi_fatal_exception(napi_env env, napi_value error) {
  UNUSED(env);
  napi_value message = get(error, "message");
  fprintf(stderr, "uncaught: %s\n", message != NULL ? message->text : "?");
  exit(1);
}
NAPI_NO_RETURN void napi_fatal_error(const char* location, size_t location_length,
                                     const char* message, size_t message_length) {
  UNUSED(location_length), UNUSED(message_length);
  fprintf(stderr, "fatal: %s: %s\n", location, message);
  abort();
}

napi_status napi_typeof(napi_env env, napi_value value, napi_valuetype* result) {
  UNUSED(env);
  if (value == NULL) return napi_invalid_arg;
  *result = value->type;
  return napi_ok;
}
napi_status napi_is_array(napi_env env, napi_value value, bool* result) {
  UNUSED(env);
  *result = value->type == napi_object && value->kind == OF_ARRAY;
  return napi_ok;
}
napi_status napi_is_arraybuffer(napi_env env, napi_value value, bool* result) {
  UNUSED(env);
  *result = value->type == napi_object && value->kind == OF_BUFFER;
  return napi_ok;
}
napi_status napi_get_value_double(napi_env env, napi_value value, double* result) {
  UNUSED(env);
  if (value == NULL) return napi_invalid_arg;
  if (value->type != napi_number) return napi_number_expected;
  *result = value->number;
  return napi_ok;
}
napi_status napi_get_value_int32(napi_env env, napi_value value, int32_t* result) {
  double number = 0;
  napi_status status = napi_get_value_double(env, value, &number);
  if (status == napi_ok) *result = (int32_t)number;
  return status;
}
napi_status napi_get_value_uint32(napi_env env, napi_value value, uint32_t* result) {
  double number = 0;
  napi_status status = napi_get_value_double(env, value, &number);
  if (status == napi_ok) *result = (uint32_t)number;
  return status;
}
napi_status napi_get_value_bool(napi_env env, napi_value value, bool* result) {
  UNUSED(env);
  if (value->type != napi_boolean) return napi_boolean_expected;
  *result = value->number != 0;
  return napi_ok;
}
napi_status napi_get_value_bigint_int64(napi_env env, napi_value value, int64_t* result,
                                        bool* lossless) {
  UNUSED(env);
  if (value == NULL || value->type != napi_bigint) return napi_bigint_expected;
  *result = value->bigint;
  *lossless = true;
  return napi_ok;
}
napi_status napi_get_value_bigint_uint64(napi_env env, napi_value value, uint64_t* result,
                                         bool* lossless) {
  return napi_get_value_bigint_int64(env, value, (int64_t*)result, lossless);
}
napi_status napi_get_value_string_utf8(napi_env env, napi_value value, char* text, size_t size,
                                       size_t* result) {
  UNUSED(env);
  if (value->type != napi_string) return napi_string_expected;
  if (text == NULL) {
    *result = value->length;
    return napi_ok;
  }
  size_t length = value->length < size ? value->length : size - 1;
  memcpy(text, value->text, length);
  text[length] = '\0';
  if (result != NULL) *result = length;
  return napi_ok;
}
napi_status napi_coerce_to_bool(napi_env env, napi_value value, napi_value* result) {
  UNUSED(env);
  bool truth = value->type != napi_undefined && value->type != napi_null;
  if (value->type == napi_number || value->type == napi_boolean) truth = value->number != 0;
  if (value->type == napi_string) truth = value->length > 0;
  *result = engine_boolean(truth);
  return napi_ok;
}
napi_status napi_coerce_to_string(napi_env env, napi_value value, napi_value* result) {
  UNUSED(env);
  char text[64] = "undefined";
  if (value->type == napi_number) snprintf(text, sizeof text, "%g", value->number);
  *result = value->type == napi_string ? value : make_text(text, NAPI_AUTO_LENGTH);
  return napi_ok;
}

napi_status napi_set_named_property(napi_env env, napi_value object, const char* key,
                                    napi_value value) {
  UNUSED(env);
  if (!has_properties(object)) return napi_object_expected;
  set(object, key, value);
  return napi_ok;
}
napi_status napi_get_named_property(napi_env env, napi_value object, const char* key,
                                    napi_value* result) {
  UNUSED(env);
  if (!has_properties(object)) return napi_object_expected;
  napi_value found = get(object, key);
  *result = found != NULL ? found : engine_undefined();
  return napi_ok;
}
napi_status napi_get_property(napi_env env, napi_value object, napi_value key, napi_value* result) {
  return napi_get_named_property(env, object, key->text, result);
}
napi_status napi_has_property(napi_env env, napi_value object, napi_value key, bool* result) {
  UNUSED(env);
  *result = get(object, key->text) != NULL;
  return napi_ok;
}
napi_status napi_set_element(napi_env env, napi_value object, uint32_t index, napi_value value) {
  char key[16];
  snprintf(key, sizeof key, "%u", index);
  if (object->number <= index) object->number = (double)index + 1;
  return napi_set_named_property(env, object, key, value);
}
napi_status napi_get_element(napi_env env, napi_value object, uint32_t index, napi_value* result) {
  char key[16];
  snprintf(key, sizeof key, "%u", index);
  return napi_get_named_property(env, object, key, result);
}
napi_status napi_get_array_length(napi_env env, napi_value value, uint32_t* result) {
  UNUSED(env);
  *result = (uint32_t)value->number;
  return napi_ok;
}
napi_status napi_define_properties(napi_env env, napi_value object, size_t count,
                                   const napi_property_descriptor* descriptors) {
  UNUSED(env);
  for (size_t i = 0; i < count; i++)
    define(object, &descriptors[i]);
  return napi_ok;
}
napi_status napi_define_class(napi_env env, const char* name, size_t length,
                              napi_callback constructor, void* data, size_t count,
                              const napi_property_descriptor* descriptors, napi_value* result) {
  UNUSED(env), UNUSED(name), UNUSED(length);
  napi_value made = make_function(constructor, data);
  napi_value prototype = make(napi_object);
  for (size_t i = 0; i < count; i++) {
    define((descriptors[i].attributes & napi_static) != 0 ? made : prototype, &descriptors[i]);
  }
  set(made, "prototype", prototype);
  *result = made;
  return napi_ok;
}
napi_status napi_wrap(napi_env env, napi_value object, void* native, napi_finalize finalize,
                      void* hint, napi_ref* result) {
  UNUSED(env);
  object->wrapped = native;
  add_finalizer(finalize, native, hint);
  if (result != NULL) {
    *result = allocate(sizeof **result);
    (*result)->value = object;
  }
  return napi_ok;
}
napi_status napi_unwrap(napi_env env, napi_value object, void** result) {
  UNUSED(env);
  if (object->wrapped == NULL) return napi_invalid_arg;
  *result = object->wrapped;
  return napi_ok;
}
napi_status napi_remove_wrap(napi_env env, napi_value object, void** result) {
  UNUSED(env);
  for (struct finalizer* at = finalizers; at != NULL; at = at->next) {
    if (at->data == object->wrapped) at->run = NULL;
  }
  if (result != NULL) *result = object->wrapped;
  object->wrapped = NULL;
  return napi_ok;
}
napi_status napi_add_finalizer(napi_env env, napi_value object, void* data, napi_finalize finalize,
                               void* hint, napi_ref* result) {
  UNUSED(env), UNUSED(object), UNUSED(result);
  add_finalizer(finalize, data, hint);
  return napi_ok;
}
napi_status napi_create_reference(napi_env env, napi_value value, uint32_t count,
                                  napi_ref* result) {
  UNUSED(env), UNUSED(count);
  *result = allocate(sizeof **result);
  (*result)->value = value;
  return napi_ok;
}
napi_status napi_delete_reference(napi_env env, napi_ref reference) {
  UNUSED(env);
  free(reference);
  return napi_ok;
}
napi_status napi_get_reference_value(napi_env env, napi_ref reference, napi_value* result) {
  UNUSED(env);
  *result = reference->value;
  return napi_ok;
}
napi_status napi_open_handle_scope(napi_env env, napi_handle_scope* result) {
  UNUSED(env);
  *result = (napi_handle_scope)environment;
  return napi_ok;
}
napi_status napi_close_handle_scope(napi_env env, napi_handle_scope scope) {
  UNUSED(env), UNUSED(scope);
  return napi_ok;
}
napi_status napi_open_escapable_handle_scope(napi_env env, napi_escapable_handle_scope* result) {
  UNUSED(env);
  *result = (napi_escapable_handle_scope)environment;
  return napi_ok;
}
napi_status napi_close_escapable_handle_scope(napi_env env, napi_escapable_handle_scope scope) {
  UNUSED(env), UNUSED(scope);
  return napi_ok;
}
napi_status napi_escape_handle(napi_env env, napi_escapable_handle_scope scope, napi_value value,
                               napi_value* result) {
  UNUSED(env), UNUSED(scope);
  *result = value;
  return napi_ok;
}

napi_status napi_create_external_arraybuffer(napi_env env, void* data, size_t length,
                                             napi_finalize finalize, void* hint,
                                             napi_value* result) {
  napi_create_object(env, result);
  (*result)->kind = OF_BUFFER;
  (*result)->bytes = data;
  (*result)->length = length;
  (*result)->finalize = finalize;
  (*result)->finalize_data = data;
  (*result)->finalize_hint = hint;
  return napi_ok;
}
napi_status napi_create_arraybuffer(napi_env env, size_t length, void** data, napi_value* result) {
  void* bytes = allocate(length);
  if (data != NULL) *data = bytes;
  return napi_create_external_arraybuffer(env, bytes, length, NULL, NULL, result);
}
napi_status napi_get_arraybuffer_info(napi_env env, napi_value buffer, void** data,
                                      size_t* length) {
  UNUSED(env);
  if (buffer->kind != OF_BUFFER) return napi_arraybuffer_expected;
  if (data != NULL) *data = buffer->bytes;
  if (length != NULL) *length = buffer->length;
  return napi_ok;
}
napi_status napi_detach_arraybuffer(napi_env env, napi_value buffer) {
  UNUSED(env);
  if (buffer->kind != OF_BUFFER) return napi_arraybuffer_expected;
  buffer->bytes = NULL;
  buffer->length = 0;
  finalize_buffer(buffer);
  return napi_ok;
}
napi_status napi_create_typedarray(napi_env env, napi_typedarray_type type, size_t length,
                                   napi_value buffer, size_t offset, napi_value* result) {
  if (offset != 0) return napi_invalid_arg;
  napi_create_object(env, result);
  (*result)->kind = OF_TYPED;
  (*result)->element = type;
  (*result)->length = length;
  (*result)->buffer = buffer;
  return napi_ok;
}
napi_status napi_get_typedarray_info(napi_env env, napi_value array, napi_typedarray_type* type,
                                     size_t* length, void** data, napi_value* buffer,
                                     size_t* offset) {
  UNUSED(env);
  if (array == NULL || array->kind != OF_TYPED) return napi_invalid_arg;
  if (type != NULL) *type = array->element;
  if (length != NULL) *length = array->length;
  if (data != NULL) *data = array->buffer->bytes;
  if (buffer != NULL) *buffer = array->buffer;
  if (offset != NULL) *offset = 0;
  return napi_ok;
}
napi_status napi_get_dataview_info(napi_env env, napi_value view, size_t* length, void** data,
                                   napi_value* buffer, size_t* offset) {
  UNUSED(env), UNUSED(view), UNUSED(length), UNUSED(data), UNUSED(buffer), UNUSED(offset);
  return napi_invalid_arg;  // there are none
}

napi_status napi_get_cb_info(napi_env env, napi_callback_info info, size_t* count,
                             napi_value* values, napi_value* self, void** data) {
  UNUSED(env);
  if (values != NULL) {
    for (size_t i = 0; i < *count; i++) {
      values[i] = i < info->count ? info->values[i] : engine_undefined();
    }
  }
  if (count != NULL) *count = info->count;
  if (self != NULL) *self = info->self;
  if (data != NULL) *data = info->data;
  return napi_ok;
}
napi_status napi_get_new_target(napi_env env, napi_callback_info info, napi_value* result) {
  UNUSED(env);
  *result = info->target;
  return napi_ok;
}
napi_status napi_call_function(napi_env env, napi_value self, napi_value function, size_t count,
                               const napi_value* values, napi_value* result) {
  UNUSED(env);
  if (pending != NULL) return napi_pending_exception;
  napi_value answer = invoke(function, self, NULL, count, values);
  if (pending != NULL) return napi_pending_exception;
  if (result != NULL) *result = answer;
  return napi_ok;
}
napi_status napi_make_callback(napi_env env, napi_async_context context, napi_value self,
                               napi_value function, size_t count, const napi_value* values,
                               napi_value* result) {
  UNUSED(context);
  return napi_call_function(env, self, function, count, values, result);
}

napi_status napi_set_instance_data(napi_env env, void* data, napi_finalize finalize, void* hint) {
  UNUSED(env);
  instance_data = data;
  add_finalizer(finalize, data, hint);
  return napi_ok;
}
napi_status napi_get_instance_data(napi_env env, void** data) {
  UNUSED(env);
  *data = instance_data;
  return napi_ok;
}
napi_status napi_add_env_cleanup_hook(napi_env env, napi_cleanup_hook run, void* argument) {
  UNUSED(env);
  struct hook* made = allocate(sizeof *made);
  *made = (struct hook){run, argument, hooks};
  hooks = made;
  return napi_ok;
}
// For libuv's handles, which this engine has not.
napi_status napi_add_async_cleanup_hook(napi_env env, napi_async_cleanup_hook hook, void* argument,
                                        napi_async_cleanup_hook_handle* handle) {
  UNUSED(env), UNUSED(hook), UNUSED(argument), UNUSED(handle);
  return napi_generic_failure;
}
napi_status napi_remove_async_cleanup_hook(napi_async_cleanup_hook_handle handle) {
  UNUSED(handle);
  return napi_ok;
}

napi_status napi_create_promise(napi_env env, napi_deferred* deferred, napi_value* promise) {
  napi_create_object(env, promise);
  (*promise)->kind = OF_PROMISE;
  *deferred = allocate(sizeof **deferred);
  (*deferred)->promise = *promise;
  return napi_ok;
}
napi_status napi_resolve_deferred(napi_env env, napi_deferred deferred, napi_value value) {
  UNUSED(env);
  set(deferred->promise, "resolved", value);
  return napi_ok;
}
napi_status napi_reject_deferred(napi_env env, napi_deferred deferred, napi_value value) {
  UNUSED(env);
  set(deferred->promise, "rejected", value);
  return napi_ok;
}
napi_status napi_create_async_work(napi_env env, napi_value resource, napi_value name,
                                   napi_async_execute_callback execute,
                                   napi_async_complete_callback complete, void* data,
                                   napi_async_work* result) {
  UNUSED(env), UNUSED(resource), UNUSED(name);
  *result = allocate(sizeof **result);
  **result = (struct napi_async_work__){execute, complete, data};
  return napi_ok;
}
napi_status napi_queue_async_work(napi_env env, napi_async_work work) {
  work->execute(env, work->data);
  work->complete(env, napi_ok, work->data);
  return napi_ok;
}
napi_status napi_delete_async_work(napi_env env, napi_async_work work) {
  UNUSED(env), UNUSED(work);
  return napi_ok;
}

napi_status napi_create_threadsafe_function(napi_env env, napi_value function, napi_value resource,
                                            napi_value name, size_t queue, size_t threads,
                                            void* finalize_data, napi_finalize finalize,
                                            void* context, napi_threadsafe_function_call_js call,
                                            napi_threadsafe_function* result) {
  UNUSED(env), UNUSED(function), UNUSED(resource), UNUSED(name), UNUSED(queue), UNUSED(threads);
  UNUSED(finalize_data), UNUSED(finalize);
  *result = allocate(sizeof **result);
  (*result)->call = call;
  (*result)->context = context;
  return napi_ok;
}
// From any thread.
napi_status napi_call_threadsafe_function(napi_threadsafe_function function, void* data,
                                          napi_threadsafe_function_call_mode mode) {
  UNUSED(mode);
  struct turn* made = allocate(sizeof *made);
  *made = (struct turn){function, data, NULL};
  pthread_mutex_lock(&turns_mutex);
  struct turn** end = &turns;
  while (*end != NULL)
    end = &(*end)->next;
  *end = made;
  pthread_cond_signal(&turns_change);
  pthread_mutex_unlock(&turns_mutex);
  return napi_ok;
}
napi_status napi_release_threadsafe_function(napi_threadsafe_function function,
                                             napi_threadsafe_function_release_mode mode) {
  UNUSED(mode);
  function->closing = true;
  return napi_ok;
}
napi_status napi_ref_threadsafe_function(napi_env env, napi_threadsafe_function function) {
  UNUSED(env), UNUSED(function);
  return napi_ok;
}
napi_status napi_unref_threadsafe_function(napi_env env, napi_threadsafe_function function) {
  UNUSED(env), UNUSED(function);
  return napi_ok;
}

// --- What JavaScript would do ---------------------------------------------------------------------------

static void check(const char* what) {
  if (pending == NULL) return;
  napi_value message = get(pending, "message");
  fprintf(stderr, "%s threw: %s\n", what, message != NULL ? message->text : "?");
  exit(1);
}

napi_value engine_load(const char* path) {
  void* library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  napi_value (*start)(napi_env, napi_value) = NULL;
  *(void**)&start = dlsym(library, "napi_register_module_v1");
  if (start == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  napi_value given = make(napi_object);
  napi_value exports = start(environment, given);
  check("napi_register_module_v1");
  return exports != NULL ? exports : given;
}

napi_value engine_undefined(void) {
  static struct napi_value__ undefined = {.type = napi_undefined};
  return &undefined;
}
napi_value engine_number(double value) {
  napi_value made = make(napi_number);
  made->number = value;
  return made;
}
napi_value engine_bigint(uint64_t value) {
  napi_value made = make(napi_bigint);
  made->bigint = (int64_t)value;
  return made;
}
napi_value engine_string(const char* text) {
  return make_text(text, NAPI_AUTO_LENGTH);
}
napi_value engine_boolean(bool value) {
  napi_value made = make(napi_boolean);
  made->number = value ? 1 : 0;
  return made;
}
napi_value engine_object(void) {
  return make(napi_object);
}
napi_value engine_bytes(size_t length) {
  napi_value buffer = NULL;
  napi_value array = NULL;
  napi_create_arraybuffer(environment, length, NULL, &buffer);
  napi_create_typedarray(environment, napi_uint8_array, length, buffer, 0, &array);
  return array;
}
napi_value engine_function(napi_callback callback) {
  return make_function(callback, NULL);
}
void engine_set(napi_value object, const char* key, napi_value value) {
  set(object, key, value);
}
napi_value engine_get(napi_value object, const char* key) {
  napi_value found = get(object, key);
  if (found != NULL) return found;
  fprintf(stderr, "there is no %s\n", key);
  exit(1);
}
napi_value engine_new(napi_value constructor, napi_value argument) {
  napi_value self = make(napi_object);
  self->prototype = engine_get(constructor, "prototype");
  invoke(constructor, self, constructor, 1, &argument);
  check("a constructor");
  return self;
}
napi_value engine_call(napi_value self, const char* method, size_t count,
                       const napi_value* values) {
  napi_value result = invoke(engine_get(self, method), self, NULL, count, values);
  check(method);
  return result;
}
double engine_to_number(napi_value value) {
  if (value->type == napi_number || value->type == napi_boolean) return value->number;
  fprintf(stderr, "a number was expected\n");
  exit(1);
}
int64_t engine_to_bigint(napi_value value) {
  if (value->type == napi_bigint) return value->bigint;
  fprintf(stderr, "a bigint was expected\n");
  exit(1);
}
uint8_t* engine_data(napi_value value, size_t* length) {
  napi_value buffer = value->kind == OF_TYPED ? value->buffer : value;
  if (length != NULL) *length = buffer->length;
  return buffer->bytes;
}

bool engine_turn(unsigned milliseconds) {
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += milliseconds / 1000;
  end.tv_nsec += (long)(milliseconds % 1000) * 1000000;
  if (end.tv_nsec >= 1000000000) {
    end.tv_sec++;
    end.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&turns_mutex);
  while (turns == NULL) {
    if (pthread_cond_timedwait(&turns_change, &turns_mutex, &end) == ETIMEDOUT) break;
  }
  struct turn* todo = turns;
  turns = NULL;
  pthread_mutex_unlock(&turns_mutex);
  const bool any = todo != NULL;
  while (todo != NULL) {
    struct turn* next = todo->next;
    if (!todo->function->closing) {
      todo->function->call(environment, NULL, todo->function->context, todo->data);
      check("a wake-up");
    }
    free(todo);
    todo = next;
  }
  return any;
}

void engine_end(void) {
  while (hooks != NULL) {
    struct hook* hook = hooks;
    hooks = hook->next;
    hook->run(hook->argument);
    free(hook);
  }
  while (finalizers != NULL) {
    struct finalizer* finalizer = finalizers;
    finalizers = finalizer->next;
    if (finalizer->run != NULL) finalizer->run(environment, finalizer->data, finalizer->hint);
    free(finalizer);
  }
}
