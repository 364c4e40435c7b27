// Two programs that use all channels between them, and one that lies in all of their shared memory. Both
// must go on or get typed errors: no signal, no error of another kind, no call that never ends.
//
// As a program (`npm run fuzz -- --only live`): live.js SECONDS [KIND] [SEED]; KIND of channel is the only one that is lied about.
// As a function, for the test.

import { fork, type ChildProcess } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { doorbellsOf } from '../support/process.js'
import type { Farewell, Pulse } from './fixtures/survivor.js'

export interface LiveOptions {
  /** Of lies, from when all channels are in use. */
  readonly seconds: number
  readonly seed: number
  /** No call and no turn of an event loop takes longer. The calls' own time-outs are 250 ms. */
  readonly silenceMs: number
  /** Lies about objects with this letter only, each again and again; without it about all, once. */
  readonly insistsOn?: string
  /** Lies are about objects of this kind of channel only: a name in survivor.ts. */
  readonly about?: string
  /** Lying goes on, for half a minute more at most, until a lie about this kind of channel was noticed. */
  readonly untilNoticedBy?: string
}

/** Two programs start and use all their channels once. */
const startMs = 30_000
/** A lie is about a word that somebody looks at, and there is no saying when it is. */
const noticeMs = 30_000

interface Victim {
  readonly process: ChildProcess
  readonly ended: Promise<void>
  lastPulse: number
  pulse: Pulse | undefined
  farewell: Farewell | undefined
  stderr: string
  ending: string | undefined
}

export interface LiveReport {
  /** What must not have happened, in words. */
  readonly found: readonly string[]
  readonly done: Readonly<Record<string, number>>
  /** Of these, how many since there were lies. */
  readonly doneMeanwhile: Readonly<Record<string, number>>
  readonly errors: Readonly<Record<string, number>>
  /** The same by kind of channel. */
  readonly errorsOf: Readonly<Record<string, Readonly<Record<string, number>>>>
}

const program = (name: string) => fileURLToPath(new URL(`./fixtures/${name}.js`, import.meta.url))

export async function live(
  prefix: string,
  { seconds, seed, silenceMs, insistsOn, about, untilNoticedBy }: LiveOptions,
): Promise<LiveReport> {
  const found: string[] = []
  const victims = ['a', 'b'].map((side) => start(prefix, side))
  let liar: ChildProcess | undefined
  let before: Readonly<Record<string, number>> = {}
  try {
    const late = performance.now() + startMs
    while (!victims.every(isAtWork)) {
      if (performance.now() > late) throw new Error('the survivors do not get to work')
      await pause(20)
    }
    before = sums(victims).done
    const which = insistsOn === undefined ? 'liar' : 'insistent'
    const names = about === undefined ? prefix : `${prefix}-${about}`
    const args = [names, String(seed), ...(insistsOn === undefined ? [] : [insistsOn])]
    liar = fork(program(which), args, { stdio: ['ignore', 2, 2, 'ipc'] })
    const end = performance.now() + seconds * 1000
    const isNoticed = () =>
      untilNoticedBy === undefined ||
      Object.keys(sums(victims).errorsOf[untilNoticedBy] ?? {}).length > 0
    const isOver = () =>
      performance.now() >= end && (isNoticed() || performance.now() >= end + noticeMs)
    while (found.length === 0 && !isOver()) {
      await pause(100)
      for (const victim of victims) found.push(...complaints(victim, silenceMs))
      if (liar.exitCode !== null) found.push(`the liar ended with ${liar.exitCode}`)
      const bells = victims.flatMap(({ process }) => doorbellsOf(process.pid ?? 0))
      if (liar.connected) liar.send(bells)
    }
  } finally {
    liar?.kill('SIGKILL')
    for (const { process } of victims) if (process.connected) process.send('leave')
    const late = performance.now() + startMs
    while (victims.some((one) => one.ending === undefined) && performance.now() < late)
      await pause(20)
    for (const victim of victims) {
      if (victim.ending === undefined) {
        found.push('a survivor does not leave')
        victim.process.kill('SIGKILL')
      }
      await victim.ended
    }
    for (const object of readdirSync('/dev/shm'))
      if (object.includes(prefix)) rmSync(`/dev/shm/${object}`, { force: true })
  }
  for (const { ending, farewell, stderr } of victims) {
    if (ending !== 'code 0') found.push(`a survivor ended with ${ending}\n${stderr}`)
    else if (farewell === undefined) found.push('a survivor left without a word')
    else if (farewell.left.length > 0) found.push(`left open: ${farewell.left.join(', ')}`)
    else if (farewell.threads > 0) found.push(`${farewell.threads} threads left`)
  }
  const all = sums(victims)
  const doneMeanwhile = Object.fromEntries(
    Object.entries(all.done).map(([kind, count]) => [kind, count - (before[kind] ?? 0)]),
  )
  return { found, ...all, doneMeanwhile }
}

function start(prefix: string, side: string): Victim {
  const child = fork(program('survivor'), [prefix, side], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: ['--expose-gc'],
  })
  const victim: Victim = {
    process: child,
    ended: new Promise((resolve) => {
      child.on('close', (code, signal) => {
        victim.ending = signal ?? `code ${code}`
        resolve()
      })
    }),
    lastPulse: performance.now(),
    pulse: undefined,
    farewell: undefined,
    stderr: '',
    ending: undefined,
  }
  child.stderr?.on('data', (text: Buffer) => (victim.stderr += text.toString()))
  child.on('message', (told: Pulse | Farewell) => {
    victim.lastPulse = performance.now()
    if ('left' in told) victim.farewell = told
    else victim.pulse = told
  })
  return victim
}

/** Has every kind of channel been used? */
function isAtWork({ pulse }: Victim): boolean {
  return pulse !== undefined && Object.values(pulse.done).every((count) => count > 0)
}

function complaints({ ending, pulse, lastPulse }: Victim, silenceMs: number): string[] {
  if (ending !== undefined) return ['a survivor ended too early']
  const waited = performance.now() - lastPulse
  if (waited > silenceMs) return [`no turn of the event loop for ${Math.round(waited)} ms`]
  return Object.entries(pulse?.silent ?? {})
    .filter(([, ms]) => ms > silenceMs)
    .map(([kind, ms]) => `${kind}: no call ended for ${Math.round(ms)} ms`)
}

function sums(victims: readonly Victim[]) {
  const done: Record<string, number> = {}
  const errors: Record<string, number> = {}
  const errorsOf: Record<string, Record<string, number>> = {}
  for (const { pulse } of victims) {
    for (const [kind, count] of Object.entries(pulse?.done ?? {}))
      done[kind] = (done[kind] ?? 0) + count
    for (const [kind, codes] of Object.entries(pulse?.errors ?? {})) {
      const own = (errorsOf[kind] ??= {})
      for (const [code, count] of Object.entries(codes)) {
        errors[code] = (errors[code] ?? 0) + count
        own[code] = (own[code] ?? 0) + count
      }
    }
  }
  return { done, errors, errorsOf }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , seconds = '30', about, seed = String(Date.now() % 1_000_000)] = process.argv
  const report = await live(`live-${process.pid}`, {
    seconds: Number(seconds),
    seed: Number(seed),
    silenceMs: 5000,
    ...(about === undefined || about === 'all' ? {} : { about }),
  })
  console.log(`seed ${seed}`, JSON.stringify({ done: report.done, errors: report.errors }))
  for (const one of report.found) console.log(`broken: ${one}`)
  process.exitCode = report.found.length > 0 ? 1 : 0
}
