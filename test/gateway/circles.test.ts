// Routes in a circle are refused however their addresses are written, and others are not.

import test, { type ExecutionContext } from 'ava'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Gateway, readGatewayConfig, type GatewayConfig } from 'millrace/gateway'

import { ownDirectory } from '../support/directory.js'

function written(t: ExecutionContext, config: GatewayConfig): string {
  const file = join(ownDirectory(t), 'gateway.json')
  writeFileSync(file, JSON.stringify(config))
  return file
}

/** Out of memory to the one address, and in from the other one. */
const round = (one: string, other: string): GatewayConfig => ({
  routes: [
    { kind: 'work', name: 'out', from: 'here', to: one },
    { kind: 'work', name: 'back', from: other, to: 'here' },
  ],
})

const same: readonly (readonly [string, string])[] = [
  ['tcp://127.0.0.1:7000', 'tcp://localhost:7000'],
  ['tcp://127.0.0.1:7000', 'TCP://LocalHost.:07000/?insecure'],
  ['tcp://[::1]:7000', 'tcp://127.0.0.1:7000'],
  ['tcp://[0:0:0:0:0:0:0:1]:7000?insecure', 'tcp://[::ffff:127.0.0.1]:7000'],
  ['tcp://127.0.0.1:7000', 'tls://127.0.0.1:7000'],
  ['nats://127.0.0.1/jobs', 'nats://localhost:4222/jobs'],
  ['nats://127.0.0.1/jobs', 'NATS://me:se@cret@127.0.0.1:4222/jobs'],
  ['nats://token@127.0.0.1/jobs', 'nats://me:secret@127.0.0.1/jobs?replicas=1'],
  ['nats://127.0.0.1:4222,127.0.0.1:4223/jobs', 'nats://127.0.0.1:4223/jobs'],
  ['redis://127.0.0.1/jobs', 'redis://:secret@localhost:6379/jobs?db=0'],
  ['amqp://127.0.0.1/jobs', 'amqp://guest:guest@127.0.0.1:5672/jobs?vhost=%2F'],
  ['kafka://127.0.0.1/jobs', 'kafka://u:p@localhost:9092/jobs?sasl=plain'],
  ['unix:///tmp/a', 'unix:///tmp//b/../a'],
  ['zmq+ipc:///tmp/a', 'zmq+ipc:///tmp/./a?bind'],
  ['zmq+tcp://127.0.0.1:7000', 'zmq+tcp://0.0.0.0:7000/?bind&insecure'],
  ['there', 'shm://there'],
  ['there', 'SHM://there'],
]

const different: readonly (readonly [string, string])[] = [
  ['tcp://127.0.0.1:7000', 'tcp://127.0.0.1:7001'],
  ['tcp://127.0.0.1:7000', 'tcp://127.0.0.2:7000'],
  ['tls://a.example:7000', 'tls://b.example:7000'],
  ['nats://127.0.0.1/jobs', 'nats://127.0.0.1/Jobs'],
  ['nats://127.0.0.1:4222/jobs', 'nats://127.0.0.1:4223/jobs'],
  ['redis://127.0.0.1/jobs', 'redis://127.0.0.1/jobs?db=1'],
  ['amqp://127.0.0.1/jobs', 'amqp://127.0.0.1/jobs?vhost=other'],
  ['redis://127.0.0.1/jobs', 'nats://127.0.0.1:6379/jobs'],
  ['unix:///tmp/a', 'unix:///tmp/A'],
  ['zmq+ipc:///tmp/a', 'zmq+ipc:///tmp/b'],
  ['there', 'There'],
]

for (const [one, other] of same) {
  test(`${one} and ${other} are one place`, async (t) => {
    for (const [first, second] of [
      [one, other],
      [other, one],
    ] as const) {
      const config = round(first, second)
      const told = { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /lead in a circle/ } as const
      const error = t.throws(() => readGatewayConfig(written(t, config)), told)
      t.notRegex(error.message, /cret/)
      await t.throwsAsync(Gateway.start(config), told)
      const [at] = round(first, second).routes
      await t.throwsAsync(Gateway.start({ routes: [{ ...at!, from: second }] }), {
        message: /from and to are the same/,
      })
    }
  })
}

for (const [one, other] of different) {
  test(`${one} and ${other} are two places`, (t) => {
    const config = round(one, other)
    t.deepEqual(readGatewayConfig(written(t, config)), config)
  })
}
