// The file of configuration: all that is wrong is said, each with line, column and what may be there; what is right is what
// `Gateway.start` takes.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { readGatewayConfig, type WorkRoute } from 'millrace/gateway'

import { selfSigned } from '../../support/certificate.js'
import { ownDirectory } from '../../support/directory.js'

function written(t: ExecutionContext, text: string, name = 'gateway.yaml'): string {
  const file = join(ownDirectory(t), name)
  writeFileSync(file, text)
  return file
}

/** What is said of the file, without its path. */
function findings(t: ExecutionContext, text: string): string[] {
  const file = written(t, text)
  const error = t.throws(() => readGatewayConfig(file), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  return error.message.split('\n').map((line) => line.replace(`${file}:`, ''))
}

const name = 'neither a name (1 to 240 of A-Z a-z 0-9 . _ -, no dot first)'
const ofWork =
  'kind, name, from, to, fromConnection, toConnection, inFlight, fromQueue, toQueue, alone'
/** Of 40 characters, as keys of ZeroMQ are. */
const curveKey = 'k'.repeat(40)
const route = (more: string, kind = 'work'): string =>
  `routes:\n  - kind: ${kind}\n    from: a\n    to: b\n${more.replaceAll(/^/gm, '    ')}\n`

const wrong: Readonly<Record<string, readonly [text: string, ...said: string[]]>> = {
  'nothing at all': [
    '',
    '1:1: the configuration must have keys and values (host, routes, drainTimeout, http), and is nothing',
  ],
  'a list': [
    '- a\n',
    '1:1: the configuration must have keys and values (host, routes, drainTimeout, http), and is a list',
  ],
  'no routes': [
    'host: a\n',
    "1:1: the configuration needs 'routes': a list of what is joined with what, as in { kind: work, from: jobs, to: nats://127.0.0.1:4222/jobs }",
  ],
  'an empty list of routes': ['routes: []\n', '1:9: routes must have at least one of routes'],
  'a slip of the pen in a key': [
    'hots: a\nroutes: [{ kind: work, from: a, to: b }]\n',
    "1:1: there is no 'hots' in the configuration: did you mean 'host'? There may be: host, routes, drainTimeout, http",
  ],
  'a key that is like none': [
    route('colour: red'),
    `5:5: there is no 'colour' in a work route. There may be: ${ofWork}`,
  ],
  'a key of another kind of route': [
    route('inFlight: 3', 'topics'),
    "5:5: there is no 'inFlight' in a topics route. There may be: kind, name, from, to, fromConnection, toConnection, subjects, depth",
  ],
  'a key twice': [
    route('to: c'),
    "5:5: 'to' is there twice in a work route, first in line 4: take one of them away",
  ],
  'a key without a value': [
    route('toQueue:'),
    "5:5: nothing stands behind 'toQueue': say it, or take the line away",
  ],
  'a kind there is not': [
    'routes:\n  - { kind: wrok, from: a, to: b }\n',
    "2:13: kind must be one of work, topics, calls, frames, not 'wrok': did you mean work?",
  ],
  'no kind': [
    'routes:\n  - { from: a, to: b }\n',
    "2:5: routes[0] needs 'kind': one of work, topics, calls, frames",
  ],
  'a route that is none': [
    'routes:\n  - a\n',
    '2:5: routes[0] must be a route, as in { kind: work, from: jobs, to: nats://127.0.0.1:4222/jobs }',
  ],
  'one side': [
    'routes:\n  - kind: work\n    from: a\n',
    "2:5: a work route needs 'to': a name, or an address like 'tcp://127.0.0.1:7000'",
  ],
  'frames from memory to memory': [
    route('', 'frames'),
    "2:5: 'a' and 'b' are both channels of this machine's memory, which whoever can open one of them can open: one side must be an address",
  ],
  'a channel without its size': [
    'routes:\n  - { kind: frames, from: "tcp://127.0.0.1:1", to: a, toChannel: { slots: 4 } }\n',
    "2:66: toChannel needs 'slotBytes': bytes of the largest frame",
  ],
  'a channel that is not said': [
    'routes:\n  - { kind: frames, from: "tcp://127.0.0.1:1", to: a }\n',
    "2:5: 'a' is the channel that this gateway writes: say what it has, as in toChannel: { slotBytes: 8388608, slots: 8 }",
  ],
  'a policy that there is not': [
    'routes:\n  - { kind: frames, from: a, to: "tcp://127.0.0.1:1", fromChannel: { policy: overwrite } }\n',
    "2:78: policy must be one of overwrite-oldest, drop-newest, wait, not 'overwrite'",
  ],
  'a gateway that listens at an engine': [
    'routes:\n  - { kind: frames, from: a, to: "nats://127.0.0.1:1/x", listen: true }\n',
    '2:5: listen is for unix://, tcp:// and tls://: to an engine every gateway connects; take it away',
  ],
  'a listener that is none': [
    'routes:\n  - { kind: frames, from: a, to: "tcp://127.0.0.1:1", listen: here }\n',
    "2:63: listen must be true or false, not 'here'",
  ],
  'frames over an engine without topics': [
    'routes:\n  - { kind: frames, from: a, to: "grpc://127.0.0.1:1/calc" }\n',
    "2:34: to: topics at 'grpc://127.0.0.1:1/calc' cannot be had: gRPC carries calls, and keeps nothing; take an engine that has them " +
      '(nats://, redis://, kafka://, zmq+tcp://), or serve a stream',
  ],
  'what RabbitMQ has not': [
    'routes:\n  - { kind: topics, from: a, to: "amqp://127.0.0.1/x" }\n  - { kind: calls, from: a, to: "amqp://127.0.0.1/x" }\n',
    "2:34: to: a bus at 'amqp://127.0.0.1/x' cannot be had: RabbitMQ has work queues here; take an engine that has topics (nats://, redis://, kafka://, zmq+tcp://)",
    "3:33: to: calls at 'amqp://127.0.0.1/x' cannot be had: RabbitMQ has work queues here; take an engine that has calls (nats://, grpc://, zmq+tcp://)",
  ],
  'calls that memory is to serve': [
    'routes:\n  - { kind: calls, from: "unix:///tmp/a", to: prices }\n',
    "2:47: to: 'prices' is in this machine's memory, which does not say what is served there: give the route its contract, in a program; or " +
      'serve at an address, such as unix:///run/app/calls, and let the route lead there',
  ],
  'keys that are none': [
    'routes:\n  - { kind: work, from: a, to: "zmq+tcp://127.0.0.1:1", toConnection: { curve: { secretKey: a, serverKey: b, publicKey: c } } }\n',
    '2:32: to: curve.secretKey must be a key of 40 characters, as curveKeyPair() of zeromq makes them',
  ],
  'keys without that of this side': [
    'routes:\n  - { kind: work, from: a, to: "zmq+tcp://127.0.0.1:1", toConnection: { curve: { publicKey: c } } }\n',
    "2:80: curve needs 'secretKey': this side's own, as in ${ZMQ_SECRET_KEY}",
  ],
  'keys without those of others': [
    `routes:\n  - { kind: work, from: a, to: "zmq+tcp://127.0.0.1:1?bind", toConnection: { curve: { secretKey: ${curveKey} } } }\n`,
    "2:32: to: toConnection.curve for 'zmq+tcp://127.0.0.1:1?bind' must also have allowed, the public keys of those who may come: nobody else may",
  ],
  'keys where nobody knows of them': [
    `routes:\n  - { kind: work, from: a, to: "tls://127.0.0.1:1", toConnection: { curve: { secretKey: ${curveKey} } } }\n`,
    "2:67: curve is for zmq+tcp:// and zmq+ipc://, and 'tls://127.0.0.1:1' would not know of it: take tls, or take curve away",
  ],
  'a certificate for ZeroMQ': [
    'routes:\n  - { kind: work, from: a, to: "zmq+tcp://127.0.0.1:1", toConnection: { tls: {} } }\n',
    "2:32: to: toConnection.tls: ZeroMQ knows no TLS, so 'zmq+tcp://127.0.0.1:1' takes keys of CURVE instead, as toConnection: { curve: … }",
  ],
  'a number that is text': [
    route('inFlight: many'),
    "5:15: inFlight must be a whole number from 1 to 65,536, not 'many'",
  ],
  'a number out of its range': [
    route('inFlight: 0'),
    '5:15: inFlight must be a whole number from 1 to 65,536, not 0',
  ],
  'text that is a number': [
    route('name: 1234'),
    "5:11: name must be text, not 1234: put it in quotes, '1234'",
  ],
  'a time that is none': [
    'drainTimeout: 1.5\nroutes: [{ kind: work, from: a, to: b }]\n',
    '1:15: drainTimeout must be whole milliseconds from 0 to 2,147,483,647, not 1.5',
  ],
  'a port that is none': [
    'http: 70000\nroutes: [{ kind: work, from: a, to: b }]\n',
    '1:7: http must be a port from 0 to 65,535, not 70000',
  ],
  'a place of HTTP that is none': [
    'http: here\nroutes: [{ kind: work, from: a, to: b }]\n',
    "1:7: http must be HOST:PORT, as in 127.0.0.1:9464, or a port of this machine, not 'here'",
  ],
  'a name that is none': [
    'routes: [{ kind: work, from: a/b, to: b }]\n',
    `1:30: from: 'a/b' is ${name} nor an address like 'tcp://127.0.0.1:7000'`,
  ],
  'a scheme there is not': [
    'routes: [{ kind: work, from: a, to: "carrier-pigeon://user:secret@loft" }]\n',
    '1:37: to: there is no transport for "carrier-pigeon://…@loft": addresses begin with shm://, unix://, tcp://, tls://, fd://, pipe://, ' +
      'file://, amqp://, amqps://, grpc://, grpc+unix://, grpcs://, kafka://, nats://, redis://, rediss://, zmq+ipc://, zmq+tcp://; ' +
      'registerTransport() adds others',
  ],
  'an address of one way': [
    'routes: [{ kind: work, from: a, to: "pipe:///tmp/x" }]\n',
    "1:37: to: 'pipe:///tmp/x' goes one way, and a work route needs both: take unix://, tcp:// or tls://",
  ],
  'a listener without a certificate': [
    'routes: [{ kind: calls, from: "tls://127.0.0.1:1", to: "unix:///tmp/x" }]\n',
    "1:31: from: the gateway listens at 'tls://127.0.0.1:1', for which it needs a certificate: give fromConnection: { tls: { key, cert } }, as " +
      'node:tls takes them',
  ],
  'an address without a port': [
    'routes: [{ kind: work, from: a, to: "tcp://127.0.0.1" }]\n',
    "1:37: to: the address \"tcp://127.0.0.1\" must name a host and a port up to 65535, as in 'tcp://127.0.0.1:7000' or 'tcp://[::1]:7000'",
  ],
  'an engine that leaves this machine': [
    'routes: [{ kind: topics, from: a, to: "nats://me:secret@broker/a" }]\n',
    "1:39: to: 'nats://…@broker/a' leaves this machine: everybody on the way could read and change what goes over it. " +
      'Say `toConnection: { tls: {} }`; or, if the network is trusted, `insecure: true`, or ?insecure at the end of the address',
  ],
  'a connection to memory': [
    route('fromConnection: { insecure: true }'),
    "3:11: from: 'a' is of this machine's memory, to which there is no connection: take its options away",
  ],
  'frames between two addresses': [
    'routes: [{ kind: frames, from: "tcp://127.0.0.1:2", to: "tcp://127.0.0.1:1" }]\n',
    "1:10: from and to are both elsewhere: one side must be a channel of this machine's memory; from engine to engine the parts of frames go by a route of topics",
  ],
  'a route to where it begins': [
    'routes: [{ kind: work, from: a, to: a }]\n',
    "1:37: to: 'a' is where the route begins: what it carries would come round for ever",
  ],
  'subjects that are none': [
    route('subjects: [a.>, a..b]', 'topics'),
    "5:21: subjects[1] must be tokens with dots between them, * for one and > for all that follow, not 'a..b'",
  ],
  'two routes of one name': [
    'routes:\n  - { kind: work, name: x, from: a, to: b }\n  - { kind: work, name: x, from: c, to: d }\n',
    "3:25: the name 'x' is that of the route in line 2, too: take another one",
  ],
  'a route twice': [
    'routes:\n  - { kind: work, name: x, from: a, to: b }\n  - { kind: work, name: y, from: a, to: b }\n',
    '3:34: the route in line 2 joins the same two addresses already: take one of them away',
  ],
  'a variable that is not there': [
    'routes: [{ kind: work, from: a, to: "${MILLRACE_TEST_NOWHERE}" }]\n',
    '1:37: the environment has no variable MILLRACE_TEST_NOWHERE: set it, or write $${ for the signs themselves',
  ],
  'a variable without a name': [
    'routes: [{ kind: work, from: a, to: "${}" }]\n',
    "1:37: '${}' names no variable, for a name has letters, digits and _: correct it, or write $${ for the signs themselves",
  ],
  'a certificate without its key': [
    'routes:\n  - kind: work\n    from: a\n    to: tls://127.0.0.1:1\n    toConnection: { tls: { ca: none.pem, key: none.key } }\n',
    "5:32: ca: 'FOLDER/none.pem' cannot be read: there is no such file",
    "5:47: key: 'FOLDER/none.key' cannot be read: there is no such file",
    '5:47: key needs cert beside it',
  ],
  'broken YAML': [
    'routes:\n  - kind: [work\n',
    '3:1: Flow sequence in block collection must be sufficiently indented and end with a ]',
  ],
  'two documents': [
    'routes: [{ kind: work, from: a, to: b }]\n---\nhost: a\n',
    '2:1: there is a second document: a file has one',
  ],
  'a tag': [
    'host: !foo a\nroutes: [{ kind: work, from: a, to: b }]\n',
    '1:7: Unresolved tag: !foo',
  ],
  'routes in a circle': [
    'routes:\n  - { kind: work, name: x, from: a, to: b }\n  - { kind: work, name: y, from: b, to: a }\n',
    "2:3: 'x' and 'y' lead in a circle: what is taken at 'a' would come back there for ever; take other addresses for the way back",
  ],
}

for (const [what, [text, ...said]] of Object.entries(wrong)) {
  test(`${what} is said with its line`, (t) => {
    const found = findings(t, text).map((line) => line.replaceAll(/'\/[^']*\//g, "'FOLDER/"))
    t.deepEqual(found, said)
  })
}

test('all that is wrong is said at once, in the order of the file', (t) => {
  const found = findings(
    t,
    'drainTimeout: no\nroutes:\n  - { kind: work, from: a }\n  - { kind: topics, from: .x, to: b, deph: 1 }\n',
  )
  t.deepEqual(
    found.map((line) => line.replace(/: .*/s, '')),
    ['1:15', '3:5', '4:27', '4:38'],
  )
})

test('a file that is not there, or is no file, is said so', (t) => {
  const file = join(ownDirectory(t), 'none.yaml')
  t.throws(() => readGatewayConfig(file), {
    message: `${file}: it cannot be read: there is no such file`,
  })
  const folder = ownDirectory(t)
  t.throws(() => readGatewayConfig(folder), { message: /it cannot be read: EISDIR/ })
})

test.serial(
  'what is secret is in no message, whether it stands in the file or in a variable',
  (t) => {
    process.env['MILLRACE_TEST_SECRET'] = 'correct-horse'
    t.teardown(() => {
      delete process.env['MILLRACE_TEST_SECRET']
    })
    const found = findings(
      t,
      [
        'routes:',
        '  - { kind: work, from: a, to: "nats://me:${MILLRACE_TEST_SECRET}@far/x" }',
        '  - { kind: work, from: b, to: "nats://me:battery-staple@far/x" }',
        '  - { kind: work, from: c, to: "${MILLRACE_TEST_SECRET}/x" }',
      ].join('\n'),
    )
    t.is(found.length, 3)
    t.notRegex(found.join('\n'), /horse|battery/)
    t.regex(found[2]!, /'\$\{MILLRACE_TEST_SECRET\}\/x' is neither/)
  },
)

test.serial(
  'what is right is what a gateway takes: with variables, files, aliases and other bases of numbers',
  (t) => {
    const { key, cert } = selfSigned()
    const folder = ownDirectory(t)
    for (const [file, text] of Object.entries({ key, cert }))
      writeFileSync(join(folder, file), text)
    process.env['MILLRACE_TEST_PORT'] = '7123'
    t.teardown(() => {
      delete process.env['MILLRACE_TEST_PORT']
    })
    const file = join(folder, 'gateway.yaml')
    writeFileSync(
      file,
      [
        'host: plant-a',
        'drainTimeout: 2000',
        'http: 127.0.0.1:0',
        'routes:',
        '  - kind: work',
        '    name: the ${MILLRACE_TEST_PORT}, and $${not one}',
        '    from: orders',
        '    to: tls://127.0.0.1:${MILLRACE_TEST_PORT}',
        '    inFlight: 0x10',
        '    toConnection: &far',
        '      tls: { ca: cert, cert: cert, key: key }',
        '      reconnect: { base: 10, cap: 100 }',
        '      maxBytes: ${MILLRACE_TEST_PORT}',
        '    fromQueue: { jobs: 64, dedupWindow: 60000, deadLetters: { jobs: 3 }, durability: memory }',
        '  - kind: topics',
        '    from: plant',
        '    to: tls://127.0.0.1:7124',
        "    subjects: [a.*, 'b.>']",
        '    toConnection: *far',
        '  - kind: frames',
        '    from: tls://hub.example:7125',
        '    listen: false',
        '    fromConnection: *far',
        '    to: camera-of-hub',
        '    toChannel: { slotBytes: 4096 }',
        '  - kind: frames',
        '    from: camera',
        '    to: tls://127.0.0.1:7126',
        '    listen: true',
        '    toConnection: { tls: { cert: cert, key: key } }',
      ].join('\n'),
    )
    const connection = {
      tls: { ca: cert, cert, key },
      reconnect: { base: 10, cap: 100 },
      maxBytes: 7123,
    }
    t.deepEqual(readGatewayConfig(file), {
      host: 'plant-a',
      drainTimeout: 2000,
      routes: [
        {
          kind: 'work',
          name: 'the 7123, and ${not one}',
          from: 'orders',
          to: 'tls://127.0.0.1:7123',
          inFlight: 16,
          toConnection: connection,
          fromQueue: {
            jobs: 64,
            dedupWindow: 60_000,
            deadLetters: { jobs: 3 },
            durability: 'memory',
          },
        },
        {
          kind: 'topics',
          from: 'plant',
          to: 'tls://127.0.0.1:7124',
          subjects: ['a.*', 'b.>'],
          toConnection: connection,
        },
        {
          kind: 'frames',
          from: 'tls://hub.example:7125',
          listen: false,
          fromConnection: connection,
          to: 'camera-of-hub',
          toChannel: { slotBytes: 4096 },
        },
        {
          kind: 'frames',
          from: 'camera',
          to: 'tls://127.0.0.1:7126',
          listen: true,
          toConnection: { tls: { cert, key } },
        },
      ],
    })
  },
)

test.serial('keys of ZeroMQ are text, the secret one out of the environment', (t) => {
  process.env['MILLRACE_TEST_KEY'] = '$'.repeat(40)
  t.teardown(() => {
    delete process.env['MILLRACE_TEST_KEY']
  })
  const file = written(
    t,
    [
      'routes:',
      '  - kind: work',
      '    from: "zmq+tcp://0.0.0.0:7000?bind"',
      `    fromConnection: { curve: { secretKey: "\${MILLRACE_TEST_KEY}", allowed: ["${curveKey}"] } }`,
      '    to: orders',
    ].join('\n'),
  )
  const [{ fromConnection }] = readGatewayConfig(file).routes as [WorkRoute]
  t.deepEqual(fromConnection, { curve: { secretKey: '$'.repeat(40), allowed: [curveKey] } })
})

test('JSON is read as well, and says lines', (t) => {
  const right = JSON.stringify({ routes: [{ kind: 'work', from: 'a', to: 'b' }] }, undefined, 2)
  t.is(readGatewayConfig(written(t, right, 'gateway.json')).routes.length, 1)
  t.deepEqual(findings(t, right.replace('"work"', '7')), [
    '4:15: kind must be one of work, topics, calls, frames, not 7',
  ])
})

test('a key that is not that of the certificate, or is none, is refused', (t) => {
  const one = selfSigned()
  const other = selfSigned()
  const folder = ownDirectory(t)
  writeFileSync(join(folder, 'cert'), one.cert)
  writeFileSync(join(folder, 'key'), other.key)
  const file = join(folder, 'gateway.yaml')
  const text =
    'routes:\n  - kind: work\n    from: a\n    to: tls://127.0.0.1:1\n    toConnection: { tls: { cert: cert, key: key } }\n'
  writeFileSync(file, text)
  t.throws(() => readGatewayConfig(file), {
    message: `${file}:5:45: key: it is not that of the certificate`,
  })
  writeFileSync(join(folder, 'key'), 'nonsense')
  t.throws(() => readGatewayConfig(file), {
    message: /:5:45: key: the file has no key that can be read: /,
  })
})
