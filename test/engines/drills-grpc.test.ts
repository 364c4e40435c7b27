// The failure drills, over gRPC: whoever serves is the server.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { connect } from 'millrace/rpc'

import { selfSigned } from '../support/certificate.js'
import { calc } from './support/drills/calc.js'
import { openClient, ServingServer } from './support/drills/calls.js'
import { patience, type DrilledEngine } from './support/drills/engine.js'
import { drill } from './support/drills/suite.js'
import { freePort } from './support/server.js'

const grpc: DrilledEngine<ServingServer> = {
  name: 'gRPC',
  newName: () => 'calc',
  cure: /see that a server of gRPC runs there/,
  server: async (t, { started = true, certificate, small = false }) => {
    const port = await freePort()
    const folder = mkdtempSync(join(tmpdir(), `millrace-grpc-${String(process.pid)}-`))
    t.teardown(() => {
      rmSync(folder, { recursive: true, force: true })
    })
    const tls = { key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem') }
    if (certificate !== undefined) {
      writeFileSync(tls.key, certificate.key, { mode: 0o600 })
      writeFileSync(tls.cert, certificate.cert)
    }
    const scheme = certificate === undefined ? 'grpc' : 'grpcs'
    const address = `${scheme}://127.0.0.1:${String(port)}/calc`
    const server = new ServingServer(t, port, address, {
      ...(certificate === undefined ? {} : { tls }),
      ...(small ? { maxBytes: 4096 } : {}),
    })
    if (started) await server.start()
    return server
  },

  calls: {
    heartbeat: 1000,
    most: 3000,
    own: {
      password: {
        told: 'no passwords: a certificate instead',
        drill: async (t) => {
          await t.throwsAsync(connect('grpc://user:word@127.0.0.1:5000/calc', calc), {
            code: 'ERR_MILLRACE_INVALID_ARGUMENT',
            message: /tls with key and cert/,
          })
        },
      },
      certificate: {
        told: 'yes',
        drill: async (t) => {
          const mine = selfSigned()
          const server = await grpc.server(t, { certificate: mine })
          const address = server.address()
          for (const tls of [{ ca: selfSigned().cert }, undefined]) {
            const connection = tls === undefined ? {} : { tls }
            const wrong = await openClient(t, address, { connection })
            await t.throwsAsync(wrong.add([1, 2]), { code: 'ERR_MILLRACE_NO_RESPONDER' })
            t.regex(wrong.connection!.lastError!.message, /tls\.ca/)
          }
          const plain = await openClient(t, address.replace('grpcs:', 'grpc:'))
          await t.throwsAsync(plain.add([1, 2]), { code: 'ERR_MILLRACE_NO_RESPONDER' })
          const right = await openClient(t, address, { connection: { tls: { ca: mine.cert } } })
          t.is(await right.add([1, 2], patience), 3)
        },
      },
    },
  },
}

drill(test, grpc)
