// The programs of docs/after-a-restart.md, taken from the page, killed and started again.

import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { Counter, Mutex } from 'millrace/sync'

import { programOf, startNode } from '../support/documented.js'
import { uniqueName } from '../support/names.js'
import type { Run } from '../support/process.js'
import { until } from '../support/until.js'

const patience = 30_000

/** Starts the programs of the page, under names of this test's own. */
function cast(t: ExecutionContext, names: Readonly<Record<string, string>>) {
  return (file: string): Promise<Run> =>
    startNode(t, programOf(t, 'after-a-restart.md', file, names))
}

/** Until it has printed `count` more lines than it has now that match. */
async function prints(run: Run, pattern: RegExp, count = 1): Promise<void> {
  const matching = () => run.lines.filter((line) => pattern.test(line)).length
  const wanted = matching() + count
  try {
    await until(() => matching() >= wanted, patience)
  } catch (error) {
    throw new Error(`${run.lines.slice(-5).join('\n')}\n${run.stderr}`, { cause: error })
  }
}

const numbersOf = (run: Run, pattern: RegExp) =>
  run.lines.flatMap((line) => Number(pattern.exec(line)?.[1] ?? NaN)).filter((n) => !isNaN(n))

function assertRising(t: ExecutionContext, numbers: readonly number[]): void {
  for (let i = 1; i < numbers.length; i++) t.true(numbers[i]! > numbers[i - 1]!)
}

test.serial(
  'a queue: producers and consumers are killed, and no message comes twice',
  async (t) => {
    const name = uniqueName(t, { mayLeave: true })
    t.teardown(() => Counter.unlink(`${name}.count`))
    const start = cast(t, { ticks: name })
    const tick = /^tick (\d+)$/

    const first = await start('consumer.ts')
    for (let round = 1; round <= 2; round++) {
      const producer = await start('producer.ts')
      await prints(first, tick, 10)
      await producer.kill()
    }
    const producer = await start('producer.ts')
    await prints(first, tick, 10)
    await first.kill()
    await prints(producer, /^waiting for a consumer$/)
    const second = await start('consumer.ts')
    await prints(second, tick, 10)

    // A number is left out where a producer died between counting and sending it, or the consumer between reading and
    // printing.
    const seen = [...numbersOf(first, tick), ...numbersOf(second, tick)]
    assertRising(t, seen)
    t.true(seen.at(-1)! - seen[0]! + 1 - seen.length <= 3)
    t.is(producer.stderr + second.stderr, '')
    await producer.kill()
    await second.kill()
  },
)

test.serial('frames: writers and readers are killed, and what is missed is said', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  t.teardown(() => Counter.unlink(`${name}.done`))
  const start = cast(t, { camera: name })
  const frame = /^frame (\d+), missed \d+$/

  const first = await start('reader.ts')
  for (let round = 1; round <= 2; round++) {
    const writer = await start('writer.ts')
    await prints(first, frame, 10)
    await writer.kill()
  }
  const writer = await start('writer.ts')
  await prints(first, frame, 10)
  await first.kill()
  const second = await start('reader.ts')
  await prints(second, frame, 10)

  const before = numbersOf(first, frame)
  t.deepEqual(
    before,
    before.map((_, i) => i + 1),
  )
  const [, sequence, missed] = /^frame (\d+), missed (\d+)$/.exec(second.lines[0]!)!
  const wentOnAfter = Number(sequence) - Number(missed) - 1
  // It may have died between its work and saying so.
  t.true(wentOnAfter === before.length || wentOnAfter === before.length - 1, second.lines[0])
  assertRising(t, numbersOf(second, frame))
  t.is(writer.stderr + second.stderr, '')
  await writer.kill()
  await second.kill()

  // The channel is kept as the number is: frames of the next writer are not taken for those that were seen.
  const last = numbersOf(second, frame).at(-1)!
  const third = await start('reader.ts')
  await start('writer.ts')
  await prints(third, frame, 10)
  const goesOn = numbersOf(third, frame)
  assertRising(t, goesOn)
  t.true(goesOn[0]! >= last && goesOn[0]! <= last + 2, `${goesOn[0]} after ${last}`)
  t.regex(third.lines[0]!, / missed 0$/)
})

test.serial('a cell: its follower outlives its leaders', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const start = cast(t, { position: name })
  const version = /^version (\d+): /

  const follower = await start('follower.ts')
  for (let round = 1; round <= 3; round++) {
    const leader = await start('leader.ts')
    await prints(follower, version, 10)
    await leader.kill()
  }
  assertRising(t, numbersOf(follower, version))
  t.is(follower.stderr, '')
  await follower.kill()
})

test.serial('locks: owners are killed in the middle, and the next one mends', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  t.teardown(() => Mutex.unlink(name))
  const start = cast(t, { accounts: name })

  const survivor = await start('transfer.ts')
  await prints(survivor, /^sum /, 5)
  for (let round = 1; round <= 20 && !survivor.lines.includes('mended'); round++) {
    const other = await start('transfer.ts')
    await prints(other, /^sum /, 2)
    // What it has just printed is the end of its turn: killed at once, it would hardly ever have the lock.
    await pause(round % 4)
    await other.kill()
    await prints(survivor, /^sum /, 2)
  }
  t.true(survivor.lines.includes('mended'), 'nobody was killed while it had the lock')
  t.deepEqual([...new Set(survivor.lines)].sort(), ['mended', 'new accounts', 'sum 1000'])
  await survivor.kill()
})

test.serial('two of a kind: the second takes over from the first', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const start = cast(t, { ticks: name })

  const first = await start('standby.ts')
  await first.printed('active')
  const second = await start('standby.ts')
  await first.kill()
  await second.printed('active')
  t.is(second.stderr, '')
  await second.kill()
})
