// Why a value is refused, and which part of it: `legs[2].price must be a number, not "high"`. The innermost says what is wrong,
// each structure and array around it adds its part of the path on the way out: a value that is right pays nothing for it.

import { MillraceError, type ErrorCode } from '../errors.js'

/** The name of a field, or the index of an element. */
export type Key = string | number

/** All that was given, and not a part of it; what it is called where it is no part of anything. */
interface Whole {
  readonly whole: string
}

interface Facts {
  readonly code: ErrorCode
  readonly whole: string
  readonly path: readonly Key[]
  readonly text: string
}

const refusals = new WeakMap<object, Facts>()

/** `text` goes on where the path ends: "must be …", "has no field …". */
export function refusal(
  subject: Key | Whole,
  text: string,
  code: ErrorCode = 'ERR_MILLRACE_INVALID_ARGUMENT',
): MillraceError {
  return typeof subject === 'object'
    ? made({ code, whole: subject.whole, path: [], text })
    : made({ code, whole: '', path: [subject], text })
}

/** The refusal of what contains it under this key; other errors (of a getter in the value) as they are. */
export function refusalWithin(key: Key | undefined, error: unknown): unknown {
  const facts = refusals.get(error as object)
  if (facts === undefined || key === undefined) return error
  return made({ ...facts, path: [key, ...facts.path] })
}

export function wrongValue(subject: Key | Whole, expected: string, value: unknown): MillraceError {
  const given =
    typeof value === 'string'
      ? JSON.stringify(value)
      : typeof value === 'bigint'
        ? `${String(value)}n`
        : typeof value === 'object' && value !== null
          ? 'an object'
          : String(value)
  return refusal(subject, `must be ${expected}, not ${given}`)
}

function made(facts: Facts): MillraceError {
  const error = new MillraceError(facts.code, `${shown(facts)} ${facts.text}`)
  refusals.set(error, facts)
  return error
}

/** As the part would be written in JavaScript; what begins with an index has no name to begin with. */
function shown({ whole, path: [first, ...inner] }: Facts): string {
  if (first === undefined) return whole
  const rest = inner.map((key) => (typeof key === 'number' ? `[${String(key)}]` : `.${key}`))
  if (typeof first !== 'number') return `${first}${rest.join('')}`
  return rest.length === 0 ? `element ${String(first)}` : `[${String(first)}]${rest.join('')}`
}
