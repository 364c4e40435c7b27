// How a gateway is, by HTTP: what is told, to whom, and that whoever asks badly harms nothing.

import { once } from 'node:events'
import { request } from 'node:http'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { WorkQueue } from 'millrace/work'

import { uniqueName } from '../../support/names.js'
import { until } from '../../support/until.js'
import { RunningGateway } from './running.js'

interface Got {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

async function get(
  url: string,
  options: { readonly method?: string; readonly headers?: Record<string, string> } = {},
): Promise<Got> {
  return await new Promise((resolve, reject) => {
    const asked = request(url, { agent: false, ...options }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const { statusCode = 0, headers } = response
        resolve({ status: statusCode, headers, body: Buffer.concat(chunks).toString() })
      })
      response.on('error', reject)
    })
    asked.on('error', reject)
    asked.end()
  })
}

/** A route that runs, and one that nobody serves, with a secret in its address. */
async function both(t: ExecutionContext) {
  const own = () => uniqueName(t, { mayLeave: true })
  const [near, far, other] = [own(), own(), own()]
  const from = WorkQueue.open(near)
  const to = WorkQueue.open(far)
  const share = await to.share('tcp://127.0.0.1:0')
  t.teardown(async () => {
    from.close()
    await share.close()
    to.close()
  })
  const up = { kind: 'work', name: 'a "quoted" \\ name', from: near, to: share.address } as const
  const down = {
    kind: 'work',
    name: 'down',
    from: other,
    to: 'nats://me:battery-staple@127.0.0.1:1/x',
  } as const
  return { from, to, up, down }
}

