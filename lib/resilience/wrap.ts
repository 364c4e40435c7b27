// An object whose functions are called under policies.

import { descriptionOf } from '../rpc/described.js'
import { checkOptions, flag, show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import type { AttemptContext, ExecuteOptions } from './options.js'

/** Which functions of an object, and how. */
export interface WrapOptions {
  /** The names of those that are to be called under the policies. Default: the functions that the object has itself, not those of its class. */
  readonly methods?: readonly string[] | undefined
  /**
   * May they be done twice? `true`, `false` or the names of those that may. Default: of a client of `millrace/rpc` what its contract says;
   * of any other object what `resilient` was told.
   */
  readonly idempotent?: boolean | readonly string[] | undefined
}

type Execute = <T>(
  work: (context: AttemptContext) => T | PromiseLike<T>,
  options?: ExecuteOptions,
) => Promise<T>
type Anything = (this: unknown, ...args: readonly unknown[]) => unknown

/** What a call says of its own limits, by the names of `CallOptions`. */
interface Limits {
  readonly signal?: AbortSignal | undefined
  readonly timeout?: number | undefined
  readonly deadline?: number | Date | undefined
  readonly within?: ExecuteOptions['within']
  readonly inPlace?: unknown
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function wrapped<T extends object>(target: T, execute: Execute, given?: WrapOptions): T {
  if (typeof target !== 'object' || (target as unknown) === null) {
    throw invalidArgument(`only an object can be wrapped, not ${show(target)}`)
  }
  const { isWrapped, isIdempotent } = readWrap(target, given)
  /** One for each function: who compares them finds them the same. */
  const made = new WeakMap<object, Anything>()
  const shown = (name: string | symbol, value: unknown): unknown => {
    if (typeof value !== 'function') return value
    let by = made.get(value)
    if (by === undefined) {
      const known = value as Anything
      const called =
        typeof name === 'string' && isWrapped(name, known)
          ? underPolicies(target, known, execute, isIdempotent(name, known))
          : undefined
      by = new Proxy(known, {
        // Fields of the object's are private: its methods are called on itself.
        apply: (_, _self, args: readonly unknown[]) =>
          called === undefined ? known.apply(target, [...args]) : called(...args),
      })
      made.set(value, by)
    }
    return by
  }
  // Not a proxy of the object itself, which would have to show properties that cannot be changed as they are.
  const shadow = Object.create(Reflect.getPrototypeOf(target)) as T
  return new Proxy<T>(shadow, {
    get: (_, name) =>
      name === 'constructor' ? target.constructor : shown(name, Reflect.get(target, name, target)),
    set: (_, name, value) => Reflect.set(target, name, value, target),
    has: (_, name) => Reflect.has(target, name),
    ownKeys: () => Reflect.ownKeys(target),
    getOwnPropertyDescriptor: (_, name) => {
      const property = Reflect.getOwnPropertyDescriptor(target, name)
      if (property === undefined) return undefined
      const value = shown(name, Reflect.get(target, name, target))
      return { value, enumerable: property.enumerable === true, configurable: true, writable: true }
    },
    deleteProperty: (_, name) => Reflect.deleteProperty(target, name),
  })
}

function underPolicies(
  target: object,
  value: Anything,
  execute: Execute,
  idempotent: boolean | undefined,
): Anything {
  if (descriptionOf(value) !== undefined) {
    return (input, options) => {
      const { timeout: total, inPlace, ...limits } = (options ?? {}) as Limits
      return execute(
        (context) =>
          value.call(
            target,
            input,
            inPlace === undefined ? { within: context } : { within: context, inPlace },
          ),
        { ...limits, total, idempotent },
      )
    }
  }
  return (...args) => {
    const last = args.at(-1) as Limits | null | undefined
    const hasSignal =
      typeof last === 'object' && last !== null && last.signal instanceof AbortSignal
    return execute(
      ({ signal }) =>
        value.apply(target, hasSignal ? [...args.slice(0, -1), { ...last, signal }] : [...args]),
      { signal: hasSignal ? last.signal : undefined, idempotent },
    )
  }
}

function readWrap(
  target: object,
  given: WrapOptions | undefined,
): {
  isWrapped: (name: string, value: object) => boolean
  isIdempotent: (name: string, value: object) => boolean | undefined
} {
  const options = checkOptions(given, ['methods', 'idempotent'])
  const methods =
    options.methods === undefined ? undefined : names('methods', target, options.methods)
  const { idempotent } = options
  const twice = typeof idempotent === 'object' ? names('idempotent', target, idempotent) : undefined
  const always = twice === undefined ? flagIfAny(idempotent) : undefined
  return {
    isWrapped: (name, value) => {
      const described = descriptionOf(value)
      if (described?.once === false) return false
      return methods?.has(name) ?? Object.hasOwn(target, name)
    },
    isIdempotent: (name, value) => twice?.has(name) ?? always ?? descriptionOf(value)?.idempotent,
  }
}

function flagIfAny(value: unknown): boolean | undefined {
  return value === undefined ? undefined : flag({ idempotent: value }, 'idempotent')
}

function names(what: string, target: object, given: unknown): ReadonlySet<string> {
  if (!Array.isArray(given)) {
    throw invalidArgument(`${what} must be a list of names, not ${show(given)}`)
  }
  for (const name of given as readonly unknown[]) {
    if (typeof name === 'string' && typeof Reflect.get(target, name, target) === 'function')
      continue
    throw invalidArgument(`${what}: there is no function ${show(name)} in what is wrapped`)
  }
  return new Set(given as readonly string[])
}
