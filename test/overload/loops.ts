// Loops at full speed: each of them goes on for as long as it is told, with nothing between two rounds but what millrace
// itself puts there. Both sides live in one process, so that there is always something to take and always
// room, which is when a promise has no need to wait for the event loop.

import {
  Cell,
  FrameReader,
  FrameWriter,
  SpscQueue,
  type MillraceError,
  type QueueConsumer,
  type QueueProducer,
} from 'millrace'
import { Mutex, Semaphore, SharedEvent } from 'millrace/sync'

export interface Course {
  /** For the objects it opens; none of them is left behind. */
  readonly name: string
  /** Asked once a round. */
  readonly over: () => boolean
  /** A round was done. */
  readonly lap: () => void
}

const text = 'sixteen bytes ok'
const batch = Array.from({ length: 64 }, () => text)

export const loops: Readonly<Record<string, (course: Course) => Promise<void>>> = {
  push: (course) => exchange(course, pushing, taking('pop')),
  'push in batches': (course) => exchange(course, pushingBatches, taking('pop')),
  'reserve and commit': (course) => exchange(course, reserving, taking('drain')),
  pop: (course) => exchange(course, pushingBatches, taking('pop')),
  'for await over messages': (course) => exchange(course, pushingBatches, taking('iterate')),
  'readable and drain': (course) => exchange(course, pushingBatches, taking('drain')),

  async 'drain of a large backlog'(course) {
    using consumer = SpscQueue.consumer(course.name, { capacity: 2 ** 24 })
    using producer = SpscQueue.producer(course.name)
    while (!course.over()) {
      while ((await sendSome(producer)) && !course.over());
      while (await consumer.readable()) {
        consumer.drain(() => {
          course.lap()
        })
        if (producer.freeBytes === producer.capacity || course.over()) break
      }
    }
    consumer.close()
    producer.close({ discard: true })
  },

  async 'messages of 1 MiB'(course) {
    const large = Buffer.alloc(2 ** 20)
    using consumer = SpscQueue.consumer(course.name, { capacity: 2 ** 24 })
    using producer = SpscQueue.producer(course.name)
    while (!course.over()) {
      await producer.push(large)
      await consumer.pop()
      course.lap()
    }
  },

  async 'a body of 2 ms'(course) {
    await exchange(course, pushingBatches, async (consumer) => {
      for await (const _ of consumer) {
        course.lap()
        const end = performance.now() + 2
        while (performance.now() < end);
        if (course.over()) break
      }
    })
  },

  async 'thirty queues'({ name, ...course }) {
    await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        exchange({ name: `${name}-${i}`, ...course }, pushing, taking('pop')),
      ),
    )
  },

  async 'frames one by one'(course) {
    using writer = FrameWriter.create(course.name, { slotBytes: 64, slots: 64 })
    using reader = await FrameReader.open(course.name)
    while (!course.over()) {
      for (let i = 0; i < 32; i++) (await writer.loan()).publish()
      for (let i = 0; i < 32; i++) (await reader.receive())?.release()
      course.lap()
    }
  },

  async 'for await over frames'(course) {
    const writer = FrameWriter.create(course.name, { slotBytes: 64, slots: 64 })
    using reader = await FrameReader.open(course.name)
    const writing = (async () => {
      while (!course.over()) (await writer.loan()).publish()
      writer.close()
    })()
    for await (using _ of reader) course.lap()
    await writing
  },

  async 'loans passed from hand to hand'(course) {
    using writer = FrameWriter.create(course.name, { slotBytes: 64, slots: 2 })
    await Promise.all(
      [1, 2, 3, 4].map(async () => {
        while (!course.over()) {
          const frame = await writer.loan()
          await Promise.resolve()
          frame.publish()
          course.lap()
        }
      }),
    )
  },

  async 'readers that join and leave'(course) {
    using _writer = FrameWriter.create(course.name, { slotBytes: 64 })
    while (!course.over()) {
      ;(await FrameReader.open(course.name)).close()
      course.lap()
    }
  },

  async 'changes of a cell'(course) {
    using writer = Cell.writer(course.name, { maxBytes: 64 })
    using reader = await Cell.reader(course.name)
    while (!course.over()) {
      writer.write(text)
      await reader.changed()
      course.lap()
    }
  },

  async 'a lock nobody else wants'(course) {
    using mutex = Mutex.open(course.name)
    while (!course.over()) {
      using _ = await mutex.lock()
      course.lap()
    }
  },

  async 'an event and a semaphore'(course) {
    using event = SharedEvent.open(course.name)
    using semaphore = Semaphore.create(course.name, 0)
    semaphore.unlink()
    while (!course.over()) {
      event.set()
      semaphore.post()
      await event.wait()
      await semaphore.wait()
      course.lap()
    }
  },
}

type Send = (producer: QueueProducer, course: Course) => Promise<void>
type Take = (consumer: QueueConsumer, course: Course) => Promise<void>

/** A queue between two tasks, until the course is over. */
async function exchange(course: Course, send: Send, take: Take): Promise<void> {
  using consumer = SpscQueue.consumer(course.name, { capacity: 2 ** 16 })
  const producer = SpscQueue.producer(course.name)
  const sending = send(producer, course)
    .catch(closed) // whoever stops taking leaves a sender that waits for room
    .finally(() => {
      producer.close({ discard: consumer.closed })
    })
  await take(consumer, course)
  consumer.close({ discard: true })
  await sending
}

const pushing: Send = async (producer, course) => {
  while (!course.over()) await producer.push(text)
}

const pushingBatches: Send = async (producer, course) => {
  while (!course.over()) await producer.pushBatch(batch)
}

const reserving: Send = async (producer, course) => {
  while (!course.over()) {
    const room = await producer.reserveWhenFree(16)
    room.bytes.fill(1)
    room.commit()
  }
}

const taking =
  (how: 'pop' | 'iterate' | 'drain'): Take =>
  async (consumer, course) => {
    if (how === 'pop') {
      while ((await consumer.pop()) !== undefined) course.lap()
    } else if (how === 'iterate') {
      for await (const _ of consumer) course.lap()
    } else {
      while (await consumer.readable()) {
        consumer.drain(() => {
          course.lap()
        })
      }
    }
  }

function closed(error: unknown): void {
  if ((error as MillraceError).code !== 'ERR_MILLRACE_CLOSED') throw error
}

async function sendSome(producer: QueueProducer): Promise<boolean> {
  if (producer.freeBytes < batch.length * 24) return false
  await producer.pushBatch(batch)
  return true
}
