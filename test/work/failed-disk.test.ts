// A disk that fails a sync: what a queue of durability `disk` says from then on.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { MappedFile } from 'millrace'
import { WorkQueue } from 'millrace/work'

import { actor } from '../support/actor.js'
import { compileCxx } from '../support/cxx.js'

const onLinux = process.platform === 'linux' ? test : test.skip

const preload = () => compileCxx('test/waiting/fixtures/scarce.cpp', ['-shared', '-fPIC'])

onLinux(
  'after a failed sync pushes are refused before anything is pushed, with what to do',
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'millrace-failed-disk-'))
    t.teardown(() => {
      rmSync(directory, { recursive: true })
    })
    const path = join(directory, 'jobs')
    const other = actor(t, { env: { ...process.env, LD_PRELOAD: await preload() } })
    const told = await other.do(async ({ WorkQueue, MappedFile }, path) => {
      const queue = WorkQueue.open(new MappedFile(path), { durability: 'disk', jobs: 8 })
      await queue.push('certain')
      queue.tryPush('uncertain')
      const loan = await queue.loan(4)
      process.env['SCARCE_DISK'] = path
      const said: Record<string, string> = {}
      const attempt = async (what: string, how: () => unknown) => {
        try {
          await how()
          said[what] = 'done'
        } catch (error) {
          said[what] = `${(error as { code?: string }).code}: ${(error as Error).message}`
        }
      }
      await attempt('first', () => queue.push('the one that finds out'))
      delete process.env['SCARCE_DISK']
      const before = queue.stats()
      await attempt('push', () => queue.push('x'))
      await attempt('push with options', () => queue.push('x', { priority: 1 }))
      await attempt('tryPush', () => queue.tryPush('x'))
      await attempt('pushSync', () => queue.pushSync('x'))
      await attempt('pushBatch', () => queue.pushBatch(['x', 'y']))
      await attempt('loan', () => queue.loan(4))
      await attempt('tryLoan', () => queue.tryLoan(4))
      await attempt('loan.push', () => loan.push())
      await attempt('flush', () => queue.flush())
      const after = queue.stats()
      const { ended } = loan
      loan.cancel()
      // What is there can be taken, and settled.
      const job = queue.tryTake()!
      const first = Buffer.from(job.bytes).toString()
      job.complete()
      return { said, before, after, ended, first }
    }, path)
    for (const [what, said] of Object.entries(told.said)) {
      t.regex(
        said,
        /^ERR_MILLRACE_NO_SPACE: fdatasync.*close it in all processes, see to the disk, and open it again/u,
        what,
      )
    }
    t.is(Object.keys(told.said).length, 10)
    t.is(told.after.pushed, told.before.pushed)
    t.is(told.after.free, told.before.free)
    t.false(told.ended)
    t.is(told.first, 'certain')
    t.deepEqual(await other.leave(), { code: 0, signal: null })
    // Nobody has it open any more: whoever opens it goes on with what has whole records.
    const queue = WorkQueue.open(new MappedFile(path))
    t.is(queue.stats().recovered, 2)
    t.deepEqual(await queue.push('again'), { duplicate: false })
    t.is(queue.size, 3)
    queue.close()
  },
)

onLinux('what waits for room when the disk fails is refused, too', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-failed-disk-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const other = actor(t, { env: { ...process.env, LD_PRELOAD: await preload() } })
  const told = await other.do(
    async ({ WorkQueue, MappedFile }, path) => {
      const queue = WorkQueue.open(new MappedFile(path), { durability: 'disk', jobs: 1 })
      await queue.push('certain')
      const waiting = queue.push('waits').then(
        () => 'done',
        (error: unknown) => (error as { code?: string }).code,
      )
      process.env['SCARCE_DISK'] = path
      await queue.flush().catch(() => undefined)
      queue.tryTake()!.complete()
      return { waiting: await waiting, size: queue.size }
    },
    join(directory, 'jobs'),
  )
  t.deepEqual(told, { waiting: 'ERR_MILLRACE_NO_SPACE', size: 0 })
  await other.leave()
})
