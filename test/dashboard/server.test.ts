// What the server of the live page says to whom.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readdirSync, readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import test from 'ava'
import { SpscQueue, type MillraceError } from 'millrace'
import { serveDashboard } from 'millrace/dashboard'

import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { until } from '../support/until.js'
import { open } from '../work/open.js'
import { ask, bearer, OpenPage, served, tokenOf } from './ask.js'

const page = new URL('../../../dist/page/', import.meta.url)
const patience = 40_000

interface Row {
  readonly name: string
  readonly kind: string
  readonly depth?: number
  readonly in?: number
  readonly holders: readonly {
    readonly role: string
    readonly pid: number
    readonly does: string
  }[]
}
interface Look {
  readonly full: boolean
  readonly missed: number
  readonly rows: readonly Row[]
  readonly gone: readonly string[]
}
const look = async (open: OpenPage) => (await open.next('look')) as unknown as Look

test('who has the token sees the page; who has none, or another, sees nothing', async (t) => {
  const dashboard = await served(t)
  const token = tokenOf(dashboard)
  t.regex(dashboard.url, /^http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{43}$/)
  const shown = await ask(dashboard, `/?token=${token}`)
  t.is(shown.status, 200)
  t.true(shown.body.toString().startsWith('<!doctype html>'))
  const other = (token.startsWith('A') ? 'B' : 'A') + token.slice(1)
  for (const path of ['/', '/events', '/channel', '/picture', '/messages', '/none']) {
    for (const wrong of [
      '',
      '?token=',
      `?token=${other}`,
      `?token=${token}x`,
      `?tokens=${token}`,
    ]) {
      t.is((await ask(dashboard, path + wrong)).status, 401, path + wrong)
    }
    const headers = { Authorization: `Bearer ${other}` }
    t.is((await ask(dashboard, `${path}?token=${token}`, { headers })).status, 401, path)
  }
  const known = await ask(dashboard, '/channel?kind=queue&name=none', {
    headers: bearer(dashboard),
  })
  t.deepEqual([known.status, String(known.body)], [404, "there is no queue 'none'\n"])
})

test('a page of the web that has its name lead here learns nothing', async (t) => {
  const dashboard = await served(t)
  const path = `/?token=${tokenOf(dashboard)}`
  const port = String(dashboard.port)
  for (const Host of ['evil.example', `evil.example:${port}`, `127.0.0.1.evil.example:${port}`]) {
    for (const one of [path, '/page.js', '/events']) {
      t.is((await ask(dashboard, one, { headers: { Host } })).status, 403, `${Host} ${one}`)
    }
  }
  for (const Host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, 'LOCALHOST']) {
    t.is((await ask(dashboard, path, { headers: { Host } })).status, 200, Host)
  }
})

test('whatever is answered may run and load nothing but the files of the page, which hold no other code', async (t) => {
  const dashboard = await served(t)
  for (const path of [`/?token=${tokenOf(dashboard)}`, '/', '/page.js', '/none']) {
    const { headers } = await ask(dashboard, path)
    const policy = String(headers['content-security-policy'])
    t.true(policy.startsWith("default-src 'none'; script-src 'self'; style-src 'self';"), policy)
    t.notRegex(policy, /unsafe|https?:|\*|data:|blob:/)
    t.like(headers, {
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'cross-origin-resource-policy': 'same-origin',
    })
  }
  const html = readFileSync(new URL('index.html', page), 'utf8')
  t.notRegex(html, /<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|https?:/)
})

test('the files of the page take 80 KiB at most, as they are sent packed', (t) => {
  const files = readdirSync(page).filter((file) => file !== 'LICENSES.txt')
  t.deepEqual(files.sort(), ['icon.svg', 'index.html', 'page.css', 'page.js'])
  const size = files.reduce(
    (sum, file) => sum + gzipSync(readFileSync(new URL(file, page))).length,
    0,
  )
  t.true(size <= 80 * 1024, `${String(size)} bytes`)
  t.regex(readFileSync(new URL('LICENSES.txt', page), 'utf8'), /^uplot 1\.6\.32, MIT/)
})

test('it only tells, but for one thing', async (t) => {
  const dashboard = await served(t)
  const headers = bearer(dashboard)
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    const { status, headers: its } = await ask(dashboard, '/', { method, headers })
    t.deepEqual([status, its.allow], [405, 'GET, HEAD'], method)
  }
  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    const { status, headers: its } = await ask(dashboard, '/redrive', { method, headers })
    t.deepEqual([status, its.allow], [405, 'POST'], method)
  }
  const head = await ask(dashboard, '/', { method: 'HEAD', headers })
  t.deepEqual([head.status, head.body.length], [200, 0])
})

