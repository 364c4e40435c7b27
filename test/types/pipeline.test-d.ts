// The types of pipelines as a user's compiler sees them.
import type { Readable, Writable } from 'node:stream'
import { expectAssignable, expectError, expectType } from 'tsd'
import type { Iteration } from 'millrace'
import {
  Pipeline,
  type BatchHandler,
  type DeadLetters,
  type PipelineStats,
  type PushResult,
  type Settling,
  type StageHandler,
  type StageJob,
  type StageStats,
  type WorkLoan,
} from 'millrace/work'

const { signal } = new AbortController()
const empty = Pipeline.open('shm://name', {
  jobs: 10,
  bytes: 1e6,
  priorities: 2,
  durability: 'file',
})
expectType<Pipeline>(empty)
expectError(Pipeline.open('name', { durability: 'disk' }))
const etl = empty
  .stage('decode', (job) => job.bytes.subarray(1), { workers: 4, ordered: true })
  .stage('filter', async (job) => {
    await Promise.resolve()
    return job.length > 5 ? undefined : Pipeline.drop
  })
  .stage('load', (jobs) => jobs.map(({ length }) => String(length)), { batch: 64 })
  .stage('out', { workers: 1 })
expectType<Pipeline<'decode' | 'filter' | 'load' | 'out'>>(etl)
expectType<('decode' | 'filter' | 'load' | 'out')[]>(etl.stages)
expectError(empty.stage('a', (job: StageJob) => job.length))
expectError(empty.stage('a', (job: StageJob) => job.bytes, { many: 1 }))
expectError(empty.stage('a', (jobs: StageJob[]) => jobs.length, { batch: 5 }))
expectAssignable<StageHandler>((job: StageJob) => {
  job.complete()
})
expectAssignable<BatchHandler>(async (jobs: StageJob[]) => {
  await Promise.resolve(jobs)
})
expectType<Pipeline<string>>(Pipeline.attach('name'))
expectType<boolean>(Pipeline.unlink('name'))

expectType<Promise<PushResult>>(etl.push('text', { id: 'a', signal, timeout: 1 }))
expectType<boolean>(etl.tryPush(new Uint8Array(1), { delay: 1 }))
expectType<PushResult>(etl.pushSync('text', { timeout: 1 }))
expectType<Promise<number>>(etl.pushBatch(['a'], { group: 'g' }))
expectType<WorkLoan | undefined>(etl.tryLoan(10))
expectType<Promise<WorkLoan>>(etl.loan(10))
expectType<Promise<number>>(etl.from(['a', new Uint8Array(1)], { signal, ttl: 5 }))
expectType<Promise<number>>(etl.from(new ReadableStream<Uint8Array>()))
expectError(etl.from([5]))
expectError(etl.from(['a'], { id: 'same' }))
expectType<Writable>(etl.writable({ highWaterMark: 1, signal }))

expectType<Promise<void>>(etl.work())
expectType<Promise<void>>(etl.work({ signal, drainOnClose: 5 }))
expectType<Promise<void>>(etl.work('decode', { signal }))
expectType<Promise<void>>(etl.work(['decode', 'load']))
expectError(etl.work('other'))
expectError(etl.work('decode', { concurrency: 5 }))
expectType<Iteration<StageJob>>(etl.take('out', { signal }))
expectType<Promise<StageJob>>(etl.takeOne('out', { timeout: 1 }))
expectType<StageJob | undefined>(etl.tryTake('out'))
expectType<Promise<StageJob[]>>(etl.takeBatch('out', 5))
expectError(etl.take('other'))
expectType<Promise<void>>(etl.to(process.stdout, { signal, drainOnClose: 1 }))
expectType<Promise<void>>(etl.to(new WritableStream<Uint8Array>()))
expectType<Promise<void>>(etl.to(async (job: StageJob) => job.copy()))
expectType<Readable>(etl.readable())
expectType<Readable>(etl.readable('decode', { signal }))

expectType<Promise<void>>(etl.idle({ signal, timeout: 1 }))
expectType<PipelineStats<'decode' | 'filter' | 'load' | 'out'>>(etl.stats())
expectType<StageStats>(etl.stats().stages.decode)
expectType<DeadLetters>(etl.dead)
expectType<string | undefined>(etl.dead.peek()[0]!.stage)
expectAssignable<Disposable>(etl)
expectAssignable<AsyncDisposable>(etl)

declare const job: StageJob
expectType<Settling>(job.complete())
expectType<Promise<void>>(job.become('text', { signal, timeout: 1 }))
expectType<void>(job.drop())
expectError(job.become(5))
