// One request through five processes, by a call, a work queue, a pipeline and a topic, is one connected picture: as each process has it in
// memory, and as a collector receives it over HTTP.

import { createServer, type IncomingMessage } from 'node:http'
import { rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import test, { type ExecutionContext } from 'ava'
import { connect } from 'millrace/rpc'
import { traceWith } from 'millrace/telemetry'

import { objectsOf, sharedMemory, uniqueName } from '../support/names.js'
import { run, type Run } from '../support/process.js'
import { shop } from './shop.js'
import { during, Kind, Spans, type Told } from './spans.js'

const patience = 40_000
const fixture = new URL('./fixtures/traced.js', import.meta.url)

/** A span as OTLP has it in JSON. */
interface Received {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly links?: readonly { readonly spanId: string }[]
}

interface Request {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly Received[] }[]
  }[]
}

async function bodyOf(request: IncomingMessage): Promise<Request> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return JSON.parse(Buffer.concat(parts).toString()) as Request
}

/** Takes what exporters send. */
async function collector(
  t: ExecutionContext,
): Promise<{ readonly url: string; readonly received: Received[]; readonly wrong: string[] }> {
  const received: Received[] = []
  const wrong: string[] = []
  const server = createServer((request, response) => {
    void bodyOf(request).then(({ resourceSpans }) => {
      if (request.url !== '/v1/traces' || request.headers['content-type'] !== 'application/json') {
        wrong.push(`${String(request.url)} ${String(request.headers['content-type'])}`)
      }
      received.push(
        ...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
      )
      response.setHeader('content-type', 'application/json').end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${String(port)}/v1/traces`, received, wrong }
}

/** Those that can be reached from the first one, by parents and links in either direction. */
function connected(spans: readonly Told[]): Set<string> {
  const near = new Map<string, string[]>()
  const join = (one: string, other: string): void => {
    near.set(one, [...(near.get(one) ?? []), other])
  }
  for (const { id, parent, links } of spans) {
    for (const other of parent === undefined ? links : [parent, ...links]) {
      join(id, other)
      join(other, id)
    }
  }
  const found = new Set<string>()
  const next = [spans[0]!.id]
  for (let one = next.pop(); one !== undefined; one = next.pop()) {
    if (found.has(one)) continue
    found.add(one)
    next.push(...(near.get(one) ?? []))
  }
  return found
}

test('a call, a work queue, a pipeline and a topic are one picture over five processes', async (t) => {
  const name = uniqueName(t)
  for (const part of ['calls', 'jobs', 'stages', 'bus']) removedWith(t, `${name}.${part}`)
  const { url, received, wrong } = await collector(t)
  const spans = new Spans([new SimpleSpanProcessor(new OTLPTraceExporter({ url }))])
  t.teardown(() => spans.end())
  const tracing = traceWith()
  const roles = ['server', 'worker', 'stages', 'subscriber'] as const
  const runs = new Map<string, Run>()
  for (const role of roles) {
    const running = run(t, fixture, [role, name, url])
    runs.set(role, running)
    t.is(await running.next(patience), 'ready')
  }

  const client = await connect(`${name}.calls`, shop, { waitForServer: patience })
  await during('request', async () => {
    t.is(await client.order('a book'), 'taken')
  })
  t.is(await runs.get('subscriber')!.next(patience), 'wrapped a book')
  client.close()

  const all: Told[] = []
  const byRole = new Map<string, Told[]>()
  for (const role of roles) {
    const running = runs.get(role)!
    running.send('report')
    const told = (await running.next(patience)) as Told[]
    byRole.set(role, told)
    all.push(...told)
    t.is((await running.ended(patience)).code, 0, running.stderr)
  }
  tracing.close()
  await spans.flushed()
  all.unshift(...spans.all())

  // Who has made which spans.
  const namesOf = (told: readonly Told[]): string[] => told.map((span) => span.name).sort()
  t.deepEqual(namesOf(spans.all()), ['request', 'shop/order'])
  t.deepEqual(namesOf(byRole.get('server')!), [`send ${name}.jobs`, 'shop/order'])
  t.deepEqual(namesOf(byRole.get('worker')!), [`process ${name}.jobs`, `send ${name}.stages`])
  t.deepEqual(namesOf(byRole.get('stages')!), [
    `process ${name}.stages`,
    `process ${name}.stages`,
    `send ${name}.bus`,
  ])
  t.deepEqual(namesOf(byRole.get('subscriber')!), ['process shipped', `receive ${name}.bus`])

  // Nothing hangs in the air, and all hangs together.
  const ids = new Set(all.map(({ id }) => id))
  for (const { name: of, parent, links } of all) {
    for (const other of parent === undefined ? links : [parent, ...links]) {
      t.true(ids.has(other), `${of} leads to a span that nobody has reported`)
    }
  }
  t.deepEqual([...connected(all)].sort(), [...ids].sort())

  // Calls are parents, across processes too; what goes through a queue is a link, and begins a trace of its own.
  const only = (of: string, kind: number): Told => {
    const found = all.filter((span) => span.name === of && span.kind === kind)
    t.is(found.length, 1, of)
    return found[0]!
  }
  const request = only('request', Kind.internal)
  const called = only('shop/order', Kind.client)
  const served = only('shop/order', Kind.server)
  const pushed = only(`send ${name}.jobs`, Kind.producer)
  const worked = only(`process ${name}.jobs`, Kind.consumer)
  const poured = only(`send ${name}.stages`, Kind.producer)
  const published = only(`send ${name}.bus`, Kind.producer)
  const got = only(`receive ${name}.bus`, Kind.consumer)
  const stages = byRole.get('stages')!.filter((span) => span.kind === Kind.consumer)
  const parents = [called, served, pushed, poured].map(({ parent }) => parent)
  t.deepEqual(parents, [request.id, called.id, served.id, worked.id])
  t.true([called, served, pushed].every((span) => span.trace === request.trace))
  t.deepEqual([worked.links, worked.parent], [[pushed.id], undefined])
  t.not(worked.trace, pushed.trace)
  t.deepEqual(
    stages.map(({ links, attributes }) => [attributes['millrace.stage'], links]),
    [
      ['wrap', [poured.id]],
      ['ship', [poured.id]],
    ],
  )
  t.is(published.parent, stages[1]!.id)
  t.deepEqual(got.links, [published.id])
  t.deepEqual(only('process shipped', Kind.consumer).links, [published.id])

  // The collector has had the same.
  t.deepEqual(wrong, [])
  t.deepEqual(received.map(({ spanId }) => spanId).sort(), [...ids].sort())
  for (const { spanId, parentSpanId, links = [], name: of } of received) {
    const told = all.find(({ id }) => id === spanId)!
    t.is(of, told.name)
    t.is(parentSpanId ?? '', told.parent ?? '')
    t.deepEqual(
      links.map((link) => link.spanId),
      told.links,
    )
  }
})

/** What lies under that name goes with the test. */
function removedWith(t: ExecutionContext, name: string): void {
  t.teardown(() => {
    for (const object of objectsOf(name)) rmSync(join(sharedMemory, object), { force: true })
  })
}
