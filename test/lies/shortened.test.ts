// Memory under a name can be shortened by whoever may write to it. A touch of what is gone would end the
// process; waits look before they touch (docs/fuzzing.md says what remains).

import test from 'ava'
import { spawnSync } from 'node:child_process'
import { truncateSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Cell, FrameReader, FrameWriter, NamelessSegment, SpscQueue } from 'millrace'
import { Barrier, Mutex, SharedEvent } from 'millrace/sync'

import { cut } from '../support/cut.js'
import { objectsOf, uniqueName } from '../support/names.js'

/** Waits sleep at once; what polls meanwhile touches the memory. */
const asleep = { poll: 0, spin: 0 }
const corrupt = { code: 'ERR_MILLRACE_CORRUPT', message: /shortened/ }

function shorten(letter: string, name: string): void {
  cut(`/dev/shm/millrace.${letter}.${name}`)
}

test('promise: lies – who opens a segment that is shorter than it should be is told', (t) => {
  const name = uniqueName(t)
  const consumer = SpscQueue.consumer(name)
  truncateSync(`/dev/shm/millrace.q.${name}`, 8192)
  t.throws(() => SpscQueue.producer(name), { code: 'ERR_MILLRACE_CORRUPT' })
  consumer.close()
})

test('promise: lies – a wait in memory that is shortened meanwhile rejects, and closes', async (t) => {
  const name = uniqueName(t)
  const consumer = SpscQueue.consumer(name, asleep)
  const message = consumer.pop()
  shorten('q', name)
  await t.throwsAsync(message, corrupt)
  t.true(consumer.closed)
  t.deepEqual(objectsOf(name), [])
})

test('promise: lies – so does a wait of every kind', async (t) => {
  const name = uniqueName(t)
  const writer = FrameWriter.create(name, { slotBytes: 64, slots: 2, ...asleep })
  const reader = await FrameReader.open(name, asleep)
  const cellWriter = Cell.writer(name, { maxBytes: 8 })
  const cellReader = await Cell.reader(name, asleep)
  const event = SharedEvent.open(name, asleep)
  const barrier = Barrier.open(name, { parties: 2, ...asleep })
  const mutex = Mutex.open(name, asleep)
  const other = Mutex.open(name, asleep)
  await mutex.lock()
  const waits = [
    reader.receive({}),
    writer.waitForReaders(2),
    cellReader.changed(),
    event.wait(),
    barrier.wait(),
    other.lock(),
  ]
  for (const letter of 'fcebx') shorten(letter, name)
  for (const wait of waits) await t.throwsAsync(wait, corrupt)
  for (const one of [writer, reader, cellWriter, cellReader, event, barrier, mutex, other])
    one.close()
  t.deepEqual(objectsOf(name), [])
})

/** What looks into the memory, and so looks first whether it is there. */
const guarded = [
  'QueueProducer.freeBytes',
  'QueueProducer.peer',
  'QueueProducer.peerPid',
  'QueueConsumer.nextLength',
  'QueueConsumer.peer',
  'QueueConsumer.peerPid',
  'FrameWriter.readers',
  'FrameReader.stats',
  'FrameReader.peer',
  'FrameReader.peerPid',
  'CellWriter.hasReaders',
  'CellReader.peer',
  'CellReader.peerPid',
  'Mutex.holder',
  'RwLock.writer',
  'RwLock.readers',
  'SharedEvent.isSet',
  'Barrier.arrived',
  'SharedBreaker.failures',
  'SharedBreaker.retryAfter',
  'SharedBreaker.state',
  'WorkQueue.size',
]

test('promise: lies – looking at what was shortened is an error or says so, and no signal', (t) => {
  const story = fileURLToPath(new URL('./fixtures/shortened.js', import.meta.url))
  const args = [story, uniqueName(t)]
  const child = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 })
  t.deepEqual([child.status, child.signal, child.stderr], [0, null, ''], child.stdout)
  type Line = [title: string, how: string, seen: { result: string; closed: boolean }]
  const lines = child.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
  const refused: string[] = []
  for (const [title, how, { result, closed }] of lines) {
    if (result === 'ERR_MILLRACE_CORRUPT') {
      refused.push(`${title}.${how}`)
      t.true(closed, `${title}.${how}`)
      continue
    }
    t.notRegex(result, /ERR_|Error/, `${title}.${how}`)
    if (how !== 'inspect' && how !== 'json') continue
    t.false(closed, `showing a ${title} closes nothing`)
    if (title !== 'SharedMemory') t.regex(result, /damaged"?: ?true/, `${title} as ${how}`)
  }
  t.deepEqual(refused.sort(), guarded.toSorted())
  t.is(lines.filter(([, how]) => how === 'inspect').length, 16)
})

test('promise: lies – nameless memory cannot be shortened', (t) => {
  const nameless = NamelessSegment.create()
  const producer = SpscQueue.producer(nameless)
  t.throws(
    () => {
      truncateSync(`/proc/self/fd/${nameless.fd}`, 0)
    },
    { code: 'EPERM' },
  )
  t.true(producer.tryPush('still there'))
  producer.close({ discard: true })
  nameless.close()
})

// A /dev/shm of its own, of half a megabyte: for root, or in a user namespace. A system that lets nobody mount anything
// shows in the report that this was not tested.
const mountFlags = process.getuid?.() === 0 ? ['-m'] : ['-m', '-r']
const mount = 'mount -t tmpfs -o size=512k tmpfs /dev/shm && exec "$0" "$@"'
const mayMount = spawnSync('unshare', [...mountFlags, 'sh', '-c', mount, 'true']).status === 0
const whereMounted = mayMount ? test : test.skip

whereMounted(
  'promise: lies – a full /dev/shm is a typed error on creation, and no signal later',
  (t) => {
    const story = fileURLToPath(new URL('./fixtures/full.js', import.meta.url))
    const args = [...mountFlags, 'sh', '-c', mount, process.execPath, story]
    const { status, signal, stderr } = spawnSync('unshare', args, { encoding: 'utf8' })
    t.deepEqual({ status, signal, stderr }, { status: 0, signal: null, stderr: '' })
  },
)
