// A copy of kafkajs of this package's own, whose timers and whose clock are those of lib/base. The library's timers would keep a process
// alive that has an open handle and nothing to do, would stand still with those of a test, and are started with negative times, of which
// Node.js 24 warns. What else of the program uses kafkajs is left as it is.

import { now, startTimer, stopTimer, type Timer } from '../../base/time.js'
import { clock } from '../clock.js'

interface Every {
  timer: Timer | undefined
}

/** What a module finds under the names of what is global otherwise. */
const globals: Readonly<Record<string, unknown>> = {
  setTimeout: (callback: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): Timer =>
    startTimer(timeOf(ms), () => {
      callback(...args)
    }),
  clearTimeout: (timer: Timer | null | undefined): void => {
    stopTimer(timer ?? undefined)
  },
  setInterval: (callback: () => void, ms?: number): Every => {
    const every: Every = { timer: undefined }
    const next = (): void => {
      every.timer = startTimer(Math.max(timeOf(ms), 1), () => {
        next()
        callback()
      })
    }
    next()
    return every
  },
  clearInterval: (every: Every | null | undefined): void => {
    stopTimer(every?.timer)
  },
  Date: clockOf(),
}

/** Loads the module in the file, and what it requires of its own package, each once. */
export function ownCopy(file: string): unknown {
  const { createRequire } = process.getBuiltinModule('node:module')
  const { compileFunction } = process.getBuiltinModule('node:vm')
  const { readFileSync } = process.getBuiltinModule('node:fs')
  const path = process.getBuiltinModule('node:path')
  const loaded = new Map<string, { exports: unknown }>()
  const names = Object.keys(globals)
  const load = (file: string): unknown => {
    const known = loaded.get(file)
    if (known !== undefined) return known.exports
    const module = { exports: {} as unknown }
    loaded.set(file, module)
    const outer = createRequire(file)
    const require = (name: string): unknown => {
      const target = name.startsWith('.') ? outer.resolve(name) : name
      return target.endsWith('.js') && name.startsWith('.') ? load(target) : outer(name)
    }
    const code = compileFunction(
      readFileSync(file, 'utf8'),
      ['exports', 'require', 'module', '__filename', '__dirname', ...names],
      { filename: file },
    )
    const given = [module.exports, require, module, file, path.dirname(file)]
    Reflect.apply(code, module.exports, [...given, ...Object.values(globals)])
    return module.exports
  }
  return load(file)
}

/** As the system has it: what is no time to wait is none. */
function timeOf(ms: number | undefined): number {
  return ms !== undefined && ms > 0 ? ms : 0
}

/** Goes on by itself, whatever becomes of the clock of the day; a test may have stopped that. */
function clockOf(): DateConstructor {
  const begin = clock() - now()
  return new Proxy(Date, {
    get: (target, name) =>
      name === 'now' ? () => Math.floor(begin + now()) : (Reflect.get(target, name) as unknown),
  })
}
