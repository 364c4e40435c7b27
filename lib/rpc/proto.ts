// Services that a .proto describes, by @grpc/proto-loader: an optional peer, loaded when the first one is asked for.

import { MillraceError, invalidArgument } from '../errors.js'
import { notDecoded, notEncoded } from '../codec/failure.js'
import type { Codec } from '../codec/types.js'
import type { MethodKind } from './methods.js'

/** What is used of it. */
interface ProtoLoader {
  loadSync(files: string | string[], options: object): Readonly<Record<string, unknown>>
}

interface ProtoMethod {
  readonly requestStream: boolean
  readonly responseStream: boolean
  readonly requestSerialize: (value: object) => Uint8Array
  readonly requestDeserialize: (bytes: Buffer) => unknown
  readonly responseSerialize: (value: object) => Uint8Array
  readonly responseDeserialize: (bytes: Buffer) => unknown
  readonly requestType: ProtoType
  readonly responseType: ProtoType
  readonly options?: { readonly idempotency_level?: string }
}

interface ProtoType {
  readonly type: { readonly name: string }
}

/** A function of a service. */
export interface LoadedMethod {
  readonly name: string
  readonly kind: MethodKind
  readonly idempotent: boolean
  readonly input: Codec
  readonly output: Codec
}

/** Names as the file has them; numbers of 64 bits as text, enums by their names; what was not sent has its default. */
const usual = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true }

/** @throws MillraceError `INVALID_ARGUMENT`, `MISSING_PEER` */
export function loadService(
  files: string | readonly string[],
  service: string,
  options: object,
): readonly LoadedMethod[] {
  const loader = protoLoader()
  let found: Readonly<Record<string, unknown>>
  try {
    const names = typeof files === 'string' ? files : [...files]
    found = loader.loadSync(names, { ...usual, ...options })
  } catch (cause) {
    throw invalidArgument(
      `'${String(files)}' could not be read (${(cause as Error).message}): give the path of a .proto, and the folders of what it imports as includeDirs`,
      cause,
    )
  }
  const methods = Object.hasOwn(found, service) ? found[service] : undefined
  if (!isService(methods)) {
    const there = Object.keys(found).filter((name) => isService(found[name]))
    throw invalidArgument(
      `there is no service '${service}' in '${String(files)}': there is ${there.length === 0 ? 'none' : there.join(', ')}`,
    )
  }
  return Object.entries(methods).map(([name, method]) => ({
    name,
    kind: kindOf(method),
    idempotent: ['IDEMPOTENT', 'NO_SIDE_EFFECTS'].includes(method.options?.idempotency_level ?? ''),
    input: codecOf(method.requestType, method.requestSerialize, method.requestDeserialize),
    output: codecOf(method.responseType, method.responseSerialize, method.responseDeserialize),
  }))
}

function protoLoader(): ProtoLoader {
  const { createRequire } = process.getBuiltinModule('node:module')
  const name = '@grpc/proto-loader' // a bundler does not look for it
  try {
    return createRequire(import.meta.url)(name) as ProtoLoader
  } catch (cause) {
    throw new MillraceError(
      'ERR_MILLRACE_MISSING_PEER',
      `services of a .proto need the package ${name}, which could not be loaded: npm install ${name}`,
      { cause },
    )
  }
}

/** Messages and enums have a format. */
function isService(found: unknown): found is Readonly<Record<string, ProtoMethod>> {
  return typeof found === 'object' && found !== null && !('format' in found)
}

function kindOf({ requestStream, responseStream }: ProtoMethod): MethodKind {
  if (requestStream) return responseStream ? 'duplex' : 'upload'
  return responseStream ? 'stream' : 'call'
}

function codecOf(
  { type }: ProtoType,
  serialize: (value: object) => Uint8Array,
  deserialize: (bytes: Buffer) => unknown,
): Codec {
  const name = `protobuf ${type.name}`
  return {
    name,
    encode(value) {
      if (typeof value !== 'object' || value === null) {
        throw notEncoded(name, `a message is an object with its fields, not ${String(value)}`)
      }
      try {
        return serialize(value)
      } catch (error) {
        throw notEncoded(name, (error as Error).message, error)
      }
    },
    decode(bytes) {
      try {
        // Fields of bytes point into what they were read from.
        return deserialize(Buffer.from(bytes))
      } catch (error) {
        throw notDecoded(name, error)
      }
    },
  }
}
