// Time and the turns of the event loop, as the system has them. Tests put clocks and timers of their own in the
// place of the global ones (Jest, Vitest, Sinon, node:test); who waits for another process must not stand still
// with them. So the clock is the addon's, and timers are those that Node had when the library was loaded. Some
// tests take those away before that, from node:timers, too: then timers are made of what they leave alone.

import { native } from '../addon/native.js'
import { runsOnNode } from '../addon/runtime.js'
import type { Handle, System } from './own-timers.js'

/** Milliseconds, with fractions, of a clock that only goes forward. */
export const { now } = native

/** The longest time that timers of the system take. */
const longestMs = 0x7fff_ffff
/** The system counts whole milliseconds, and from when it last looked at the clock, which may have been some before. */
const mostEarlyMs = 0.5

const system = timersOfNode() ?? ownTimers().timersOfTheirOwn()

/** A call that is due at some time. */
export interface Timer {
  handle: Handle
  readonly due: number
  readonly callback: () => void
  readonly alive: boolean
}

/**
 * Calls back once after so many milliseconds, however many; never after Infinity. Keeps the event loop alive only
 * if it is to.
 */
export function startTimer(
  milliseconds: number,
  callback: () => void,
  { alive = false }: { readonly alive?: boolean } = {},
): Timer {
  const timer = { handle: undefined, due: now() + milliseconds, callback, alive }
  arm(timer, milliseconds)
  return timer
}

export function stopTimer(timer: Timer | undefined): void {
  if (timer?.handle === undefined) return
  system.clearTimer(timer.handle)
  timer.handle = undefined
}

/** Calls back in the next turn of the event loop, and keeps that alive until then. */
export function startTurn(callback: () => void): Handle {
  return system.setTurn(callback)
}

export function stopTurn(handle: Handle): void {
  system.clearTurn(handle)
}

/** Calls back when this thread has run all that can run now, before the event loop goes on. */
export const afterAllElse = tickOfNode()

function arm(timer: Timer, milliseconds: number): void {
  if (milliseconds === Infinity) return
  const isLong = milliseconds > longestMs
  timer.handle = system.setTimer(
    isLong ? longestMs : milliseconds,
    () => {
      timer.handle = undefined
      const left = timer.due - now()
      if (left > mostEarlyMs) arm(timer, left)
      else timer.callback()
    },
    timer.alive,
  )
}

/** Functions of Node show their text. What stands in their place is bound, or has a clock of its own. */
function isItself(given: object, name: string): boolean {
  const text = Function.prototype.toString.call(given)
  return !('clock' in given) && text.startsWith(`function ${name}`)
}

function tickOfNode(): (callback: () => void) => void {
  const { nextTick } = process as { readonly nextTick: (callback: () => void) => void }
  if (isItself(nextTick, 'nextTick')) return nextTick
  return (callback) => {
    void Promise.resolve().then(callback) // soon enough, if not after all else
  }
}

/** Nothing if somebody has put others in their place already. */
function timersOfNode(): System | undefined {
  const { setTimeout, clearTimeout, setImmediate, clearImmediate } =
    process.getBuiltinModule('node:timers')
  const isReal = isItself(setTimeout, 'setTimeout') && isItself(setImmediate, 'setImmediate')
  if (runsOnNode && !isReal) return undefined
  return {
    setTimer(milliseconds, callback, alive) {
      const timer = setTimeout(callback, milliseconds)
      return alive ? timer : timer.unref()
    },
    clearTimer(handle) {
      clearTimeout(handle as NodeJS.Timeout)
    },
    setTurn: (callback) => setImmediate(callback),
    clearTurn(handle) {
      clearImmediate(handle as NodeJS.Immediate)
    },
  }
}

function ownTimers() {
  return require('./own-timers.js') as typeof import('./own-timers.js')
}
