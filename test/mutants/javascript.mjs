// What JavaScript does by itself.

const lookAgain = (only) => ({ ava: 'waiting/last-look', only })
const seat = 'lib/topics/seat.ts'
const lookout = (only) => ({ ava: 'topics/lookout', only })

export const javascript = [
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
  {
    name: 'js-lookout-not-told',
    file: seat,
    text: '    if (idle !== undefined && this.#native.keepWatch()) ring(idle.token)\n',
    instead: '    void idle\n',
    breaks:
      'who is called to look for a publisher before its message sleeps on, and the message waits for two seconds',
    test: lookout('after a pause the sleeper that is called looks for the publisher*'),
  },
  {
    name: 'js-lookout-others-told',
    file: seat,
    text: '    if (this.#lookout !== undefined) return\n',
    instead: '    if (this.#lookout !== undefined || told.size > 0) return\n',
    breaks: 'nobody of a handle keeps watch, if the call for one came with a message',
    test: lookout('where the ring of a call brings a message to one subscription*'),
  },
  {
    name: 'js-lookout-leaves',
    file: seat,
    text: '      if (next !== undefined) ring(next.token)\n',
    instead: '      void next\n',
    breaks: 'nobody of a handle keeps watch any more, when the one that did was given up',
    test: lookout('a subscription that keeps watch and is given up*'),
  },
]
