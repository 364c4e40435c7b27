// What a server and its clients agree on: functions by their names, and how values travel.

import { checkOptions, show } from '../base/options.js'
import { codecOf, type CodecName } from '../codec/codec.js'
import type { Codec } from '../codec/types.js'
import type { Iteration } from '../base/iteration.js'
import { invalidArgument } from '../errors.js'
import { fingerprintOf } from '../struct/fingerprint.js'
import { isMethod, planOf, type Method, type MethodPlan, type MethodTypes } from './methods.js'
import type { AnswerLoan } from './answer-loan.js'
import type { CallResult } from './lent-result.js'
import type { CallLoan } from './loan.js'
import type { CallOptions, InPlaceOptions } from './options.js'

/** Functions by their names. */
export type Methods = Readonly<Record<string, Method>>

/** How the values of a contract travel. */
export interface ContractOptions {
  /**
   * `json` (default), `msgpack` (needs the package `msgpackr`), `structured` (V8's own), `bytes`, or one of your own. A value whose
   * type is a `struct()` travels as that.
   */
  readonly codec?: CodecName | Codec<never, unknown> | undefined
}

/** What a server and its clients agree on, made by {@link contract}. */
export interface Contract<M extends Methods = Methods> {
  /** For messages; it is part of the fingerprint. */
  readonly name: string
  /** The name of the codec. */
  readonly codec: string
  /** The functions, by their names. */
  readonly methods: M
  /** Differs when the name, the codec, or the name, kind or struct of a function differs: such sides do not come together. */
  readonly fingerprint: bigint
  /** @internal In the order of their names. */
  readonly plans: readonly MethodPlan[]
  /** @internal Does who has it pass on the calls of others, with the values as they are? */
  readonly isCarried?: boolean
}

/** The types of a function of a contract. */
export type TypesOf<Of> = Of extends Method<infer _Kind, infer Types> ? Types : MethodTypes
/** The kind of a function of a contract. */
export type KindOf<Of> = Of extends Method<infer Kind> ? Kind : never

/** `undefined` can be left out. */
export type Argument<T> = undefined extends T ? [input?: T] : [input: T]

/** What a handler is told beside its argument. It can be given as the options of another call, which ends with this one then. */
export interface HandlerContext {
  /** The name of the method. */
  readonly method: string
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal
  /** Milliseconds until the caller gives it up, with fractions; Infinity: it waits for as long as it takes. */
  readonly remaining: number
  /** When that is, in milliseconds since 1970; Infinity: never. */
  readonly deadline: number
  /** The context of the trace that the call belongs to, as W3C writes it, if its caller has sent one. */
  readonly traceparent: string | undefined
  /** Who calls. */
  readonly caller: {
    /** Its process. */
    readonly pid: number
  }
  /**
   * Room for the result, to be written in place and returned from the handler; waits until there is some. For a `call` whose result travels
   * as `bytes`. Over a connection it is memory of this process.
   *
   * @throws MillraceError (as rejection) `UNSUPPORTED` (the result is no bytes), `TOO_LARGE`, `TOO_MANY_HELD` (there is a loan for it
   *   already), `ABORTED` (nobody waits for the answer any more), `RELEASED` (it was answered), `CLOSED`, `INVALID_ARGUMENT`,
   *   `UNSUPPORTED_RUNTIME` (Electron)
   */
  loan(length: number): Promise<AnswerLoan>
}

/** Many values, whichever way they come. */
export type Items<T> = AsyncIterable<T> | Iterable<T>

/** What a function has beside being called, if its argument can be bytes. */
export interface Lends<Result> {
  /**
   * Room for the argument of one call, to be written in place. Where there is no memory yet it waits for a server, as calls do
   * (`waitForServer`). Over a connection it is memory of this process.
   *
   * @throws MillraceError (as rejection) `UNSUPPORTED` (the argument does not travel as `bytes`), `TOO_LARGE`, `BUSY` (there is no room now),
   *   `NO_RESPONDER`, `CLOSED`, `INVALID_ARGUMENT`, `UNSUPPORTED_RUNTIME` (Electron)
   */
  loan(length: number): Promise<CallLoan<Result>>
}

/** A function whose result can be had where it lies. */
export type InPlace<Send> = (input: Send, options: InPlaceOptions) => Promise<CallResult>

/** How a function of one value with one answer is called. */
export type CallFunction<T extends MethodTypes> = (Uint8Array extends T['send']
  ? Lends<T['result']>
  : unknown) &
  (T['result'] extends Uint8Array ? InPlace<T['send']> : unknown) &
  ((...args: [...Argument<T['send']>, options?: CallOptions]) => Promise<T['result']>)

/** What a handler may return in the place of bytes. */
export type Reply<T> = Uint8Array extends T ? T | AnswerLoan : T

