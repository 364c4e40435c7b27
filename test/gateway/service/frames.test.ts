// Frames by a gateway that runs as a service: what its records, its health and its metrics say of them, and SIGHUP.

import { join } from 'node:path'
import test from 'ava'

import { ownDirectory } from '../../support/directory.js'
import { uniqueName } from '../../support/names.js'
import { camera, look, shoot, viewer } from '../../support/pictures.js'
import { until } from '../../support/until.js'
import { RunningGateway } from './running.js'

test.serial(
  'records, health and metrics tell what becomes of frames; SIGHUP gives the channel other slots, SIGTERM closes it',
  async (t) => {
    t.timeout(120_000)
    const [near, far] = [uniqueName(t), uniqueName(t, { mayLeave: true })]
    const address = `unix://${join(ownDirectory(t), 'socket')}`
    const configOf = (slotBytes: number) => ({
      http: '127.0.0.1:0',
      host: 'there',
      routes: [{ kind: 'frames', name: 'in', from: address, to: far, toChannel: { slotBytes } }],
    })
    const there = new RunningGateway(t, configOf(1000))
    const writer = camera(t, near)
    const here = new RunningGateway(t, {
      ...{ http: '127.0.0.1:0', host: 'here' },
      routes: [{ kind: 'frames', name: 'out', from: near, to: address }],
    })
    const { url } = await here.told('http')
    const asked = async (path: string): Promise<Response> => await fetch(`${url!}${path}`)
    await there.told('up')
    await here.told('up')
    t.is((await asked('/readyz')).status, 200)
    const small = await viewer(t, far)
    await shoot(writer, 1, { bytes: 1000 })
    t.is((await look(t, small)).number, 1)
    await shoot(writer, 2, { bytes: 2000 })
    const { level, msg, error } = await here.told('dropped')
    t.deepEqual({ level, msg }, { level: 'warn', msg: "'out' has dropped 1 frame: too-large" })
    t.is(error!.code, 'ERR_MILLRACE_TOO_LARGE')
    const metrics = await (await asked('/metrics')).text()
    const label = 'route="out",kind="frames"'
    for (const line of [
      `millrace_messages_total{${label}} 1`,
      `millrace_bytes_total{${label}} 1000`,
      `millrace_frames_taken_total{${label}} 2`,
      `millrace_dropped_total{${label},reason="too-large"} 1`,
      `millrace_dropped_total{${label},reason="skipped"} 0`,
    ]) {
      t.true(metrics.includes(`${line}\n`), line)
    }
    small.close()
    there.write(configOf(2000))
    there.kill('SIGHUP')
    await there.told('reloaded')
    const larger = await viewer(t, far)
    t.is(larger.slotBytes, 2000)
    await until(async () => (await asked('/readyz')).status === 200, 30_000)
    await shoot(writer, 3, { bytes: 2000 })
    t.is((await look(t, larger)).number, 3)
    there.kill('SIGTERM')
    t.is(await larger.receive(), undefined)
    t.is((await there.ended).code, 0)
    // A record may still be that of the reload.
    await here.told('down')
    await until(async () => (await asked('/readyz')).status === 503, 30_000)
    here.kill('SIGTERM')
    t.is((await here.ended).code, 0)
  },
)
