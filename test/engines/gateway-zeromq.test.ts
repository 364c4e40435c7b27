// A gateway to and from ZeroMQ, which keeps nothing: its routes do not say that they do.

import test from 'ava'
import { Gateway } from 'millrace/gateway'

import { until, within } from '../support/until.js'
import { queueOf } from './support/gateways.js'
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