/** How a client calls a function, by its kind. */
export interface CallForms<T extends MethodTypes> {
  /** One value, one answer. */
  call: CallFunction<T>
  /** One value, many answers. */
  stream: (...args: [...Argument<T['send']>, options?: CallOptions]) => Iteration<T['result']>
  /** Many values, one answer. */
  upload: (items: Items<T['send']>, options?: CallOptions) => Promise<T['result']>
  /** Many values in both directions. */
  duplex: (items: Items<T['send']>, options?: CallOptions) => Iteration<T['result']>
}

/** How a server writes a function, by its kind. */
export interface HandlerForms<T extends MethodTypes> {
  /** Its result, or what it throws, is the answer. */
  call: (
    input: T['receive'],
    context: HandlerContext,
  ) => Reply<T['reply']> | Promise<Reply<T['reply']>>
  /** A generator, or whatever else is iterable. */
  stream: (input: T['receive'], context: HandlerContext) => Items<T['reply']>
  /** Takes the values as they come; leaving the loop ends the caller's source. */
  upload: (
    items: Iteration<T['receive']>,
    context: HandlerContext,
  ) => T['reply'] | Promise<T['reply']>
  /** Both at once. */
  duplex: (items: Iteration<T['receive']>, context: HandlerContext) => Items<T['reply']>
}

/** The functions of a contract as a client calls them: `Client<typeof calc>`. */
export type Client<C extends Contract> = {
  readonly [Name in keyof C['methods']]: CallForms<TypesOf<C['methods'][Name]>>[KindOf<
    C['methods'][Name]
  >]
}

/** The functions of a contract as a server writes them: `Handlers<typeof calc>`. */
export type Handlers<C extends Contract> = {
  readonly [Name in keyof C['methods']]: HandlerForms<TypesOf<C['methods'][Name]>>[KindOf<
    C['methods'][Name]
  >]
}

/** More would be a mistake; and a number of 16 bits tells one from the others. */
const mostMethods = 4096
const longestName = 255

/** A client that is awaited, or shown, must not call one of these. */
const reserved = new Set(['then', 'constructor', 'toJSON', '__proto__', 'prototype'])

/**
 * What a server and its clients agree on. Both import it, and both have types by it.
 *
 * ```ts
 * export const calc = contract('calc', {
 *   add: call(z.tuple([z.number(), z.number()]), z.number(), { idempotent: true }),
 *   ticks: stream<number, { at: number }>(),
 * })
 * ```
 *
 * A schema is applied once, by the side that receives the value: a server judges what clients send, and a client what servers
 * answer. What a schema makes of the value (defaults, conversions) is what the handler, or the caller, gets.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function contract<const M extends Methods>(
  name: string,
  methods: M,
  options?: ContractOptions,
): Contract<M> {
  checkText('the name of a contract', name)
  const given = checkOptions(options, ['codec'])
  const codec = codecOf(given.codec ?? 'json')
  if (typeof methods !== 'object' || (methods as unknown) === null) {
    throw invalidArgument(
      `a contract has functions by their names, as in { add: call<number, number>() }, not ${show(methods)}`,
    )
  }
  const names = Object.keys(methods).sort()
  if (names.length === 0 || names.length > mostMethods) {
    throw invalidArgument(
      `a contract has 1 to ${String(mostMethods)} functions, not ${String(names.length)}`,
    )
  }
  const plans = names.map((one, index) => {
    checkText('the name of a function', one)
    if (reserved.has(one)) {
      throw invalidArgument(
        `a function of a contract cannot be called '${one}': a client is an object`,
      )
    }
    const method: unknown = methods[one]
    if (!isMethod(method)) {
      throw invalidArgument(
        `'${one}' must be described by call(), stream(), upload() or duplex(), not ${show(method)}`,
      )
    }
    return planOf(one, index, method, codec)
  })
  return contractOfPlans(name, methods, codec.name, plans)
}

/** @internal `plans`: in the order of their names. */
export function contractOfPlans<M extends Methods>(
  name: string,
  methods: M,
  codec: string,
  plans: readonly MethodPlan[],
): Contract<M> {
  return Object.freeze({
    name,
    codec,
    methods: Object.freeze({ ...methods }),
    fingerprint: fingerprintOf(describe(name, codec, plans)),
    plans,
  })
}

/** What is compared, as text: names are JSON, so that no name can be taken for more than one. */
function describe(name: string, codec: string, plans: readonly MethodPlan[]): string {
  const methods = plans.map((plan) => [
    plan.name,
    plan.kind,
    plan.input.codec.name,
    plan.output.codec.name,
  ])
  return JSON.stringify(['millrace.contract', 1, name, codec, methods])
}

function checkText(what: string, text: unknown): void {
  if (typeof text === 'string' && text.length > 0 && text.length <= longestName) return
  throw invalidArgument(
    `${what} must be a text of 1 to ${String(longestName)} characters, not ${show(text)}`,
  )
}

/**
 * @internal
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function checkContract(given: unknown): asserts given is Contract {
  if (typeof given === 'object' && given !== null && 'plans' in given && 'fingerprint' in given) {
    return
  }
  throw invalidArgument(`the contract must be made by contract(), not ${show(given)}`)
}
