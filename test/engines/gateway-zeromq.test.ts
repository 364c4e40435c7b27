// A gateway to and from ZeroMQ, which keeps nothing: its routes do not say that they do.

import test from 'ava'
import { FrameWriter } from 'millrace'
import { Gateway } from 'millrace/gateway'

import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { until, within } from '../support/until.js'
import { queueOf } from './support/gateways.js'
import { portAnswers } from './support/server.js'
import { tcpAddress } from './support/zeromq.js'

test('jobs go over ZeroMQ, at most once', async (t) => {
  const address = await tcpAddress()
  const [near, far] = [queueOf(t), queueOf(t)]
  await using out = await Gateway.start({
    host: 'a',
    routes: [{ kind: 'work', from: near.name, to: address.at('?bind') }],
  })
  await using back = await Gateway.start({
    host: 'b',
    routes: [{ kind: 'work', from: address.at(), to: far.name }],
  })
  await near.push('one', { id: 'the id', group: 'the group', priority: 2 })
  const job = await within(20_000, far.takeOne())
  t.deepEqual(
    [job.copy().toString(), job.id, job.group, job.priority],
    ['one', 'the id', 'the group', 2],
  )
  await job.complete()
  await until(() => out.routes[0]!.delivered === 1 && back.routes[0]!.delivered === 1)
  t.deepEqual([out.routes[0]!.state, out.routes[0]!.guarantee], ['running', undefined])
  t.deepEqual([back.routes[0]!.state, back.routes[0]!.guarantee], ['running', 'at-most-once'])
})

test('who listens can connect before there is anything to carry: nothing is published to nobody', async (t) => {
  const [messages, frames] = [await tcpAddress(), await tcpAddress()]
  const own = uniqueName(t)
  using camera = FrameWriter.create(own, { slotBytes: 64, slots: 4 })
  await using gateway = await Gateway.start({
    host: 'a',
    routes: [
      { kind: 'topics', from: own, to: messages.at('?bind') },
      { kind: 'frames', from: own, to: frames.at('?bind') },
    ],
  })
  for (const { endpoint } of [messages, frames]) {
    const port = Number(endpoint.slice(endpoint.lastIndexOf(':') + 1))
    await until(() => portAnswers(port))
  }
  t.deepEqual(
    gateway.routes.map(({ delivered }) => delivered),
    [0, 0],
  )
  t.false(camera.closed)
})

const patience = 40_000
const fixture = new URL('../gateway/fixtures/gateway.js', import.meta.url)

test('packed: hundreds of jobs at a time, each with its own id, group and priority', async (t) => {
  const address = await tcpAddress()
  const [near, far] = [queueOf(t), queueOf(t)]
  await using out = await Gateway.start({
    host: 'a',
    routes: [{ kind: 'work', from: near.name, to: address.at('?bind&packed') }],
  })
  await using back = await Gateway.start({
    host: 'b',
    routes: [{ kind: 'work', from: address.at('?packed'), to: far.name }],
  })
  const count = 1500
  await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      await near.push(String(at), {
        ...(at % 2 === 0 ? { id: `id ${String(at)}` } : {}),
        ...(at % 3 === 0 ? { group: `g${String(at % 7)}` } : {}),
        ...(at % 5 === 0 ? { priority: 1 } : {}),
      })
    }),
  )
  const seen = new Set<number>()
  const lastOf = new Map<string, number>()
  while (seen.size < count) {
    const job = await within(patience, far.takeOne())
    const at = Number(job.copy().toString())
    t.is(job.group, at % 3 === 0 ? `g${String(at % 7)}` : undefined)
    t.is(job.priority, at % 5 === 0 ? 1 : 0)
    if (at % 2 === 0) t.is(job.id, `id ${String(at)}`)
    else t.regex(job.id ?? '', /^a\//)
    if (job.group !== undefined && job.priority === 0) {
      t.true(at > (lastOf.get(job.group) ?? -1))
      lastOf.set(job.group, at)
    }
    t.false(seen.has(at))
    seen.add(at)
    await job.complete()
  }
  await until(() => out.routes[0]!.delivered === count && back.routes[0]!.delivered === count)
  t.deepEqual([out.routes[0]!.inFlight, back.routes[0]!.inFlight], [0, 0])
  t.is(out.routes[0]!.bytes, back.routes[0]!.bytes)
})

test('packed: a job that is too long is a dead letter, and those beside it go on', async (t) => {
  const address = await tcpAddress()
  const [near, far] = [queueOf(t), queueOf(t)]
  const toConnection = { maxBytes: 1000 }
  await near.push('before')
  await near.push('x'.repeat(1001))
  await near.push('behind')
  await using out = await Gateway.start({
    host: 'a',
    routes: [{ kind: 'work', from: near.name, to: address.at('?bind&packed'), toConnection }],
  })
  await using back = await Gateway.start({
    host: 'b',
    routes: [{ kind: 'work', from: address.at('?packed'), to: far.name }],
  })
  const texts: string[] = []
  while (texts.length < 2) {
    const job = await within(patience, far.takeOne())
    texts.push(job.copy().toString())
    await job.complete()
  }
  t.deepEqual(texts.toSorted(), ['before', 'behind'])
  await until(() => near.stats().dead === 1)
  t.deepEqual([out.routes[0]!.dropped, back.routes[0]!.dropped], [1, 0])
})

test('packed: a gateway that is killed while it sends doubles nothing, and leaves nothing leased', async (t) => {
  const address = await tcpAddress()
  const [near, far] = [queueOf(t), queueOf(t)]
  await using back = await Gateway.start({
    host: 'b',
    routes: [{ kind: 'work', from: address.at('?bind&packed'), to: far.name, inFlight: 64 }],
  })
  t.is(back.routes.length, 1)
  const config = {
    host: 'a',
    routes: [{ kind: 'work', from: near.name, to: address.at('?packed'), inFlight: 64 }],
  }
  const seen: string[] = []
  const working = far.work((job) => {
    seen.push(job.copy().toString())
  })
  const jobs = 4000
  let pushed = 0
  // There is always more to carry while gateways are killed, however fast they are.
  const killing = { isOver: false }
  const pushing = (async () => {
    for (; !killing.isOver || pushed < jobs; pushed++) await near.push(String(pushed))
  })()
  for (let kills = 0; kills < 3; kills++) {
    const gateway = run(t, fixture, [JSON.stringify(config)])
    await gateway.next()
    const wanted = near.stats().completed + 200
    await until(() => near.stats().completed >= wanted, patience)
    await gateway.kill()
  }
  killing.isOver = true
  const gateway = run(t, fixture, [JSON.stringify(config)])
  await within(patience, pushing)
  await near.push('last')
  await until(() => seen.includes('last'), patience)
  await until(() => near.stats().leased === 0 && near.stats().ready === 0, patience)
  await gateway.kill()
  await until(() => far.stats().ready === 0 && far.stats().leased === 0, patience)
  t.is(new Set(seen).size, seen.length, 'none came twice')
  t.true(seen.length > jobs / 4, String(seen.length))
  far.close()
  await working
})
