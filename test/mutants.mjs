// What `npm run mutate` changes, one at a time, and the test that has to notice. Beside the lines that safety stands on:
// orders, second looks, judgements of what a peer wrote, who cleans up after whom.
//
// What no test on this kind of processor can notice, or only by luck, is not here: a release made relaxed is the same
// instruction on x86, and a missing fence shows once in millions. For those there are the argument beside the line,
// ThreadSanitizer and the models.

const meetings = (only) => ({ native: 'crash/frames_meetings', only: `meeting: ${only}` })

const leavings = (only) => ({ native: 'crash/leaving_meetings', only: `meeting: ${only}` })

const frames = [
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
    short: true,
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

const door = [
  {
    name: 'enter-without-confirming',
    file: 'native/include/millrace/segment.hpp',
    text: 'if (!segment.place_.confirm(segment.fd_, segment.lock_, os::Access::read_write)) continue;',
    instead: '',
    breaks: 'who opened a segment just before its name was taken away sits alone on it',
    test: {
      native: 'crash/door_meetings',
      only: 'meeting: who opened a name that was given up comes to who has it now',
    },
    short: true,
  },
  {
    name: 'leave-removes-unseen',
    file: 'native/include/millrace/segment.hpp',
    text: '    if (!unlinked()) place_.remove();\n',
    instead: '    place_.remove();\n',
    breaks: 'a side that leaves removes the name of a newer segment',
    test: {
      native: 'segment_test',
      only: 'one that left takes no name away that leads to a newer segment',
    },
  },
  {
    name: 'claim-without-lock',
    file: 'native/include/millrace/segment.hpp',
    text: `                     const char* what) {
    if (!lock_.try_exclusive(byte_of(role))) {`,
    instead: `                     const char* what) {
    if (!lock_.try_exclusive(byte_of(role)) && role > 1000) {`,
    breaks: 'two processes have one role',
    test: { native: 'segment_test', only: 'a taken role is refused with the process that has it' },
  },
]

const ring = [
  {
    name: 'peek-looks-once',
    file: 'native/include/millrace/queue_sync.hpp',
    text: '        if (auto message = look()) return message;\n',
    instead: '',
    breaks: 'the last message of a producer that leaves is lost to a consumer in C++',
    test: leavings('a message that its producer leaves behind is read'),
  },
  {
    name: 'end-looks-once',
    file: 'native/include/millrace/queue_sync.hpp',
    text: `        if (producer.ring().drained()) return Result<void>();
        return *std::move(error);
`,
    instead: '        return *std::move(error);\n',
    breaks: 'end_sync() fails although everything was read',
    test: leavings('a consumer that has read everything may leave'),
  },
  {
    name: 'leaver-taken-for-dead',
    file: 'native/include/millrace/segment.hpp',
    text: 'if (record.state.load(std::memory_order_acquire) == state) return Peer::gone;',
    instead: 'return Peer::gone;',
    breaks: 'a peer that leaves while it is looked for is reported dead',
    test: leavings('who leaves while it is looked for has not died'),
  },
  {
    name: 'look-into-a-ring-without-a-size',
    file: 'native/include/millrace/queue.hpp',
    text: `    if (ring_.capacity() == 0 && is_open()) [[unlikely]]
      return {};
    return ring_.peek();`,
    instead: `    if (ring_.capacity() == 0) [[unlikely]]
      (void)is_open();
    return ring_.peek();`,
    breaks: 'the first message, sent in the instant of that look, is taken for nonsense',
    test: { native: 'crash/queue_meetings' },
    short: true,
  },
  {
    name: 'published-before-written',
    file: 'native/include/millrace/spsc_ring.hpp',
    text: `    put_header(record, length);
    MILLRACE_CRASH_POINT("ring.push.headed");
    // An empty message may come without a payload, which memcpy would not take.
    if (length != 0) std::memcpy(record + layout::kRecordHeaderBytes, payload, length);
    MILLRACE_CRASH_POINT("ring.push.written");
    publish(bytes, 1);
`,
    instead: `    publish(bytes, 1);
    put_header(record, length);
    if (length != 0) std::memcpy(record + layout::kRecordHeaderBytes, payload, length);
`,
    breaks: 'a consumer reads a message whose bytes are not there yet',
    test: {
      native: 'crash/queue_deaths',
      only: 'promise: death – a producer dies anywhere: what it published arrives, nothing else',
    },
  },
  {
    name: 'write-position-trusted',
    file: 'native/include/millrace/spsc_ring.hpp',
    text: 'if (write - cursor_->peers > capacity_ - (cursor_->peers - cursor_->mine) ||',
    instead: 'if (',
    breaks: 'a consumer believes a write position that cannot be',
    test: { native: 'spsc_ring_test', only: 'a consumer refuses every impossible write position' },
    short: true,
  },
  {
    name: 'length-trusted',
    file: 'native/include/millrace/spsc_ring.hpp',
    text: 'if (layout::record_bytes(length) > cursor_->peers - cursor_->mine) [[unlikely]] {',
    instead: 'if (length == ~0U) [[unlikely]] {',
    breaks: 'a consumer reads past what was published',
    test: {
      native: 'spsc_ring_test',
      only: 'a consumer refuses a length that exceeds what was published',
    },
  },
]

const waits = [
  {
    name: 'sleep-without-look',
    file: 'native/include/millrace/waiting.hpp',
    text: 'if (!ready()) sleeper.sleep(timeout_ns - spin_ns);',
    instead: 'sleeper.sleep(timeout_ns - spin_ns);',
    breaks: 'what came between the last look and parking wakes nobody',
    test: {
      native: 'crash/waiting_meetings',
      only: 'meeting: who lies down on a futex looks once more before it sleeps',
    },
  },
  {
    name: 'permit-not-given-back',
    file: 'native/include/millrace/sync/permit_taker.hpp',
    text: '      (void)state.semaphore->post();\n',
    instead: '',
    breaks: 'a permit that comes when nobody wants it any more is lost',
    test: {
      native: 'permit_taker_test',
      only: 'a permit that comes while the thread leaves is put back',
    },
  },
  {
    name: 'cell-unmarked',
    file: 'native/include/millrace/cell_writer.hpp',
    text: 'slot.sequence.store(layout::writing(cursor_->version + 1), std::memory_order_release);',
    instead: '(void)slot;',
    breaks: 'a reader takes a value for whole that is being overwritten',
    test: { native: 'cell_test' },
  },
]

const lookAgain = (only) => ({ ava: 'waiting/last-look', only })
const javascript = [
  {
    name: 'js-pop-looks-once',
    file: 'lib/queue/consumer.ts',
    text: `    const last = look()
    if (last !== undefined) return last
    if (peer === 'closed') return null`,
    instead: `    if (peer === 'closed') return null`,
    breaks: 'the last message of a producer that leaves is lost',
    test: lookAgain('pop gets the message that came just before its producer left, then the end'),
    short: true,
  },
  {
    name: 'js-end-looks-once',
    file: 'lib/queue/producer.ts',
    text: `        // It may have read the last message between our look and its leaving.
        if (this.#isDrained()) return true
`,
    instead: '',
    breaks: 'end() fails although everything was read',
    test: lookAgain('end succeeds if the consumer read everything just before it left'),
  },
  {
    name: 'js-receive-looks-once',
    file: 'lib/frames/frame-reader.ts',
    text: `    const last = look()
    if (last !== undefined) return last
`,
    instead: '',
    breaks: 'the last frame of a writer that leaves is lost',
    test: lookAgain('receive gets the frame that came just before its writer left, then the end'),
  },
  {
    name: 'js-changed-looks-once',
    file: 'lib/cell/reader.ts',
    text: `      // It may have written between our look and its leaving.
      if (this.#isNewer(since)) return true
`,
    instead: '',
    breaks: 'the last value of a writer that leaves is not told of',
    test: lookAgain('changed tells of the value that came just before its writer left'),
  },
  {
    name: 'js-needed-fence-ignored',
    file: 'lib/queue/ring-writer.ts',
    text: `      if ((control[atConsumerParked]! | control[atConsumerParked + toNeedsFence]!) !== 0) {
        this.#native.wake()
      }
      return
`,
    instead: `      if (control[atConsumerParked + 0 * toNeedsFence] !== 0) {
        this.#native.wake()
      }
      return
`,
    breaks: 'a batch does not heed a sleeper that cannot have the heavy fence',
    test: { ava: 'waiting/fences' },
    short: true,
  },
  {
    name: 'js-needed-fence-ignored-by-push',
    file: 'lib/queue/ring-writer.ts',
    text: `      if ((control[atConsumerParked]! | control[atConsumerParked + toNeedsFence]!) !== 0) {
        this.#native.wake()
      }
      return 0
`,
    instead: `      if (control[atConsumerParked + 0 * toNeedsFence] !== 0) {
        this.#native.wake()
      }
      return 0
`,
    breaks: 'nor does a push',
    test: {
      ava: 'waiting/fences',
      only: 'a push and a batch call native code while the consumer needs full fences',
    },
  },
  {
    name: 'js-needed-fence-ignored-by-pop',
    file: 'lib/queue/ring-reader.ts',
    text: `      if ((control[atProducerParked]! | control[atProducerParked + toNeedsFence]!) !== 0) {
        this.#native.wake()
      }
      return length
`,
    instead: `      if (control[atProducerParked + 0 * toNeedsFence] !== 0) {
        this.#native.wake()
      }
      return length
`,
    breaks: 'nor does a pop',
    test: {
      ava: 'waiting/fences',
      only: 'so does every way to take a message while the producer needs them',
    },
  },
  {
    name: 'js-needed-fence-ignored-by-drain',
    file: 'lib/queue/ring-reader.ts',
    text: `      if ((control[atProducerParked]! | control[atProducerParked + toNeedsFence]!) !== 0) {
        this.#native.wake()
      }
      return
`,
    instead: `      if (control[atProducerParked + 0 * toNeedsFence] !== 0) {
        this.#native.wake()
      }
      return
`,
    breaks: 'nor does a drain, or a pop that makes a Buffer',
    test: {
      ava: 'waiting/fences',
      only: 'so does every way to take a message while the producer needs them',
    },
  },
  {
    name: 'js-needed-fence-ignored-by-release',
    file: 'lib/queue/ring-reader.ts',
    text: 'if (sleeps || (plainStores && this.#control[atProducerParked + toNeedsFence] !== 0)) {',
    instead: 'if (sleeps) {',
    breaks: 'nor does the release of a message that was held',
    test: {
      ava: 'waiting/fences',
      only: 'so does every way to take a message while the producer needs them',
    },
  },
  {
    name: 'js-permit-counted-late',
    file: 'lib/sync/semaphore.ts',
    text: 'if (this.tryWait()) return await fairly(show())',
    instead: 'if (this.tryWait()) return await fairly(undefined).then(show)',
    breaks: 'a permit is lost if the handle is closed before its promise is delivered',
    test: {
      ava: 'sync/semaphore',
      only: 'a permit whose handle is closed before its promise is delivered is not lost',
    },
  },
  {
    name: 'js-carries-unseen',
    file: 'lib/queue/ring.ts',
    text: 'return (from & ~to) < 0',
    instead: 'return (from & ~to) < 0 && from > to',
    breaks: 'the high half of a position stays behind',
    test: { ava: 'queue/positions' },
  },
  {
    name: 'js-length-trusted',
    file: 'lib/queue/ring-reader.ts',
    text: 'return length >= 0 && length <= left - recordHeaderBytes ? length : -1',
    instead: 'return length >= 0 && left > 0 ? length : -1',
    breaks: 'a message reaches past what was published',
    test: { ava: 'queue/corruption' },
  },
  {
    name: 'js-length-trusted-by-pop-into',
    file: 'lib/queue/ring-reader.ts',
    text: 'if (!(length >= 0 && length <= ((left - recordHeaderBytes) | 0))) {',
    instead: 'if (!(length >= 0 && left > 0)) {',
    breaks: 'so does one that is copied to a target',
    test: { ava: 'queue/corruption' },
  },
  {
    name: 'js-write-position-trusted',
    file: 'lib/queue/ring-reader.ts',
    text: 'if (!plausible || carries(known, written)) return this.#native.available()',
    instead: 'if (carries(known, written) && plausible) return this.#native.available()',
    breaks: 'a consumer in JavaScript believes a write position that cannot be',
    test: { ava: 'queue/corruption' },
  },
  {
    name: 'js-counter-past-the-edge',
    file: 'lib/sync/counter.ts',
    text: 'return BigInt.asIntN(64, Atomics.add(value, 0, step) + step)',
    instead: 'return Atomics.add(value, 0, step) + step',
    breaks: 'a counter that wraps says that it stands beyond 64 bits',
    test: {
      ava: 'sync/counter',
      only: 'numbers wrap at the ends of 64 bits, whatever changes them',
    },
  },
  {
    name: 'js-counter-in-two-steps',
    file: 'lib/sync/counter.ts',
    text: 'return BigInt.asIntN(64, Atomics.add(value, 0, step) + step)',
    instead: 'return (value[0] = BigInt.asIntN(64, Atomics.load(value, 0) + step))',
    breaks: 'additions at the same time get lost',
    test: {
      ava: 'sync/counter',
      only: 'additions in C++ and in JavaScript, at the same time, are all there',
    },
  },
  {
    name: 'js-reservation-for-ever',
    file: 'lib/queue/reservation.ts',
    text: `    reserver.judge(length)
    this.#reserver = undefined
`,
    instead: `    reserver.judge(length)
`,
    breaks: 'a reservation that was committed sends once more, and ends the one that is open',
    test: { ava: 'queue/reservations' },
  },
  {
    name: 'js-cell-unmarked',
    file: 'lib/cell/slot-writer.ts',
    text: '    control[at + toSequence] = (twice - 1) | 0\n',
    instead: '',
    breaks: 'a reader takes a value for whole that JavaScript is writing over',
    test: {
      ava: 'cell/torn',
      only: 'C++ reads what JavaScript writes: whole values, ever newer ones',
    },
  },
  {
    name: 'js-cell-copy-not-judged',
    file: 'lib/cell/slot-reader.ts',
    text: 'control[at + toSequence] !== low << 1 ||',
    instead: '',
    breaks: 'JavaScript takes a copy for whole whatever was written over it meanwhile',
    test: {
      ava: 'cell/torn',
      only: 'JavaScript reads what C++ writes: whole values, ever newer ones',
    },
  },
  {
    name: 'js-cell-upper-half-stays',
    file: 'lib/cell/slot-writer.ts',
    text: 'if ((twice & this.#rare) <= slots << 1) return 0',
    instead: 'if ((twice & this.#rare) === 0 && twice === 0) return 0',
    breaks: 'the upper half of a sequence or of the newest version stays behind',
    test: { ava: 'cell/in-words' },
  },
  {
    name: 'js-cell-upper-half-unseen',
    file: 'lib/cell/slot-reader.ts',
    text: 'control[at + toSequence + 1] !== ((high << 1) | (low >>> 31)) ||',
    instead: '',
    breaks: 'half a sequence is taken for the whole of it',
    test: { ava: 'cell/in-words', only: 'a sequence with another upper half is found out by *' },
  },
  {
    name: 'js-cell-length-trusted',
    file: 'lib/cell/slot-reader.ts',
    text: 'if (length >>> 0 > mostByWords || length > known.size || length > this.#maxBytes) return -1',
    instead:
      'if (length >>> 0 > mostByWords || length > known.size + 0 * this.#maxBytes) return -1',
    breaks: 'a value reaches into the next one',
    test: { ava: 'cell/in-words', only: 'a length beyond its place is found out by *' },
  },
  {
    name: 'js-cell-wakes-nobody',
    file: 'lib/cell/slot-writer.ts',
    text: '(control[atWaiting]! | control[atWaiting + 1]! | control[atNeedsFence]!) !== 0',
    instead: '(control[atWaiting + 1]! | control[atNeedsFence]!) !== 0',
    breaks: 'a reader that sleeps hears of no value that JavaScript writes',
    test: { ava: 'cell/in-words', only: 'a reader that sleeps is woken by a writer in JavaScript' },
  },
  {
    name: 'js-cell-needed-fence-ignored',
    file: 'lib/cell/slot-writer.ts',
    text: '(control[atWaiting]! | control[atWaiting + 1]! | control[atNeedsFence]!) !== 0',
    instead: '(control[atWaiting]! | control[atWaiting + 1]! | (0 * control[atNeedsFence]!)) !== 0',
    breaks: 'nor does one that cannot have the heavy fence',
    test: {
      ava: 'cell/in-words',
      only: 'a writer calls the addon while some reader needs full fences, and otherwise not',
    },
  },
  {
    name: 'js-cell-goes-back',
    file: 'lib/cell/reader.ts',
    text: 'if (version < this.#seen) throw this.#fail(Outcome.corrupt)',
    instead: '',
    breaks: 'a reader is shown an older value than it has seen',
    test: { ava: 'cell/in-words', only: 'an older version, which is whole is found out by *' },
  },
  {
    name: 'js-thrown-at-counts',
    file: 'lib/queue/consumer.ts',
    text: `        const verdict = visit(offset + recordHeaderBytes, length)
        if (typeof verdict === 'object' && verdict !== null) refusePromise(verdict, this.name)
        if (this.closed) return taken + unreleased + 1
        left -= bytes
        offset += bytes
        unreleasedBytes += bytes
        unreleased++
`,
    instead: `        left -= bytes
        unreleasedBytes += bytes
        unreleased++
        const verdict = visit(offset + recordHeaderBytes, length)
        if (typeof verdict === 'object' && verdict !== null) refusePromise(verdict, this.name)
        if (this.closed) return taken + unreleased
        offset += bytes
`,
    breaks: 'a message whose callback threw is lost',
    test: {
      ava: 'queue/batches',
      only: 'a message whose callback throws stays, those before it are taken',
    },
  },
  {
    name: 'js-records-in-one-width',
    file: 'lib/struct/ring-records.ts',
    text: 'const up = shift - Math.log2(width)',
    instead: 'const up = width - width',
    breaks: 'numbers of a record that are narrower than its widest are written elsewhere',
    test: { ava: 'queue/records-layouts', only: 'any fields in any order *: little, as in C' },
  },
  {
    name: 'js-records-between-elements',
    file: 'lib/struct/ring-records.ts',
    text: 'size % width === 0 && offset % width === 0',
    instead: 'size > 0 && offset % width === 0',
    breaks: 'numbers of a packed record are written before their place',
    test: { ava: 'queue/records-layouts', only: 'any fields in any order *: little, packed' },
  },
  {
    name: 'js-records-kept-beyond-commit',
    file: 'lib/struct/ring-records.ts',
    text: 'this[place] = 0${each((lane) => `this[lane${lane}] = this[detour${lane}]`)}${moves}',
    instead: 'this[place] = 0${moves}',
    breaks: 'a view that was kept beyond commit writes into the ring',
    test: {
      ava: 'queue/records-layouts',
      only: 'no field of a view that was kept beyond commit can be written',
    },
  },
  {
    name: 'js-records-that-leave',
    file: 'lib/struct/ring-records.ts',
    text: '    leave(below, this[owner], this)\n',
    instead: '',
    breaks: 'what is written by a view that was moved away and came back is lost',
    test: { ava: 'queue/records-layouts', only: 'a view that its owner moves elsewhere *' },
  },
  {
    name: 'js-records-of-closed-memory',
    file: 'lib/queue/record-consumer.ts',
    text: '    this.#records[put](undefined, 0, 0) // inside `drain` it may show the memory that goes\n',
    instead: '',
    breaks:
      'what a callback writes into records after it has closed their queue is lost, without an error',
    test: {
      ava: 'queue/records-layouts',
      only: 'a consumer that closes in its callback takes the records away',
    },
  },
]

const work = [
  {
    name: 'work-wake-dropped-unlooked',
    file: 'native/include/millrace/work/sleepers.hpp',
    text: '        if (!std::exchange(looked_for_, Look{kind, bits}).is(kind, bits)) return true;\n',
    instead: '        looked_for_ = Look{kind, bits};\n',
    breaks: "a job that is published during a look in vain is nobody's, if that one gives up",
    test: {
      native: 'work_sleepers_test',
      only: 'work sleepers: what is published during a look in vain*',
    },
    short: true,
  },
  {
    name: 'work-busy-unlooked',
    file: 'native/include/millrace/work/lookouts.hpp',
    text: '    looked_at_ = now;\n    return true;\n',
    instead: '    looked_at_ = now;\n    return false;\n',
    breaks: 'where all are busy nobody looks for the dead',
    test: { native: 'work_lookouts_test' },
  },
  {
    name: 'work-lookout-unreplaced',
    file: 'native/include/millrace/work/lookouts.hpp',
    text: '    if (kept(now) && now - replaced_at_ < kAskMs) return;\n',
    instead: '    if (kept(now)) return;\n',
    breaks: 'a lookout that goes to work leaves the watch to one that may die',
    test: { native: 'work_lookouts_test' },
  },
  {
    name: 'work-newcomer-unlisted',
    file: 'native/include/millrace/work/seats.hpp',
    text: `    control().present[seat / 64].fetch_or(1ULL << seat % 64, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("seats.seat.listed");
`,
    instead: '',
    breaks: 'a newcomer that dies in its repair keeps what it had locked in the name of its seat',
    test: { native: 'crash/work_newcomer_deaths' },
  },
  {
    name: 'work-dead-letters-unlooked',
    file: 'lib/work/dead-letters.ts',
    text: '      this.#owner.native.look()\n',
    instead: '',
    breaks: 'dead letters are held up by one that was killed with them in hand',
    test: {
      ava: 'work/dead-holder',
      only: 'dead letters: peek is not held up by one that was killed with them in hand',
    },
  },
]

/**
 * `name`; `file` and the `text` in it, which has to be there exactly once, and what is put there `instead`; what that
 * `breaks`; the `test` that has to fail (scripts/mutation-workshop.mjs); whether it is in the `short` form.
 */
export const mutants = [...frames, ...door, ...ring, ...waits, ...work, ...javascript]
