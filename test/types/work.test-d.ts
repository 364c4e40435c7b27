// The types of work queues as a user's compiler sees them.
import { expectAssignable, expectError, expectType } from 'tsd'
import type { Iteration } from 'millrace'
import {
  type Settling,
  WorkQueue,
  type DeadLetter,
  type DeadReason,
  type Durability,
  type Job,
  type JobHandler,
  type PushResult,
  type WorkLoan,
  type WorkQueueOptions,
  type WorkStats,
} from 'millrace/work'

const { signal } = new AbortController()
const queue = WorkQueue.open('shm://name', {
  jobs: 10,
  bytes: 1e6,
  priorities: 4,
  seats: 16,
  maxAttempts: Infinity,
  deadLetters: { jobs: 5, bytes: 0 },
  dedupWindow: 1000,
  dedupIds: 10,
  groups: 5,
  leaseTimeout: 0,
  durability: 'file',
  keep: true,
  mode: 0o660,
  poll: 0,
})
expectType<WorkQueue>(queue)
expectAssignable<WorkQueueOptions>({ jobs: undefined, memory: { lock: true } })
expectType<boolean>(WorkQueue.unlink('name'))

expectType<Promise<PushResult>>(queue.push('text', { priority: 1, id: 'a', signal, timeout: 1 }))
expectType<boolean>(queue.tryPush(new Uint8Array(1), { delay: 1, ttl: 2, group: 'g' }))
expectType<PushResult>(queue.pushSync(new ArrayBuffer(1), { timeout: 1, spin: 0, id: 'x' }))
expectType<Promise<number>>(queue.pushBatch(['a', new Float64Array(1)], { group: 'g', signal }))
expectType<WorkLoan | undefined>(queue.tryLoan(10))
expectType<Promise<WorkLoan>>(queue.loan(10, { timeout: 1 }))
expectError(queue.tryPush('text', { signal }))
expectError(queue.pushBatch(['a'], { id: 'same' }))
expectError(queue.push(5))

expectType<Iteration<Job>>(queue.take({ signal }))
expectType<Job | undefined>(queue.tryTake())
expectType<Promise<Job>>(queue.takeOne({ timeout: 1 }))
expectType<Job>(queue.takeSync({ timeout: 1, spin: 0 }))
expectType<Promise<Job[]>>(queue.takeBatch(5, { signal }))
expectType<Promise<void>>(
  queue.work((job) => job.length, { concurrency: 2, drainOnClose: 1, signal }),
)
expectAssignable<JobHandler>(async (job: Job) => {
  await Promise.resolve(job)
})
expectAssignable<Promise<Buffer>>(queue.receive())
expectAssignable<Buffer | undefined>(queue.tryReceive())
expectAssignable<Buffer>(queue.receiveSync())
expectError(queue.takeSync({ signal }))

declare const job: Job
expectAssignable<Uint8Array>(job.bytes)
expectAssignable<Buffer>(job.copy())
expectType<string | undefined>(job.id)
expectType<string | undefined>(job.group)
expectType<number>(job.attempt)
expectType<number>(job.acquired)
expectType<bigint>(job.token)
expectType<Date>(job.pushedAt)
expectType<AbortSignal>(job.signal)
expectType<Settling>(job.complete())
expectType<Promise<PushResult>>(job.complete({ to: queue, bytes: job.bytes, priority: 1, signal }))
expectError(job.complete({ to: queue }))
expectError(job.complete({ to: queue, bytes: 'x', group: 'g' }))
expectType<Settling>(job.release({ delay: 1 }))
expectType<Settling>(job.retry({ delay: 1, error: new Error('why') }))
expectType<Settling>(job.reject('why'))
expectType<Settling>(job.extend(1))
expectType<'completed' | 'released' | 'retried' | 'rejected' | 'dropped' | 'lost' | undefined>(
  job.settled,
)
expectAssignable<Disposable>(job)
expectError((job.settled = undefined))

declare const loan: WorkLoan
expectType<PushResult>(loan.push({ length: 5, id: 'x', priority: 1 }))
expectType<Promise<number>>(loan.fillFrom(0, { signal }))
expectError(loan.fillFrom('file'))
expectError(loan.fillFrom(0, { timeout: 1 }))
expectType<void>(loan.cancel())
expectAssignable<Disposable>(loan)

expectType<DeadLetter[]>(queue.dead.peek({ limit: 1 }))
expectType<number>(queue.dead.redrive({ filter: ({ reason }) => reason === 'died' }))
expectType<number>(queue.dead.purge())
expectType<number>(queue.dead.length)
declare const letter: DeadLetter
expectType<DeadReason>(letter.reason)
expectType<string | undefined>(letter.error)

expectType<WorkStats>(queue.stats())
expectType<number>(queue.size)
expectType<Durability>(queue.durability)
expectType<WorkQueue>(queue.ref().unref())
expectAssignable<Disposable>(queue)
expectAssignable<AsyncDisposable>(queue)
