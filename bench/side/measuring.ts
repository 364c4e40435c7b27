// The shapes of a measurement, as the leading side goes through them: round trips, a stream one way, and calls that need
// no other side. All warm up first (warming.ts), then measure for a stretch of time; where content is checked, they do a
// fixed number instead.

import { CpuTime } from './cpu-time.js'
import { checked, Stopwatch, type Measured } from './measured.js'
import type { Parameters } from './parameters.js'
import { TurnEveryMillisecond } from './turns.js'
import { Warming } from './warming.js'

/** Of spinning round trips so many are timed together: one is hardly longer than two looks at the clock. */
export const tripsPerSample = 100

/** Of calls that take some ten nanoseconds. */
const callsPerSample = 1000

/** Processes pass theirs; 0 stands for threads of this process. */
type Pid = number

/** Awaits round trips one after another, each timed. */
export async function trips(
  parameters: Parameters,
  follower: Pid,
  trip: (sequence: number) => Promise<void>,
): Promise<Measured> {
  const { check, count, stretch } = parameters
  let sequence = 0
  if (check) {
    while (sequence < count) await trip(sequence++)
    return checked
  }
  const warming = new Warming(parameters)
  while (!warming.isOver(sequence) || sequence < 3) await trip(sequence++)
  const first = sequence
  const cpu = new CpuTime(follower)
  const stopwatch = new Stopwatch()
  const end = performance.now() + stretch
  for (let now = 0; now < end || sequence - first < 5;) {
    stopwatch.start()
    await trip(sequence++)
    now = warming.note(sequence, stopwatch.stop())
  }
  return { ...stopwatch.result(), ...cpu.per(sequence - first), ...warming.result() }
}

/** Round trips that never give the thread away, `tripsPerSample` timed together. */
export function spinningTrips(
  parameters: Parameters,
  follower: Pid,
  someTrips: (from: number, to: number) => void,
): Measured {
  const { check, count, stretch } = parameters
  if (check) {
    someTrips(0, count)
    return checked
  }
  let sequence = 0
  const warming = new Warming(parameters)
  while (!warming.isOver(sequence)) someTrips(sequence, (sequence += tripsPerSample))
  const first = sequence
  const cpu = new CpuTime(follower)
  const stopwatch = new Stopwatch(tripsPerSample)
  const end = performance.now() + stretch
  for (let now = 0; now < end;) {
    stopwatch.start()
    someTrips(sequence, (sequence += tripsPerSample))
    now = warming.note(sequence, stopwatch.stop())
  }
  return { ...stopwatch.result(), ...cpu.per(sequence - first), ...warming.result() }
}

/** The same, but the event loop has a turn every millisecond, between two samples. */
export async function spinningTripsInTurns(
  parameters: Parameters,
  follower: Pid,
  someTrips: (from: number, to: number) => void,
): Promise<Measured> {
  const { check, count, stretch } = parameters
  if (check) {
    someTrips(0, count)
    return checked
  }
  const turns = new TurnEveryMillisecond()
  let sequence = 0
  const warming = new Warming(parameters)
  while (!warming.isOver(sequence)) {
    someTrips(sequence, (sequence += tripsPerSample))
    await turns.turnIfDue()
  }
  const first = sequence
  const cpu = new CpuTime(follower)
  const stopwatch = new Stopwatch(tripsPerSample)
  const end = performance.now() + stretch
  for (let now = 0; now < end;) {
    stopwatch.start()
    someTrips(sequence, (sequence += tripsPerSample))
    now = warming.note(sequence, stopwatch.stop())
    await turns.turnIfDue()
  }
  return { ...stopwatch.result(), ...cpu.per(sequence - first), ...warming.result() }
}

/**
 * Sends messages in blocks; `flushed` resolves when the other side has had all of them. The percentiles are of the time
 * of a message in the mean of its block, as the sender sees it; the mean is of the whole stretch, until all has arrived.
 * With `blocks`, so many are sent and measured, whatever time they take.
 */
export async function stream(
  parameters: Parameters,
  follower: Pid,
  send: (from: number, to: number) => Promise<void> | void,
  flushed: () => Promise<void> | void,
): Promise<Measured> {
  const { check, count, stretch, block = 4096, blocks } = parameters
  let sequence = 0
  if (check) {
    while (sequence < count) await send(sequence, (sequence += block))
    await flushed()
    return checked
  }
  const warming = new Warming(parameters)
  const isWarm = () =>
    blocks === undefined ? warming.isOver(sequence) : sequence >= blocks[0] * block
  while (!isWarm()) await send(sequence, (sequence += block))
  await flushed()
  const first = sequence
  const least = first + (blocks?.[1] ?? 0) * block
  const cpu = new CpuTime(follower)
  const stopwatch = new Stopwatch(block)
  const start = performance.now()
  for (let now = start; blocks === undefined ? now < start + stretch : sequence < least;) {
    stopwatch.start()
    await send(sequence, (sequence += block))
    now = warming.note(sequence, stopwatch.stop())
  }
  await flushed()
  const elapsed = performance.now() - start
  const messages = sequence - first
  const mean = (elapsed * 1e6) / messages
  const times = { ...stopwatch.result(), mean, ...cpu.per(messages) }
  return blocks === undefined ? { ...times, ...warming.result() } : times
}

/** Calls that need no other side, or none that answers, `callsPerSample` timed together. */
export function calls(parameters: Parameters, someCalls: (count: number) => void): Measured {
  const { stretch } = parameters
  let made = 0
  const some = () => {
    someCalls(callsPerSample)
    made += callsPerSample
  }
  const warming = new Warming(parameters)
  while (!warming.isOver(made)) some()
  const stopwatch = new Stopwatch(callsPerSample)
  const end = performance.now() + stretch
  for (let now = 0; now < end;) {
    stopwatch.start()
    some()
    now = warming.note(made, stopwatch.stop())
  }
  return { ...stopwatch.result(), ...warming.result() }
}
