// How a contract is served, and how it is called: what is given is judged, and then the memory opened.

import { native } from '../addon/native.js'
import type { NativeCalls } from '../addon/calls.js'
import { checkOptions, readWait, show } from '../base/options.js'
import { invalidArgument, MillraceError } from '../errors.js'
import { addressElsewhere } from '../place/elsewhere.js'
import { nameAt } from './address.js'
import { CallClient } from './client.js'
import { checkContract, type Client, type Contract, type Handlers } from './contract.js'
import { contractOf, descriptionOf } from './description.js'
import {
  readConnect,
  readServe,
  type ConnectOptions,
  type ContractAtOptions,
  type NativeMemoryPart,
  type ServeOptions,
} from './options.js'
import { elsewhere } from './elsewhere.js'
import { assertLendable } from './lending.js'
import { CallServer } from './server.js'
import type { AnyHandler, ServedMethod } from './streams/server.js'
import { watchedHandler } from './watching.js'

/** A client: the functions of a contract, and what all clients have. */
export type Connected<C extends Contract> = CallClient & Client<C>

/**
 * Serves a contract at an address: `shm://calc`, or `calc` alone; or `unix://…`, `tcp://…`, `tls://…`, where this process alone serves,
 * over a connection for each client; or `nats://host:4222/calc`, through a server of NATS, or `grpc://host:5000/calc`, as a server of gRPC (docs/engines.md). Any number of processes and Workers may serve the same one; a call
 * is taken by whoever is idle. The server keeps its process alive until it is closed, unless `unref()` says otherwise.
 *
 * Blocks for microseconds; at most 2 s if another process is stopped in the middle of creating or leaving the same memory.
 *
 * @throws MillraceError (as rejection) `SCHEMA` (another contract is at that address), `GEOMETRY` (the memory was created with other
 *   options), `NO_LANE` (all seats are taken), `INVALID_ARGUMENT`, `INVALID_NAME`, `NAME_TOO_LONG`, `NOT_OURS`, `PERMISSION`,
 *   `LAYOUT`, `CORRUPT`, `NO_SPACE`, `TIMEOUT`, `ABORTED`
 */
export function serve<C extends Contract>(
  address: string,
  contract: C,
  handlers: Handlers<C>,
  options?: ServeOptions,
): Promise<CallServer> {
  return promised(() => {
    const there = addressElsewhere(address)
    const name = there ?? nameAt(address)
    checkContract(contract)
    checkNames(contract)
    const given = readServe(options)
    const methods = servedBy(contract, handlers, given.inPlace, name)
    if (there !== undefined) {
      const { connection, streams: { capacity: _capacity, ...streams } = {} } = options ?? {}
      const served = { ...given, connection, streams, describe: () => descriptionOf(contract) }
      return elsewhere().serveCalls(there, contract, methods, served) as Promise<CallServer>
    }
    return new CallServer(name, open(name, contract, given.native, false), given, methods)
  })
}

/**
 * Connects to whoever serves a contract at an address, now or later. With `waitForServer` it waits until somebody does. A client makes
 * nothing: what the memory is like the first server says.
 *
 * Blocks as `serve` does.
 *
 * @throws MillraceError (as rejection) `NO_RESPONDER` (nobody has served it in that time), and what `serve` throws
 */
export function connect<C extends Contract>(
  address: string,
  contract: C,
  options?: ConnectOptions,
): Promise<Connected<C>> {
  return promised(() => {
    const there = addressElsewhere(address)
    const name = there ?? nameAt(address)
    checkContract(contract)
    checkNames(contract)
    const given = readConnect(options)
    if (there !== undefined) {
      const { connection, streams = {} } = options ?? {}
      const connected = { ...given, connection, streams }
      return elsewhere().connectCalls(there, contract, connected) as Promise<Connected<C>>
    }
    const attach = (): NativeCalls => open(name, contract, given.native, true)
    const client = new CallClient(name, attach, given, contract) as Connected<C>
    return given.waitMs === 0 ? client : served(client, given.signal)
  })
}

