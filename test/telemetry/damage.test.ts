// Channels that are damaged, cut short, replaced or removed while somebody looks: what is told are numbers, and what is thrown is typed.

import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { MillraceError } from 'millrace'
import { familiesOf, observe, prometheusText, watch, type ChannelWatch } from 'millrace/telemetry'
import { sharedMemory, uniqueName } from '../support/names.js'
import { openOneOfEach } from '../support/one-of-each.js'
import { Random } from '../support/random.js'

const kinds = ['queue', 'work', 'topics', 'frames', 'cell'] as const
const rounds = 600
const known = [
  'ERR_MILLRACE_CORRUPT',
  'ERR_MILLRACE_NOT_OURS',
  'ERR_MILLRACE_NOT_FOUND',
  'ERR_MILLRACE_LAYOUT',
]

/** Whole channels with something in them, as bytes, by the names of their files under another name. */
async function images(t: ExecutionContext, name: string): Promise<Map<string, Buffer>> {
  const living = uniqueName(t, { mayLeave: true })
  await openOneOfEach(t, living)
  return new Map(
    readdirSync(sharedMemory)
      .filter((file) => file.startsWith('millrace.') && file.includes(living))
      .filter((file) => !/^millrace\.[dl]\./.test(file))
      .map((file) => [file.replace(living, name), readFileSync(join(sharedMemory, file))]),
  )
}

test('whatever becomes of channels, who looks gets numbers or typed errors', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const whole = [...(await images(t, name))].map(([file, bytes]) => ({
    path: join(sharedMemory, file),
    bytes,
  }))
  t.true(whole.length >= 10)
  t.teardown(() => {
    for (const { path } of whole) rmSync(path, { force: true })
  })
  const random = new Random(19)
  const below = (bound: number) => random.below(bound)
  const watches = new Map<string, ChannelWatch>()
  let [damaged, errors] = [0, 0]
  for (const { path, bytes } of whole) writeFileSync(path, bytes, { mode: 0o600 })
  for (let round = 0; round < rounds; round++) {
    const { path, bytes } = whole[below(whole.length)]!
    rmSync(path, { force: true })
    const copy = Buffer.from(bytes)
    for (let flips = below(40); flips > 0; flips--) {
      copy[below(below(2) === 0 ? Math.min(copy.length, 4096) : copy.length)] = below(256)
    }
    const what = below(8)
    if (what === 0) writeFileSync(path, whole[below(whole.length)]!.bytes, { mode: 0o600 })
    else if (what > 1) writeFileSync(path, copy, { mode: 0o600 })
    if (what === 2) truncateSync(path, below(copy.length))
    if (what === 3) {
      rmSync(path)
      mkdirSync(path)
    }
    errors += lookAt(t, name, watches, kinds[round % kinds.length]!)
    damaged += observe({ prefix: name }).filter(({ figures }) => figures === undefined).length
    if (what === 3) rmdirSync(path)
  }
  for (const watched of watches.values()) watched.close()
  t.true(damaged > 0 && errors > 0)
})

/** Returns how many typed errors there were. */
function lookAt(
  t: ExecutionContext,
  name: string,
  watches: Map<string, ChannelWatch>,
  kind: (typeof kinds)[number],
): number {
  const seen = observe({ prefix: name })
  for (const { figures, parts } of seen) {
    for (const all of [figures ?? {}, ...parts.map((part) => part.figures)]) {
      if (Object.values(all).some((value) => !Number.isFinite(value))) t.fail(JSON.stringify(all))
    }
  }
  const text = prometheusText(familiesOf(seen, { histograms: true }))
  if (/NaN|undefined|Infinity/.test(text)) t.fail(text)
  try {
    const watched = watches.get(kind) ?? watch(name, { kind, from: 'oldest' })
    watches.set(kind, watched)
    for (const { bytes, length } of watched.read(100)) if (bytes.length > length) t.fail(kind)
    return 0
  } catch (error) {
    if (!(error instanceof MillraceError) || !known.includes(error.code)) throw error
    watches.get(kind)?.close()
    watches.delete(kind)
    return 1
  }
}
