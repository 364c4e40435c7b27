// Messages seen from outside: that what was copied is looked at once more, and that writers say what they write over.

const meeting = (only) => ({ native: 'crash/watch_meetings', only: `meeting: ${only}` })

export const watch = [
  {
    name: 'watched-message-not-looked-at-again',
    file: 'native/include/millrace/watch/queue.hpp',
    text: '    still = behind(at_, after.safe);\n',
    instead: '    still = true;\n',
    breaks: 'a message is told that was written over while it was copied',
    test: meeting('messages that a producer writes over'),
  },
  {
    name: 'producer-does-not-say-what-it-writes-over',
    file: 'native/include/millrace/spsc_ring.hpp',
    text: `    cursor_->peers = read;
    say_seen();
  }
  // What the consumer`,
    instead: `    cursor_->peers = read;
  }
  // What the consumer`,
    breaks: 'what a producer writes over is told for as long as it was before the first lap',
    test: meeting('messages that a producer writes over'),
  },
  {
    name: 'watched-frame-not-looked-at-again',
    file: 'native/include/millrace/watch/frames.hpp',
    text: 'if (record[0].sequence.load(std::memory_order_relaxed) != found.sequence) return false;',
    instead: '',
    breaks: 'a frame is told that was written over while it was copied',
    test: meeting('a frame whose slot is loaned'),
  },
  {
    name: 'loaned-slot-not-marked',
    file: 'native/include/millrace/frame_ledger.hpp',
    text: '      channel_.slot(slot).sequence.store(0, std::memory_order_relaxed);\n',
    instead: '',
    breaks: 'a frame is told whose slot is being written to',
    test: meeting('a frame that the writer begins to write over'),
  },
  {
    name: 'watched-value-not-looked-at-again',
    file: 'native/include/millrace/watch/cell.hpp',
    text: '    return slot[0].sequence.load(std::memory_order_relaxed) == layout::complete(version);\n',
    instead: '    return true;\n',
    breaks: 'a value is told that was written over while it was copied',
    test: meeting('a value that is replaced'),
  },
  {
    name: 'watched-cell-not-looked-at-again',
    file: 'native/include/millrace/watch/topics.hpp',
    text: 'again[i] != cells[i] || ',
    instead: '',
    breaks: 'a message of a bus is told that was evicted while it was copied',
    test: meeting('messages of a bus'),
  },
  {
    name: 'watched-job-not-looked-at-again',
    file: 'native/include/millrace/watch/work.hpp',
    text: 'if (after[0].born.load(std::memory_order_relaxed) != born) return false;',
    instead: '',
    breaks: 'a job is told that has the bytes of the next one',
    test: meeting('a job whose slot'),
  },
]
