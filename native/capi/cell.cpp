// Cells.
#include "millrace/cell.hpp"

#include <string>

#include "handle.hpp"

using millrace::CellReader;
using millrace::CellReaderSpec;
using millrace::CellWriter;
using millrace::CellWriterSpec;
using millrace::Code;
using millrace::make_error;
using millrace::Peer;
namespace capi = millrace::capi;

struct millrace_cell_writer : capi::Handle<CellWriter> {
  using Handle::Handle;
  bool begun = false;  // a value is being written in place
};
struct millrace_cell_reader : capi::Handle<CellReader> {
  using Handle::Handle;
};

namespace millrace::capi {

namespace {

[[nodiscard]] std::int32_t too_long(millrace_cell_writer& writer, std::uint64_t length) {
  return fail(make_error(Code::too_large, "a value of " + std::to_string(length) +
                                              " bytes does not fit cell '" +
                                              writer.core->segment().name() + "', whose limit is " +
                                              std::to_string(writer.core->plan().max_bytes) +
                                              " bytes; create it with a larger max_bytes"));
}

[[nodiscard]] std::int32_t read_now(millrace_cell_reader& reader, void* buffer, std::uint64_t size,
                                    millrace_cell_value& value) {
  const std::string& name = reader.core->segment().name();
  const CellRead found = reader.core->read(static_cast<std::byte*>(buffer), size);
  switch (found.status) {
    case CellRead::Status::ok:
      value = {found.version, found.length, found.timestamp};
      return MILLRACE_OK;
    case CellRead::Status::empty:
      return MILLRACE_WOULD_BLOCK;
    case CellRead::Status::too_small:
      value = {found.version, found.length, found.timestamp};
      return fail(make_error(Code::too_large, "the value of cell '" + name + "' has " +
                                                  std::to_string(found.length) +
                                                  " bytes, and there is room for " +
                                                  std::to_string(size) + "; give more"));
    case CellRead::Status::torn:
      return fail(make_error(Code::busy, "the writer of cell '" + name +
                                             "' was faster than each of our copies; read again, or "
                                             "give the cell more slots"));
    case CellRead::Status::corrupt:
      break;
  }
  return fail(make_error(Code::corrupt, "cell '" + name + "' holds impossible values; unlink it"));
}
// There is no other version than `since`: is there somebody who will write one?
[[nodiscard]] std::int32_t nothing(millrace_cell_reader& reader, std::uint64_t since) {
  if (const std::int32_t code = damage(reader); code != MILLRACE_OK) return code;
  const Peer writer = reader.core->writer();
  if (writer == Peer::attached || writer == Peer::absent) return MILLRACE_WOULD_BLOCK;
  if (reader.core->version() != since) return MILLRACE_WOULD_BLOCK;  // it is read next
  if (writer == Peer::closed) return MILLRACE_END;
  return fail(make_error(Code::peer_gone, "the writer of cell '" + reader.core->segment().name() +
                                              "' (process " +
                                              std::to_string(reader.core->writer_pid()) +
                                              ") died; wait for another, or close"));
}

}  // namespace

}  // namespace millrace::capi

using capi::fail;
using capi::no_argument;
using capi::Often;
using capi::Rarely;

int32_t millrace_cell_writer_open(const char* place, const millrace_cell_writer_options* options,
                                  millrace_cell_writer** writer) {
  if (writer == nullptr) return no_argument("writer");
  auto read =
      capi::options_of(options, MILLRACE_KEEP | MILLRACE_HAS_OWNER | MILLRACE_NO_TIMESTAMPS);
  if (!read.ok()) return fail(read.error());
  CellWriterSpec spec;
  spec.max_bytes = read.value().max_bytes;
  spec.slots = read.value().slots;
  spec.timestamps = (read.value().flags & MILLRACE_NO_TIMESTAMPS) == 0;
  return capi::open_handle(
      "cell writer", place, read.value(), writer, spec,
      [](const CellWriterSpec& wanted) { return CellWriter::open(wanted, capi::soon()); });
}
int32_t millrace_cell_write(millrace_cell_writer* writer, const void* value, uint64_t length) {
  const Often inside(writer);
  if (!inside) return inside.code();
  if (value == nullptr && length != 0) return no_argument("value");
  if (length > writer->core->plan().max_bytes) return capi::too_long(*writer, length);
  writer->begun = false;
  writer->core->write(static_cast<const std::byte*>(value), length);
  return MILLRACE_OK;
}
int32_t millrace_cell_begin(millrace_cell_writer* writer, int32_t copy, void** memory,
                            uint64_t* capacity) {
  if (memory == nullptr) return no_argument("memory");
  const Often inside(writer);
  if (!inside) return inside.code();
  writer->core->begin();
  if (copy != 0) writer->core->copy_newest();
  writer->begun = true;
  *memory = writer->core->next_bytes();
  if (capacity != nullptr) *capacity = writer->core->plan().max_bytes;
  return MILLRACE_OK;
}
int32_t millrace_cell_publish(millrace_cell_writer* writer, uint64_t length) {
  const Often inside(writer);
  if (!inside) return inside.code();
  if (!writer->begun) {
    return fail(make_error(Code::invalid_argument, "no value was begun; begin first"));
  }
  if (length > writer->core->plan().max_bytes) return capi::too_long(*writer, length);
  writer->begun = false;
  writer->core->publish(length);
  return MILLRACE_OK;
}
int64_t millrace_cell_writer_version(millrace_cell_writer* writer) {
  const Often inside(writer);
  return inside ? static_cast<int64_t>(writer->core->version()) : inside.code();
}
int32_t millrace_cell_writer_close(millrace_cell_writer* writer) {
  return capi::close_handle(writer, [](CellWriter& core) { core.close(); });
}
void millrace_cell_writer_free(millrace_cell_writer* writer) {
  capi::free_handle(writer, [](CellWriter& core) { core.close(); });
}

