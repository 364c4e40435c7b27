// One writer; three readers that stay, one of each policy; and readers that join and leave.

import { FrameReader, FrameWriter, type Policy } from 'millrace'

import { none, patience, pause, same, some, type Counts, type Load, type Shift } from '../load.js'

const policies: readonly Policy[] = ['wait', 'drop-newest', 'overwrite-oldest']

export const frames: Load = {
  parts: { left: write, right: read, visitors: joinAndLeave },
  judge: ({ left, right, visitors }) => [
    ...some('frames published', left?.['published']),
    ...policies.flatMap((policy) => [
      ...same(
        `frames published and accounted for (${policy})`,
        left?.['published'],
        right?.[policy],
      ),
    ]),
    ...none('frames damaged or out of order', right?.['damaged']),
    ...none('frames damaged for visitors', visitors?.['damaged']),
    ...some('readers that joined', visitors?.['joined']),
  ],
}

async function write({ name, over }: Shift): Promise<Counts> {
  const writer = FrameWriter.create(name('f'), {
    slotBytes: 20_000,
    slots: 32,
    maxReaders: 6,
    history: 2,
  })
  await writer.waitForReaders(3, patience)
  while (!over()) {
    for (let i = 0; i < 5; i++) {
      const frame = await writer.loan(patience)
      const number = writer.sequence + 1
      frame.bytes.fill(number & 0xff, 0, 1000)
      frame.publish({ byteLength: 1000 + (number % 19_000) })
    }
    await pause(1)
  }
  const published = writer.sequence
  writer.close()
  return { published }
}

async function read({ name }: Shift): Promise<Counts> {
  const counts: Counts = { damaged: 0 }
  // None of them starts to take its time before all have joined: the first frame is for all.
  const readers = await Promise.all(
    policies.map((policy) =>
      FrameReader.open(name('f'), { policy, depth: policy === 'wait' ? 16 : 4, ...patience }),
    ),
  )
  await Promise.all(
    readers.map(async (reader, i) => {
      const policy = policies[i]!
      let last = reader.stats.joinedAfter
      let missed = 0
      for await (using frame of reader) {
        if (frame.sequence !== last + 1 + frame.missed) counts['damaged']!++
        if (frame.bytes[999] !== (frame.sequence & 0xff)) counts['damaged']!++
        last = frame.sequence
        missed += frame.missed
        if (policy !== 'wait' && last % 10 === 0) await pause(5)
      }
      const { received, lost, joinedAfter } = reader.stats
      if (missed > lost) counts['damaged']!++
      counts[policy] = received + lost + joinedAfter
      reader.close()
    }),
  )
  return counts
}

async function joinAndLeave({ name, over, signal }: Shift): Promise<Counts> {
  let joined = 0
  let damaged = 0
  while (!over()) {
    const policy = policies[1 + (joined % 2)]!
    const options = { policy, history: joined % 3, signal, ...patience }
    using reader = await FrameReader.open(name('f'), options).catch((error: unknown) => {
      if (!over()) throw error // else it is the writer who is over
      return undefined
    })
    if (reader === undefined) break
    joined++
    for (let i = 0; i < joined % 5; i++) {
      using frame = await reader.receive(patience)
      if (frame === undefined) return { joined, damaged }
      if (frame.bytes[0] !== (frame.sequence & 0xff)) damaged++
    }
    await pause(5)
  }
  return { joined, damaged }
}
