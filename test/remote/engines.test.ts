// Addresses of engines, before anything is connected: what is judged, and what is said where a library is missing. What an engine does is
// in test/engines, which needs servers.

import { Module } from 'node:module'
import test from 'ava'
import { WorkQueue } from 'millrace/work'

test('without its library an address of an engine says what to install, and other addresses need none', (t) => {
  const loader = Module as unknown as { _load: (name: string, ...rest: unknown[]) => unknown }
  const load = loader._load
  loader._load = (name, ...rest) => {
    if (name.startsWith('@nats-io/'))
      throw Object.assign(new Error('not there'), { code: 'MODULE_NOT_FOUND' })
    return load(name, ...rest)
  }
  try {
    t.throws(() => WorkQueue.open('nats://127.0.0.1:1/jobs'), {
      code: 'ERR_MILLRACE_MISSING_PEER',
      message:
        'addresses of nats:// need the package @nats-io/transport-node, which could not be loaded: npm install @nats-io/transport-node',
    })
    WorkQueue.open('tcp://127.0.0.1:1').close()
  } finally {
    loader._load = load
  }
  WorkQueue.open('nats://127.0.0.1:1/jobs').close()
})

test('an address of NATS is judged before anything is connected', (t) => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['nats://', /must name a host/],
    ['nats://127.0.0.1:0/jobs', /must name a host/],
    ['nats://127.0.0.1:4222:1/jobs', /must name a host/],
    ['nats://127.0.0.1', /must name a queue/],
    ['nats://127.0.0.1/two/names', /must name a queue/],
    ['nats://127.0.0.1/jobs?timeout=1', /there is no 'timeout'/],
    ['nats://example.com/jobs', /leaves this machine/],
    ['nats://127.0.0.1,example.com/jobs', /leaves this machine/],
    ['nats://%zz@127.0.0.1/jobs', /per cent/],
  ]
  for (const [address, message] of wrong) {
    t.throws(
      () => WorkQueue.open(address),
      { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message },
      address,
    )
  }
  const right: readonly (readonly [string, string])[] = [
    ['nats://user:se%20cret@127.0.0.1/jobs', 'nats://…@127.0.0.1/jobs'],
    ['nats://token@[::1]:4333/jobs', 'nats://…@[::1]:4333/jobs'],
    ['nats://localhost,127.0.0.1:4333/jobs', 'nats://localhost,127.0.0.1:4333/jobs'],
    ['nats://example.com/jobs?insecure', 'nats://example.com/jobs'],
  ]
  for (const [address, shown] of right) {
    const queue = WorkQueue.open(address, { connection: { reconnect: false } })
    t.is(queue.name, shown)
    queue.close()
  }
  const far = WorkQueue.open('nats://example.com/jobs', {
    connection: { tls: {}, reconnect: false },
  })
  far.close()
})

test('an address of Kafka is judged before anything is connected', (t) => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['kafka://', /must name a host/],
    ['kafka://127.0.0.1:0/jobs', /must name a host/],
    ['kafka://127.0.0.1', /must name a topic/],
    ['kafka://127.0.0.1/two/names', /must name a topic/],
    ['kafka://127.0.0.1/..', /must name a topic/],
    ['kafka://127.0.0.1/jobs?group=x', /there is no 'group'/],
    ['kafka://127.0.0.1,example.com/jobs', /leaves this machine/],
    ['kafka://token@127.0.0.1/jobs', /a user and a password/],
    ['kafka://u:p@127.0.0.1/jobs?sasl=gssapi', /sasl of .* must be one of 'plain'/],
    ['kafka://127.0.0.1/jobs?sasl=plain', /needs a user and a password/],
  ]
  for (const [address, message] of wrong) {
    t.throws(
      () => WorkQueue.open(address),
      { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message },
      address,
    )
  }
  const right: readonly (readonly [string, string])[] = [
    ['kafka://a:1,b:2/jobs?insecure', 'kafka://a:1,b:2/jobs'],
    ['kafka://user:se%20cret@127.0.0.1/jobs?sasl=scram-sha-512', 'kafka://…@127.0.0.1/jobs'],
  ]
  for (const [address, shown] of right) {
    const queue = WorkQueue.open(address, { connection: { reconnect: false } })
    t.is(queue.name, shown)
    queue.close()
  }
})
