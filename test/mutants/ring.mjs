// The rings of queues.

const leavings = (only) => ({ native: 'crash/leaving_meetings', only: `meeting: ${only}` })

export const ring = [
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
