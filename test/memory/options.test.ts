// How memory is treated: each option is looked at from outside, in /proc or through another map.

import test from 'ava'
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import {
  FrameReader,
  FrameWriter,
  MappedFile,
  NamelessSegment,
  SharedMemory,
  SpscQueue,
  type MemoryOptions,
} from 'millrace'

import { actor } from '../support/actor.js'
import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'

const MiB = 1 << 20

/** The sum of a field, in bytes, over all maps of this process whose line matches. */
function mapped(field: string, of: string): number {
  let sum = 0
  let counts = false
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) counts = line.includes(of)
    else if (counts && line.startsWith(`${field}:`))
      sum += parseInt(line.slice(field.length + 1)) * 1024
  }
  return sum
}

test.serial('prefaulted memory is present before the first touch', async (t) => {
  const [plain, name, queue, frames] = [uniqueName(t), uniqueName(t), uniqueName(t), uniqueName(t)]
  using _ = SharedMemory.create(plain, 4 * MiB)
  t.is(mapped('Rss', `/${plain}`), 0)
  using memory = SharedMemory.create(name, 4 * MiB, { memory: { prefault: true } })
  t.is(mapped('Rss', `/${name}`), 4 * MiB)
  using opened = SharedMemory.open(plain, { readOnly: true, memory: { prefault: true } })
  t.is(mapped('Rss', `/${plain}`), 4 * MiB)
  memory.view(Uint8Array)[0] = 1
  t.is(opened.view(Uint8Array)[0], 0)

  using producer = SpscQueue.producer(queue, { capacity: MiB, memory: { prefault: true } })
  t.true(mapped('Rss', `millrace.q.${queue}`) >= 2 * MiB, 'both halves of the mirror')
  t.is(producer.capacity, MiB)

  using writer = FrameWriter.create(frames, { slotBytes: MiB, slots: 2 })
  const before = mapped('Rss', `millrace.f.${frames}`)
  using reader = await FrameReader.open(frames, { memory: { prefault: true } })
  t.true(mapped('Rss', `millrace.f.${frames}`) >= before + 2 * MiB)
  t.is(mapped('Anonymous', `millrace.f.${frames}`), 0, 'nothing was copied')
  const loan = await writer.loan()
  loan.bytes[MiB - 1] = 7
  loan.publish()
  using frame = await reader.receive()
  t.is(frame?.bytes[MiB - 1], 7)
})

test.serial('locked memory is locked, and a reader still follows its writer', async (t) => {
  const [name, frames] = [uniqueName(t), uniqueName(t)]
  using memory = SharedMemory.create(name, MiB, { memory: { lock: true } })
  t.is(mapped('Locked', `/${name}`), MiB)
  t.is(memory.size, MiB)
  using writer = FrameWriter.create(frames, { slotBytes: 4096, slots: 2 })
  using reader = await FrameReader.open(frames, { memory: { lock: true, prefault: true } })
  t.true(mapped('Locked', `millrace.f.${frames}`) >= 2 * 4096)
  for (const value of [1, 2, 3]) {
    const loan = await writer.loan()
    loan.bytes.fill(value)
    loan.publish()
    using frame = await reader.receive()
    t.true(frame?.bytes.every((byte) => byte === value))
  }
})

test.serial('what the limit forbids to lock is an error that names the limit', (t) => {
  const program = `
    const { SharedMemory } = await import('millrace')
    process.setgroups([]); process.setgid(65534); process.setuid(65534)
    const name = 'test-${process.pid}-limit'
    try {
      SharedMemory.create(name, 1 << 20, { memory: { lock: true } }).close()
      console.log('locked')
    } catch (error) {
      console.log(error.code, error.syscall, error.message)
      SharedMemory.create(name, 8).close()
    }`
  if (process.getuid?.() !== 0) {
    t.pass('only root can become somebody who may not')
    return
  }
  const command = `ulimit -l 64; exec ${process.execPath} --input-type=module -e "$1"`
  const said = execFileSync('bash', ['-c', command, 'bash', program], { encoding: 'utf8' })
  t.regex(said, /^ERR_MILLRACE_PERMISSION mlock .*RLIMIT_MEMLOCK is 65536 .*ulimit -l/)
})

test.serial('memory can be bound to nodes that there are, and to no others', (t) => {
  const name = uniqueName(t)
  for (const policy of ['bind', 'preferred', 'interleave'] as const) {
    using memory = SharedMemory.create(name, MiB, { memory: { numa: { policy, nodes: [0] } } })
    memory.view(Uint8Array).fill(1)
    const line = readFileSync('/proc/self/numa_maps', 'utf8')
      .split('\n')
      .find((one) => one.includes(`/${name}`))
    t.regex(
      line ?? '',
      new RegExp(`^[0-9a-f]+ ${policy === 'preferred' ? 'prefer' : policy}[^ ]*:0 .*N0=256`),
    )
  }
  t.throws(
    () => SharedMemory.create(name, 8, { memory: { numa: { policy: 'bind', nodes: [900] } } }),
    { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /nodes 900; those of this machine are 0/ },
  )
  const wrong: unknown[] = [
    { policy: 'bind' },
    { policy: 'bind', nodes: [] },
    { policy: 'near', nodes: [0] },
    { policy: 'preferred', nodes: [0, 1] },
    { policy: 'bind', nodes: [-1] },
    7,
  ]
  for (const numa of wrong) {
    t.throws(() => SharedMemory.create(name, 8, { memory: { numa: numa as never } }), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    })
  }
})

