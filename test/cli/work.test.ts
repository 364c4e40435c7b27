// `millrace work`.

import test from 'ava'
import { list, sweep } from 'millrace'
import { Pipeline, WorkQueue } from 'millrace/work'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { command, start } from './run.js'

async function millrace(args: readonly string[], input?: string) {
  const given = input === undefined ? undefined : Buffer.from(input)
  const { code, out, err } = await start(command, ['work', ...args], given).ended
  return { code, out: out.toString(), err }
}

test('what push pushes ls counts, peek shows, and take writes', async (t) => {
  const name = uniqueName(t)
  t.deepEqual(await millrace(['push', name, 'first', '--id', 'a', '--priority', '3']), {
    code: 0,
    out: '1 job pushed\n',
    err: '',
  })
  t.is((await millrace(['push', name], 'from stdin')).out, '1 job pushed\n')
  const many = await millrace(['push', name, '--lines', '--json'], 'x\ny\n')
  t.deepEqual(JSON.parse(many.out), { pushed: 2, duplicates: 0 })

  const listed = await millrace(['ls', name])
  const [heading, row, ...rest] = listed.out.trimEnd().split('\n')
  t.is(heading, 'READY  LEASED  DELAYED  GROUPED  DEAD  HANDLES  NAME')
  t.is(row, `    4       0        0        0     0        0  ${name}`)
  t.deepEqual(rest, [])
  const [facts] = JSON.parse((await millrace(['ls', name, '--json'])).out) as object[]
  t.like(facts, { name, ready: 4, pushed: 4 })

  const peeked = await millrace(['peek', name])
  t.regex(peeked.out, /^PRIORITY +TRIED +SIZE +ID +GROUP +PAYLOAD\n +3 +0 +5 B +a +- +first\n/)
  t.is(peeked.out.trimEnd().split('\n').length, 5)
  const [first] = JSON.parse((await millrace(['peek', name, '--limit', '1', '--json'])).out) as [
    object,
  ]
  t.like(first, { id: 'a', priority: 3, attempt: 1, text: 'first', bytes: 5 })

  t.is((await millrace(['take', name])).out, 'first\n')
  t.is((await millrace(['take', name, '--limit', '2'])).out, 'from stdin\nx\n')
  const taken = JSON.parse((await millrace(['take', name, '--json'])).out) as object
  t.like(taken, { text: 'y', attempt: 1 })
  const late = await millrace(['take', name, '--timeout', '1'])
  t.is(late.code, 1)
  t.regex(late.err, /there is no work queue/, 'the last one has taken it away')
})

test('by an address, push and take are for whoever shares the queue; what looks at memory says so', async (t) => {
  const name = uniqueName(t)
  using queue = WorkQueue.open(name)
  const share = await queue.share('tcp://127.0.0.1:0')
  t.teardown(() => share.close())
  const { address } = share
  t.is((await millrace(['push', address, 'far'])).out, '1 job pushed\n')
  queue.tryPush('near')
  t.deepEqual(await millrace(['take', address, '--limit', '2', '--timeout', '20000']), {
    code: 0,
    out: 'far\nnear\n',
    err: '',
  })
  t.like(queue.stats(), { ready: 0, leased: 0, completed: 2 })
  const late = await millrace(['take', address, '--timeout', '50'])
  t.deepEqual([late.code, late.out], [1, ''])
  t.regex(late.err, /within 50 ms.*ERR_MILLRACE_TIMEOUT/)
  for (const args of [
    ['work', 'peek', address],
    ['work', 'dead', address],
    ['work', 'redrive', address],
    ['work', 'ls', address],
    ['ls', 'unix:///run/nothing.sock'],
    ['sweep', 'tls://localhost:1'],
  ]) {
    const { code, out, err } = await start(command, args).ended
    t.deepEqual([code, out.toString()], [1, ''], args.join(' '))
    t.regex(err, /looks at the memory of this machine.*ERR_MILLRACE_UNSUPPORTED/)
  }
  t.like(JSON.parse((await millrace(['ls', `shm://${name}`, '--json'])).out), [{ name }])
})

test('dead letters are shown within 80 columns, and sent round again by reason', async (t) => {
  const name = uniqueName(t)
  using queue = WorkQueue.open(name, { maxAttempts: 1 })
  const error = 'a long story of how it came to this, and of who is to blame for all of it '.repeat(
    3,
  )
  queue.tryPush('bad', { id: 'the-id-of-a-job-that-goes-on-and-on' })
  queue.tryTake()!.reject(error)
  queue.tryPush(Buffer.from([0xff, 0xfe]))
  queue.tryTake()!.retry({ error: 'no text' })
  const { out } = await millrace(['dead', name])
  t.regex(out, /^DIED +REASON +TRIED +ID +ERROR\n/)
  for (const line of out.split('\n')) t.true(line.length <= 80, line)
  t.regex(out, /rejected +1 +the-id.*… +a long story.*…/)
  const letters = JSON.parse((await millrace(['dead', name, '--json'])).out) as {
    readonly reason: string
    readonly base64?: string
    readonly error: string
  }[]
  t.deepEqual(letters.map(({ reason }) => reason).sort(), ['attempts', 'rejected'])
  t.is(letters.find(({ reason }) => reason === 'attempts')!.base64, '//4=')
  t.is((await millrace(['redrive', name, '--reason', 'rejected'])).out, '1 job sent round again\n')
  t.is(queue.tryReceive()?.toString(), 'bad')
  t.deepEqual(JSON.parse((await millrace(['redrive', name, '--json'])).out), { redriven: 1 })
  t.is((await millrace(['dead', name])).out, 'nothing is dead\n')
  t.is(queue.tryReceive()?.length, 2)
  t.is((await millrace(['peek', name])).out, 'nothing is ready\n')
})

