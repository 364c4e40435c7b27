// Writes fixtures of a shared-memory layout: segments as the library of some commit made them, for the tests that hold
// today's library to them (test/upgrades).
//
//   node scripts/layout-fixture.mjs COMMIT       builds that commit in a temporary clone (minutes)
//   node scripts/layout-fixture.mjs DIRECTORY    uses a clone that is built already
//
// The version in the header names the files: test/fixtures/layout/MAJOR.MINOR-queue.gz and so on. To be run once,
// with the last commit of a minor version, before the next one is begun. Linux.
import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'

const root = fileURLToPath(new URL('..', import.meta.url))
const target = join(root, 'test/fixtures/layout')
const [what] = process.argv.slice(2)
if (what === undefined) throw new Error('name a commit, or a directory with a built clone')

const given = existsSync(join(what, 'dist/index.js')) ? resolve(what) : undefined
const directory = given ?? build(what)
try {
  const load = (entry) => import(pathToFileURL(join(directory, `dist/${entry}.js`)).href)
  const has = (entry) => existsSync(join(directory, `dist/${entry}.js`))
  const { SpscQueue, FrameReader, FrameWriter } = await load('index')
  mkdirSync(target, { recursive: true })
  dumpQueue(SpscQueue)
  await dumpFrames(FrameWriter, FrameReader)
  if (has('work')) await dumpWork((await load('work')).WorkQueue)
  if (has('topics')) await dumpTopics((await load('topics')).Topics)
  if (has('rpc')) await dumpCalls(await load('rpc'))
} finally {
  if (given === undefined) rmSync(directory, { recursive: true })
}

function build(commit) {
  const clone = mkdtempSync(join(tmpdir(), 'millrace-layout-'))
  const run = (command, ...args) => execFileSync(command, args, { cwd: clone, stdio: 'inherit' })
  run('git', 'clone', '--quiet', root, '.')
  run('git', 'checkout', '--quiet', commit)
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'))
  run('npm', 'run', 'build')
  return clone
}

/** Left in good order with messages unread, after the ring has gone round once: they lie across its end. */
function dumpQueue(SpscQueue) {
  const name = `layout-fixture-${process.pid}`
  const consumer = SpscQueue.consumer(name, { capacity: 4096 })
  const producer = SpscQueue.producer(name)
  for (let i = 0; i < 50; i++) {
    producer.tryPush(Buffer.alloc(72))
    consumer.tryPop()
  }
  for (const message of ['first', '', 'z'.repeat(200), 'last']) producer.tryPush(message)
  producer.close()
  consumer.close()
  save('queue', `millrace.q.${name}`)
  SpscQueue.unlink(name)
}

/** As if all had died now: a writer with two frames of history, and a reader that holds one and has one queued. */
async function dumpFrames(FrameWriter, FrameReader) {
  const name = `layout-fixture-${process.pid}`
  const writer = FrameWriter.create(name, { slotBytes: 64, slots: 6, maxReaders: 2, history: 2 })
  const reader = await FrameReader.open(name)
  for (const text of ['frame one', 'frame two', 'frame three']) {
    const frame = writer.tryLoan()
    frame.bytes.set(Buffer.from(text))
    frame.publish({ byteLength: text.length })
  }
  reader.tryReceive().release()
  const held = reader.tryReceive()
  save('frames', `millrace.f.${name}`)
  held.release()
  reader.close()
  writer.close()
}

/** As if the holder of seat 0 had died now: two jobs of a group, one of them outside its slot. */
async function dumpWork(WorkQueue) {
  const name = `layout-fixture-${process.pid}`
  const jobs = WorkQueue.open(name, { jobs: 8, groups: 8 })
  await jobs.push('first', { group: 'a' })
  await jobs.push('z'.repeat(300), { group: 'a' })
  save('work', `millrace.j.${name}`)
  WorkQueue.unlink(name)
  jobs.close()
}

/** Likewise: a subscription that has two messages unread, which are the last ones of their subjects. */
async function dumpTopics(Topics) {
  const name = `layout-fixture-${process.pid}`
  const bus = Topics.open(name, { messages: 8, subjects: 8 })
  await bus.subscribe('>')
  await bus.publish('line1.temp', '21.5', { headers: { a: 'b' } })
  await bus.publish('line2.temp', 'z'.repeat(700))
  save('topics', `millrace.t.${name}`)
  bus.close()
}

/** Likewise: a server, and a client that has had an answer. */
async function dumpCalls({ call, connect, contract, serve }) {
  const name = `layout-fixture-${process.pid}`
  const echo = contract('echo', { echo: call() })
  const server = await serve(name, echo, { echo: (text) => text }, { calls: 8 })
  const client = await connect(name, echo)
  await client.echo('before')
  save('calls', `millrace.r.${name}`)
  client.close()
  server.close()
}

function save(kind, object) {
  const bytes = readFileSync(`/dev/shm/${object}`)
  bytes.fill(0, 88, 104) // the id of this boot of this machine is nobody's business
  const version = `${bytes.readUInt16LE(8)}.${bytes.readUInt16LE(10)}`
  const file = join(target, `${version}-${kind}.gz`)
  writeFileSync(file, gzipSync(bytes, { level: 9 }))
  console.log(`${file}: ${bytes.length} bytes`)
}
