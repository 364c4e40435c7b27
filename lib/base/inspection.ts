// What `console.log`, assertions and `JSON.stringify` show of our objects: the class and the properties that tell how things
// stand, instead of fields that are nobody's business. It never throws, also of what is closed or damaged: whoever prints an
// object is looking for a fault already.

import { MillraceError } from '../errors.js'

/** The method that `util.inspect` asks for, in Node and elsewhere. */
export const inspected: unique symbol = Symbol.for('nodejs.util.inspect.custom')

/** @internal Of `util.inspect`, as far as it is used here. */
interface InspectOptions {
  readonly depth?: number | null | undefined
  readonly maxArrayLength?: number | null | undefined
  readonly stylize?: ((text: string, style: 'special') => string) | undefined
}

/** @internal What `util.inspect` hands to such a method; all of it is left out by who calls it by hand. */
export type Inspecting = readonly [
  depth?: number | null,
  options?: InspectOptions,
  inspect?: (value: unknown, options: InspectOptions) => string,
]

/** `Title { … }` with what `facts` finds; `[Title]` where that would be too deep. */
export function inspection(
  title: string,
  [depth = 2, options = {}, inspect = nodeInspect()]: Inspecting,
  facts: () => object,
): string {
  const { stylize = plain } = options
  if (depth !== null && depth < 0) return stylize(`[${title}]`, 'special')
  try {
    return `${title} ${inspect(facts(), { ...options, depth })}`
  } catch (error) {
    return `${title} ${stylize(`[${whyNot(error)}]`, 'special')}`
  }
}

/**
 * The properties of `handle`; of one that is closed, or whose memory was shortened and must not be touched, only those that
 * do not change. Properties that cannot be told are left out.
 */
export function factsOf<H extends { readonly closed: boolean }>(
  handle: H,
  fixed: readonly (keyof H)[],
  changing: readonly (keyof H)[],
  isWhole = true,
): object {
  const facts: Partial<Record<keyof H, unknown>> = {}
  for (const key of fixed) facts[key] = handle[key]
  facts.closed = handle.closed
  if (handle.closed) return facts
  if (!isWhole) return { ...facts, damaged: true }
  for (const key of changing) {
    try {
      facts[key] = handle[key]
    } catch {
      // It is not for the program to handle: nobody asked for it.
    }
  }
  return facts
}

/**
 * The same facts for `JSON.stringify`, which would print all fields of an object otherwise, and throw at a bigint: bigints are
 * decimal text. `{ error }` where no fact can be told.
 */
export function jsonOf(shown: { [inspected](...how: Inspecting): string }): object {
  let found: object | undefined
  const text = shown[inspected](null, {}, (facts) => {
    found = Object.fromEntries(entriesForJson(facts as object))
    return ''
  })
  return found ?? { error: text }
}

function entriesForJson(facts: object): [string, unknown][] {
  const entries = Object.entries(facts)
  // Bytes are content, which is nobody's business where this is printed.
  return entries.flatMap(([key, fact]) => (ArrayBuffer.isView(fact) ? [] : [[key, forJson(fact)]]))
}

function forJson(fact: unknown): unknown {
  if (typeof fact === 'bigint') return String(fact)
  if (typeof fact !== 'object' || fact === null) return fact
  if (Array.isArray(fact)) return fact.map(forJson)
  return Object.fromEntries(entriesForJson(fact))
}

function whyNot(error: unknown): string {
  if (error instanceof MillraceError) return error.code
  return error instanceof Error ? error.message : String(error)
}

function nodeInspect(): NonNullable<Inspecting[2]> {
  return process.getBuiltinModule('node:util').inspect
}

function plain(text: string): string {
  return text
}
