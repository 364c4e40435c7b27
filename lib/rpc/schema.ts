// The interface that schema libraries (Zod, Valibot, ArkType …) agree on: https://standardschema.dev, version 1. Types only, and the
// one call that is made of it.

import { invalidArgument, type MillraceError } from '../errors.js'
import { isPromise } from '../base/promised.js'

/** What a library says of a value that is none of its schema's. */
export interface StandardIssue {
  /** What is wrong, in words. */
  readonly message: string
  /** Where in the value: keys, or objects with one. */
  readonly path?: readonly (PropertyKey | StandardStep)[] | undefined
}

/** A step of a path. */
export interface StandardStep {
  /** The key there. */
  readonly key: PropertyKey
}

/** What a schema finds: a value, which may be another than it was given, or what is wrong with it. */
export type StandardResult<Output> =
  | {
      /** What the schema makes of it. */
      readonly value: Output
      /** Nothing is wrong. */
      readonly issues?: undefined
    }
  | {
      /** What is wrong. */
      readonly issues: readonly StandardIssue[]
    }

/** A schema of Zod, Valibot, ArkType, or whoever has `~standard`. `Input` is what it takes, `Output` what it makes of that. */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** As the interface asks for it. */
  readonly '~standard': {
    /** Of the interface. */
    readonly version: 1
    /** The name of the library. */
    readonly vendor: string
    /** Judges a value, at once or in its time. */
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
    /** For the compiler alone. */
    readonly types?:
      | {
          /** What it takes. */
          readonly input: Input
          /** What it makes of that. */
          readonly output: Output
        }
      | undefined
  }
}

export function isStandardSchema(given: unknown): given is StandardSchema {
  if ((typeof given !== 'object' && typeof given !== 'function') || given === null) return false
  const { '~standard': standard } = given as Partial<StandardSchema>
  return typeof standard?.validate === 'function' && (standard.version as number) === 1
}

/**
 * What the schema makes of the value; a promise if the schema takes its time.
 *
 * @param what for messages: "the input of 'add'"
 * @throws MillraceError `INVALID_ARGUMENT`, with the issues as `data`; what the schema throws
 */
export function validate(schema: StandardSchema, value: unknown, what: string): unknown {
  const result = schema['~standard'].validate(value)
  // Not `instanceof Promise`: one of another realm, or of a library of its own, is one, too.
  if (!isPromise(result)) return judged(result, what)
  return (result as PromiseLike<StandardResult<unknown>>).then((late) => judged(late, what))
}

function judged(result: StandardResult<unknown>, what: string): unknown {
  if (result.issues === undefined) return result.value
  throw refusal(result.issues, what)
}

/** Issues that are told; there may be one for each element of a list. */
const mostTold = 16

function refusal(issues: readonly StandardIssue[], what: string): MillraceError {
  const data = issues
    .slice(0, mostTold)
    .map(({ message, path = [] }) => ({ message, path: path.map(keyOf) }))
  const [first] = data
  const place = first === undefined || first.path.length === 0 ? '' : ` at ${first.path.join('.')}`
  const more = issues.length > 1 ? `, and ${String(issues.length - 1)} more` : ''
  const error = invalidArgument(
    `${what} is not what its schema asks for: ${first?.message ?? 'no reason was given'}${place}${more}`,
  )
  return Object.assign(error, { data })
}

function keyOf(step: PropertyKey | { readonly key: PropertyKey }): string | number {
  const key = typeof step === 'object' ? step.key : step
  return typeof key === 'number' ? key : String(key)
}
