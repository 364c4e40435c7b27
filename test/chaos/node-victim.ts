// A victim that is a Node process: waits, started already, for a part to play, plays it, and is killed. What it
// does is what the victims in victims.cpp do, with the JavaScript API.

import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'
import * as millrace from 'millrace'
import { connect, serve } from 'millrace/rpc'
import * as sync from 'millrace/sync'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

import { contentOf, mostBytes, numberIn } from './content.js'
import { Ledger } from './ledger.js'
import { openStages, StageParty, stageNames, type StageName } from './pipeline-party.js'
import { chaos, firstOf, handlersOf, isOnce, Runs } from './rpc-party.js'
import { Journal } from './work-journal.js'
import { jobsEach, leaseMsOf, optionsOf, WorkParty } from './work-party.js'

export interface Part {
  readonly kind: string
  readonly side: string
  readonly place: string
  readonly ledger: string
}

process.on('message', (part: Part) => {
  play(part).catch((error: unknown) => {
    process.stderr.write(`victim: ${String((error as Error).stack)}\n`)
    process.exit(3)
  })
})

async function play(part: Part): Promise<void> {
  if (part.kind === 'visit') {
    using event = sync.SharedEvent.open(part.place)
    event.set()
    await event.wait()
    process.disconnect()
    return
  }
  const ledger = Ledger.open(part.ledger)
  process.send?.('playing')
  for (;;) {
    try {
      // Work queues have kinds of their own, of which a part need not know.
      await parts[part.kind.split('-')[0]!]!(part, ledger)
    } catch (error) {
      const { code = '' } = error as { code?: string }
      // The place of the one before may not be free for an instant; and others may leave.
      if (!harmless.includes(code.replace('ERR_MILLRACE_', ''))) throw error
    }
    await pause(1)
  }
}

const harmless = [
  'ROLE_TAKEN',
  'NOT_FOUND',
  'EXISTS',
  'NO_LANE',
  'TIMEOUT',
  'PEER_GONE',
  'CLOSED',
  'PERMISSION',
]

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what)
}

