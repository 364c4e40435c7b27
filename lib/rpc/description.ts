// What is told of a contract to who asks, and a contract that is made of that: enough to call its functions without its program.

import { codecs, type CodecName } from '../codec/codec.js'
import type { Codec } from '../codec/types.js'
import { MillraceError } from '../errors.js'
import { contract, type Contract } from './contract.js'
import {
  call,
  duplex,
  stream,
  upload,
  type Method,
  type MethodKind,
  type MethodOptions,
} from './methods.js'

/** As it travels, in JSON. */
interface Description {
  readonly name: string
  readonly codec: string
  readonly fingerprint: string
  readonly methods: readonly MethodDescription[]
}

interface MethodDescription {
  readonly name: string
  readonly kind: MethodKind
  readonly idempotent: boolean
  /** Names of codecs. */
  readonly input: string
  readonly output: string
}

const makers: Readonly<Record<MethodKind, (options: MethodOptions) => Method>> = {
  call,
  stream,
  upload,
  duplex,
}

export function descriptionOf({ name, codec, fingerprint, plans }: Contract): Description {
  return {
    name,
    codec,
    fingerprint: String(fingerprint),
    methods: plans.map((plan) => ({
      name: plan.name,
      kind: plan.kind,
      idempotent: plan.idempotent,
      input: plan.input.codec.name,
      output: plan.output.codec.name,
    })),
  }
}

/**
 * A contract without types or schemas. What travels by a codec that only its program has cannot be called with it.
 *
 * @throws MillraceError `PROTOCOL` (that is none), `UNSUPPORTED`
 */
export function contractOf(description: unknown, address: string): Contract {
  if (!isDescription(description)) throw notDescribed(address)
  const { name, fingerprint, methods } = description
  let made: Contract
  try {
    made = contract(
      name,
      Object.fromEntries(
        methods.map(({ name: one, kind, idempotent }) => [one, makers[kind]({ idempotent })]),
      ),
    )
  } catch (cause) {
    throw notDescribed(address, cause)
  }
  const byName = new Map(methods.map((method) => [method.name, method]))
  const plans = made.plans.map((plan) => {
    const { input, output } = byName.get(plan.name)!
    return {
      ...plan,
      input: { codec: codecNamed(input, plan.name, name), check: undefined },
      output: { codec: codecNamed(output, plan.name, name), check: undefined },
    }
  })
  return Object.freeze({
    ...made,
    codec: description.codec,
    fingerprint: BigInt(fingerprint),
    plans,
  })
}

/** One that both sides have; or one that says why it does nothing. */
function codecNamed(name: string, method: string, contractName: string): Codec {
  const known = Object.keys(codecs).find((key) => codecs[key as CodecName].name === name)
  if (known !== undefined) return codecs[known as CodecName]
  const refuse = (): never => {
    throw new MillraceError(
      'ERR_MILLRACE_UNSUPPORTED',
      `${method}() of '${contractName}' cannot be called without its contract: values travel by '${name}', which the contract brings; import it, and connect with it`,
    )
  }
  return { name, encode: refuse, decode: refuse }
}

function isDescription(given: unknown): given is Description {
  if (typeof given !== 'object' || given === null) return false
  const { name, codec, fingerprint, methods } = given as Partial<Description>
  return (
    typeof name === 'string' &&
    typeof codec === 'string' &&
    typeof fingerprint === 'string' &&
    /^\d{1,20}$/.test(fingerprint) &&
    Array.isArray(methods) &&
    methods.every(isMethodDescription)
  )
}

function isMethodDescription(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return false
  const { name, kind, idempotent, input, output } = given as Partial<MethodDescription>
  return (
    typeof name === 'string' &&
    typeof kind === 'string' &&
    Object.hasOwn(makers, kind) &&
    typeof idempotent === 'boolean' &&
    typeof input === 'string' &&
    typeof output === 'string'
  )
}

function notDescribed(address: string, cause?: unknown): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_PROTOCOL',
    `whoever serves at '${address}' does not say what: see that it serves calls, by the same version of millrace`,
    { cause },
  )
}
