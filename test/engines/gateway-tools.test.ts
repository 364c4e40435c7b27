// What a gateway gives to tools of others: its metrics to Prometheus's own judge of them, its unit to systemd's.

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { readGatewayConfig } from 'millrace/gateway'

import { RunningGateway } from '../gateway/service/running.js'
import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'

const examples = fileURLToPath(new URL('../../../examples/gateway/', import.meta.url))

test('promtool has nothing to say against the metrics', async (t) => {
  const routes = ['one', 'the "other"\\'].map((name) => ({
    kind: 'work',
    name,
    from: uniqueName(t),
    to: 'tcp://127.0.0.1:1',
  }))
  const gateway = new RunningGateway(t, { http: 0, routes })
  const url = await gateway.url()
  await gateway.told('ready')
  const metrics = await (await fetch(`${url}/metrics`)).text()
  gateway.kill('SIGTERM')
  t.is((await gateway.ended).code, 0)
  t.regex(metrics, /^millrace_route_up\{route="one",kind="work"\} 0$/m)
  const judge = (text: string) =>
    spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })
  const { status, stdout, stderr, error } = judge(metrics)
  t.is(error, undefined, 'promtool must be installed (Debian: prometheus)')
  t.deepEqual([status, stdout, stderr], [0, '', ''])
  // It does judge.
  t.not(judge('# TYPE millrace_x_count gauge\nmillrace_x_count 1\n').status, 0)
})

for (const [file, folder, own] of [
  ['millrace-gateway.service', 'gateway', 'WatchdogSec=30'],
  ['orders.service', 'supervised', 'WatchdogSec=10'],
] as const) {
  test(`systemd-analyze has nothing to say against ${file}`, (t) => {
    const unit = join(ownDirectory(t), file)
    const verify = () =>
      spawnSync('systemd-analyze', ['verify', '--man=no', unit], { encoding: 'utf8' })
    copyFileSync(join(examples, '..', folder, file), unit)
    const { status, stdout, stderr, error } = verify()
    t.is(error, undefined, 'systemd-analyze must be installed (Debian: systemd)')
    const ours = `${stdout}${stderr}`.split('\n').filter((line) => line.includes(file))
    t.deepEqual([status, ours], [0, []])
    // It does judge.
    writeFileSync(unit, readFileSync(unit, 'utf8').replace(own, 'WatchdogSec=often'))
    t.regex(verify().stderr, /:\d+: Failed to parse sec value, ignoring: often/)
  })
}

test('the example of a configuration is right', (t) => {
  const folder = join(ownDirectory(t), 'etc')
  mkdirSync(folder)
  copyFileSync(join(examples, 'gateway.yaml'), join(folder, 'gateway.yaml'))
  const { host, routes } = readGatewayConfig(join(folder, 'gateway.yaml'))
  t.is(host, 'plant-a')
  t.deepEqual(
    routes.map(({ name }) => name),
    ['orders', 'receipts'],
  )
})
