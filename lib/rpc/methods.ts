// What a contract says of one function: its kind, and what goes in and comes out.

import { codecOf } from '../codec/codec.js'
import { isStruct, structCodec, type CodecStruct } from '../codec/struct.js'
import type { Codec } from '../codec/types.js'
import { checkOptions, flag, show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { isStandardSchema, validate, type StandardSchema } from './schema.js'

/** One value and one answer; or many values in one or both directions. */
export type MethodKind = 'call' | 'stream' | 'upload' | 'duplex'

/**
 * What values are described by: a schema of Zod, Valibot, ArkType and others (Standard Schema), which the side that receives a value
 * judges it by; or a `struct()`, as which it travels, whatever the codec of the contract. `undefined`: nothing is said.
 */
export type ValueType = StandardSchema | CodecStruct | undefined

/** What may be said of a function. */
export interface MethodOptions {
  /**
   * May it be done twice? If a server dies, calls of it are given to another one, up to three times, instead of failing with
   * `executed: 'unknown'`. Default false.
   */
  readonly idempotent?: boolean | undefined
}

/** The types of a function: of its input as it is sent and as it arrives, and of its output likewise. */
export interface MethodTypes {
  /** What the caller gives. */
  readonly send: unknown
  /** What the handler gets. */
  readonly receive: unknown
  /** What the handler returns, or yields. */
  readonly reply: unknown
  /** What the caller gets. */
  readonly result: unknown
}

/** A function of a contract, by `call`, `stream`, `upload` or `duplex`. */
export interface Method<
  Kind extends MethodKind = MethodKind,
  Types extends MethodTypes = MethodTypes,
> {
  /** One value or many, in either direction. */
  readonly kind: Kind
  /** What describes the input. */
  readonly input: ValueType
  /** What describes the output. */
  readonly output: ValueType
  /** May it be done twice? */
  readonly idempotent: boolean
  /** For the compiler alone: there is no such property. */
  readonly types?: Types | undefined
}

/** Types alone: what is sent is what arrives. */
export interface PlainTypes<In, Out> extends MethodTypes {
  /** What the caller gives. */
  readonly send: In
  /** What the handler gets. */
  readonly receive: In
  /** What the handler returns, or yields. */
  readonly reply: Out
  /** What the caller gets. */
  readonly result: Out
}

/** What a schema or a struct takes. */
export type Sent<Type> = Type extends StandardSchema
  ? NonNullable<Type['~standard']['types']>['input']
  : Type extends CodecStruct<infer Input, infer _Value>
    ? Input
    : undefined

/** What a schema or a struct makes of that, for who receives it. */
export type Received<Type> = Type extends StandardSchema
  ? NonNullable<Type['~standard']['types']>['output']
  : Type extends CodecStruct<infer _Input, infer Value>
    ? Value
    : undefined

/** By schemas. */
export interface SchemaTypes<In, Out> extends MethodTypes {
  /** What the caller gives. */
  readonly send: Sent<In>
  /** What the handler gets: what the schema made of it. */
  readonly receive: Received<In>
  /** What the handler returns, or yields. */
  readonly reply: Sent<Out>
  /** What the caller gets: what the schema made of it. */
  readonly result: Received<Out>
}

/** How `call` and its kin are called: with types alone, or with schemas. */
export interface Describe<Kind extends MethodKind> {
  <In = void, Out = void>(options?: MethodOptions): Method<Kind, PlainTypes<In, Out>>
  <const In extends ValueType, const Out extends ValueType = undefined>(
    input: In,
    output?: Out,
    options?: MethodOptions,
  ): Method<Kind, SchemaTypes<In, Out>>
}

/**
 * A function of one value with one answer: `call(input, output)` with schemas, which are enforced, or `call<In, Out>()` with types,
 * which are not.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export const call: Describe<'call'> = describe('call')

/** A function of one value with many answers: `for await (const item of client.ticks(3))`. Otherwise as {@link call}. */
export const stream: Describe<'stream'> = describe('stream')

/** A function of many values with one answer: `await client.sum(items)`. Otherwise as {@link call}. */
export const upload: Describe<'upload'> = describe('upload')

/** Many values in both directions, at the same time: `for await (const item of client.chat(items))`. Otherwise as {@link call}. */
export const duplex: Describe<'duplex'> = describe('duplex')

/** Made here, and nowhere else. */
const made = Symbol.for('millrace.method')

function describe<Kind extends MethodKind>(kind: Kind): Describe<Kind> {
  return (first?: unknown, ...rest: readonly unknown[]) => {
    const isType = first === undefined || isStandardSchema(first) || isStruct(first)
    const [output, options] = isType ? rest : [undefined, first]
    const input = isType ? first : undefined
    if (!isType && rest.length > 0) throw wrongType('input', first)
    if (output !== undefined && !isStandardSchema(output) && !isStruct(output)) {
      throw wrongType('output', output)
    }
    const given = checkOptions(options as MethodOptions | undefined, ['idempotent'])
    const idempotent = flag(given, 'idempotent')
    return Object.freeze({ kind, input, output, idempotent, [made]: true }) as never
  }
}

function wrongType(what: string, given: unknown): Error {
  return invalidArgument(
    `the ${what} must be a Standard Schema (of Zod, Valibot, ArkType …) or a struct(), not ${show(given)}`,
  )
}

export function isMethod(given: unknown): given is Method {
  return typeof given === 'object' && given !== null && made in given
}

/** Judges a value, and gives what is to be taken in its place; a promise of that, if it takes its time. Throws what is wrong. */
export type Check = (value: unknown) => unknown

/** How the values of one direction travel. */
export interface ValuePlan {
  readonly codec: Codec
  /** What the side that receives them judges them by, once: the server the input, the client the output. */
  readonly check: Check | undefined
}

/** How a function is called. */
export interface MethodPlan {
  readonly name: string
  /** Its place among the names of the contract in their order: what travels in the place of the name. */
  readonly number: number
  readonly kind: MethodKind
  readonly idempotent: boolean
  readonly input: ValuePlan
  readonly output: ValuePlan
}

export function planOf(
  name: string,
  number: number,
  { kind, idempotent, input, output }: Method,
  codec: Codec,
): MethodPlan {
  return {
    name,
    number,
    kind,
    idempotent,
    input: valuePlan(input, codec, `the input of ${name}()`),
    output: valuePlan(output, codec, `the output of ${name}()`),
  }
}

function valuePlan(type: ValueType, codec: Codec, what: string): ValuePlan {
  if (type === undefined) return { codec, check: undefined }
  if (isStandardSchema(type)) return { codec, check: (value) => validate(type, value, what) }
  return { codec: codecOf(structCodec(type)), check: undefined }
}