test('dead letters are sent round again by who is on the page, and by nobody else', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const queue = open(t, name)
  for (const text of ['a', 'b']) await queue.push(text)
  for (let i = 0; i < 2; i++) await (await queue.takeOne()).reject('no')
  t.is(queue.stats().dead, 2)
  const dashboard = await served(t)
  const path = `/redrive?kind=work&name=${name}`
  const Origin = `http://127.0.0.1:${String(dashboard.port)}`
  const ownPage = { ...bearer(dashboard), Origin }
  const refused: readonly (readonly [number, string, Record<string, string>])[] = [
    [401, `${path}&token=${tokenOf(dashboard)}`, { Origin }],
    [403, path, bearer(dashboard)],
    [403, path, { ...ownPage, Origin: 'http://127.0.0.1:1' }],
    [403, path, { ...ownPage, Origin: 'null' }],
    [403, path, { ...ownPage, 'Sec-Fetch-Site': 'cross-site' }],
    [403, path, { ...ownPage, 'Sec-Fetch-Site': 'same-site' }],
    [403, path, { ...ownPage, Host: 'evil.example', Origin: 'http://evil.example' }],
    [404, `/redrive?kind=work&name=${name}-none`, ownPage],
    [404, `/redrive?kind=queue&name=${name}`, ownPage],
  ]
  for (const [status, one, headers] of refused) {
    t.is((await ask(dashboard, one, { method: 'POST', headers })).status, status, one)
  }
  t.is(queue.stats().dead, 2)
  const again = async () => {
    const answer = await ask(dashboard, path, { method: 'POST', headers: ownPage })
    return [answer.status, JSON.parse(String(answer.body)) as unknown]
  }
  t.deepEqual(await again(), [200, { redriven: 2 }])
  t.like(queue.stats(), { dead: 0, ready: 2 })
  t.deepEqual(await again(), [200, { redriven: 0 }])
})

test('a page is told of everything first, then of what has changed, and of what is gone', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 4096 })
  using other = SpscQueue.consumer(`${name}-other`, { capacity: 4096 })
  const dashboard = await served(t, { prefix: name })
  const tab = new OpenPage(dashboard)
  t.like(await tab.next('hello'), { payload: false, prefix: name })
  const first = await look(tab)
  t.true(first.full)
  t.deepEqual(
    first.rows.map((row) => [row.kind, row.name, row.depth, row.in]),
    [
      ['queue', name, 0, undefined],
      ['queue', `${name}-other`, 0, undefined],
    ],
  )
  // Of their rates nothing was known before.
  t.is((await look(tab)).rows.length, 2)
  t.deepEqual((await look(tab)).rows, [])
  using producer = SpscQueue.producer(name)
  producer.tryPush('x')
  const [seen] = await next(tab, ({ rows }) => rows.some(({ depth }) => depth === 1))
  t.like(seen, { name, depth: 1 })
  t.deepEqual(
    seen!.holders.map(({ role, pid, does }) => [role, pid, does]),
    [
      ['producer', process.pid, 'writes'],
      ['consumer', process.pid, 'reads'],
    ],
  )
  const detail = await ask(dashboard, `/channel?kind=queue&name=${name}`, {
    headers: bearer(dashboard),
  })
  t.like(JSON.parse(String(detail.body)), { figures: { sent: 1, messages: 1 }, row: { name } })
  other.close()
  let gone: readonly string[] = []
  while (gone.length === 0) ({ gone } = await look(tab))
  t.deepEqual(gone, [`queue/${name}-other`])
  consumer.drain(() => undefined)
  await tab.leave()
})

/** The rows of the first look of which that is true. */
async function next(tab: OpenPage, so: (look: Look) => boolean): Promise<readonly Row[]> {
  for (;;) {
    const one = await look(tab)
    if (so(one)) return one.rows
  }
}

test('several pages cost one look, and no page none', async (t) => {
  const dashboard = await served(t, { prefix: uniqueName(t), interval: 5000 })
  await ask(dashboard, '/', { headers: bearer(dashboard) })
  t.is(dashboard.looks, 0)
  const tabs = [1, 2, 3, 4].map(() => new OpenPage(dashboard))
  for (const tab of tabs) t.true((await look(tab)).full)
  t.is(dashboard.looks, 1)
  await Promise.all(tabs.map((tab) => tab.leave()))

  const quick = await served(t, { prefix: uniqueName(t) })
  const tab = new OpenPage(quick)
  await look(tab)
  await look(tab)
  await tab.leave()
  // The server hears of it a little later. Nobody is told of looks that there are after that.
  let before = -1
  await until(async () => {
    const same = before === quick.looks
    before = quick.looks
    await new Promise((done) => setTimeout(done, 500))
    return same && before === quick.looks
  }, patience)
  t.pass()
})

