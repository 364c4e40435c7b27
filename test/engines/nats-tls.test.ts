// A server of NATS that speaks TLS, and one that wants to see who comes.

import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { Topics } from 'millrace/topics'

import { selfSigned } from '../support/certificate.js'
import { until } from '../support/until.js'
import { natsServer, type NatsServer } from './support/nats.js'

const mine = selfSigned()
const other = selfSigned()

const patience = { timeout: 15_000 }

function open(t: ExecutionContext, server: NatsServer, tls?: object): Topics {
  const connection = tls === undefined ? {} : { tls }
  const bus = Topics.open(server.address('plant'), { connection })
  t.teardown(() => {
    bus.close()
  })
  return bus
}

async function roundTrip(bus: Topics): Promise<string> {
  const all = await bus.subscribe('>', patience)
  await bus.publish('a', 'b')
  using message = await all.receive(patience)
  return message.text()
}

/** Why there is no connection. */
async function refusal(t: ExecutionContext, bus: Topics): Promise<string> {
  await until(() => bus.connection?.lastError !== undefined)
  const { code, message } = bus.connection!.lastError as MillraceError
  t.is(code, 'ERR_MILLRACE_UNREACHABLE')
  return message
}

test('a server that wants to see a certificate gets one, or nobody in', async (t) => {
  const server = await natsServer(t, { jetstream: false, certificate: mine, mutual: true })
  t.is(await roundTrip(open(t, server, { ca: mine.cert, ...mine })), 'b')
  await refusal(t, open(t, server, { ca: mine.cert }))
  await refusal(t, open(t, server, { ca: mine.cert, ...other }))
})
