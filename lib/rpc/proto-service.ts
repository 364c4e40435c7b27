// A contract that a .proto describes. What reads it is loaded when the first one is asked for.

import { checkOptions, show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { contractOfPlans, type Contract, type Methods } from './contract.js'
import {
  call,
  duplex,
  stream,
  upload,
  type Method,
  type MethodKind,
  type MethodOptions,
} from './methods.js'

/** How a .proto is read. */
export interface ProtoOptions {
  /** Folders of what it imports. */
  readonly includeDirs?: readonly string[] | undefined
  /**
   * What `@grpc/proto-loader` takes, in the place of `{ keepCase: true, longs: String, enums: String, defaults: true, oneofs: true }`: names as
   * the file has them, numbers of 64 bits as text, enums by their names, and defaults for what was not sent.
   */
  readonly loader?: Readonly<Record<string, unknown>> | undefined
}

const makers: Readonly<Record<MethodKind, (options: MethodOptions) => Method>> = {
  call,
  stream,
  upload,
  duplex,
}

/**
 * The contract of a service in a `.proto`, whose values travel as Protocol Buffers, wherever it is served. Its functions have the names
 * of the methods there. At `grpc://host:port/SERVICE` any client of that service calls it, and any server of it is called. What they take
 * and give the compiler is told; without it values are unknown:
 *
 * ```ts
 * import { call, protoService, serve } from 'millrace/rpc'
 *
 * const types = { Add: call<{ item: string }, { count: number }>() }
 * const cart = protoService<typeof types>('cart.proto', 'shop.v1.Cart')
 * await serve('grpc://127.0.0.1:5000/shop.v1.Cart', cart, { Add: ({ item }) => ({ count: item.length }) })
 * ```
 *
 * Needs the package `@grpc/proto-loader`. Reads the file, and blocks as long as that takes.
 *
 * @throws MillraceError `INVALID_ARGUMENT` (no such file or service, or it cannot be read), `MISSING_PEER`
 */
export function protoService<M extends Methods = Methods>(
  files: string | readonly string[],
  service: string,
  options?: ProtoOptions,
): Contract<M> {
  const { includeDirs, loader = {} } = checkOptions(options, ['includeDirs', 'loader'])
  const isPath = typeof files === 'string' || Array.isArray(files)
  if (!isPath || typeof service !== 'string') {
    const given = isPath ? service : files
    throw invalidArgument(
      `protoService() takes the path of a .proto and the name of a service, as in ('cart.proto', 'shop.v1.Cart'), not ${show(given)}`,
    )
  }
  const { loadService } = require('./proto.js') as typeof import('./proto.js')
  const found = loadService(files, service, {
    ...(includeDirs === undefined ? {} : { includeDirs: [...includeDirs] }),
    ...loader,
  }).toSorted((one, other) => (one.name < other.name ? -1 : 1))
  const methods = Object.fromEntries(
    found.map(({ name, kind, idempotent }) => [name, makers[kind]({ idempotent })]),
  )
  const plans = found.map(({ name, kind, idempotent, input, output }, number) => ({
    name,
    number,
    kind,
    idempotent,
    input: { codec: input, check: undefined },
    output: { codec: output, check: undefined },
  }))
  return contractOfPlans(service, methods as unknown as M, 'protobuf', plans)
}
