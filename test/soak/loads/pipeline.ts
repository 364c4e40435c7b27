// Jobs through three stages, worked by two processes: each comes out once, in order, whatever happened to it on the way.

import { Pipeline, type StageJob } from 'millrace/work'
import { SharedEvent } from 'millrace/sync'

import { none, patience, pause, same, some, type Counts, type Load, type Shift } from '../load.js'

export const pipeline: Load = {
  parts: {
    left: push,
    right: (shift) => work(shift, false),
    visitors: (shift) => work(shift, true),
  },
  judge: ({ left, right, visitors }) => [
    ...some('jobs pushed', left?.['pushed']),
    ...same('jobs pushed, and out or given up', left?.['pushed'], visitors?.['out']),
    ...same('sums of what was pushed and came out', left?.['sum'], visitors?.['sum']),
    ...none('jobs damaged', (right?.['damaged'] ?? NaN) + (visitors?.['damaged'] ?? NaN)),
    ...none('jobs out of order', visitors?.['disordered']),
    ...none('places taken', left?.['taken']),
    ...none('bytes left', left?.['bytesUsed']),
  ],
}

const jobs = 256
/** Of three parts of the memory each result has to find room in one. */
const bytes = 2 ** 18

/** 16 to 3000 bytes: the number, and its lowest byte plus the stage up to the end. */
function payloadOf(i: number, stage: number): Buffer {
  const length = (i + 17 * stage) % 50 === 0 ? 3000 : 16 + ((i * (stage + 1)) % 150)
  const payload = Buffer.alloc(length, (i + stage) & 0xff)
  payload.writeDoubleLE(i, 0)
  return payload
}

interface Workers {
  readonly counts: Counts
  /** What comes out of the last stage, one after the other. */
  readonly out?: (number: number) => void
}

function openPipeline(name: string, workers?: Workers) {
  const etl = Pipeline.open(name, { jobs, bytes, seats: 16, maxAttempts: Infinity })
  if (workers === undefined)
    return etl.stage('first').stage('second', { ordered: true }).stage('last')
  const { counts, out } = workers
  const one = etl
    .stage('first', (job) => step(job, 0, counts), { workers: 2 })
    .stage('second', (job) => step(job, 1, counts), { workers: 3, ordered: true })
  if (out === undefined) return one.stage('last')
  return one.stage('last', (job) => {
    const bytesOfJob = job.copy()
    const number = bytesOfJob.readDoubleLE(0)
    if (!payloadOf(number, 2).equals(bytesOfJob)) counts['damaged']!++
    out(number)
  })
}

/** Becomes that of the next stage, at once or at the second or third attempt. */
async function step(job: StageJob, stage: number, counts: Counts): Promise<Buffer | undefined> {
  const found = job.copy()
  const number = found.readDoubleLE(0)
  if (!payloadOf(number, stage).equals(found)) counts['damaged']!++
  counts['taken']!++
  if (counts['taken']! % 50 === 0) await pause(1)
  if (counts['taken']! % 13 === 0) job.release({ delay: counts['taken']! % 2 })
  else if (counts['taken']! % 17 === 0) job.retry({ error: 'once more' })
  else return payloadOf(number, stage + 1)
  return undefined
}

async function push({ name, over }: Shift): Promise<Counts> {
  using etl = openPipeline(name('p'))
  using ended = SharedEvent.open(name('p-end'), { reset: 'manual' })
  let pushed = 0
  const ways: (() => Promise<unknown>)[] = [
    () => etl.push(payloadOf(pushed, 0), patience),
    () => etl.push(payloadOf(pushed, 0), { ...patience, delay: pushed % 5 }),
    () => etl.push(payloadOf(pushed, 0), { ...patience, group: `g${pushed % 5}` }),
    async () => {
      const payload = payloadOf(pushed, 0)
      using loan = await etl.loan(payload.length, patience)
      loan.bytes.set(payload)
      loan.push()
    },
  ]
  while (!over()) {
    await ways[pushed % ways.length]!()
    pushed++
    if (pushed % 20 === 0) await pause(1)
  }
  await etl.idle(patience)
  const { free, bytesUsed } = etl.stats()
  ended.set()
  return { pushed, sum: (pushed * (pushed - 1)) / 2, taken: jobs - free, bytesUsed }
}

async function work({ name }: Shift, takesOut: boolean): Promise<Counts> {
  const counts: Counts = { out: 0, sum: 0, damaged: 0, disordered: 0, taken: 0 }
  let last = -1
  const out = (number: number): void => {
    counts['out']!++
    counts['sum']! += number
    if (number !== last + 1) counts['disordered']!++
    last = number
  }
  await using etl = openPipeline(name('p'), takesOut ? { counts, out } : { counts })
  using ended = SharedEvent.open(name('p-end'), { reset: 'manual' })
  const working = etl.work()
  await Promise.race([ended.wait(), working])
  etl.close()
  await working
  return counts
}
