// What is shipped for Prometheus and Grafana: rules that are raised when they should be, and a page whose questions have answers.

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { showMetrics } from 'millrace/telemetry'
import { Registry } from 'prom-client'

import { ownDirectory } from '../support/directory.js'
import { root } from '../support/documented.js'

const folder = join(root, 'examples/monitoring')

/** Nothing if there is no promtool here. */
function promtool(t: ExecutionContext, args: readonly string[]): string | undefined {
  const ran = spawnSync('promtool', args, { cwd: folder, encoding: 'utf8' })
  if (ran.error !== undefined) {
    t.log('promtool is not installed')
    return undefined
  }
  const said = `${ran.stdout}${ran.stderr}`
  t.is(ran.status, 0, said)
  return said
}

test('each alarm is raised when it should be, and not before', (t) => {
  promtool(t, ['check', 'rules', 'rules.yaml'])
  promtool(t, ['test', 'rules', 'rules-test.yaml'])
  const alarms = [...readFileSync(join(folder, 'rules.yaml'), 'utf8').matchAll(/alert: (\w+)/g)]
  const tested = readFileSync(join(folder, 'rules-test.yaml'), 'utf8')
  t.true(alarms.length > 10)
  for (const [, name] of alarms) {
    const cases = tested.split(`alertname: ${name!}\n`).slice(1)
    t.true(
      cases.some((text) => /^ +eval_time: \S+\n +exp_alerts:\n/.test(text)),
      `${name!} is never raised`,
    )
  }
})

test('rules and page ask for metrics that there are', (t) => {
  const registry = new Registry()
  const hide = showMetrics(registry)
  const known = new Set(registry.getMetricsAsArray().map(({ name }) => name))
  hide()
  const ofGateways = readFileSync(join(root, 'docs/gateway.md'), 'utf8')
  for (const [, name] of ofGateways.matchAll(/^\| `(millrace_\w+)` \|/gm)) known.add(name!)
  for (const file of ['rules.yaml', 'rules-test.yaml', 'grafana.json']) {
    const text = readFileSync(join(folder, file), 'utf8')
    const asked = new Set([...text.matchAll(/\bmillrace_\w+/g)].map(([name]) => name))
    t.true(asked.size > 8)
    t.deepEqual(
      [...asked].filter((name) => !known.has(name)),
      [],
      file,
    )
  }
})

interface Panel {
  readonly title: string
  readonly type: string
  readonly gridPos: {
    readonly x: number
    readonly y: number
    readonly w: number
    readonly h: number
  }
  readonly targets: readonly { readonly expr: string }[]
}

test('what the panels ask is what Prometheus understands, and none lies on another', (t) => {
  const page = JSON.parse(readFileSync(join(folder, 'grafana.json'), 'utf8')) as {
    readonly panels: readonly Panel[]
    readonly templating: { readonly list: readonly { readonly name: string }[] }
  }
  const variables = new Set(page.templating.list.map(({ name }) => name))
  const asked = page.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
  for (const expr of asked) {
    for (const [, name] of expr.matchAll(/\$(\w+)/g)) {
      t.true(variables.has(name!) || name === '__rate_interval', `$${name!} is not known`)
    }
  }
  const rules = asked.map((expr, at) => ({
    record: `panel:${String(at)}`,
    expr: expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$\w+/g, '.*'),
  }))
  const file = join(ownDirectory(t), 'panels.json')
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'panels', rules }] }))
  const said = promtool(t, ['check', 'rules', file])
  if (said !== undefined) t.regex(said, new RegExp(`SUCCESS: ${String(rules.length)} rules found`))
  const taken = new Set<string>()
  for (const { title, gridPos } of page.panels) {
    t.true(gridPos.x + gridPos.w <= 24, title)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; ++x) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; ++y) {
        const place = `${String(x)},${String(y)}`
        t.false(taken.has(place), `${title} lies on another one at ${place}`)
        taken.add(place)
      }
    }
  }
})
