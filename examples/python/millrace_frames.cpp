// The reading side of a frame channel as three C functions, for ctypes and everything else that calls C. Build:
//   g++ -std=c++20 -O2 -shared -fPIC -pthread -I node_modules/millrace/native/include millrace_frames.cpp -o libmillrace_frames.so
#include <cstdio>

#include "millrace/millrace.hpp"

struct Frame {
  const void* data;  // valid until the next call
  std::uint64_t length, sequence, missed;
};

struct Reader {
  std::unique_ptr<millrace::FrameReader> channel;
  std::optional<millrace::HeldFrame> held;
  char error[512] = "";
};

enum Outcome { failed = -1, ended = 0, received = 1, not_yet = 2 };

static Outcome fail(Reader& reader, const millrace::Error& error) {
  if (error.code == millrace::Code::timeout) return not_yet;
  (void)std::snprintf(reader.error, sizeof reader.error, "%s: %s", millrace::code_name(error.code),
                      error.message.c_str());
  return failed;
}

// Waits up to `timeout_ms` for the writer. Always returns a reader; if it has an error, it can only be closed.
extern "C" Reader* millrace_open(const char* name, int policy, std::uint64_t timeout_ms) {
  auto reader = std::make_unique<Reader>();
  millrace::FrameReaderSpec spec;
  spec.place = name;
  spec.policy = static_cast<millrace::layout::Policy>(policy);
  auto opened = millrace::open_reader_sync(spec, {.timeout_ns = timeout_ms * 1'000'000});
  if (opened.ok())
    reader->channel = opened.take();
  else
    (void)fail(*reader, opened.error());
  return reader.release();
}

// Releases the frame before, and waits up to `timeout_ms` for the next one.
extern "C" int millrace_next(Reader* reader, std::uint64_t timeout_ms, Frame* frame) {
  reader->held.reset();
  auto next = millrace::receive_sync(*reader->channel, {.timeout_ns = timeout_ms * 1'000'000});
  if (!next.ok()) return fail(*reader, next.error());
  if (!next.value()) return ended;
  reader->held = std::move(*next.value());
  const auto bytes = reader->held->payload();
  *frame = {bytes.data(), bytes.size(), reader->held->sequence(), reader->held->missed()};
  return received;
}

extern "C" const char* millrace_error(const Reader* reader) {
  return reader->error;
}

extern "C" void millrace_close(Reader* reader) {
  reader->held.reset();  // before the channel that it belongs to
  delete reader;
}