/**
 * The contract that is served at an address, as its server describes it: for tools that have not its program. It has no types, and no
 * schema judges what comes; functions whose values travel by a codec that the program brings, or a `struct()`, cannot be called by it.
 * Waits for 5 s, unless `timeout` says otherwise.
 *
 * @throws MillraceError (as rejection) `UNSUPPORTED` (shared memory does not say what is served there: a name alone will not do), what
 *   `connect` of `millrace/net` throws, `SCHEMA` (something else is shared there), `PROTOCOL`
 */
export function contractAt(address: string, options?: ContractAtOptions): Promise<Contract> {
  return promised(async () => {
    const there = addressElsewhere(address)
    if (there === undefined) {
      throw new MillraceError(
        'ERR_MILLRACE_UNSUPPORTED',
        `'${nameAt(address)}' does not say what is served there: calls through shared memory need the contract itself`,
      )
    }
    const { connection, ...rest } = checkOptions(options, ['connection', 'signal', 'timeout'])
    const wait = readWait({ ...rest, timeout: rest.timeout ?? 5000 })
    return contractOf(await elsewhere().describeCalls(there, { wait, connection }), there)
  })
}

async function served<C extends CallClient>(
  client: C,
  signal: AbortSignal | undefined,
): Promise<C> {
  try {
    await CallClient.untilServed(client, signal)
  } catch (error) {
    client.close()
    throw error
  }
  return client
}

function open(
  name: string,
  contract: Contract,
  part: NativeMemoryPart,
  attachOnly: boolean,
): NativeCalls {
  return new native.Calls({ ...part, place: name, attachOnly, schema: contract.fingerprint })
}

/** What is thrown becomes a rejection. */
function promised<T>(act: () => T | Promise<T>): Promise<T> {
  return new Promise((resolve) => {
    resolve(act())
  })
}

function servedBy(
  contract: Contract,
  handlers: unknown,
  inPlace: ReadonlySet<string>,
  address: string,
): ServedMethod[] {
  for (const name of inPlace) assertOnce(contract, name)
  if (typeof handlers !== 'object' || handlers === null) {
    throw invalidArgument(
      `handlers must be an object with a function for each of the contract, not ${show(handlers)}`,
    )
  }
  const given = handlers as Readonly<Record<string, unknown>>
  for (const name in given) {
    if (Object.hasOwn(contract.methods, name) || given[name] === undefined) continue
    throw invalidArgument(
      `there is no '${name}' in the contract '${contract.name}'; there are: ${Object.keys(contract.methods).join(', ')}`,
    )
  }
  const at = { address, contract: contract.name }
  return contract.plans.map((plan) => {
    const handler = given[plan.name]
    if (typeof handler !== 'function') {
      throw invalidArgument(
        `the handler of '${plan.name}' must be a function, not ${show(handler)}`,
      )
    }
    if (inPlace.has(plan.name)) assertLendable(plan.name, 'argument', plan.input)
    return {
      plan,
      handler: watchedHandler(plan, at, (handler as AnyHandler).bind(handlers)),
      inPlace: inPlace.has(plan.name),
    }
  })
}

function assertOnce({ name: contractName, plans }: Contract, name: string): void {
  if (plans.some((plan) => plan.name === name && plan.kind === 'call')) return
  throw invalidArgument(`inPlace: there is no call '${name}' in the contract '${contractName}'`)
}

/** What a client has of its own. */
const own: ReadonlySet<string> = new Set([
  ...Object.getOwnPropertyNames(CallClient.prototype),
  ...['name', 'path'],
])

/** Both sides say so: neither is to find out by the other. */
function checkNames(contract: Contract): void {
  for (const { name } of contract.plans) {
    if (!own.has(name)) continue
    throw invalidArgument(
      `a client has a '${name}' of its own; call that function of the contract '${contract.name}' otherwise`,
    )
  }
}
