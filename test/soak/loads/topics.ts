// Messages published in every way there is, to one who gets them all and to others who come and go.

import { Topics } from 'millrace/topics'

import { none, patience, pause, same, some, type Counts, type Load, type Shift } from '../load.js'

export const topics: Load = {
  parts: { left: publish, right: subscribe, visitors: visit },
  judge: ({ left, right, visitors }) => [
    ...some('messages published', left?.['published']),
    ...same('messages published and received', left?.['published'], right?.['received']),
    ...same('sums of what was published and received', left?.['sum'], right?.['sum']),
    ...none('messages damaged, or not in their order', right?.['wrong']),
    ...some('messages of visitors', visitors?.['received']),
    ...none('messages of visitors damaged, or unaccounted for', visitors?.['wrong']),
  ],
}

const options = { messages: 128, bytes: 2 ** 17, subscriptions: 8, seats: 8 }

/** 16 to 3000 bytes: the number, and its lowest byte up to the end. */
function payloadOf(i: number): Buffer {
  const payload = Buffer.alloc(i % 50 === 0 ? 3000 : 16 + (i % 150), i & 0xff)
  payload.writeDoubleLE(i, 0)
  return payload
}

/** Its number, or -1. */
function numberIn(bytes: Uint8Array): number {
  const number = Buffer.from(bytes).readDoubleLE(0)
  return payloadOf(number).equals(bytes) ? number : -1
}

async function publish({ name, over }: Shift): Promise<Counts> {
  using bus = Topics.open(name('t'), options)
  const end = performance.now() + patience.timeout
  while ((await bus.publish('begin', 'x', patience)) === 0 && performance.now() < end)
    await pause(5)
  let published = 0
  const ways: ((subject: string) => Promise<unknown>)[] = [
    (subject) => bus.publish(subject, payloadOf(published), patience),
    (subject) =>
      bus.publish(subject, payloadOf(published), {
        ...patience,
        headers: { at: String(published) },
      }),
    async (subject) => {
      const payload = payloadOf(published)
      using loan = await bus.loan(subject, payload.length, patience)
      loan.bytes.set(payload)
      await loan.publish()
    },
  ]
  while (!over()) {
    await ways[published % ways.length]!(`numbers.${published % 7}`)
    published++
    if (published % 20 === 0) await pause(1)
  }
  await bus.publish('end', 'x', patience)
  return { published, sum: (published * (published - 1)) / 2 }
}

async function subscribe({ name }: Shift): Promise<Counts> {
  using bus = Topics.open(name('t'), options)
  const counts = { received: 0, sum: 0, wrong: 0 }
  const subscription = await bus.subscribe(['begin', 'numbers.*', 'end'])
  for (;;) {
    using message = await subscription.receive(patience)
    if (message.subject === 'end') return counts
    if (message.subject === 'begin') continue
    const number = numberIn(message.bytes)
    if (number !== counts.received || message.missed > 0) counts.wrong++
    counts.received++
    counts.sum += number
  }
}

async function visit({ name, over }: Shift): Promise<Counts> {
  const counts = { visits: 0, received: 0, wrong: 0 }
  for (; !over(); counts.visits++) {
    using bus = Topics.open(name('t'), options)
    const policy = counts.visits % 2 === 0 ? 'overwrite-oldest' : 'wait'
    const replay = counts.visits % 3 === 0 ? 10 : 0
    const subscription = await bus.subscribe('numbers.*', { policy, replay })
    let last = -1
    for (let i = 0; i < 40 && !over(); i++) {
      const message = subscription.tryReceive()
      if (message === undefined) {
        await pause(1)
        continue
      }
      const number = numberIn(message.bytes)
      if (number < 0 || (last >= 0 && number !== last + 1 + message.missed)) counts.wrong++
      message.release()
      last = number
      counts.received++
    }
    await pause(5)
  }
  return counts
}