test('what is not understood is said so with exit code 2, and touches nothing', async (t) => {
  const name = uniqueName(t)
  for (const args of [
    [],
    ['pull', name],
    ['push'],
    ['take'],
    ['push', name, 'a', 'b'],
    ['push', name, 'a', '--limit', '3'],
    ['push', name, 'a', '--priority', 'high'],
    ['push', name, '--lines', '--id', 'x'],
    ['take', name, '--id', 'a'],
    ['ls', name, 'more'],
    ['redrive', name, '--reason', 'none'],
  ]) {
    const { code, err } = await millrace(args, '')
    const expected = args[0] === 'redrive' ? 1 : 2 // there is no queue
    t.is(code, expected, `${args.join(' ')}: ${err}`)
  }
  t.deepEqual(list({ prefix: name }), [])
  for (const verb of ['take', 'peek', 'dead', 'redrive']) {
    const { code, err } = await millrace([verb, name])
    t.is(code, 1)
    t.regex(err, /there is no work queue/)
  }
  t.deepEqual(list({ prefix: name }), [])
  t.is((await millrace(['ls', name])).out, 'nothing there\n')
  const help = await millrace(['--help'])
  t.regex(help.out, /redrive NAME/)
})

test('promise: rubbish – a work queue that everybody died on keeps its jobs until it is swept for good', async (t) => {
  const name = uniqueName(t)
  const victim = actor(t)
  await victim.do(({ WorkQueue, own }, name) => {
    own.jobs = WorkQueue.open(name)
    own.jobs.tryPush('left')
  }, name)
  t.like(list({ prefix: name })[0], {
    kind: 'work',
    state: 'in-use',
    holders: [{ role: 'user', pid: victim.pid, alive: true }],
  })
  await victim.kill()
  t.like(list({ prefix: name })[0], {
    kind: 'work',
    state: 'kept',
    holders: [{ role: 'user', pid: victim.pid, alive: false }],
  })
  t.deepEqual(sweep({ prefix: name }).removed, [])
  t.is((await millrace(['take', name])).out, 'left\n')
  t.deepEqual(list({ prefix: name }), [])
})

test('a pipeline: ls and dead tell its stages, take hands on from the one that was named', async (t) => {
  const name = uniqueName(t)
  {
    using etl = Pipeline.open(name).stage('decode', { ordered: true }).stage('load')
    etl.tryPush('first')
    t.like(list({ prefix: name })[0], { kind: 'pipeline', name, state: 'in-use' })
    t.is((await millrace(['push', name, 'second', '--id', 'x'])).out, '1 job pushed\n')
    const listed = (await millrace(['ls', name])).out.trimEnd().split('\n')
    t.deepEqual(listed, [
      'READY  LEASED  DELAYED  GROUPED  HELD  DEAD  HANDLES  NAME',
      `    2       0        0        0     0     0        1  ${name}`,
      '    2       0        0        0     0     0        -    decode',
      '    0       0        0        0     0     0        -    load',
    ])
  }
  for (const verb of ['take', 'peek']) {
    const { code, err } = await millrace([verb, name])
    t.is(code, 2)
    t.regex(err, /is a pipeline: say of which stage, --stage decode\|load/)
  }
  const wrong = await millrace(['take', name, '--stage', 'store'])
  t.is(wrong.code, 2)
  t.regex(wrong.err, /has no stage 'store'; it has: decode, load/)
  t.is((await millrace(['take', name, '--stage', 'decode'])).out, 'first\n')
  const [facts] = JSON.parse((await millrace(['ls', name, '--json'])).out) as object[]
  t.like(facts, { name, stages: { decode: { ready: 1, inHand: 0 }, load: { ready: 1 } } })
  t.regex((await millrace(['peek', name, '--stage', 'load'])).out, /first\n$/)
  t.is((await millrace(['peek', name, '--stage', 'load', '--limit', '5', '--json'])).code, 0)

  {
    using etl = Pipeline.attach(name)
    etl.tryTake('decode')!.reject('not this one')
    etl.tryTake('load')!.reject('nor that one')
  }
  t.regex(
    (await millrace(['dead', name])).out,
    /^DIED +REASON +TRIED +STAGE +ID +ERROR\n.*rejected +1 +decode +x +not this one\n.*load +- +nor that one\n/,
  )
  const dead = (await millrace(['dead', name, '--stage', 'load', '--json'])).out
  t.like(JSON.parse(dead) as unknown, [{ stage: 'load', text: 'first' }])
  t.is((await millrace(['redrive', name, '--stage', 'load'])).out, '1 job sent round again\n')
  t.is((await millrace(['take', name, '--stage', 'load'])).out, 'first\n')
  t.is(
    (await millrace(['redrive', name, '--reason', 'died', '--stage', 'decode'])).out,
    '0 jobs sent round again\n',
  )
  t.is((await millrace(['redrive', name])).out, '1 job sent round again\n')
  for (const stage of ['decode', 'load']) {
    t.is((await millrace(['take', name, '--stage', stage])).out, 'second\n')
  }
  t.deepEqual(list({ prefix: name }), [])
  const other = await millrace(['push', name, 'job'])
  t.is(other.code, 0)
  const staged = await millrace(['take', name, '--stage', 'decode'])
  t.is(staged.code, 2)
  t.regex(staged.err, /is a work queue, and has no stages/)
  t.is((await millrace(['take', name])).out, 'job\n')
})
