// Frame channels. Outcomes and messages are those of the blocking calls of frames_sync.hpp.
#include <algorithm>
#include <string>

#include "handle.hpp"
#include "millrace/frames_sync.hpp"

using millrace::Code;
using millrace::FrameReader;
using millrace::FrameReaderSpec;
using millrace::FrameWriter;
using millrace::FrameWriterSpec;
using millrace::make_error;
using millrace::Peer;
namespace capi = millrace::capi;

struct millrace_frame_writer : capi::Handle<FrameWriter> {
  using Handle::Handle;
};
struct millrace_frame_reader : capi::Handle<FrameReader> {
  using Handle::Handle;
};

namespace millrace::capi {

namespace {

[[nodiscard]] std::string channel(const Segment& segment) {
  return "frame channel '" + segment.name() + "'";
}

// --- the writer ---

[[nodiscard]] std::int32_t loan_now(millrace_frame_writer& writer, bool thorough,
                                    millrace_slot& slot) {
  auto loaned = writer.core->try_loan();
  if (!loaned && thorough) {
    if (const std::int32_t code = damage(writer); code != MILLRACE_OK) return code;
    if (writer.core->reap_dead_readers()) loaned = writer.core->try_loan();
  }
  if (!loaned) return MILLRACE_WOULD_BLOCK;
  const auto payload = writer.core->payload(*loaned);
  slot = {payload.data(), payload.size(), writer.core->user_header(*loaned).data(), *loaned, 0};
  return MILLRACE_OK;
}
[[nodiscard]] std::int32_t acquire(millrace_frame_writer& writer, std::int64_t timeout,
                                   millrace_slot& slot) {
  return block(
      writer, timeout, [&](bool thorough) { return loan_now(writer, thorough, slot); },
      [&](std::uint64_t spin, std::uint64_t left) { return writer.core->wait_free(spin, left); },
      [&] { return late("a free slot of '" + writer.core->segment().name() + "'", timeout); });
}
[[nodiscard]] std::int32_t publish(millrace_frame_writer& writer, std::uint32_t slot,
                                   std::uint64_t length, std::uint64_t timestamp,
                                   std::uint64_t* sequence) {
  const std::uint64_t published = writer.core->publish(slot, length, timestamp);
  if (published == 0) {
    return fail(make_error(Code::invalid_argument,
                           "slot " + std::to_string(slot) + " is not on loan, or has fewer than " +
                               std::to_string(length) +
                               " bytes; publish each acquired slot once, with what it holds"));
  }
  if (sequence != nullptr) *sequence = published;
  return MILLRACE_OK;
}

// --- the reader ---

// What a reader asks for next.
using Ask = ReceivedFrame (FrameReader::*)();

[[nodiscard]] std::int32_t hand_over(millrace_frame_reader& reader, const ReceivedFrame& found,
                                     millrace_frame& frame) {
  switch (found.status) {
    case ReceivedFrame::Status::ok:
      frame = {reader.core->payload(found).data(),
               found.length,
               reader.core->user_header(found).data(),
               found.sequence,
               found.timestamp,
               found.missed,
               found.slot,
               0};
      return MILLRACE_OK;
    case ReceivedFrame::Status::empty:
      return MILLRACE_WOULD_BLOCK;
    case ReceivedFrame::Status::too_many_held:
      return fail(make_error(Code::too_many_held,
                             "this reader of '" + reader.core->segment().name() + "' holds " +
                                 std::to_string(reader.core->max_held()) +
                                 " frames, its limit; release some, or open it with a larger "
                                 "max_held"));
    case ReceivedFrame::Status::corrupt:
      break;
  }
  return fail(make_error(Code::corrupt,
                         channel(reader.core->segment()) + " holds impossible values; close it"));
}
// Nothing is there: has the writer left? `look` looks once more, for what it published before that.
template <typename Look>
[[nodiscard]] std::int32_t nothing(millrace_frame_reader& reader, Look&& look) {
  if (const std::int32_t code = damage(reader); code != MILLRACE_OK) return code;
  FrameReader& core = *reader.core;
  if (core.excluded()) {
    return fail(
        make_error(Code::corrupt, channel(core.segment()) + " holds impossible values; close it"));
  }
  const Peer writer = core.writer();
  if (writer == Peer::attached || writer == Peer::absent) return MILLRACE_WOULD_BLOCK;
  if (const std::int32_t code = look(); code != MILLRACE_WOULD_BLOCK) return code;
  if (writer == Peer::closed) return MILLRACE_END;
  const std::string who = "the writer of " + channel(core.segment()) + " (process " +
                          std::to_string(core.writer_pid()) + ") ";
  if (writer == Peer::failed) {
    return fail(make_error(Code::peer_failed,
                           who + failure_text(core.writer_reason()) +
                               "; everything that it published is received: wait for another, or "
                               "close"));
  }
  return fail(make_error(Code::peer_gone, who + "died; wait for another, or close"));
}
[[nodiscard]] std::int32_t receive(millrace_frame_reader* reader, Ask ask, std::int64_t timeout,
                                   millrace_frame* frame) {
  if (frame == nullptr) return no_argument("frame");
  const Often inside(reader);
  if (!inside) return inside.code();
  const auto look = [&] { return hand_over(*reader, (*reader->core.*ask)(), *frame); };
  return block(
      *reader, timeout,
      [&](bool thorough) {
        const std::int32_t code = look();
        return code == MILLRACE_WOULD_BLOCK && thorough ? nothing(*reader, look) : code;
      },
      [&](std::uint64_t spin, std::uint64_t left) { return reader->core->wait_frame(spin, left); },
      [&] { return late("a frame of '" + reader->core->segment().name() + "'", timeout); });
}
[[nodiscard]] std::int32_t try_receive(millrace_frame_reader* reader, Ask ask,
                                       millrace_frame* frame) {
  if (frame == nullptr) return no_argument("frame");
  const Often inside(reader);
  if (!inside) return inside.code();
  const auto look = [&] { return hand_over(*reader, (*reader->core.*ask)(), *frame); };
  const std::int32_t code = look();
  if (code != MILLRACE_WOULD_BLOCK) return code;
  const bool left = reader->core->writer_left();
  return reader->thorough() || left ? nothing(*reader, look) : code;
}

}  // namespace

}  // namespace millrace::capi

