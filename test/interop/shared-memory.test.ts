// Shared memory is the same object for programs in other languages, whoever makes it.

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import test from 'ava'
import { SharedMemory } from 'millrace'

import { uniqueName } from '../support/names.js'
import { bytes } from '../support/queues.js'
import { until } from '../support/until.js'
import { languages, startPeer } from './peer.js'

const size = 10_000

for (const language of languages) {
  test.serial(`${language} opens what Node creates, and both see every byte`, async (t) => {
    const name = uniqueName(t)
    using memory = SharedMemory.create(name, size)
    memory.write(bytes(size, 1))
    const peer = await startPeer(t, language)
    t.is(await peer.ask(`open-memory /${name}`), `ok ${size}`)
    t.is(await peer.ask('check 1'), 'ok')
    t.is(await peer.ask('fill 2'), 'ok')
    t.deepEqual(memory.read(Buffer.alloc(size)), bytes(size, 2))
    memory.write(bytes(size, 3))
    t.is(await peer.ask('check 3'), 'ok')
    t.regex(await peer.ask('check 4'), /^differs/)
    t.is(await peer.end(), '0')
    t.true(existsSync(`/dev/shm/${name}`), 'its end takes nothing away')
  })

  test.serial(`Node opens what ${language} creates, and both see every byte`, async (t) => {
    const name = uniqueName(t)
    const peer = await startPeer(t, language)
    t.is(await peer.ask(`create-memory /${name} ${size}`), `ok ${size}`)
    t.is(await peer.ask('fill 5'), 'ok')
    using memory = SharedMemory.open(name)
    t.is(memory.size, size)
    t.false(memory.owner)
    t.deepEqual(memory.read(Buffer.alloc(size)), bytes(size, 5))
    memory.write(bytes(size, 6))
    t.is(await peer.ask('check 6'), 'ok')
    using copy = SharedMemory.open(name, { readOnly: true })
    t.is(await peer.ask('fill 7'), 'ok')
    t.deepEqual(copy.read(Buffer.alloc(size)), bytes(size, 7))

    t.throws(() => SharedMemory.create(name, size), {
      code: 'ERR_MILLRACE_EXISTS',
      message: /not made by millrace/,
    })
    t.is(await peer.ask(`unlink-memory /${name}`), 'ok')
    t.is(await peer.end(), '0')
    t.deepEqual(memory.read(Buffer.alloc(size)), bytes(size, 7), 'what is mapped stays')
  })
}

test.serial(
  'a Python that does not opt out of its resource tracker takes the name away',
  async (t) => {
    const name = uniqueName(t)
    using memory = SharedMemory.create(name, size)
    memory.write(bytes(size, 1))
    const peer = await startPeer(t, 'Python')
    t.is(await peer.ask(`open-memory-tracked /${name}`), `ok ${size}`)
    t.is(await peer.ask('check 1'), 'ok')
    t.is(await peer.end(), '0')
    await until(() => !existsSync(`/dev/shm/${name}`)) // by a process that outlives it
    t.deepEqual(memory.read(Buffer.alloc(size)), bytes(size, 1), 'what is mapped stays')
    memory.close()
    using again = SharedMemory.create(name, 1)
    t.is(again.size, 1, 'and the name is free')
  },
)

test.serial('a C program that is killed leaves what Node has', async (t) => {
  const name = uniqueName(t)
  using memory = SharedMemory.create(name, size)
  const peer = await startPeer(t, 'C')
  t.is(await peer.ask(`open-memory /${name}`), `ok ${size}`)
  t.is(await peer.ask('fill 8'), 'ok')
  await peer.kill()
  t.deepEqual(memory.read(Buffer.alloc(size)), bytes(size, 8))
})

test('a missing tool is told, and fails the test', (t) => {
  const failing = new URL('fixtures/without-tools.js', import.meta.url)
  const told = (variable: string) =>
    execFileSync(process.execPath, [failing.pathname], {
      env: { ...process.env, [variable]: '/nonexistent/tool' },
      encoding: 'utf8',
    })
  t.regex(told('CC'), /this test needs '\/nonexistent\/tool': install gcc/)
  t.regex(told('PYTHON'), /this test needs '\/nonexistent\/tool': install Python 3/)
})
