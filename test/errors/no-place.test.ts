// A system without /dev/shm, or with one that is read-only: each in a mount namespace of its own.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const missing =
  'mount -t tmpfs none /dev && mknod /dev/null c 1 3 && mknod /dev/urandom c 1 9 && mknod /dev/random c 1 8'
const readOnly = 'mount -t tmpfs -o ro none /dev/shm'

/** Codes and messages of everything that looks for a place, by what was tried. */
function tried(prepare: string) {
  const program = `
    const { SpscQueue, FrameWriter, FrameReader, Cell, SharedMemory } = require(${JSON.stringify(root)})
    const { Mutex, Semaphore, Counter } = require(${JSON.stringify(`${root}dist/cjs/sync.js`)})
    const calls = {
      queue: () => SpscQueue.producer('x'),
      writer: () => FrameWriter.create('x', { slotBytes: 8 }),
      reader: () => FrameReader.open('x', { timeout: 30000 }),
      cell: () => Cell.reader('x', { timeout: 30000 }),
      memory: () => SharedMemory.create('x', 8),
      either: () => SharedMemory.openOrCreate('x', 8),
      mutex: () => Mutex.open('x'),
      counter: () => Counter.open('x'),
      semaphore: () => Semaphore.create('x', 1),
    }
    const found = {}
    ;(async () => {
      for (const [name, call] of Object.entries(calls)) {
        try { await call(); found[name] = 'opened' } catch (e) { found[name] = e.code + ' ' + e.message }
      }
      console.log(JSON.stringify(found))
    })()`
  const shell = `${prepare} && exec "$0" -e "$1"`
  const { stdout, stderr } = spawnSync(
    'unshare',
    ['-m', 'sh', '-c', shell, process.execPath, program],
    { encoding: 'utf8', timeout: 20_000 },
  )
  if (stdout === '') throw new Error(`nothing was tried: ${stderr}`)
  return Object.entries(JSON.parse(stdout) as Record<string, string>)
}

const mayMount =
  process.platform === 'linux' &&
  spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/dev/shm']).status === 0
// Where nothing may be mounted this cannot be asked; it is reported as skipped.
const here = mayMount ? test : test.skip

here('without /dev/shm everything says at once what to mount', (t) => {
  for (const [what, said] of tried(missing)) {
    t.regex(said, /^ERR_MILLRACE_UNSUPPORTED_PLATFORM .*mount -t tmpfs/, what)
  }
})

here('with a read-only /dev/shm everything says at once what is wrong', (t) => {
  const absent = ['reader', 'cell']
  for (const [what, said] of tried(readOnly)) {
    if (!absent.includes(what)) t.regex(said, /^ERR_MILLRACE_PERMISSION .*for writing/, what)
  }
})
