// The two shapes of a measurement, as the leading side goes through them: round trips, and a stream one way. Both
// warm up first, then measure for a stretch of time; where content is checked, they do a fixed number instead.

import { CpuTime } from './cpu-time.js'
import { checked, Stopwatch, type Measured } from './measured.js'
import type { Parameters } from './parameters.js'
import { TurnEveryMillisecond } from './turns.js'

/** Of spinning round trips so many are timed together: one is hardly longer than two looks at the clock. */
export const tripsPerSample = 100

/** Processes pass theirs; 0 stands for threads of this process. */
type Pid = number

/**
 * Says when it is enough: after so many milliseconds, and on a busy machine when we have had most of a core for as
 * long, because code that has not run does not get warm. But not for ever: what waits uses little of it.
 */
function warming(milliseconds: number): () => boolean {
  const start = performance.now()
  const before = process.cpuUsage()
  return () => {
    const elapsed = performance.now() - start
    if (elapsed < milliseconds) return false
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1e3 >= 0.6 * milliseconds || elapsed >= 2.5 * milliseconds
  }
}

/** Awaits round trips one after another, each timed. */
export async function trips(
  { check, count, warmUp, stretch }: Parameters,
  follower: Pid,
  trip: (sequence: number) => Promise<void>,
): Promise<Measured> {
  let sequence = 0
  if (check) {
    while (sequence < count) await trip(sequence++)
    return checked
  }
  const isWarm = warming(warmUp)
  while (!isWarm() || sequence < 3) await trip(sequence++)
  const first = sequence
  const cpu = new CpuTime(follower)
  const stopwatch = new Stopwatch()
  const end = performance.now() + stretch
  for (let now = 0; now < end || sequence - first < 5;) {
    stopwatch.start()
    await trip(sequence++)
    now = stopwatch.stop()
  }
  return { ...stopwatch.result(), ...cpu.per(sequence - first) }
}

/** Round trips that never give the thread away, `tripsPerSample` timed together. */
export function spinningTrips(
  { check, count, warmUp, stretch }: Parameters,
  follower: Pid,
  someTrips: (from: number, to: number) => void,
): Measured {
  if (check) {
    someTrips(0, count)
    return checked
  }
  let sequence = 0
  const isWarm = warming(warmUp)
  while (!isWarm()) someTrips(sequence, (sequence += tripsPerSample))
  const first = sequence
  const cpu = new CpuTime(follower)
  const stopwatch = new Stopwatch(tripsPerSample)
  const end = performance.now() + stretch
  for (let now = 0; now < end;) {
    stopwatch.start()
    someTrips(sequence, (sequence += tripsPerSample))
    now = stopwatch.stop()
  }
  return { ...stopwatch.result(), ...cpu.per(sequence - first) }
}

/** The same, but the event loop has a turn every millisecond, between two samples. */
export async function spinningTripsInTurns(
  { check, count, warmUp, stretch }: Parameters,
  follower: Pid,
  someTrips: (from: number, to: number) => void,
): Promise<Measured> {
  if (check) {
    someTrips(0, count)
    return checked
  }
  const turns = new TurnEveryMillisecond()
  let sequence = 0
  const isWarm = warming(warmUp)
  while (!isWarm()) {
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
    now = stopwatch.stop()
    await turns.turnIfDue()
  }
  return { ...stopwatch.result(), ...cpu.per(sequence - first) }
}

/**
 * Sends messages in blocks; `flushed` resolves when the other side has had all of them. The percentiles are of the time
 * of a message in the mean of its block, as the sender sees it; the mean is of the whole stretch, until all has arrived.
 */
export async function stream(
  { check, count, warmUp, stretch, block = 4096 }: Parameters,
  follower: Pid,
  send: (from: number, to: number) => Promise<void> | void,
  flushed: () => Promise<void> | void,
): Promise<Measured> {
  let sequence = 0
  if (check) {
    while (sequence < count) await send(sequence, (sequence += block))
    await flushed()
    return checked
  }
  const isWarm = warming(warmUp)
  while (!isWarm()) await send(sequence, (sequence += block))
  await flushed()
  const first = sequence
  const cpu = new CpuTime(follower)
  const stopwatch = new Stopwatch(block)
  const start = performance.now()
  for (let now = start; now < start + stretch;) {
    stopwatch.start()
    await send(sequence, (sequence += block))
    now = stopwatch.stop()
  }
  await flushed()
  const elapsed = performance.now() - start
  const messages = sequence - first
  return { ...stopwatch.result(), mean: (elapsed * 1e6) / messages, ...cpu.per(messages) }
}
