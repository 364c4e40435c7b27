// Shared memory between processes: who owns it, who dies, who else made it.

import test from 'ava'
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { SharedMemory } from 'millrace'

import { actor, type Actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { until } from '../support/until.js'

const path = (name: string) => `/dev/shm/${name}`

async function createIn(other: Actor, name: string, size = 4096) {
  await other.do(
    ({ SharedMemory, own }, called, bytes) => {
      own.memory = SharedMemory.create(called, bytes)
      own.memory.view(Uint8Array).fill(1)
    },
    name,
    size,
  )
}

async function openIn(other: Actor, name: string) {
  await other.do(({ SharedMemory, own }, called) => {
    own.memory = SharedMemory.open(called)
  }, name)
}

test.serial('two processes see the same bytes', async (t) => {
  const name = uniqueName(t)
  using memory = SharedMemory.create(name, 4096)
  const other = actor(t)
  await openIn(other, name)
  await other.do(({ own }) => {
    own.memory.view(Float64Array)[7] = 1.25
  })
  t.is(memory.view(Float64Array)[7], 1.25)
  memory.write(Buffer.from('back'), 100)
  t.is(await other.do(({ own }) => own.memory.read(Buffer.alloc(4), 100).toString()), 'back')
  await other.leave()
})

test.serial('the mode is 0600, whatever the umask', async (t) => {
  for (const umask of [0o000, 0o077, 0o777]) {
    const name = uniqueName(t)
    const other = actor(t)
    await other.do((_, mask) => process.umask(mask), umask)
    await createIn(other, name)
    t.is(statSync(path(name)).mode & 0o7777, 0o600)
    await other.leave()
  }
})

test.serial('the end of the owner removes the name, however orderly it ends', async (t) => {
  for (const end of [
    () => process.exit(0),
    () => {
      void Promise.reject(new Error('nobody catches this'))
    },
    () => {
      process.disconnect()
    },
  ]) {
    const name = uniqueName(t)
    const other = actor(t)
    await createIn(other, name)
    using memory = SharedMemory.open(name)
    other.start(end)
    await other.run.ended()
    t.deepEqual(objectsOf(name), [])
    t.is(memory.view(Uint8Array)[0], 1, 'who has it keeps it')
  }
})

test.serial('what a killed owner left is reclaimed by the next create', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await createIn(other, name)
  await other.kill()
  t.deepEqual(objectsOf(name), [`millrace.m.${name}`, name])
  using memory = SharedMemory.create(name, 100)
  t.is(memory.size, 100)
  t.is(memory.view(Uint8Array)[0], 0)
})

test.serial('what a killed owner left does not exist for those who open it', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await createIn(other, name)
  await other.kill()
  t.throws(() => SharedMemory.open(name), { code: 'ERR_MILLRACE_NOT_FOUND', message: /create it/ })
  t.deepEqual(objectsOf(name), [])
})

test.serial('it exists as long as somebody has it open, also without its owner', async (t) => {
  const name = uniqueName(t)
  const [owner, opener] = [actor(t), actor(t)]
  await createIn(owner, name)
  await openIn(opener, name)
  await owner.kill()
  {
    using memory = SharedMemory.open(name, { readOnly: true })
    t.is(memory.view(Uint8Array)[0], 1)
  }
  await opener.kill()
  t.throws(() => SharedMemory.open(name, { readOnly: true }), { code: 'ERR_MILLRACE_NOT_FOUND' })
  t.deepEqual(objectsOf(name), [])
})

