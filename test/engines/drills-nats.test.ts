// The failure drills, over NATS.

import test from 'ava'

import { selfSigned } from '../support/certificate.js'
import { natsClient } from './support/client.js'
import { openClient } from './support/drills/calls.js'
import type { DrilledEngine } from './support/drills/engine.js'
import { drill } from './support/drills/suite.js'
import { natsServer, type NatsServer } from './support/nats.js'

let names = 0

const nats: DrilledEngine<NatsServer> = {
  name: 'NATS',
  newName: () => `drill-${String(++names)}`,
  cure: /see that nats-server runs there/,
  tooLarge: /max_payload/,
  secrets: { right: 'u:ri%25ght', wrong: ['u:wr%20ong'] },
  server: (t, { started, password = false, certificate, small = false }) =>
    natsServer(t, {
      ...(started === undefined ? {} : { started }),
      ...(password ? { user: 'u', password: 'ri%ght' } : {}),
      ...(certificate === undefined ? {} : { certificate }),
      ...(small ? { maxPayload: 4096 } : {}),
    }),

  work: {
    heartbeat: 2000,
    leaseMs: 1000,
    most: 4096,
    counts: true,
    occupy: async (t, server, name) => {
      const client = await natsClient(t, server)
      await client.request(
        `$JS.API.STREAM.CREATE.${name}`,
        JSON.stringify({ name, subjects: [name] }),
      )
    },
    occupied: /not of millrace's making/,
    remove: async (t, server, name) => {
      const client = await natsClient(t, server)
      await client.request(`$JS.API.STREAM.DELETE.${name}`)
    },
    own: {},
  },

  topics: {
    heartbeat: 2000,
    most: 4096,
    fits: 3900,
    own: {},
  },

  calls: {
    heartbeat: 2000,
    most: 3000,
    own: {
      certificate: {
        told: 'yes',
        drill: async (t) => {
          const mine = selfSigned()
          const server = await natsServer(t, { jetstream: false, certificate: mine })
          const wrong = await openClient(t, server.address('calc'), { connection: { tls: {} } })
          await t.throwsAsync(wrong.add([1, 2]), { code: 'ERR_MILLRACE_NO_RESPONDER' })
          t.regex(wrong.connection!.lastError!.message, /give the certificate of its authority/)
          const tls = { ca: mine.cert }
          const right = await openClient(t, server.address('calc'), { connection: { tls } })
          const nobody = await t.throwsAsync(right.add([1, 2]), {
            code: 'ERR_MILLRACE_NO_RESPONDER',
          })
          t.regex(nobody.message, /nobody serves add/)
          t.is(right.connection!.state, 'connected')
        },
      },
    },
  },
}

drill(test, nats)