using capi::fail;
using capi::no_argument;
using capi::Often;
using capi::Rarely;

int32_t millrace_frame_writer_open(const char* place, const millrace_frame_writer_options* options,
                                   millrace_frame_writer** writer) {
  if (writer == nullptr) return no_argument("writer");
  auto read = capi::options_of(options, MILLRACE_KEEP | MILLRACE_REPLACE | capi::kMemoryFlags);
  if (!read.ok()) return fail(read.error());
  const millrace_frame_writer_options& own = read.value();
  FrameWriterSpec spec;
  spec.geometry.slot_bytes = own.slot_bytes;
  if (own.slots != 0) spec.geometry.slots = own.slots;
  if (own.readers != 0) spec.geometry.readers = own.readers;
  spec.geometry.history = own.history;
  if (own.alignment != 0) spec.geometry.alignment = own.alignment;
  spec.replace = (own.flags & MILLRACE_REPLACE) != 0;
  return capi::open_handle(
      "frame writer", place, own, writer, spec,
      [](const FrameWriterSpec& wanted) { return FrameWriter::open(wanted, capi::soon()); });
}
int32_t millrace_frame_acquire(millrace_frame_writer* writer, int64_t timeout_ns,
                               millrace_slot* slot) {
  if (slot == nullptr) return no_argument("slot");
  const Often inside(writer);
  return inside ? capi::acquire(*writer, timeout_ns, *slot) : inside.code();
}
int32_t millrace_frame_try_acquire(millrace_frame_writer* writer, millrace_slot* slot) {
  if (slot == nullptr) return no_argument("slot");
  const Often inside(writer);
  if (!inside) return inside.code();
  const std::int32_t code = capi::loan_now(*writer, false, *slot);
  if (code != MILLRACE_WOULD_BLOCK || !writer->thorough()) return code;
  return capi::loan_now(*writer, true, *slot);
}
int32_t millrace_frame_publish(millrace_frame_writer* writer, const millrace_slot* slot,
                               uint64_t length, uint64_t timestamp, uint64_t* sequence) {
  if (slot == nullptr) return no_argument("slot");
  const Often inside(writer);
  if (!inside) return inside.code();
  return capi::publish(*writer, slot->slot, length, timestamp, sequence);
}
int32_t millrace_frame_discard(millrace_frame_writer* writer, const millrace_slot* slot) {
  if (slot == nullptr) return no_argument("slot");
  const Often inside(writer);
  if (!inside) return inside.code();
  if (!writer->core->is_loaned(slot->slot)) {
    return fail(make_error(Code::invalid_argument, "the slot is not on loan (any more)"));
  }
  writer->core->discard(slot->slot);
  return MILLRACE_OK;
}
int32_t millrace_frame_send(millrace_frame_writer* writer, const void* data, uint64_t length,
                            const void* header, int64_t timeout_ns, uint64_t* sequence) {
  if (data == nullptr && length != 0) return no_argument("data");
  const Often inside(writer);
  if (!inside) return inside.code();
  const std::uint64_t most = writer->core->plan().slot_bytes;
  if (length > most) {
    return fail(make_error(Code::too_large,
                           "a frame of " + std::to_string(length) + " bytes does not fit " +
                               capi::channel(writer->core->segment()) + ", whose slots have " +
                               std::to_string(most) + "; open it with a larger slot_bytes"));
  }
  millrace_slot slot{};
  const std::int32_t code = capi::acquire(*writer, timeout_ns, slot);
  if (code != MILLRACE_OK) return code;
  if (length != 0) std::memcpy(slot.data, data, length);
  if (header != nullptr) {
    std::memcpy(slot.header, header, millrace::layout::kUserHeaderBytes);
  } else {
    std::memset(slot.header, 0, millrace::layout::kUserHeaderBytes);
  }
  return capi::publish(*writer, slot.slot, length, 0, sequence);
}
int32_t millrace_frame_writer_readers(millrace_frame_writer* writer) {
  const Rarely inside(writer);
  return inside ? static_cast<int32_t>(writer->core->readers()) : inside.code();
}
int32_t millrace_frame_writer_wait_readers(millrace_frame_writer* writer, uint32_t count,
                                           int64_t timeout_ns) {
  const Rarely inside(writer);
  if (!inside) return inside.code();
  const auto there = [&] { return writer->core->readers() >= count; };
  return capi::block(
      *writer, timeout_ns,
      [&](bool) -> std::int32_t { return there() ? MILLRACE_OK : MILLRACE_WOULD_BLOCK; },
      [&](std::uint64_t /*spin*/, std::uint64_t left) {
        return millrace::wait_slice(writer->core->sleeper(), 0, left, there);
      },
      [&] {
        return capi::late(
            std::to_string(count) + " readers on " + capi::channel(writer->core->segment()),
            timeout_ns);
      });
}
int64_t millrace_frame_writer_sequence(millrace_frame_writer* writer) {
  const Often inside(writer);
  return inside ? static_cast<int64_t>(writer->core->sequence()) : inside.code();
}
int32_t millrace_frame_writer_fd(millrace_frame_writer* writer) {
  return capi::fd_of(writer);
}
int32_t millrace_frame_writer_arm(millrace_frame_writer* writer) {
  const Rarely inside(writer);
  if (!inside) return inside.code();
  if (const std::int32_t code = capi::prepare_to_park(*writer); code != MILLRACE_OK) return code;
  auto& bell = writer->bell;
  bell.begin_watching();
  writer->core->for_each_reader_bell([&bell](std::uint64_t id) { bell.watch(id); });
  bell.end_watching();
  bell.alarm(capi::Bell::kSafetyNs);
  if (!writer->core->park(bell.address())) return MILLRACE_READY;
  if (!writer->core->reap_dead_readers() || !writer->core->stirred()) return MILLRACE_OK;
  writer->core->sleeper().unpark();
  return MILLRACE_READY;
}
int32_t millrace_frame_writer_disarm(millrace_frame_writer* writer) {
  return capi::disarm(writer);
}
int32_t millrace_frame_writer_close(millrace_frame_writer* writer) {
  return capi::close_handle(writer, [](FrameWriter& core) { core.close(); });
}
int32_t millrace_frame_writer_abort(millrace_frame_writer* writer, const char* reason) {
  return capi::close_handle(
      writer, [&](FrameWriter& core) { core.abort(reason == nullptr ? "" : reason); });
}
void millrace_frame_writer_free(millrace_frame_writer* writer) {
  capi::free_handle(writer, [](FrameWriter& core) { core.close(); });
}

