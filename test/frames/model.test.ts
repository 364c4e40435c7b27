// One writer and up to three readers against a model of a few lines: whatever they do, in whatever order,
// the same frames arrive, the same are lost, and the same number of slots is free.

import fc from 'fast-check'
import test from 'ava'
import { FrameReader, FrameWriter, type Frame, type LoanedFrame, type Policy } from 'millrace'
import { uniqueName } from '../support/names.js'

interface ReaderSpec {
  readonly policy: Policy
  readonly depth: number
  readonly maxHeld: number
  readonly history: number
}

class ModelReader {
  readonly backlog: number[] = []
  readonly queue: number[] = []
  readonly held: number[] = []
  last = 0
  received = 0
  lost = 0
  skipped = 0

  constructor(
    readonly spec: ReaderSpec,
    readonly joinedAfter: number,
  ) {}

  get waiting(): number {
    return this.backlog.length + this.queue.length
  }

  /** Takes the oldest; what it missed since the last one is told with it. */
  take(latest: boolean): { sequence: number; missed: number } | undefined {
    let passed = 0
    let sequence = this.backlog.shift() ?? this.queue.shift()
    if (sequence === undefined) return undefined
    while (latest && this.waiting > 0) {
      sequence = (this.backlog.shift() ?? this.queue.shift())!
      passed++
    }
    const missed = sequence - this.last - 1 - passed
    this.last = sequence
    this.skipped += passed
    this.received++
    this.held.push(sequence)
    return { sequence, missed }
  }
}

class ModelWriter {
  readonly readers = new Set<ModelReader>()
  readonly history: number[] = []
  sequence = 0
  loans = 0

  constructor(
    readonly slots: number,
    readonly keeps: number,
  ) {}

  /** Slots that neither a loan, nor the history, nor a reader has. */
  get free(): number {
    const pinned = new Set(this.history)
    for (const { backlog, queue, held } of this.readers) {
      for (const sequence of [...backlog, ...queue, ...held]) pinned.add(sequence)
    }
    return this.slots - this.loans - pinned.size
  }

  loan(): boolean {
    for (const { spec, queue } of this.readers) {
      if (spec.policy === 'wait' && queue.length + this.loans >= spec.depth) return false
    }
    if (this.free === 0) {
      // The oldest frame that only queues of overwrite-oldest readers keep from being free.
      const overwritten = [...this.readers].filter(({ spec }) => spec.policy === 'overwrite-oldest')
      const kept = new Set(this.history)
      for (const reader of this.readers) {
        const { backlog, held, queue } = reader
        const queued = overwritten.includes(reader) ? [] : queue
        for (const sequence of [...backlog, ...held, ...queued]) kept.add(sequence)
      }
      const [oldest] = overwritten
        .flatMap(({ queue }) => queue)
        .filter((sequence) => !kept.has(sequence))
        .sort((a, b) => a - b)
      if (oldest === undefined) return false
      for (const reader of overwritten.filter(({ queue }) => queue.includes(oldest))) {
        reader.lost += reader.queue.splice(0, reader.queue.indexOf(oldest) + 1).length
      }
    }
    this.loans++
    return true
  }

  publish(): number {
    this.loans--
    this.sequence++
    for (const reader of this.readers) {
      const { spec, queue } = reader
      const full = queue.length >= spec.depth
      if (full && spec.policy !== 'wait') reader.lost++
      if (full && spec.policy === 'drop-newest') continue
      if (full && spec.policy === 'overwrite-oldest') queue.shift()
      queue.push(this.sequence)
    }
    if (this.keeps > 0) this.history.push(this.sequence)
    if (this.history.length > this.keeps) this.history.shift()
    return this.sequence
  }

  join(spec: ReaderSpec): ModelReader {
    const reader = new ModelReader(spec, this.sequence)
    if (spec.history > 0) reader.backlog.push(...this.history.slice(-spec.history))
    reader.last = (reader.backlog[0] ?? reader.joinedAfter + 1) - 1
    this.readers.add(reader)
    return reader
  }
}

/** A reader beside its model. */
interface Pair {
  readonly real: FrameReader
  readonly model: ModelReader
  readonly frames: Frame[]
}

type Step =
  | { readonly do: 'loan' }
  | { readonly do: 'publish' | 'discard'; readonly which: number }
  | { readonly do: 'receive' | 'latest' | 'close'; readonly reader: number }
  | { readonly do: 'release'; readonly reader: number; readonly which: number }
  | { readonly do: 'join'; readonly spec: ReaderSpec }

const which = fc.nat({ max: 9 })
const reader = fc.nat({ max: 2 })
const stepOf: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('loan' as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('publish' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('discard' as const), which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('receive' as const), reader }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('latest' as const), reader }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), reader, which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), reader }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('join' as const),
      spec: fc.record({
        policy: fc.constantFrom<Policy>('wait', 'drop-newest', 'overwrite-oldest'),
        depth: fc.integer({ min: 1, max: 6 }),
        maxHeld: fc.integer({ min: 1, max: 6 }),
        history: fc.nat({ max: 4 }),
      }),
    }),
  },
)