test.serial('huge pages: there, or an error that names the setting', (t) => {
  const name = uniqueName(t)
  const wish = { memory: { hugePages: true } } as const
  const unsupported = 'ERR_MILLRACE_UNSUPPORTED_PLATFORM'
  const global = /\[(\w+)\]/.exec(
    readFileSync('/sys/kernel/mm/transparent_hugepage/shmem_enabled', 'utf8'),
  )?.[1]
  using segment = NamelessSegment.create()
  if (global === 'never' || global === 'deny') {
    t.throws(() => SharedMemory.create(segment, 4 * MiB, wish), {
      code: unsupported,
      message: /transparent_hugepage\/shmem_enabled says '\w+'; as root: echo advise/,
    })
  } else {
    t.is(SharedMemory.create(segment, 4 * MiB, wish).size, 4 * MiB)
  }
  if (
    !/ \/dev\/shm .*huge=/.test(readFileSync('/proc/self/mountinfo', 'utf8')) &&
    global === 'never'
  ) {
    t.throws(() => SharedMemory.create(name, 4 * MiB, wish), {
      code: unsupported,
      message: /'\/dev\/shm' is mounted without them .*remount,huge=advise/,
    })
  }
  const reserved = Number(
    /^HugePages_Free:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1],
  )
  using huge = NamelessSegment.create({ hugePages: true })
  const create = () => SharedMemory.create(huge, 2 * MiB)
  if (reserved > 0) {
    using memory = create()
    memory.view(Uint8Array)[0] = 1
    t.true(mapped('KernelPageSize', 'memfd:millrace') >= 2 * MiB)
  } else {
    t.throws(create, { code: 'ERR_MILLRACE_NO_SPACE', message: /\/proc\/sys\/vm\/nr_hugepages/ })
  }
  t.throws(() => SpscQueue.producer(huge), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /SharedMemory/,
  })
})

/** What a second map of the object shows, opened while it had its name. */
function contentOf(fd: number, size: number): Buffer {
  const content = Buffer.alloc(size)
  readSync(fd, content, 0, size, 0)
  return content
}

test.serial('memory that is to be wiped is zero when it is closed', async (t) => {
  const secret = Buffer.alloc(10_000, 'secret')
  const wiped: MemoryOptions = { zeroOnClose: true }
  for (const memory of [undefined, wiped]) {
    const name = uniqueName(t)
    const shared = SharedMemory.create(name, secret.length, { memory })
    shared.write(secret)
    const fd = openSync(`/dev/shm/${name}`, 'r')
    shared.close()
    t.is(contentOf(fd, secret.length).includes('secret'), memory === undefined)
    closeSync(fd)
  }
  for (const memory of [undefined, wiped]) {
    const name = uniqueName(t)
    const producer = SpscQueue.producer(name, { memory })
    const consumer = SpscQueue.consumer(name)
    await producer.push(secret)
    await consumer.pop()
    const fd = openSync(`/dev/shm/millrace.q.${name}`, 'r')
    producer.close()
    t.true(contentOf(fd, 100_000).includes('secret'), 'somebody still uses it')
    consumer.close() // the last one does it, although it did not ask itself
    t.is(contentOf(fd, 100_000).includes('secret'), memory === undefined)
    closeSync(fd)
  }
  const frames = uniqueName(t)
  const writer = FrameWriter.create(frames, { slotBytes: secret.length, memory: wiped })
  const loan = await writer.loan()
  loan.bytes.set(secret)
  loan.publish()
  const fd = openSync(`/dev/shm/millrace.f.${frames}`, 'r')
  writer.close()
  t.true(contentOf(fd, 200_000).every((byte) => byte === 0))
  closeSync(fd)

  using segment = NamelessSegment.create()
  const nameless = SharedMemory.create(segment, secret.length, { memory: wiped })
  nameless.write(secret)
  nameless.close()
  using again = SharedMemory.open(segment)
  t.true(again.view(Uint8Array).every((byte) => byte === 0))
})

test.serial('process.exit wipes, SIGKILL does not, the next start does', async (t) => {
  const name = uniqueName(t)
  for (const end of ['exit', 'kill', 'exit'] as const) {
    const other = actor(t)
    await other.do(async ({ SpscQueue, own }, called) => {
      own.producer = SpscQueue.producer(called, { memory: { zeroOnClose: true } })
      own.consumer = SpscQueue.consumer(called)
      await own.producer.push('secret')
      await own.consumer.pop()
    }, name)
    const fd = openSync(`/dev/shm/millrace.q.${name}`, 'r')
    if (end === 'kill') await other.kill()
    else {
      other.start(() => process.exit(0))
      await other.run.ended()
    }
    t.is(contentOf(fd, 100_000).includes('secret'), end === 'kill')
    if (end === 'kill') {
      SpscQueue.producer(name).close()
      t.false(contentOf(fd, 100_000).includes('secret'))
    }
    closeSync(fd)
  }
})

test.serial('what cannot be had is refused before anything is created', async (t) => {
  const name = uniqueName(t)
  const invalid = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' } as const
  const file = new MappedFile(join(ownDirectory(t), 'file'))
  const memory: MemoryOptions = { zeroOnClose: true }
  t.throws(() => SharedMemory.create(file, 8, { memory }), {
    ...invalid,
    message: /its disk keeps/,
  })
  t.throws(() => SpscQueue.producer(file, { memory }), { ...invalid, message: /its disk keeps/ })
  t.false(file.unlink())
  for (const wrong of [7, null, { lock: 1 }, { prefault: 'yes' }] as never[]) {
    t.throws(() => SpscQueue.producer(name, { memory: wrong }), invalid)
  }
  using _ = SharedMemory.create(name, 8)
  t.throws(() => SharedMemory.open(name, { readOnly: true, memory }), invalid)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  await t.throwsAsync(FrameReader.open(name, { memory: { hugePages: true } as never }), invalid)
  t.is(writer.readers, 0)
})
