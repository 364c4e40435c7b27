// `millrace demo` in small, and the judges that decide whether it succeeded.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { assertSameFile } from '../../demo/digest-check.js'
import { FrameCheck } from '../../demo/frame-check.js'
import { percentiles } from '../../demo/latencies.js'
import { command, objects, start, until } from './run.js'

const directory = mkdtempSync(join(tmpdir(), 'millrace-test-'))
const file = join(directory, 'file')
const sockets = (pid: number) =>
  readdirSync(tmpdir()).filter((name) => name.startsWith(`millrace-demo-${pid}-`))
writeFileSync(file, Buffer.alloc(3_000_000, 'some content '))

test.after.always(() => {
  rmSync(directory, { recursive: true, force: true })
})

test.serial('the demo succeeds, draws its picture and leaves nothing behind', async (t) => {
  const sheet = join(directory, 'sheet.png')
  const { child, ended } = start(command, ['demo', '--frames', '6', '--out', sheet, '--', file])
  const { code, out, err } = await ended
  t.is(code, 0, err)
  t.regex(out.toString(), /All 6 frames arrived in order and correct/)
  t.regex(out.toString(), /SHA-256 at both ends: [0-9a-f]{64}/)
  t.is(readFileSync(sheet).subarray(1, 4).toString(), 'PNG')
  t.deepEqual(objects(`demo-${child.pid}-`), [])
  t.deepEqual(sockets(child.pid!), [])
})

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGKILL', null],
] as const) {
  test.serial(`nothing is left after ${signal}`, async (t) => {
    const { child, ended } = start(command, ['demo', '--frames', '600', file])
    const part = `demo-${child.pid}-`
    await until(() => objects(part).length > 0, 'a channel of the demo')
    child.kill(signal)
    t.is((await ended).code, code)
    await until(() => objects(part).length === 0, 'channels gone')
    if (signal === 'SIGINT') t.deepEqual(sockets(child.pid!), [])
    for (const left of sockets(child.pid!)) rmSync(join(tmpdir(), left), { recursive: true })
  })
}

test('a file that cannot be read is an error', async (t) => {
  const { code, err } = await start(command, ['demo', join(directory, 'missing')]).ended
  t.is(code, 1)
  t.regex(err, /^millrace: ENOENT/)
})

test('a transfer that changed anything is refused', (t) => {
  const sent = { bytes: 3, sha256: 'aa' }
  t.notThrows(() => assertSameFile(sent, { ...sent }))
  t.throws(() => assertSameFile(sent, { bytes: 2, sha256: 'aa' }), { message: /only 2|2 arrived/ })
  t.throws(() => assertSameFile(sent, { bytes: 3, sha256: 'ab' }), { message: /SHA-256/ })
})

test('a frame with one wrong byte, or too few, is refused', (t) => {
  const check = new FrameCheck((pixels, number) => pixels.fill(number), 64)
  const frame = Buffer.from(new Uint32Array(16).fill(7).buffer)
  t.notThrows(() => check.assertIs(frame, 7))
  t.throws(() => check.assertIs(frame, 8), { message: /frame 8 is wrong at byte 0/ })
  frame[63] = 1
  t.throws(() => check.assertIs(frame, 7), { message: /frame 7 is wrong at byte 63: 1 instead/ })
  t.throws(() => check.assertIs(frame.subarray(0, 60), 7), { message: /60 bytes instead of 64/ })
})

test('percentiles are values that occurred', (t) => {
  const samples = Array.from({ length: 200 }, (_, i) => 200 - i)
  t.deepEqual(percentiles(samples), { p50: 100, p99: 198 })
  t.deepEqual(percentiles([5]), { p50: 5, p99: 5 })
})