int32_t millrace_frame_reader_open(const char* place, const millrace_frame_reader_options* options,
                                   int64_t timeout_ns, millrace_frame_reader** reader) {
  if (reader == nullptr) return no_argument("reader");
  auto read = capi::options_of(
      options, MILLRACE_HAS_OWNER | MILLRACE_HAS_AFTER | MILLRACE_LOCK_MEMORY | MILLRACE_PREFAULT);
  if (!read.ok()) return fail(read.error());
  const millrace_frame_reader_options& own = read.value();
  if (own.policy > MILLRACE_FRAME_OVERWRITE_OLDEST) {
    return fail(
        make_error(Code::invalid_argument, "options.policy is none of enum millrace_frame_policy"));
  }
  FrameReaderSpec spec;
  spec.policy = static_cast<millrace::layout::Policy>(own.policy);
  spec.depth = own.depth;
  spec.history = own.history;
  spec.max_held = own.max_held;
  if ((own.flags & MILLRACE_HAS_AFTER) != 0) {
    spec.after = own.after;
    if (own.after_instance != 0) spec.after_instance = own.after_instance;
  }
  const std::uint64_t interrupts = capi::interrupt_count();
  const auto end = millrace::os::Deadline::after(capi::nanoseconds(timeout_ns));
  for (std::uint64_t nap = 1'000'000;; nap = std::min<std::uint64_t>(nap * 2, millrace::kSliceNs)) {
    bool absent = false;
    const std::int32_t code = capi::open_handle(
        "frame reader", place, own, reader, spec, [&absent](const FrameReaderSpec& wanted) {
          auto opened = FrameReader::open(wanted, capi::soon());
          absent = !opened.ok() && opened.error().code == Code::not_found;
          return opened;
        });
    if (!absent || timeout_ns == 0) return code;
    if (end.passed()) {
      return fail(make_error(Code::not_found, std::string("no writer appeared on frame channel '") +
                                                  place + "' within " +
                                                  std::to_string(timeout_ns / 1'000'000) +
                                                  " ms: start it, or allow more time"));
    }
    if (capi::interrupt_count() != interrupts) return MILLRACE_INTERRUPTED;
    millrace::os::sleep_ns(std::min(nap, end.left_ns()));
  }
}
int32_t millrace_frame_next(millrace_frame_reader* reader, int64_t timeout_ns,
                            millrace_frame* frame) {
  return capi::receive(reader, &FrameReader::receive, timeout_ns, frame);
}
int32_t millrace_frame_try_next(millrace_frame_reader* reader, millrace_frame* frame) {
  return capi::try_receive(reader, &FrameReader::receive, frame);
}
int32_t millrace_frame_newest(millrace_frame_reader* reader, int64_t timeout_ns,
                              millrace_frame* frame) {
  return capi::receive(reader, &FrameReader::latest, timeout_ns, frame);
}
int32_t millrace_frame_try_newest(millrace_frame_reader* reader, millrace_frame* frame) {
  return capi::try_receive(reader, &FrameReader::latest, frame);
}
int32_t millrace_frame_release(millrace_frame_reader* reader, const millrace_frame* frame) {
  if (frame == nullptr) return no_argument("frame");
  const Often inside(reader);
  if (!inside) return inside.code();
  if (reader->core->release(frame->slot, frame->sequence)) return MILLRACE_OK;
  return capi::fail_as(MILLRACE_RELEASED, "the frame is not held (any more); release each once");
}
int32_t millrace_frame_reader_counts_of(millrace_frame_reader* reader,
                                        millrace_frame_reader_counts* counts) {
  if (counts == nullptr) return no_argument("counts");
  const Rarely inside(reader);
  if (!inside) return inside.code();
  FrameReader& core = *reader->core;
  millrace_frame_reader_counts told{};
  told.received = core.received();
  told.lost = core.lost();
  told.skipped = core.skipped();
  told.waiting = core.waiting_frames();
  told.held = core.held();
  told.joined_after = core.joined_after();
  return capi::give(counts, told);
}
int32_t millrace_frame_reader_peer(millrace_frame_reader* reader, millrace_peer* peer) {
  if (peer == nullptr) return no_argument("peer");
  const Rarely inside(reader);
  if (!inside) return inside.code();
  millrace_peer told{};
  const Peer state = reader->core->writer();
  capi::tell_peer(told, state, reader->core->writer_pid(),
                  state == Peer::failed ? reader->core->writer_reason() : "");
  return capi::give(peer, told);
}
int64_t millrace_frame_reader_slot_bytes(millrace_frame_reader* reader) {
  const Rarely inside(reader);
  return inside ? static_cast<int64_t>(reader->core->plan().slot_bytes) : inside.code();
}
uint64_t millrace_frame_reader_instance(millrace_frame_reader* reader) {
  const Rarely inside(reader);
  return inside ? reader->core->segment().instance() : 0;
}
int32_t millrace_frame_reader_fd(millrace_frame_reader* reader) {
  return capi::fd_of(reader);
}
int32_t millrace_frame_reader_arm(millrace_frame_reader* reader) {
  const Rarely inside(reader);
  if (!inside) return inside.code();
  if (const std::int32_t code = capi::prepare_to_park(*reader); code != MILLRACE_OK) return code;
  auto& bell = reader->bell;
  bell.begin_watching();
  if (!reader->core->writer_left()) bell.watch(reader->core->writer_doorbell());
  bell.end_watching();
  bell.alarm(capi::Bell::kSafetyNs);
  if (!reader->core->park(bell.address())) {
    if (reader->core->writer_left()) reader->look_soon();
    return MILLRACE_READY;
  }
  const Peer writer = reader->core->writer();
  const bool there = reader->core->stirred();
  if (!there && (writer == Peer::attached || writer == Peer::absent)) return MILLRACE_OK;
  reader->look_soon();
  reader->core->sleeper().unpark();
  return MILLRACE_READY;
}
int32_t millrace_frame_reader_disarm(millrace_frame_reader* reader) {
  return capi::disarm(reader);
}
int32_t millrace_frame_reader_close(millrace_frame_reader* reader) {
  return capi::close_handle(reader, [](FrameReader& core) { core.close(); });
}
void millrace_frame_reader_free(millrace_frame_reader* reader) {
  capi::free_handle(reader, [](FrameReader& core) { core.close(); });
}