const parts: Record<string, (part: Part, ledger: Ledger) => Promise<void>> = {
  queue: async ({ side, place }, ledger) => {
    if (side === 'producer') {
      using producer = millrace.SpscQueue.producer(place)
      for (let at = ledger.get('base') + 1; ; at++) {
        ledger.set('trying', at)
        await producer.push(contentOf(at))
        ledger.set('done', at)
        ledger.set('base', at)
      }
    }
    using consumer = millrace.SpscQueue.consumer(place)
    for (let begun = false; ; begun = true) {
      const read = (message: Uint8Array) => {
        const [number, last] = [numberIn(message), ledger.get('trying')]
        check(number === last + 1 || (!begun && number === last), `${number} came after ${last}`)
        ledger.set('trying', number)
        return false
      }
      if (ledger.get('trying') % 2 === 0) {
        await consumer.readable()
        consumer.drain(read, 1)
      } else {
        const message = await consumer.take()
        if (message === undefined) continue
        read(message.bytes)
        message.release()
      }
      ledger.set('done', ledger.get('trying'))
      ledger.add('turns')
    }
  },
  both: async ({ side, place }, ledger) => {
    using producer = millrace.SpscQueue.producer(place, { keep: side === 'keep' })
    using consumer = millrace.SpscQueue.consumer(place, { keep: side === 'keep' })
    for (let at = ledger.get('base') + 1; ; at++) {
      ledger.set('trying', at)
      if (producer.tryPush(contentOf(at))) ledger.set('done', at)
      else at--
      if (at % 3 === 0) {
        consumer.drain((message) => {
          const number = numberIn(message)
          check(number !== 0, 'a message is not whole')
          ledger.set('left', number)
          return false
        }, 1)
      }
      await turn()
    }
  },
  frames: async ({ side, place }, ledger) => {
    if (side === 'writer') {
      using writer = millrace.FrameWriter.create(place, {
        slotBytes: mostBytes,
        slots: 8,
        maxReaders: 6,
        history: 2,
      })
      for (let at = ledger.get('base') + 1; ; at++) {
        const loan = await writer.loan()
        ledger.set('trying', at)
        const content = contentOf(at)
        loan.write(content)
        loan.publish({ byteLength: content.byteLength })
        ledger.set('done', at)
        ledger.set('base', at)
        await turn()
      }
    }
    const policy = (
      {
        'reader-wait': 'wait',
        'reader-drop': 'drop-newest',
        'reader-overwrite': 'overwrite-oldest',
      } as const
    )[side as 'reader-wait']
    using reader = await millrace.FrameReader.open(place, { policy, history: 1 })
    for (let last = 0; ;) {
      using frame = await reader.receive()
      if (frame === undefined) return
      const number = numberIn(frame.bytes)
      check(number > last, `frame ${number} came after ${last}`)
      last = number
      ledger.add('turns')
    }
  },
  cell: async ({ side, place }, ledger) => {
    if (side === 'writer') {
      using writer = millrace.Cell.writer(place, { maxBytes: mostBytes })
      for (;;) {
        const number = writer.version + 1
        ledger.set('trying', number)
        writer.write(contentOf(number))
        ledger.set('done', number)
        await turn()
      }
    }
    using reader = await millrace.Cell.reader(place)
    for await (const { bytes, version } of reader.changes()) {
      check(numberIn(bytes) === version, `version ${version} is not whole`)
      ledger.add('turns')
    }
  },
  mutex: async ({ place }, ledger) => {
    using mutex = sync.Mutex.open(place)
    for (;;) {
      using guard = await mutex.lock()
      await change(ledger, guard)
    }
  },
  rwlock: async ({ place }, ledger) => {
    using lock = sync.RwLock.open(place)
    for (let at = 0; ; at++) {
      if (at % 2 === 0) {
        using guard = await lock.readLock()
        const broken = ledger.get('left') !== ledger.get('right')
        check(!broken || guard.abandoned, 'half changed, and nobody is told')
      } else {
        using guard = await lock.writeLock()
        await change(ledger, guard)
      }
    }
  },
  event: async ({ place }, ledger) => {
    using event = sync.SharedEvent.open(place)
    for (;;) {
      event.set()
      await event.wait({ timeout: 5 }).catch(() => undefined)
      ledger.add('turns')
      await turn()
    }
  },
  barrier: async ({ place }, ledger) => {
    using barrier = sync.Barrier.open(place, { parties: 3 })
    for (;;) {
      await barrier.wait()
      ledger.add('turns')
    }
  },
  counter: async ({ place }, ledger) => {
    using counter = sync.Counter.open(place, { initial: 1000 })
    for (;;) {
      ledger.add('trying')
      counter.add()
      ledger.add('done')
      await turn()
    }
  },
  semaphore: async ({ place }, ledger) => {
    using semaphore = sync.Semaphore.open(place)
    for (;;) {
      ledger.set('holding', 1)
      using permit = await semaphore.acquire()
      ledger.set('holding', 2)
      await turn()
      ledger.set('holding', 1)
      permit.release()
      ledger.set('holding', 0)
      await turn()
    }
  },
  memory: async ({ side, place }, ledger) => {
    for (;;) {
      using memory =
        side === 'owner'
          ? millrace.SharedMemory.create(place, 16_384)
          : millrace.SharedMemory.open(place)
      memory.view(Uint8Array).fill(0x5a)
      ledger.add('turns')
      await turn()
    }
  },
  work: async ({ kind, side, place }, ledger) => {
    using queue = WorkQueue.open(place.startsWith('/') ? new millrace.MappedFile(place) : place)
    ledger.add('base')
    const who = ledger.get('base') * 4 + ['producer', 'worker', 'batcher'].indexOf(side)
    ledger.set('holding', who)
    const party = new WorkParty(queue, Journal.open(place), who, leaseMsOf(kind))
    if (side === 'producer') await pushAll(ledger, who, (number) => party.push(number))
    for (;;) {
      await party.work(side === 'worker' ? [await queue.takeOne()] : await queue.takeBatch(4))
      ledger.add('turns')
    }
  },
  pipeline: async ({ side, place }, ledger) => {
    ledger.add('base')
    const stage = stageNames.findIndex((name) => name === side)
    const who = ledger.get('base') * 8 + (stage < 0 ? 3 : stage)
    ledger.set('holding', who)
    const party = new StageParty(Journal.open(place), who, Math.max(0, stage))
    using etl = openStages(place, { [side]: party })
    if (stage < 0) await pushAll(ledger, who, (number) => party.push(etl, number))
    else await etl.work(side as StageName)
  },
  topics: async ({ side, place }, ledger) => {
    using bus = Topics.open(place)
    if (side === 'publisher') {
      for (;;) {
        const number = ledger.get('base') + 1
        ledger.set('trying', number)
        await bus.publish('victim.numbers', contentOf(number))
        ledger.set('done', number)
        ledger.set('base', number)
      }
    }
    const policy = side === 'subscriber-wait' ? 'wait' : 'overwrite-oldest'
    const subscription = await bus.subscribe('survivor.*', { policy, replay: 'last' })
    ledger.set('holding', policy === 'wait' ? 1 : 0)
    let last = 0
    for await (const message of subscription) {
      const number = numberIn(message.bytes)
      const { missed } = message
      message.release()
      check(number !== 0, 'a message is not whole')
      check(last === 0 || number === last + 1 + missed, `${number} came after ${last}, ${missed}`)
      check(policy !== 'wait' || missed === 0, `${missed} were missed`)
      last = number
      ledger.add('turns')
    }
  },
  rpc: async ({ side, place }, ledger) => {
    const runs = Runs.open(place)
    if (side === 'server') {
      using server = await serve(place, chaos, handlersOf(runs, turn))
      for (; !server.closed; await pause(5)) ledger.add('turns')
    }
    using client = await connect(place, chaos)
    ledger.add('base')
    for (let number = firstOf(ledger.get('base')); ; number++) {
      const answer = client[isOnce(number) ? 'once' : 'again'](contentOf(number))
      check(numberIn(await answer) === number + 1, `call ${number} was answered wrongly`)
      ledger.add('turns')
    }
  },
  handover: async ({ place }) => {
    using segment = millrace.NamelessSegment.create()
    using memory = millrace.SharedMemory.create(segment, 4096)
    memory.view(Uint8Array).fill(0x5a)
    using offer = await millrace.offerSegments(place, { memory: segment })
    await pause(1000)
    check(!offer.closed, 'the offer has ended')
  },
}

/** What the one before was in the middle of pushing when it died, if it has an id; then others, without end. */
async function pushAll(
  ledger: Ledger,
  who: number,
  push: (number: number) => Promise<void>,
): Promise<void> {
  const one = async (number: number) => {
    ledger.set('trying', number)
    await push(number)
    ledger.set('done', number)
  }
  const unsure = ledger.get('trying')
  if (unsure !== ledger.get('done') && optionsOf(unsure).id !== undefined) await one(unsure)
  for (let number = who * jobsEach; ; number++) await one(number)
}

async function change(ledger: Ledger, guard: sync.LockGuard): Promise<void> {
  const broken = ledger.get('left') !== ledger.get('right')
  check(!broken || guard.abandoned, 'half changed, and nobody is told')
  if (broken) ledger.set('right', ledger.get('left'))
  ledger.add('left')
  await turn()
  ledger.add('right')
  ledger.add('turns')
}
