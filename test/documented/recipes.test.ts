// The programs of docs/recipes.md, taken from the page and run; and the shim for Python that it describes.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { FrameReader, FrameWriter, list, sweep } from 'millrace'
import { Counter } from 'millrace/sync'

import { compileCxx, runProgram, tool } from '../support/cxx.js'
import { ownDirectory } from '../support/directory.js'
import { programOf, root, startNode } from '../support/documented.js'
import { objectsOf, uniqueName } from '../support/names.js'
import type { Run } from '../support/process.js'
import { until, within } from '../support/until.js'

const patience = 30_000

/** Removes what the program leaves that is killed, under names that begin with `name`. */
function sweepAfter(t: ExecutionContext, name: string): void {
  t.teardown(() => {
    sweep({ prefix: name, kept: true })
  })
}

test.serial('a pipe into frames', async (t) => {
  const name = uniqueName(t)
  const frameBytes = 1920 * 1080 * 4
  const write = `
    const frame = Buffer.alloc(${frameBytes})
    for (const value of [1, 2, 3]) process.stdout.write(Buffer.from(frame.fill(value)))`
  const source = spawn(process.execPath, ['-e', write], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => source.kill('SIGKILL'))
  const program = programOf(t, 'recipes.md', 'pipe.ts', { camera: name })
  const camera = await startNode(t, program, [], source.stdout)
  using reader = await FrameReader.open(name, { timeout: patience })
  const seen = []
  for (;;) {
    const frame = await reader.receive({ timeout: patience })
    if (frame === undefined) break
    seen.push([frame.byteLength, frame.bytes[0], frame.bytes.at(-1)])
    frame.release()
  }
  t.deepEqual(
    seen,
    [1, 2, 3].map((value) => [frameBytes, value, value]),
  )
  t.deepEqual(await camera.ended(), { code: 0, signal: null }, camera.stderr)
  t.deepEqual(camera.lines, ['3 frames'])
})

test.serial('requests and replies: the server is killed, and the next one answers', async (t) => {
  const name = uniqueName(t)
  sweepAfter(t, name)
  const names = { sum: name }
  const server = programOf(t, 'recipes.md', 'adder.ts', names)
  const isOn = ({ pid }: Run, queue: string) =>
    list({ prefix: `${name}.${queue}` }).some(({ holders }) =>
      holders.some((one) => one.pid === pid),
    )
  const first = await startNode(t, server)
  await until(() => isOn(first, 'replies'), patience)
  process.kill(first.pid, 'SIGSTOP') // so that it leaves requests unanswered
  const client = await startNode(t, programOf(t, 'recipes.md', 'client.ts', names))
  await until(() => isOn(client, 'replies'), patience)
  await first.kill()
  const second = await startNode(t, server)
  t.deepEqual(await client.ended(patience), { code: 0, signal: null }, client.stderr)
  t.deepEqual(client.lines, [
    Array.from({ length: 100 }, (_, i) => i + 1).join(' '),
    'RangeError: nothing to add',
  ])
  // It waits for the next client, and serves that one as well.
  const again = await startNode(t, programOf(t, 'recipes.md', 'client.ts', names))
  t.deepEqual(await again.ended(patience), { code: 0, signal: null }, again.stderr)
  t.is(again.lines.length, 2)
  t.is(second.stderr, '')
})

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' ? address!.port : 0
}

/** What is at `/`: status and text. Each request has a connection of its own, so that all workers get some. */
function get(port: number): Promise<string> {
  const answer = new Promise<string>((resolve, reject) => {
    request({ port, host: '127.0.0.1', agent: false }, (response) => {
      let text = `${response.statusCode} `
      response.on('data', (part: Buffer) => (text += part.toString()))
      response.on('end', () => {
        resolve(text)
      })
      response.on('error', reject)
    })
      .on('error', reject)
      .end()
  })
  return within(patience, answer)
}

