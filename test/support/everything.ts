// Every kind of object that lies under a name, made and opened with as few options as it takes.

import { Cell, FrameReader, FrameWriter, SharedMemory, SpscQueue } from 'millrace'
import { SharedBreaker, SharedRateLimiter } from 'millrace/resilience'
import { Barrier, Counter, Mutex, RwLock, Semaphore, SharedEvent } from 'millrace/sync'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

export interface Closable {
  close(): void
}

export interface Everything {
  readonly kind: string
  /** Its file in /dev/shm, for a name. */
  readonly file: (name: string) => string
  readonly create: (name: string) => Closable
  /** As whoever comes second does it. */
  readonly open: (name: string) => Closable | Promise<Closable>
}

const segment = (letter: string) => (name: string) => `/dev/shm/millrace.${letter}.${name}`
const party = (kind: string, letter: string, open: (name: string) => Closable): Everything => ({
  kind,
  file: segment(letter),
  create: open,
  open,
})

export const everything: readonly Everything[] = [
  {
    kind: 'queue',
    file: segment('q'),
    create: (name) => SpscQueue.producer(name),
    open: (name) => SpscQueue.consumer(name),
  },
  {
    kind: 'frames',
    file: segment('f'),
    create: (name) => FrameWriter.create(name, { slotBytes: 64 }),
    open: (name) => FrameReader.open(name, { timeout: 0 }),
  },
  {
    kind: 'memory',
    file: (name) => `/dev/shm/${name}`,
    create: (name) => SharedMemory.create(name, 64),
    open: (name) => SharedMemory.open(name),
  },
  {
    kind: 'cell',
    file: segment('c'),
    create: (name) => Cell.writer(name, { maxBytes: 64 }),
    open: (name) => Cell.reader(name, { timeout: 0 }),
  },
  {
    kind: 'semaphore',
    file: (name) => `/dev/shm/sem.${name}`,
    create: (name) => Semaphore.create(name, 1),
    open: (name) => Semaphore.open(name),
  },
  party('counter', 'n', (name) => Counter.open(name)),
  party('mutex', 'x', (name) => Mutex.open(name)),
  party('rwlock', 'w', (name) => RwLock.open(name)),
  party('event', 'e', (name) => SharedEvent.open(name)),
  party('barrier', 'b', (name) => Barrier.open(name, { parties: 2 })),
  party('rate-limiter', 'g', (name) => SharedRateLimiter.open(name, { rate: 10 })),
  party('breaker', 'k', (name) => SharedBreaker.open(name)),
  party('topics', 't', (name) => Topics.open(name, { messages: 16 })),
  party('work', 'j', (name) => WorkQueue.open(name, { jobs: 10 })),
]