test.serial(
  'openOrCreate creates once, opens otherwise, and begins anew after a crash',
  async (t) => {
    const name = uniqueName(t)
    const [first, second] = [actor(t), actor(t)]
    const open = (other: Actor) =>
      other.do(({ SharedMemory, own }, called) => {
        own.memory = SharedMemory.openOrCreate(called, 4096)
        const bytes = own.memory.view(Uint8Array)
        Atomics.add(bytes, 0, 1)
        return own.memory.owner
      }, name)
    t.deepEqual((await Promise.all([open(first), open(second)])).sort(), [false, true])
    {
      using memory = SharedMemory.openOrCreate(name, 4096)
      t.false(memory.owner)
      t.is(memory.view(Uint8Array)[0], 2)
      t.throws(() => SharedMemory.openOrCreate(name, 8192), { code: 'ERR_MILLRACE_GEOMETRY' })
      t.throws(() => SharedMemory.openOrCreate(name, 0), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
      t.throws(() => SharedMemory.openOrCreate(name, 4096, { readOnly: true } as object), {
        code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      })
    }
    await Promise.all([first.kill(), second.kill()])
    using memory = SharedMemory.openOrCreate(name, 100)
    t.true(memory.owner)
    t.is(memory.view(Uint8Array)[0], 0)
  },
)

test.serial('it is not reclaimed while somebody still uses it', async (t) => {
  const name = uniqueName(t)
  const [owner, opener] = [actor(t), actor(t)]
  await createIn(owner, name)
  await openIn(opener, name)
  await owner.kill()
  t.throws(() => SharedMemory.create(name, 100), {
    code: 'ERR_MILLRACE_EXISTS',
    message: new RegExp(`made by process ${owner.pid} and still in use`),
  })
  t.is(await opener.do(({ own }) => own.memory.view(Uint8Array)[0]), 1)
  await opener.kill()
  using memory = SharedMemory.create(name, 100)
  t.is(memory.size, 100)
})

test.serial('a killed opener takes nothing with it', async (t) => {
  const name = uniqueName(t)
  using memory = SharedMemory.create(name, 100)
  const other = actor(t)
  await openIn(other, name)
  await other.kill()
  t.true(objectsOf(name).includes(name))
  t.is(memory.size, 100)
})

test.serial('an object of another program is opened but never reclaimed', (t) => {
  const name = uniqueName(t, { mayLeave: true })
  writeFileSync(path(name), 'made by others', { mode: 0o600 })
  t.throws(() => SharedMemory.create(name, 8), {
    code: 'ERR_MILLRACE_EXISTS',
    message: /was not made by millrace/,
  })
  {
    using memory = SharedMemory.open(name)
    t.is(memory.size, 14)
    t.is(memory.read(Buffer.alloc(14)).toString(), 'made by others')
  }
  t.deepEqual(objectsOf(name), [name])
})

test.serial('an object put in the place of a killed owner is not reclaimed', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const other = actor(t)
  await createIn(other, name)
  await other.kill()
  rmSync(path(name))
  writeFileSync(path(name), 'not millrace', { mode: 0o600 })
  t.throws(() => SharedMemory.create(name, 8), { code: 'ERR_MILLRACE_EXISTS' })
  t.is(readFileSync(path(name), 'utf8'), 'not millrace')
  using memory = SharedMemory.open(name)
  t.is(memory.size, 12)
})

test.serial('a program in another language sees byte 0 as byte 0', (t) => {
  const name = uniqueName(t)
  using memory = SharedMemory.create(name, 4096)
  memory.write(Buffer.from('from node'))
  const script = [
    'import mmap, os, sys',
    'fd = os.open(sys.argv[1], os.O_RDWR)',
    'memory = mmap.mmap(fd, 4096)',
    'print(memory[0:9].decode())',
    "memory[0:11] = b'from python'",
  ].join('\n')
  const said = execFileSync('python3', ['-c', script, path(name)], {
    encoding: 'utf8',
    timeout: 15_000,
  })
  t.is(said.trim(), 'from node')
  t.is(memory.read(Buffer.alloc(11)).toString(), 'from python')
})

test.serial('dropped memory is collected, and its name with it', async (t) => {
  const name = uniqueName(t)
  const dropped = (() => {
    const memory = SharedMemory.create(name, 4096)
    memory.view(Uint8Array)[0] = 1
    return new WeakRef(memory)
  })()
  const collect = (globalThis as unknown as { gc: () => void }).gc
  await until(() => {
    collect()
    return dropped.deref() === undefined && objectsOf(name).length === 0
  })
  t.throws(() => SharedMemory.open(name), { code: 'ERR_MILLRACE_NOT_FOUND' })
})

test.serial('a stray write to read-only memory stays in its process', async (t) => {
  const name = uniqueName(t)
  using memory = SharedMemory.create(name, 4096)
  const other = actor(t)
  const seen = await other.do(({ SharedMemory }, called) => {
    const theirs = SharedMemory.open(called, { readOnly: true })
    theirs.view(Uint8Array).fill(9)
    return theirs.view(Uint8Array)[0]
  }, name)
  t.is(seen, 9)
  t.is(memory.view(Uint8Array)[0], 0)
  t.deepEqual(await other.leave(), { code: 0, signal: null })
})