test('a page that does not read is told less, not later: nothing heaps up for it', async (t) => {
  const name = uniqueName(t)
  const dashboard = await served(t, { prefix: name })
  const responses: ServerResponse[] = []
  const started = (message: unknown) => {
    const { request, response } = message as { request: IncomingMessage; response: ServerResponse }
    if (request.socket.localPort === dashboard.port) responses.push(response)
  }
  subscribe('http.server.request.start', started)
  t.teardown(() => unsubscribe('http.server.request.start', started))
  using consumer = SpscQueue.consumer(name, { capacity: 65_536 })
  using producer = SpscQueue.producer(name)
  const slow = new OpenPage(dashboard)
  await look(slow)
  const quick = new OpenPage(dashboard)
  await look(quick)
  const response = responses[0]!
  // As if the network took nothing.
  response.cork()
  const sizes = new Set<number>()
  for (let turn = 0; turn < 8; turn++) {
    producer.tryPush('x')
    await look(quick)
    sizes.add(response.writableLength)
  }
  // One look was on its way, perhaps; none of the others.
  t.true([...sizes].filter((size) => size > 0).length <= 1, [...sizes].join())
  response.uncork()
  let caughtUp = await look(slow)
  while (caughtUp.missed === 0) caughtUp = await look(slow)
  t.true(caughtUp.full)
  t.true(caughtUp.missed >= 5, String(caughtUp.missed))
  t.is(caughtUp.rows[0]!.depth, 8)
  consumer.drain(() => undefined)
  await Promise.all([slow.leave(), quick.leave()])
})

test('more pages than anybody has are refused', async (t) => {
  const dashboard = await served(t, { prefix: uniqueName(t), interval: 5000 })
  const tabs = Array.from({ length: 32 }, () => new OpenPage(dashboard))
  for (const tab of tabs) await look(tab)
  const one = await ask(dashboard, '/events', { headers: bearer(dashboard) })
  t.is(one.status, 503)
  await tabs.pop()!.leave()
  await until(async () => {
    const tab = new OpenPage(dashboard)
    const isIn = await look(tab).then(
      () => true,
      () => false,
    )
    if (!isIn) await tab.leave()
    else tabs.push(tab)
    return isIn
  }, patience)
  await Promise.all(tabs.map((tab) => tab.leave()))
})

test('what is in messages is not told unless it was said that it may be', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 4096 })
  using producer = SpscQueue.producer(name)
  producer.tryPush('a secret that nobody told')
  const dashboard = await served(t, { prefix: name })
  const headers = bearer(dashboard)
  for (const path of ['/picture', '/messages', '/messages?kind=queue']) {
    const { status, body } = await ask(dashboard, `${path}?kind=queue&name=${name}`, { headers })
    t.is(status, 403)
    t.regex(String(body), /--payload/)
  }
  const tab = new OpenPage(dashboard)
  const told = JSON.stringify([await look(tab), await look(tab)])
  const { body } = await ask(dashboard, `/channel?kind=queue&name=${name}`, { headers })
  t.true(told.includes(name) && String(body).includes(name))
  t.false(told.includes('secret') || String(body).includes('secret'))
  consumer.drain(() => undefined)
  await tab.leave()
})

test('closing ends the open pages and frees the port; twice is once', async (t) => {
  const dashboard = await served(t, { prefix: uniqueName(t) })
  const tab = new OpenPage(dashboard)
  await look(tab)
  const { port } = dashboard
  const taken = await t.throwsAsync<MillraceError>(serveDashboard({ port }))
  t.is(taken.code, 'ERR_MILLRACE_EXISTS')
  dashboard.close()
  dashboard.close()
  await tab.ended
  const again = await served(t, { port })
  t.is(again.port, port)
  t.not(tokenOf(again), tokenOf(dashboard))
})

test('what cannot be is said before anything listens', async (t) => {
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [{ host: '0.0.0.0' }, /--allow-remote/],
    [{ host: '::' }, /--allow-remote/],
    [{ host: 'example.org' }, /allowRemote/],
    [{ host: '' }, /host must be a name/],
    [{ host: 1 }, /host must be a name/],
    [{ port: -1 }, /port must be/],
    [{ port: 65_536 }, /port must be/],
    [{ interval: 99 }, /interval must be/],
    [{ interval: Infinity }, /interval must be/],
    [{ payload: 'yes' }, /payload must be true or false/],
    [{ allowRemote: 1 }, /allowRemote must be true or false/],
    [{ prefix: 7 }, /prefix/],
    [{ prot: 1 }, /prot/],
  ]
  for (const [options, message] of wrong) {
    await t.throwsAsync(serveDashboard(options as never), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message,
    })
  }
})

test('other machines may ask only where that was said, and by a number or a name of this one', async (t) => {
  const dashboard = await served(t, { host: '0.0.0.0', allowRemote: true, prefix: uniqueName(t) })
  const path = `/?token=${tokenOf(dashboard)}`
  const status = async (Host: string) => (await ask(dashboard, path, { headers: { Host } })).status
  t.is(await status('192.0.2.7:8080'), 200)
  t.is(await status('[2001:db8::1]:8080'), 200)
  t.is(await status('evil.example'), 403)
})

test('it goes on under timers of a test, and is closed while the process ends', async (t) => {
  const child = run(t, new URL('./fixtures/timers.js', import.meta.url), [uniqueName(t)])
  t.deepEqual(await child.next(patience), { looks: true })
  t.deepEqual(await child.ended(), { code: 0, signal: null }, child.stderr)
})