test('liveness, readiness, status and metrics tell of the routes, and no secret', async (t) => {
  const { from, to, up, down } = await both(t)
  const config = { host: 'plant-a', http: '127.0.0.1:0', routes: [up] }
  const gateway = new RunningGateway(t, config)
  const url = await gateway.url()
  t.regex(url, /^http:\/\/127\.0\.0\.1:\d+$/)
  await gateway.told('ready')
  await gateway.told('up')
  t.like(await get(`${url}/livez`), { status: 200, body: 'ok\n' })
  t.like(await get(`${url}/readyz`), { status: 200, body: 'ok\n' })
  await from.push('0123456789')
  await until(() => to.stats().ready === 1)
  const counted = async (): Promise<string> => (await get(`${url}/metrics`)).body
  const label = 'route="a \\"quoted\\" \\\\ name",kind="work"'
  await until(async () => (await counted()).includes(`millrace_messages_total{${label}} 1\n`))
  const metrics = await get(`${url}/metrics`)
  t.is(metrics.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  t.true(metrics.body.includes(`millrace_bytes_total{${label}} 10\n`))
  t.true(metrics.body.includes(`millrace_route_up{${label}} 1\n`))
  t.true(metrics.body.includes(`millrace_dropped_total{${label},reason="dead-letter"} 0\n`))

  gateway.write({ ...config, routes: [up, down] })
  gateway.kill('SIGHUP')
  await gateway.told('reloaded')
  await gateway.told('waiting')
  const ready = await get(`${url}/readyz`)
  t.is(ready.status, 503)
  t.regex(
    ready.body,
    /^\[\+\]route:a "quoted" \\ name ok\n\[-\]route:down failed: connecting \(.+\)\n\[\+\]gateway ok\nreadyz check failed\n$/,
  )
  t.is((await get(`${url}/readyz?exclude=route:down`)).status, 200)
  const health = await get(`${url}/health`)
  t.is(health.headers['content-type'], 'application/health+json; charset=utf-8')
  t.like(JSON.parse(health.body), { status: 'fail', checks: { gateway: [{ status: 'pass' }] } })
  t.is((await get(`${url}/livez`)).status, 200)
  const status = await get(`${url}/status`)
  const told = JSON.parse(status.body) as {
    readonly state: string
    readonly host: string
    readonly pid: number
    readonly routes: readonly {
      readonly name: string
      readonly to: string
      readonly error: unknown
    }[]
  }
  t.like(told, { state: 'running', host: 'plant-a', pid: gateway.child.pid })
  t.deepEqual(
    told.routes.map(({ name, error }) => [name, error === null]),
    [
      [up.name, true],
      ['down', false],
    ],
  )
  t.is(told.routes[1]?.to, 'nats://…@127.0.0.1:1/x')
  gateway.kill('SIGTERM')
  t.is((await gateway.ended).code, 0)
  t.notRegex([gateway.text, status.body, ready.body, metrics.body].join('\n'), /battery-staple/)
})

test('only what is there is told, only to who asks for it, and to this machine by its own names', async (t) => {
  const { up } = await both(t)
  const gateway = new RunningGateway(t, { routes: [up] }, { args: ['--http', '0'] })
  const url = await gateway.url()
  await gateway.told('ready')
  t.is((await get(`${url}/`)).status, 404)
  t.is((await get(`${url}/constructor`)).status, 404)
  t.is((await get(`${url}/livez?verbose`)).status, 200)
  const posted = await get(`${url}/livez`, { method: 'POST' })
  t.deepEqual([posted.status, posted.headers['allow']], [405, 'GET, HEAD'])
  t.like(await get(`${url}/livez`, { method: 'HEAD' }), { status: 200, body: '' })
  t.is((await get(`${url}/status`, { headers: { Host: 'evil.example:9464' } })).status, 403)
  for (const host of ['localhost', '127.0.0.1:1', '[::1]:80']) {
    t.is((await get(`${url}/status`, { headers: { Host: host } })).status, 200, host)
  }
})

test('connections that ask nothing, half of something, or too much keep nobody out', async (t) => {
  const { from, to, up } = await both(t)
  const gateway = new RunningGateway(t, { http: 0, routes: [up] })
  const { port } = new URL(await gateway.url())
  await gateway.told('ready')
  const sockets: Socket[] = []
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  const open = async (text: string): Promise<Socket> => {
    const socket = connect(Number(port), '127.0.0.1')
    socket.on('error', () => undefined)
    sockets.push(socket)
    await once(socket, 'connect')
    if (text !== '') socket.write(text)
    return socket
  }
  for (let i = 0; i < 200; i++) {
    await open(i % 2 === 0 ? '' : 'GET /status HTTP/1.1\r\nHost: localhost\r\nX-Half: ')
  }
  t.is((await get(`http://127.0.0.1:${port}/livez`)).status, 200)
  // The oldest had to go.
  await until(() => sockets.filter(({ closed }) => closed).length >= 130)
  const tooMuch = await open(`GET /livez HTTP/1.1\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`)
  const garbage = await open('\u0000\u0001\u0002 not http\r\n\r\n')
  await until(() => tooMuch.closed && garbage.closed)
  // A body that was announced is not waited for.
  const announced = await open(
    'GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n',
  )
  const [answer] = (await once(announced, 'data')) as [Buffer]
  t.regex(answer.toString(), /^HTTP\/1\.1 200 OK\r\n/)
  await from.push('goes on')
  await until(() => to.stats().ready === 1)
  gateway.kill('SIGTERM')
  t.is((await gateway.ended).code, 0)
})

test('a place that is taken is said: at the start it ends, at a reload the old one stays', async (t) => {
  const { up } = await both(t)
  const taken = createServer()
  await new Promise<void>((done) => taken.listen(0, '127.0.0.1', done))
  t.teardown(() => {
    taken.close()
  })
  const { port } = taken.address() as AddressInfo
  const unlucky = new RunningGateway(t, { http: port, routes: [up] })
  const { code } = await unlucky.ended
  t.is(code, 1)
  t.deepEqual(unlucky.events, ['starting', 'failed'])
  const { level, error } = unlucky.records[1]!
  t.is(level, 'error')
  t.is(error?.code, 'ERR_MILLRACE_EXISTS')
  t.regex(
    error!.message,
    new RegExp(`http: 127\\.0\\.0\\.1:${String(port)}: another process listens there: `),
  )

  const gateway = new RunningGateway(t, { http: '127.0.0.1:0', routes: [up] })
  const url = await gateway.url()
  await gateway.told('ready')
  gateway.write({ http: port, routes: [up] })
  gateway.kill('SIGHUP')
  t.is((await gateway.told('reload-refused')).error?.code, 'ERR_MILLRACE_EXISTS')
  t.is((await get(`${url}/livez`)).status, 200)
  gateway.write({ http: 'localhost:0', routes: [up] })
  gateway.kill('SIGHUP')
  await gateway.told('reloaded')
  t.is((await get(`${await gateway.url(2)}/readyz`)).status, 200)
  await t.throwsAsync(get(`${url}/livez`), { code: 'ECONNREFUSED' })
})
