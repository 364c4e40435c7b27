// The failure drills, over ZeroMQ. Of calls whoever serves is the server; work and topics have none, so their drills are their own.

import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { connect } from 'millrace/rpc'

import { calc } from './support/drills/calc.js'
import { openClient, ServingServer, type ServeSetup } from './support/drills/calls.js'
import { patience, type DrilledEngine } from './support/drills/engine.js'
import { drill } from './support/drills/suite.js'
import { freePort } from './support/server.js'
import { until } from '../support/until.js'
import { topicsPart } from './support/zeromq-topics.js'
import { workPart } from './support/zeromq-work.js'
import { library } from './support/zeromq.js'

async function serverOf(
  t: ExecutionContext,
  setup: ServeSetup,
  started = true,
): Promise<ServingServer> {
  const port = await freePort()
  const server = new ServingServer(t, port, `zmq+tcp://127.0.0.1:${String(port)}/calc`, setup)
  if (started) await server.start()
  return server
}

const zeromq: DrilledEngine<ServingServer> = {
  name: 'ZeroMQ',
  newName: () => 'calc',
  cure: /nobody serves/,
  server: async (t, { started = true }) => await serverOf(t, {}, started),

  work: workPart,
  topics: topicsPart,
  calls: {
    // The sign of life of who is at work comes every two seconds.
    heartbeat: 5000,
    holds: true,
    most: 3000,
    own: {
      password: {
        told: 'no passwords: keys instead',
        drill: async (t) => {
          await t.throwsAsync(connect('zmq+tcp://user:word@127.0.0.1:5000/calc', calc), {
            code: 'ERR_MILLRACE_INVALID_ARGUMENT',
          })
        },
      },
      certificate: {
        told: 'the same of keys',
        drill: async (t) => {
          const [mine, allowed, other] = [
            library.curveKeyPair(),
            library.curveKeyPair(),
            library.curveKeyPair(),
          ]
          const curve = { secretKey: mine.secretKey, allowed: [allowed.publicKey] }
          const server = await serverOf(t, { curve })
          const address = server.address()
          const serverKey = mine.publicKey
          for (const keys of [
            { ...other, serverKey },
            { ...allowed, serverKey: other.publicKey },
            undefined,
          ]) {
            const wrong = await openClient(t, address, { connection: { curve: keys } })
            const error = await t.throwsAsync<MillraceError>(wrong.add([1, 2]))
            t.deepEqual([error.code, error.executed], ['ERR_MILLRACE_NO_RESPONDER', 'no'])
          }
          const right = await openClient(t, address, {
            connection: { curve: { ...allowed, serverKey } },
          })
          t.is(await right.add([1, 2], patience), 3)
          // Who is allowed later goes on with the client that was refused.
          const late = await openClient(t, address, {
            connection: { curve: { ...other, serverKey } },
          })
          await t.throwsAsync(late.add([1, 2]), { code: 'ERR_MILLRACE_NO_RESPONDER' })
          curve.allowed.push(other.publicKey)
          await server.end()
          await server.start()
          await until(async () => (await late.add([1, 2]).catch(() => undefined)) === 3)
        },
      },
      large: {
        told: 'yes',
        drill: async (t) => {
          const server = await zeromq.server(t, {})
          const connection = { maxBytes: 4096 }
          const client = await openClient(t, server.address(), { connection })
          await t.throwsAsync(client.echo('x'.repeat(6000), patience), {
            code: 'ERR_MILLRACE_TOO_LARGE',
          })
          t.is((await client.echo('x'.repeat(3000), patience)).length, 3000)
        },
      },
    },
  },
}

drill(test, zeromq)