int32_t millrace_cell_reader_open(const char* place, const millrace_options* options,
                                  millrace_cell_reader** reader) {
  if (reader == nullptr) return no_argument("reader");
  auto read = capi::options_of(options, MILLRACE_HAS_OWNER);
  if (!read.ok()) return fail(read.error());
  CellReaderSpec spec;
  return capi::open_handle(
      "cell reader", place, read.value(), reader, spec,
      [](const CellReaderSpec& wanted) { return CellReader::open(wanted, capi::soon()); });
}
int32_t millrace_cell_read(millrace_cell_reader* reader, void* buffer, uint64_t size,
                           millrace_cell_value* value) {
  if (buffer == nullptr && size != 0) return no_argument("buffer");
  if (value == nullptr) return no_argument("value");
  const Often inside(reader);
  return inside ? capi::read_now(*reader, buffer, size, *value) : inside.code();
}
int32_t millrace_cell_read_next(millrace_cell_reader* reader, uint64_t since, void* buffer,
                                uint64_t size, int64_t timeout_ns, millrace_cell_value* value) {
  if (buffer == nullptr && size != 0) return no_argument("buffer");
  if (value == nullptr) return no_argument("value");
  const Rarely inside(reader);
  if (!inside) return inside.code();
  CellReader& core = *reader->core;
  return capi::block(
      *reader, timeout_ns,
      [&](bool thorough) -> std::int32_t {
        if (core.version() != since) return capi::read_now(*reader, buffer, size, *value);
        if (!thorough) return MILLRACE_WOULD_BLOCK;
        const std::int32_t code = capi::nothing(*reader, since);
        if (code != MILLRACE_WOULD_BLOCK || core.version() == since) return code;
        return capi::read_now(*reader, buffer, size, *value);
      },
      [&](std::uint64_t spin, std::uint64_t left) { return core.wait_change(since, spin, left); },
      [&] {
        return capi::late("another value of cell '" + core.segment().name() + "'", timeout_ns);
      });
}
int64_t millrace_cell_reader_version(millrace_cell_reader* reader) {
  const Often inside(reader);
  return inside ? static_cast<int64_t>(reader->core->version()) : inside.code();
}
int64_t millrace_cell_reader_max_bytes(millrace_cell_reader* reader) {
  const Often inside(reader);
  return inside ? static_cast<int64_t>(reader->core->plan().max_bytes) : inside.code();
}
int32_t millrace_cell_reader_peer(millrace_cell_reader* reader, millrace_peer* peer) {
  if (peer == nullptr) return no_argument("peer");
  const Rarely inside(reader);
  if (!inside) return inside.code();
  millrace_peer told{};
  capi::tell_peer(told, reader->core->writer(), reader->core->writer_pid(), "");
  return capi::give(peer, told);
}
int32_t millrace_cell_reader_fd(millrace_cell_reader* reader) {
  return capi::fd_of(reader);
}
int32_t millrace_cell_reader_arm(millrace_cell_reader* reader, uint64_t since) {
  const Rarely inside(reader);
  if (!inside) return inside.code();
  if (const std::int32_t code = capi::prepare_to_park(*reader); code != MILLRACE_OK) return code;
  CellReader& core = *reader->core;
  auto& bell = reader->bell;
  const bool woken = core.park(bell.address());
  bell.begin_watching();
  if (!core.writer_left()) bell.watch(core.writer_doorbell());
  bell.end_watching();
  // Without a lane to be woken by it looks from time to time.
  bell.alarm(woken ? capi::Bell::kSafetyNs : 1'000'000);
  const Peer writer = core.writer();
  if (core.version() == since && (writer == Peer::attached || writer == Peer::absent)) {
    return MILLRACE_OK;
  }
  core.unpark();
  return MILLRACE_READY;
}
int32_t millrace_cell_reader_disarm(millrace_cell_reader* reader) {
  return capi::disarm(reader, [](CellReader& core) { core.unpark(); });
}
int32_t millrace_cell_reader_close(millrace_cell_reader* reader) {
  return capi::close_handle(reader, [](CellReader& core) { core.close(); });
}
void millrace_cell_reader_free(millrace_cell_reader* reader) {
  capi::free_handle(reader, [](CellReader& core) { core.close(); });
}
