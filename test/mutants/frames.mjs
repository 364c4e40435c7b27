// Channels of frames: joining, leaving, pins and evictions.

const meetings = (only) => ({ native: 'crash/frames_meetings', only: `meeting: ${only}` })

const leavings = (only) => ({ native: 'crash/leaving_meetings', only: `meeting: ${only}` })

export const frames = [
  {
    name: 'join-waits-once',
    file: 'native/include/millrace/frame_joining.hpp',
    text: 'auto begun = let_writer_finish(deadline);',
    instead:
      'Result<std::uint64_t> begun = channel_.control().sequence.begun.load(std::memory_order_relaxed);',
    breaks: 'a reader joins without waiting for a publish that may not know it',
    test: meetings('a reader joins when a publish that may not know it has ended'),
    short: true,
  },
  {
    name: 'join-waits-not-first',
    file: 'native/include/millrace/frame_joining.hpp',
    text: 'if (auto quiet = let_writer_finish(deadline); !quiet.ok()) return quiet.error();',
    instead: '',
    breaks: "a reader clears its predecessor's pins while the writer may still be setting some",
    test: { native: 'frame_reader_test' },
  },
  {
    name: 'history-with-holes',
    file: 'native/include/millrace/frame_joining.hpp',
    text: 'if (before_us && moved && at->sequence != expected) hole = true;',
    instead: '(void)moved;',
    breaks: 'a late reader is handed a history that lacks a frame in the middle',
    test: meetings('what a late reader gets of the history has no holes'),
  },
  {
    name: 'mark-after-take',
    file: 'native/include/millrace/lane_queue.hpp',
    text: `      if (!already) view_.mark(slot);
      MILLRACE_CRASH_POINT("lane.take.marked");
      if (view_.lane->reader.read_position.compare_exchange_strong(
              read, read + 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
        MILLRACE_CRASH_POINT("lane.take.taken");
`,
    instead: `      MILLRACE_CRASH_POINT("lane.take.marked");
      if (view_.lane->reader.read_position.compare_exchange_strong(
              read, read + 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
        MILLRACE_CRASH_POINT("lane.take.taken");
        view_.mark(slot);
`,
    breaks: 'for an instant a frame that is being taken is neither queued nor in the ledger',
    test: meetings('what a reader is taking is no stray pin'),
  },
  {
    name: 'mark-before-pin',
    file: 'native/include/millrace/frame_joining.hpp',
    text: `    channel_.unpin(slot, bit_);
    MILLRACE_CRASH_POINT("frames.release.unpinned");
    queue_.view().unmark(slot);
`,
    instead: `    queue_.view().unmark(slot);
    MILLRACE_CRASH_POINT("frames.release.unpinned");
    channel_.unpin(slot, bit_);
`,
    breaks: 'a reader takes a pin away that the writer has cleared and set anew',
    test: meetings('what a reader is giving back is never pinned for it anew'),
  },
  {
    name: 'join-ignores-evictions',
    file: 'native/include/millrace/frame_joining.hpp',
    text: 'return evictions % 2 == 1 && sequence.evictions.load(std::memory_order_acquire) == evictions;',
    instead: 'return evictions % 2 == 2;',
    breaks: 'a reader pins while the writer clears pins on its lane',
    test: meetings('stray pins of a reader that left are not those of the next one'),
  },
  {
    name: 'stray-pins-among-joiners',
    file: 'native/include/millrace/frame_ledger.hpp',
    text: 'while_joiners_wait([&](std::uint64_t lanes) { return clear_stray_pins(lanes); });',
    instead: 'clear_stray_pins(lanes_.active());',
    breaks: 'the writer clears stray pins and no joining reader waits for it',
    test: meetings('stray pins of a reader that left are not those of the next one'),
  },
  {
    name: 'reap-unlocked',
    file: 'native/include/millrace/frame_lanes.hpp',
    text: 'if (!segment_->lock_lifecycle(os::Deadline::after(kReapPatienceNs)).ok()) return false;',
    instead: '',
    breaks: 'the lane of a dead reader is taken out of service when the next one has it',
    test: meetings('a dead reader is buried, not the one that comes next'),
  },
  {
    name: 'next-trusts-the-queue',
    file: 'native/include/millrace/frame_reader.hpp',
    text: 'if (!pinned) {  // meant for our predecessor on this lane',
    instead: 'if (!pinned && slots == 0) {',
    breaks: 'a reader hands out a frame that is not pinned for it',
    test: {
      native: 'lies_test',
      only: 'promise: lies – a reader is handed no frame that is not pinned for it',
    },
  },
  {
    name: 'evicts-for-ever',
    file: 'native/include/millrace/frame_ledger.hpp',
    text: 'for (std::uint64_t more = queue.view().capacity(); more > 0; --more) {',
    instead: 'for (;;) {',
    breaks: 'a reader that puts its position back holds the writer',
    test: meetings('a reader that puts its position back again and again holds nobody'),
  },
  {
    name: 'dead-writer-unfinished',
    file: 'native/include/millrace/frame_writer.hpp',
    text: 'begun == sequence_ + 1 && finish_publish(begun)) {',
    instead: 'begun == sequence_ + 1 && begun == 0) {',
    breaks: 'what a writer had published in part when it died reaches only some of the readers',
    test: { native: 'frame_writer_test' },
  },
  {
    name: 'evict-without-contest',
    file: 'native/include/millrace/lane_queue.hpp',
    text: `      if (view_.lane->reader.read_position.compare_exchange_weak(
              read, read + 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
        MILLRACE_CRASH_POINT("lane.evict.taken");
        return descriptor;
      }`,
    instead: `      view_.lane->reader.read_position.store(read + 1, std::memory_order_release);
      return descriptor;`,
    breaks: 'the writer takes a frame back that the reader has taken',
    test: meetings("a frame that is taken while it is being taken back is the reader's"),
  },
  {
    name: 'take-without-contest',
    file: 'native/include/millrace/lane_queue.hpp',
    text: `      if (view_.lane->reader.read_position.compare_exchange_strong(
              read, read + 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
        MILLRACE_CRASH_POINT("lane.take.taken");
        return {false, false, slot, layout::descriptor_sequence(descriptor)};
      }
      if (!already) view_.unmark(slot);
`,
    instead: `      view_.lane->reader.read_position.store(read + 1, std::memory_order_release);
      return {false, false, slot, layout::descriptor_sequence(descriptor)};
`,
    breaks: 'the reader takes a frame that the writer has taken back',
    test: meetings('a frame that is taken back while it is being taken is not received'),
  },
  {
    name: 'receive-looks-once',
    file: 'native/include/millrace/frames_sync.hpp',
    text: '        if (auto frame = look()) return frame;\n',
    instead: '',
    breaks: 'the last frame of a writer that leaves is lost to a reader in C++',
    test: leavings('a frame that its writer leaves behind is received'),
  },
]
