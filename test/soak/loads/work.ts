// Jobs pushed and done in every way there is: each once, however often it is given back before.

import { WorkQueue, type Job } from 'millrace/work'

import { none, patience, pause, same, some, type Counts, type Load, type Shift } from '../load.js'

export const work: Load = {
  parts: { left: push, right: (shift) => take(shift, 1), visitors: (shift) => take(shift, 2) },
  judge: ({ left, right, visitors }) => {
    const sum = (what: string) => (right?.[what] ?? NaN) + (visitors?.[what] ?? NaN)
    return [
      ...some('jobs pushed', left?.['pushed']),
      ...same('jobs pushed and done', left?.['pushed'], sum('done')),
      ...same('sums of what was pushed and done', left?.['sum'], sum('sum')),
      ...none('jobs damaged', sum('damaged')),
      ...none('jobs left', left?.['left']),
      ...none('bytes left', left?.['bytesUsed']),
    ]
  },
}

const options = {
  jobs: 256,
  bytes: 2 ** 18,
  seats: 16,
  maxAttempts: Infinity,
  dedupWindow: 1000,
} as const

/** 16 to 3000 bytes: the number, and its lowest byte up to the end. */
function payloadOf(i: number): Buffer {
  const payload = Buffer.alloc(i % 50 === 0 ? 3000 : 16 + (i % 150), i & 0xff)
  payload.writeDoubleLE(i, 0)
  return payload
}

async function push({ name, over }: Shift): Promise<Counts> {
  using queue = WorkQueue.open(name('j'), options)
  let pushed = 0
  const ways: (() => Promise<unknown>)[] = [
    () => queue.push(payloadOf(pushed), patience),
    () => queue.push(payloadOf(pushed), { ...patience, priority: pushed % 3 }),
    () => queue.push(payloadOf(pushed), { ...patience, delay: pushed % 20 }),
    () => queue.push(payloadOf(pushed), { ...patience, group: `g${pushed % 5}` }),
    async () => {
      const id = `id-${pushed}`
      await queue.push(payloadOf(pushed), { ...patience, id })
      await queue.push(payloadOf(pushed), { ...patience, id }) // nothing
    },
    async () => {
      const payload = payloadOf(pushed)
      using loan = await queue.loan(payload.length, patience)
      loan.bytes.set(payload)
      loan.push()
    },
  ]
  while (!over()) {
    await ways[pushed % ways.length]!()
    pushed++
    if (pushed % 20 !== 0) continue
    queue.dead.redrive()
    await pause(1)
  }
  // All of them, those that were given up as well.
  const end = performance.now() + patience.timeout
  const rest = () => {
    const { ready, leased, delayed, grouped, dead, bytesUsed } = queue.stats()
    return { left: ready + leased + delayed + grouped + dead, bytesUsed }
  }
  while (rest().left > 0 && performance.now() < end) {
    queue.dead.redrive()
    await pause(1)
  }
  const { left, bytesUsed } = rest()
  // The workers stop when each has got one of these.
  for (let i = 0; i < 2; i++) await queue.push('the end', patience)
  while (queue.stats().handles > 1 && performance.now() < end) await pause(5)
  // It would stay for as long as it remembers ids.
  WorkQueue.unlink(name('j'))
  return { pushed, sum: (pushed * (pushed - 1)) / 2, left, bytesUsed }
}

async function take({ name }: Shift, many: number): Promise<Counts> {
  using queue = WorkQueue.open(name('j'), options)
  const counts = { done: 0, sum: 0, damaged: 0, taken: 0 }
  for (;;) {
    const jobs =
      many === 1 ? [await queue.takeOne(patience)] : await queue.takeBatch(many, patience)
    let ended = false
    for (const job of jobs) {
      // One "end" for each worker.
      if (!isEnd(job)) await settle(job)
      else if (ended) job.release()
      else {
        job.complete()
        ended = true
      }
    }
    if (ended) return counts
  }

  async function settle(job: Job): Promise<void> {
    const bytes = job.copy()
    const number = bytes.readDoubleLE(0)
    if (!payloadOf(number).equals(bytes)) counts.damaged++
    counts.taken++
    if (counts.taken % 50 === 0) await pause(1)
    // Given back or given up now and then, but only a few times.
    if (counts.taken % 13 === 0) job.release({ delay: counts.taken % 2 })
    else if (counts.taken % 17 === 0) job.retry({ error: 'once more' })
    else if (counts.taken % 97 === 0) job.reject('later')
    else {
      job.complete()
      counts.done++
      counts.sum += number
    }
  }
}

function isEnd(job: Job): boolean {
  return job.length === 7
}
