// The examples of docs/supervision.md: the program is run as systemd runs it, and what orchestrators are told is what it serves.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { WorkQueue } from 'millrace/work'
import { healthPages } from 'millrace/telemetry'
import { parse, parseAllDocuments } from 'yaml'

import { ownDirectory } from '../support/directory.js'
import { fileOf, samplesOf } from '../support/documented.js'
import { uniqueName } from '../support/names.js'
import { notifyReader } from '../support/notify-reader.js'
import { until } from '../support/until.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const examples = join(root, 'examples/supervised')
const patience = 60_000

const textOf = (file: string): string => readFileSync(join(examples, file), 'utf8')

/** The program, with a queue of this test's own. */
function programOf(t: ExecutionContext, name: string): string {
  // Within the package, so that it finds itself by its name.
  const folder = join(root, 'out', `supervised-${String(process.pid)}`)
  mkdirSync(folder, { recursive: true })
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const file = join(folder, 'orders.mjs')
  writeFileSync(file, textOf('orders.mjs').replaceAll("'orders'", `'${name}'`))
  return file
}

test('the worker says how it is to systemd, by HTTP and to the log, and ends when it is told to', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const socket = join(ownDirectory(t), 'notify')
  const { got } = await notifyReader(t, socket)
  const env = { ...process.env, NOTIFY_SOCKET: socket, WATCHDOG_USEC: '40000', PORT: '0' }
  const child = spawn(process.execPath, [programOf(t, name)], {
    env,
    stdio: ['ignore', 'inherit', 'pipe'],
  })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const logged = text(child.stderr)
  const [, status] = await got('READY=1')
  const url = /^STATUS=takes orders; (http:.*)\/readyz$/.exec(status!)![1]!
  const ready = await fetch(`${url}/readyz?verbose`)
  t.deepEqual(
    [ready.status, await ready.text()],
    [200, `[+]work:${name} ok\nreadyz check passed\n`],
  )
  t.is((await fetch(`${url}/livez`)).status, 200)
  const queue = WorkQueue.open(name)
  await queue.push('order')
  await until(() => queue.stats().completed === 1, patience)
  queue.close()
  await got('WATCHDOG=1', 2)
  child.kill('SIGTERM')
  await got('STOPPING=1')
  t.deepEqual(await ended, [0, null])
  const records = (await logged)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly event: string; readonly msg: string })
  t.like(
    records.find(({ event }) => event === 'order'),
    { msg: 'an order of 5 bytes' },
  )
})

test('the page shows the example as it is', (t) => {
  const [shown] = samplesOf('docs/supervision.md').filter((one) => fileOf(one) === 'orders.mjs')
  const code = (program: string): string => program.replaceAll(/^\/\/ .*\n+/gm, '')
  t.is(code(shown!.text), code(textOf('orders.mjs')))
})

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
  readonly timeoutSeconds: number
}

interface Container {
  readonly name: string
  readonly image: string
  readonly env?: readonly { readonly name: string; readonly value: string }[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
  readonly resources: { readonly limits: { readonly memory: string } }
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[]
}

interface Pod {
  readonly kind: string
  readonly spec: {
    readonly terminationGracePeriodSeconds: number
    readonly securityContext: { readonly runAsUser: number }
    readonly containers: readonly Container[]
    readonly volumes: readonly {
      readonly name: string
      readonly emptyDir: { readonly medium: string; readonly sizeLimit: string }
    }[]
  }
}

/** What `work` has to end what is in hand, in seconds. */
const drainSeconds = (): number =>
  Number(/drainOnClose: ([\d_]+)/.exec(textOf('orders.mjs'))![1]!.replaceAll('_', '')) / 1000

const mebibytes = (text: string): number => {
  const [, number, unit] = /^(\d+)(Mi|Gi)$/.exec(text)!
  return Number(number) * (unit === 'Gi' ? 1024 : 1)
}

test('Kubernetes asks for pages that there are, at the port where they are', (t) => {
  const [document, ...others] = parseAllDocuments(textOf('kubernetes.yaml'))
  t.is(others.length, 0)
  t.deepEqual(document!.errors, [])
  const { kind, spec } = document!.toJS() as Pod
  t.is(kind, 'Pod')
  const [worker] = spec.containers
  const pages = Object.keys(healthPages())
  const { env, ports, livenessProbe, readinessProbe } = worker!
  for (const [probe, path] of [
    [livenessProbe, '/livez'],
    [readinessProbe, '/readyz'],
  ] as const) {
    t.is(probe!.httpGet.path, path)
    t.true(pages.includes(path))
    t.is(probe!.httpGet.port, ports![0]!.name)
  }
  const value = (name: string): string => env!.find((one) => one.name === name)!.value
  t.is(Number(value('PORT')), ports![0]!.containerPort)
  t.is(value('HOST'), '0.0.0.0')
  t.true(spec.terminationGracePeriodSeconds > drainSeconds())
  // All see one /dev/shm, whose memory counts at each.
  const [volume] = spec.volumes
  t.is(volume!.emptyDir.medium, 'Memory')
  for (const { volumeMounts, resources } of spec.containers) {
    t.deepEqual(volumeMounts, [{ name: volume!.name, mountPath: '/dev/shm' }])
    t.true(mebibytes(resources.limits.memory) > mebibytes(volume!.emptyDir.sizeLimit))
  }
  t.true(spec.securityContext.runAsUser > 0)
})

interface Service {
  readonly ipc: string
  readonly shm_size?: string
  readonly stop_grace_period?: string
  readonly user?: string
}

test('Compose shares the memory of one container; the image asks for a page that there is', (t) => {
  const { services } = parse(textOf('compose.yaml')) as {
    readonly services: Readonly<Record<string, Service>>
  }
  const { memory, ...others } = services
  t.like(memory, { ipc: 'shareable', shm_size: '1gb' })
  for (const { ipc, user } of Object.values(others)) {
    t.deepEqual([ipc, user], ['service:memory', 'node'])
  }
  t.true(Number.parseFloat(services['orders']!.stop_grace_period!) > drainSeconds())
  const dockerfile = textOf('Dockerfile')
  const [, port, path] = /http:\/\/127\.0\.0\.1:(\d+)(\/\w+)/.exec(dockerfile)!
  t.true(Object.keys(healthPages()).includes(path!))
  t.is(port, /PORT: port = '(\d+)'/.exec(textOf('orders.mjs'))![1])
  t.regex(dockerfile, /^USER node$/m)
  t.regex(dockerfile, /^COPY orders\.mjs \.$/m)
})

test('the unit waits longer than the worker may take to end', (t) => {
  const unit = textOf('orders.service')
  const of = (key: string): string => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)![1]!
  t.is(of('Type'), 'notify')
  t.true(Number(of('TimeoutStopSec')) > drainSeconds())
  t.true(Number(of('WatchdogSec')) > 0)
  t.true(of('ExecStart').endsWith('/orders.mjs'))
})
