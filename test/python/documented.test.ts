// The programs of docs/from-python.md run.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { FrameWriter, RecordQueue } from 'millrace'
import { f64, struct, u32 } from 'millrace/struct'

import { runProgram } from '../support/cxx.js'
import { uniqueName } from '../support/names.js'
import type { Run } from '../support/process.js'
import { patience } from './peer.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const page = await readFile(join(root, 'docs/from-python.md'), 'utf8')
const programs = [...page.matchAll(/```python\n(.*?)```/gs)].map(([, program]) => program!)

/** Runs the program that has `word` in it, with the name that it uses replaced. In `folder` are modules that it imports. */
function documented(
  t: ExecutionContext,
  word: string,
  old: string,
  name: string,
  folder = '',
): Run {
  const [program, ...others] = programs.filter((text) => text.includes(word))
  t.deepEqual(others, [])
  const text = program!.replaceAll(`"${old}"`, `"${name}"`)
  const path = folder === '' ? '' : `import sys\nsys.path.insert(0, ${JSON.stringify(folder)})\n`
  return runProgram(t, process.env['PYTHON'] ?? 'python3', ['-B', '-c', path + text])
}

test('Python looks at the images of a camera in TypeScript', async (t) => {
  const name = uniqueName(t)
  const camera = FrameWriter.create(name, { slotBytes: 1920 * 1080 * 3 })
  const run = documented(t, 'brightness.py', 'camera', name)
  await camera.waitForReaders(1, { timeout: patience })
  for (let i = 1; i <= 5; i++) {
    using frame = await camera.loan({ timeout: patience })
    frame.bytes.fill(i)
    frame.publish()
  }
  camera.close()
  t.like(await run.ended(patience), { code: 0 }, run.stderr)
  t.deepEqual(run.lines, ['1 1.0', '2 2.0', '3 3.0', '4 4.0', '5 5.0'])
})

test('Python writes frames', async (t) => {
  const name = uniqueName(t)
  const run = documented(t, 'noise', 'noise', name)
  t.like(await run.ended(patience), { code: 0 }, run.stderr)
})

test('messages in place', async (t) => {
  const run = documented(t, 'spectrum.py', 'spectra', uniqueName(t))
  t.like(await run.ended(patience), { code: 0 }, run.stderr)
  t.deepEqual(run.lines, ['1024.0'])
})

test('asyncio', async (t) => {
  const run = documented(t, 'asyncio.run', 'jobs', uniqueName(t))
  t.like(await run.ended(patience), { code: 0 }, run.stderr)
  t.deepEqual(run.lines, [`b'one'`])
})

test('jobs', async (t) => {
  const run = documented(t, 'thumbnails', 'thumbnails', uniqueName(t, { mayLeave: true }))
  t.like(await run.ended(patience), { code: 0 }, run.stderr)
  t.deepEqual(run.lines, ['cat.jpg 1', '1'])
})

test('structures', async (t) => {
  const name = uniqueName(t)
  const Tick = struct({ price: f64, size: u32, sequence: u32 }, { name: 'Tick' })
  const folder = mkdtempSync(join(tmpdir(), `millrace-test-python-${process.pid}-`))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'tick.py'), Tick.toPython())
  const ticks = RecordQueue.producer(name, { record: Tick })
  t.teardown(() => {
    ticks.close()
  })
  const run = documented(t, 'turnover.py', 'ticks', name, folder)
  let sequence = 0
  while (sequence < 10_000) {
    const room = await ticks.claimWhenFree(100, { timeout: patience })
    for (let i = 0; i < room; i++) {
      const tick = ticks.records.at(i)
      tick.price = 100 + i / 100
      tick.size = 2
      tick.sequence = sequence++
    }
    ticks.commit(room)
  }
  await ticks.end({ timeout: patience })
  t.like(await run.ended(patience), { code: 0 }, run.stderr)
  t.regex(run.lines[0] ?? '', /^turnover 20\d{5}$/)
})

test('errors', async (t) => {
  const run = documented(t, 'not-there', 'not-there', uniqueName(t))
  t.like(await run.ended(patience), { code: 0 }, run.stderr)
  t.deepEqual(run.lines, ['ERR_MILLRACE_NOT_FOUND'])
})
