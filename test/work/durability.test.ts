// What jobs outlive: queues in files.

import { createHook } from 'node:async_hooks'
import { copyFileSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { MappedFile } from 'millrace'
import { WorkQueue, type WorkQueueOptions } from 'millrace/work'
import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { open, openFile, text } from './open.js'

const disk: WorkQueueOptions = { durability: 'disk', jobs: 400, bytes: 1 << 20 }

/** A copy of the file as it is now, with its end cut off, so that nothing counts in it but records. */
function cutCopy(path: string, copy: string): void {
  copyFileSync(path, copy)
  truncateSync(copy, statSync(path).size - 4096)
}

test('what a push has confirmed is found by its record alone', async (t) => {
  const path = join(ownDirectory(t), 'jobs')
  const queue = openFile(t, path, { ...disk, dedupWindow: 60_000 })
  t.is(queue.durability, 'disk')
  await queue.push('urgent', { priority: 9, id: 'u', group: 'g' })
  await Promise.all(Array.from({ length: 100 }, (_, i) => queue.push(`job ${String(i)}`)))
  t.deepEqual(await queue.push('again', { id: 'u' }), { duplicate: true })
  t.is(await queue.pushBatch(['batch 1', 'batch 2']), 2)
  t.deepEqual(queue.pushSync('sync'), { duplicate: false })
  const loan = await queue.loan(4)
  loan.bytes.set(Buffer.from('loan'))
  t.deepEqual(loan.push(), { duplicate: false })
  await queue.flush()
  const done = queue.tryTake()!
  t.is(text(done.bytes), 'urgent')
  done.complete()
  queue.tryTake()!.reject(new Error('never'))
  await queue.flush()

  cutCopy(path, `${path}.copy`)
  const found = openFile(t, `${path}.copy`)
  t.is(found.size, 103)
  t.is(found.stats().recovered, 104)
  t.is(found.stats().torn, 0)
  t.is(found.dead.length, 1)
  t.is(text(found.dead.peek()[0]!.bytes), 'job 0')
  const jobs: string[] = []
  for (let message = found.tryReceive(); message !== undefined; message = found.tryReceive())
    jobs.push(message.toString())
  t.deepEqual(
    jobs,
    Array.from({ length: 99 }, (_, i) => `job ${String(i + 1)}`).concat(
      'batch 1',
      'batch 2',
      'sync',
      'loan',
    ),
  )
  // What is recovered is a queue like any other.
  t.deepEqual(await found.push('more'), { duplicate: false })
  t.is(found.tryReceive()?.toString(), 'more')
})

test('what waits for the disk when the handle is closed is confirmed, too', async (t) => {
  const path = join(ownDirectory(t), 'jobs')
  const queue = openFile(t, path, disk)
  const pushes = Array.from({ length: 50 }, (_, i) => queue.push(String(i)))
  queue.close()
  t.deepEqual(await Promise.all(pushes), Array(50).fill({ duplicate: false }))
  t.is(openFile(t, path, disk).size, 50)
  await t.throwsAsync(queue.flush(), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(
    () => {
      queue.flushSync()
    },
    { code: 'ERR_MILLRACE_CLOSED' },
  )
})

test('a queue in a file is of durability file unless it is said otherwise, and one of a name has no disk', async (t) => {
  const path = join(ownDirectory(t), 'jobs')
  const file = openFile(t, path)
  t.is(file.durability, 'file')
  await file.push('x')
  await file.flush()
  file.flushSync()
  t.throws(() => WorkQueue.open(new MappedFile(path), { durability: 'disk' }), {
    code: 'ERR_MILLRACE_GEOMETRY',
    message: /exists with durability 'file', not 'disk';/,
  })
  const name = uniqueName(t)
  for (const durability of ['file', 'disk'] as const) {
    t.throws(() => WorkQueue.open(name, { durability }), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message: /MappedFile/,
    })
  }
  const memory = open(t, name)
  t.is(memory.durability, 'memory')
  await memory.flush()
  memory.flushSync()
})

test.serial(
  '256 pushes in flight share two syncs: the first one begins, the others wait for the next',
  async (t) => {
    const queue = openFile(t, join(ownDirectory(t), 'jobs'), disk)
    let syncs = 0
    const hook = createHook({
      init: (_id, type) => {
        if (type === 'millrace.sync') syncs++
      },
    }).enable()
    t.teardown(() => {
      hook.disable()
    })
    const pushes = Array.from({ length: 256 }, (_, i) => queue.push(String(i)))
    await Promise.all(pushes)
    t.is(syncs, 2)
    await queue.push('one')
    await queue.push('another')
    t.is(syncs, 4)
    await queue.pushBatch(['many', 'in', 'one'])
    t.is(syncs, 5)
    hook.disable()
    t.is(queue.size, 261)
  },
)