class Play {
  readonly #name: string
  readonly #writer: FrameWriter
  readonly #model: ModelWriter
  readonly #loans: LoanedFrame[] = []
  readonly #readers: Pair[] = []

  constructor(name: string, slots: number, history: number) {
    this.#name = name
    this.#writer = FrameWriter.create(name, { slotBytes: 8, slots, history, maxReaders: 3 })
    this.#model = new ModelWriter(slots, history)
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'loan':
        return this.#loan()
      case 'publish':
      case 'discard':
        return this.#settleLoan(step.do, step.which)
      case 'join':
        return await this.#join(step.spec)
      default: {
        const pair = this.#readers[step.reader % this.#readers.length]
        if (pair === undefined) return
        if (step.do === 'release') this.#release(pair, step.which)
        else if (step.do === 'close') this.#close(pair)
        else this.#receive(pair, step.do === 'latest')
      }
    }
  }

  check(): void {
    same('sequence', this.#writer.sequence, this.#model.sequence)
    same('readers', this.#writer.readers, this.#readers.length)
    for (const { real, model, frames } of this.#readers) {
      const { received, lost, skipped, joinedAfter, waiting } = model
      const held = model.held.length
      same('stats', real.stats, { received, lost, skipped, joinedAfter, waiting, held })
      same(
        'what is held',
        frames.map((frame) => frame.view(Float64Array)[0]),
        model.held,
      )
    }
  }

  /** Everything given back: every slot can be loaned. */
  end(): void {
    while (this.#readers.length > 0) this.#close(this.#readers[0]!)
    while (this.#loans.length > 0) this.#settleLoan('discard', 0)
    for (let free = this.#model.free; free > 0; free--) this.#loan()
    this.#loan()
    this.close()
  }

  close(): void {
    for (const { real } of this.#readers) real.close()
    this.#writer.close()
  }

  #loan(): void {
    const loan = this.#writer.tryLoan()
    same('loan', loan !== undefined, this.#model.loan())
    if (loan === undefined) return
    loan.view(Float64Array)[0] = -1
    this.#loans.push(loan)
  }

  #settleLoan(how: 'publish' | 'discard', index: number): void {
    if (this.#loans.length === 0) return
    const [loan] = this.#loans.splice(index % this.#loans.length, 1)
    if (how === 'publish') {
      loan!.view(Float64Array)[0] = this.#model.sequence + 1
      same('publish', loan!.publish(), this.#model.publish())
    } else {
      loan!.discard()
      this.#model.loans--
    }
  }

  async #join(spec: ReaderSpec): Promise<void> {
    if (this.#readers.length === 3) return
    const real = await FrameReader.open(this.#name, spec)
    const slots = this.#writer.slots
    const depth = Math.min(spec.depth, slots)
    const maxHeld = Math.min(spec.maxHeld, slots)
    this.#readers.push({ real, model: this.#model.join({ ...spec, depth, maxHeld }), frames: [] })
  }

  #receive({ real, model, frames }: Pair, latest: boolean): void {
    const receive = () => (latest ? real.latest() : real.tryReceive())
    if (model.held.length >= model.spec.maxHeld && model.waiting > 0) {
      let code: unknown
      try {
        receive()
      } catch (error) {
        code = (error as { code?: string }).code
      }
      same('code', code, 'ERR_MILLRACE_TOO_MANY_HELD')
      return
    }
    const frame = receive()
    const expected = model.held.length < model.spec.maxHeld ? model.take(latest) : undefined
    same('frame', frame && { sequence: frame.sequence, missed: frame.missed }, expected)
    if (frame !== undefined) frames.push(frame)
  }

  #release({ model, frames }: Pair, index: number): void {
    if (frames.length === 0) return
    const at = index % frames.length
    frames.splice(at, 1)[0]!.release()
    model.held.splice(at, 1)
  }

  #close(pair: Pair): void {
    pair.real.close()
    this.#model.readers.delete(pair.model)
    this.#readers.splice(this.#readers.indexOf(pair), 1)
  }
}

function same(what: string, real: unknown, model: unknown): void {
  const [was, expected] = [JSON.stringify(real), JSON.stringify(model)]
  if (was !== expected) throw new Error(`${what}: ${was}, the model says ${expected}`)
}

test('frames, losses and free slots are as the model says', async (t) => {
  const name = uniqueName(t)
  const geometry = fc
    .integer({ min: 2, max: 6 })
    .chain((slots) => fc.tuple(fc.constant(slots), fc.nat({ max: slots - 2 })))
  await fc.assert(
    fc.asyncProperty(
      geometry,
      fc.array(stepOf, { minLength: 20, maxLength: 150, size: 'max' }),
      async ([slots, history], steps) => {
        const play = new Play(name, slots, history)
        try {
          for (const step of steps) {
            await play.take(step)
            play.check()
          }
          play.end()
        } finally {
          play.close()
        }
      },
    ),
    { numRuns: 400, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true },
  )
  t.pass()
})