test.serial('node:cluster: all workers count together, also when one is killed', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  sweepAfter(t, name)
  const port = await freePort()
  const program = programOf(t, 'recipes.md', 'server.ts', { site: name })
  const server = await startNode(t, program, [], 'ignore', { PORT: String(port) })
  const ready = /^worker (\d+) is ready$/
  const pids = () => server.lines.flatMap((line) => ready.exec(line)?.[1] ?? []).map(Number)
  await until(() => pids().length === 2, patience)

  // More than a second's worth, in less than two: some are refused, and nobody is counted twice.
  const begun = performance.now()
  const answers = await Promise.all(Array.from({ length: 300 }, () => get(port)))
  const seconds = (performance.now() - begun) / 1000
  const greeted = answers.filter((answer) => answer.startsWith('200 hello, you are number '))
  const refused = answers.filter((answer) => answer === '429 too many requests')
  t.is(greeted.length + refused.length, 300)
  t.is(new Set(greeted).size, greeted.length)
  t.true(greeted.length >= 50)
  t.true(greeted.length <= 50 * (Math.floor(seconds) + 2), `${greeted.length} in ${seconds} s`)

  process.kill(pids()[0]!, 'SIGKILL')
  await until(() => pids().length === 3, patience)
  let answer = ''
  await until(async () => (answer = await get(port)).startsWith('200'), patience)
  t.true(Number(answer.split(' ').at(-1)) > greeted.length, 'the count goes on')
  t.deepEqual(await server.kill('SIGTERM'), { code: 0, signal: null }, server.stderr)
  // Its workers end with it, and let go of what they hold.
  await until(() => pids().every((pid) => !isAlive(pid)), patience)
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test.serial('a rate limit: all processes together take what the bucket gives', async (t) => {
  const name = uniqueName(t)
  const program = programOf(t, 'recipes.md', 'limited.ts', { limit: name })
  using _full = Counter.open(name) // or the last to end would take it along
  const begun = performance.now()
  const runs = await Promise.all([0, 1, 2].map(() => startNode(t, program)))
  for (const run of runs)
    t.deepEqual(await run.ended(patience), { code: 0, signal: null }, run.stderr)
  const seconds = (performance.now() - begun) / 1000
  const served = runs.flatMap(({ lines }) => lines).length
  t.true(served >= 10, `${served}`)
  t.true(served <= 10 + 50 * seconds, `${served} in ${seconds} s`)
})

test.serial('streams: a file, through a queue and gzip', async (t) => {
  const name = uniqueName(t)
  const names = { upload: name }
  const directory = ownDirectory(t)
  const [from, to] = [join(directory, 'from'), join(directory, 'to.gz')]
  const content = randomBytes(3_000_001)
  writeFileSync(from, content)
  const receiver = await startNode(t, programOf(t, 'streams.md', 'receiver.ts', names), [to])
  const sender = await startNode(t, programOf(t, 'streams.md', 'sender.ts', names), [from])
  t.deepEqual(await sender.ended(patience), { code: 0, signal: null }, sender.stderr)
  t.deepEqual(await receiver.ended(patience), { code: 0, signal: null }, receiver.stderr)
  t.true(gunzipSync(readFileSync(to)).equals(content))
})

test.serial('streams: a sender that gives up is noticed', async (t) => {
  const name = uniqueName(t)
  const names = { upload: name }
  const directory = ownDirectory(t)
  const receiver = await startNode(t, programOf(t, 'streams.md', 'receiver.ts', names), [
    join(directory, 'to.gz'),
  ])
  const missing = join(directory, 'missing')
  await until(() => objectsOf(name).length > 0, patience) // a receiver that comes later waits for the next sender
  const sender = await startNode(t, programOf(t, 'streams.md', 'sender.ts', names), [missing])
  t.is((await sender.ended(patience)).code, 1)
  t.is((await receiver.ended(patience)).code, 1)
  t.regex(receiver.stderr, /the producer of queue '.*' \(pid \d+\) failed: ENOENT: no such file/)
})

const python = process.env['PYTHON'] ?? 'python3'

/** The folder examples/python, copied and built as the page says. */
async function pythonShim(t: ExecutionContext): Promise<string> {
  await tool(python, ['--version'], 'install Python 3, or set PYTHON')
  const folder = ownDirectory(t)
  const source = 'examples/python/millrace_frames.cpp'
  copyFileSync(
    await compileCxx(source, ['-shared', '-fPIC']),
    join(folder, 'libmillrace_frames.so'),
  )
  for (const file of ['millrace_frames.py', 'brightness.py'])
    copyFileSync(join(root, 'examples/python', file), join(folder, file))
  return folder
}

/** With numpy, if it is there; `-S` hides it. */
for (const [title, flags] of [
  ['as they come', []],
  ['without numpy', ['-S']],
] as const) {
  test.serial(`frames in Python, ${title}`, async (t) => {
    const name = uniqueName(t)
    const folder = await pythonShim(t)
    using writer = FrameWriter.create(name, { slotBytes: 64 * 1024 })
    const reader = runProgram(t, python, [...flags, join(folder, 'brightness.py'), name])
    await within(patience, Promise.race([writer.waitForReaders(), endsEarly(reader)]))
    for (let i = 1; i <= 20; i++) {
      using frame = await writer.loan({ timeout: patience })
      frame.bytes.fill(i).fill(i + 1, frame.capacity / 2)
      frame.publish()
    }
    writer.close()
    t.deepEqual(await reader.ended(patience), { code: 0, signal: null }, reader.stderr)
    t.deepEqual(
      reader.lines,
      Array.from({ length: 20 }, (_, i) => `frame ${i + 1}: ${i + 1}.5`),
    )
  })
}

async function endsEarly(run: Run): Promise<never> {
  const { code } = await run.ended(patience)
  throw new Error(`it ended (${code}) too early: ${run.stderr}`)
}

test.serial('a writer that does not come is an error in Python', async (t) => {
  const name = uniqueName(t)
  const folder = await pythonShim(t)
  const program = `from millrace_frames import Frames\nFrames("${name}", timeout=0.1)\n`
  writeFileSync(join(folder, 'late.py'), program)
  const reader = runProgram(t, python, [join(folder, 'late.py')])
  t.is((await reader.ended(patience)).code, 1)
  t.regex(reader.stderr, /RuntimeError: NOT_FOUND: /)
})
