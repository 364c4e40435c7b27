// Everything is opened, used once and closed; and everything is waited for in vain.

import {
  Cell,
  FrameReader,
  FrameWriter,
  MappedFile,
  SharedMemory,
  SpscQueue,
  NamelessSegment,
} from 'millrace'
import { Barrier, Counter, Mutex, RwLock, Semaphore, SharedEvent } from 'millrace/sync'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { patience, pause, same, some, type Counts, type Load, type Shift } from '../load.js'

export const churn: Load = {
  parts: { churn: openAndClose },
  judge: ({ churn: part }) => [
    ...some('rounds of opening and closing', part?.['rounds']),
    ...same('waits begun and given up', part?.['begun'], part?.['givenUp']),
  ],
}

async function openAndClose({ name, over }: Shift): Promise<Counts> {
  const counts = { rounds: 0, begun: 0, givenUp: 0 }
  while (!over()) {
    await openAll(name)
    await waitInVain(name, counts)
    counts.rounds++
    await pause(10)
  }
  return counts
}

async function openAll(name: Shift['name']): Promise<void> {
  {
    using nameless = NamelessSegment.create()
    const file = new MappedFile(join(tmpdir(), `millrace-${name('file')}`))
    for (const place of [name('q'), nameless, file]) {
      using consumer = SpscQueue.consumer(place)
      using producer = SpscQueue.producer(place)
      await producer.push('once')
      consumer.drain(() => undefined, 1)
    }
    file.unlink()
  }
  {
    using writer = FrameWriter.create(name('f'), { slotBytes: 4096, slots: 4, history: 1 })
    using reader = await FrameReader.open(name('f'), { ...patience, detachOnRelease: true })
    ;(await writer.loan()).publish()
    using _ = await reader.receive(patience)
  }
  {
    using memory = SharedMemory.create(name('m'), 10_000)
    memory.view(Float64Array)[0] = 1
  }
  {
    using writer = Cell.writer(name('c'), { maxBytes: 64 })
    using reader = await Cell.reader(name('c'), patience)
    writer.write('once')
    await reader.changed(patience)
  }
  {
    using mutex = Mutex.open(name('x'))
    using rwlock = RwLock.open(name('w'))
    using _guard = await mutex.lock()
    using _reading = await rwlock.readLock()
    using counter = Counter.open(name('n'))
    counter.add()
  }
  {
    using event = SharedEvent.open(name('e'))
    event.set()
    await event.wait()
    using barrier = Barrier.open(name('b'), { parties: 1 })
    await barrier.wait()
    using semaphore = Semaphore.create(name('s'), 1)
    semaphore.unlink()
    await semaphore.wait()
  }
}

async function waitInVain(name: Shift['name'], counts: Counts): Promise<void> {
  using consumer = SpscQueue.consumer(name('q'), { capacity: 4096, poll: counts['rounds']! % 2 })
  using _producer = SpscQueue.producer(name('q'))
  using writer = FrameWriter.create(name('f'), { slotBytes: 64, slots: 2 })
  using reader = await FrameReader.open(name('f'), patience)
  using mutex = Mutex.open(name('x'))
  using _guard = await mutex.lock()
  using other = Mutex.open(name('x'))
  using event = SharedEvent.open(name('e'))
  using barrier = Barrier.open(name('b'), { parties: 2 })
  using semaphore = Semaphore.create(name('s'), 0)
  semaphore.unlink()
  using alone = SpscQueue.producer(name('alone'))
  for (const how of ['time-out', 'signal']) {
    const controller = new AbortController()
    const options = how === 'signal' ? { signal: controller.signal } : { timeout: 1 }
    const waits = [
      consumer.pop(options),
      consumer.readable(options),
      reader.receive(options),
      writer.waitForReaders(2, options),
      other.lock(options),
      event.wait(options),
      barrier.wait(options),
      semaphore.wait(options),
      alone.waitForPeer(options),
      FrameReader.open(name('nobody'), options),
    ]
    counts['begun']! += waits.length
    setTimeout(() => {
      controller.abort()
    }, 2)
    const ended = await Promise.allSettled(waits)
    counts['givenUp']! += ended.filter(({ status }) => status === 'rejected').length
  }
}
