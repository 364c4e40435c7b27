// The failure drills, over RabbitMQ. A server takes seconds to start, so that one goes through all of them.

import test from 'ava'

import { selfSigned } from '../support/certificate.js'
import { until } from '../support/until.js'
import { warningsOf } from '../support/warnings.js'
import { patience, type DrilledEngine, type DrillServer } from './support/drills/engine.js'
import { drill } from './support/drills/suite.js'
import { openQueue, textOf } from './support/drills/work.js'
import { mostBytes, rabbitClient, sharedRabbit, type RabbitServer } from './support/rabbit.js'

const certificate = selfSigned()
const shared = sharedRabbit(test, certificate, false)

let names = 0
const newName = (): string => `drill-${String(++names)}`

/** The server, as it is to be found by a drill. */
async function running(started = true): Promise<RabbitServer> {
  const server = shared()
  const runs = server.pid > 0
  if (started && !runs) await server.start()
  else if (!started && runs) await server.end()
  return server
}

class Secure implements DrillServer {
  readonly #server: RabbitServer

  constructor(server: RabbitServer) {
    this.#server = server
  }

  get port(): number {
    return this.#server.port
  }

  address(name: string): string {
    return this.#server.secureAddress(name)
  }

  start(): Promise<void> {
    return this.#server.start()
  }

  end(): Promise<void> {
    return this.#server.end()
  }

  forget(): void {
    this.#server.forget()
  }

  pause(): void {
    this.#server.pause()
  }

  resume(): void {
    this.#server.resume()
  }
}

const rabbit: DrilledEngine = {
  name: 'AMQP',
  newName,
  cure: /see that RabbitMQ runs there/,
  tooLarge: /max_message_size/,
  // Who says nothing is the guest.
  secrets: { right: '', wrong: ['guest:wr%20ong'] },
  certificate,
  server: async (_t, setup) => {
    const server = await running(setup.started)
    return setup.certificate === undefined ? server : new Secure(server)
  },

  work: {
    heartbeat: 2000,
    most: mostBytes,
    tells: false,
    occupy: async (t, _server, name) => {
      const channel = await rabbitClient(t, shared())
      await channel.assertQueue(name)
    },
    occupied: /not as millrace makes it/,
    remove: async (t, _server, name) => {
      const channel = await rabbitClient(t, shared())
      await channel.deleteQueue(name)
    },
    own: {},
  },
}

drill(test, rabbit)

test('a server that is short of memory takes nothing from who pushes, and gives jobs out; what waited goes on when it has memory again', async (t) => {
  t.timeout(180_000)
  const server = await running()
  const address = server.address(newName())
  const [pushing, working] = [openQueue(t, rabbit, address), openQueue(t, rabbit, address)]
  for (const text of ['held', 'there']) await pushing.push(text, patience)
  const held = await pushing.takeOne(patience)
  t.is(textOf(held), 'held')
  const warnings = warningsOf(t, 'MILLRACE_CONNECTION_BLOCKED', { name: pushing.name })
  t.teardown(() => server.control('set_vm_memory_high_watermark', '0.4'))
  await server.control('set_vm_memory_high_watermark', 'absolute', '1')
  await t.throwsAsync(pushing.push('in doubt', { timeout: 1000 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  await until(() => warnings.length > 0, 60_000)
  let settled = false
  const completed = Promise.resolve(held.complete()).then(() => {
    settled = true
  })
  const pushed = pushing.push('waits', patience)
  const there = await working.takeOne(patience)
  t.is(textOf(there), 'there')
  await there.complete()
  t.is(pushing.connection!.state, 'connected')
  t.false(settled)
  await server.control('set_vm_memory_high_watermark', '0.4')
  t.deepEqual(await pushed, { duplicate: false })
  await completed
  const texts: string[] = []
  while (!texts.includes('waits')) {
    const job = await working.takeOne(patience)
    texts.push(textOf(job))
    await job.complete()
  }
  t.deepEqual(
    texts.filter((text) => text !== 'in doubt'),
    ['waits'],
  )
  t.deepEqual([pushing.connection!.made, working.connection!.made], [1, 1])
})
