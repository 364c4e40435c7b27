// `millrace call ADDRESS METHOD JSON`: a function that somebody serves, from the shell.

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { connect, contractAt, type CallOptions, type Contract } from '../rpc.js'
import { written } from './output.js'
import { parseCount } from './quantities.js'
import { inTime, reached } from './reaching.js'
import { logAsAsked } from './telling.js'
import { logOptions, parseCommand, UsageError } from './usage.js'
import { patiently } from './waiting.js'

type Plan = Contract['plans'][number]
type Client = Disposable &
  Readonly<Record<string, (input: unknown, options: CallOptions) => unknown>>

/** What is awaited for a server to appear, for it to say what it serves, and for the call. */
interface Limits {
  readonly waitForServer: number
  readonly connecting: number | undefined
  readonly options: CallOptions & { readonly signal: AbortSignal }
}

export async function call(args: readonly string[], signal: AbortSignal): Promise<void> {
  const parsed = parseCommand('call', args, ['contract', 'timeout', 'wait', ...logOptions])
  if (parsed === undefined) return
  const { values, positionals } = parsed
  await logAsAsked(values)
  const [address, name, text, extra] = positionals
  if (address === undefined) throw new UsageError('call wants an address')
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`)
  const timeout = milliseconds('--timeout', values.timeout)
  const wait = milliseconds('--wait', values.wait)
  const limits = {
    waitForServer: wait ?? 0,
    connecting: wait === undefined ? timeout : undefined,
    options: { signal, ...(timeout === undefined ? {} : { timeout }) },
  }
  const contract =
    values.contract === undefined ? await asked(address, limits) : await imported(values.contract)
  if (name === undefined) {
    list(contract)
    return
  }
  const plan = contract.plans.find((one) => one.name === name)
  if (plan === undefined) {
    const names = contract.plans.map((one) => one.name).join(', ')
    throw new UsageError(`'${contract.name}' has no '${name}'; it has ${names}`)
  }
  const input = inputOf(plan, text)
  using client = await connected(address, contract, limits)
  const result = client[plan.name]!(input, limits.options)
  if (plan.kind === 'call' || plan.kind === 'upload') await write(plan, await result)
  else for await (const item of result as AsyncIterable<unknown>) await write(plan, item)
}

async function connected(
  address: string,
  contract: Contract,
  { waitForServer, ...limits }: Limits,
): Promise<Client> {
  const client = await waited(address, limits, (signal) =>
    connect(address, contract, { waitForServer, signal }),
  )
  return client as unknown as Client
}

/** As long as there is time for connecting, and not in silence. */
function waited<T>(
  address: string,
  { connecting: timeout, options: { signal } }: Pick<Limits, 'connecting' | 'options'>,
  attempt: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return patiently(
    inTime(address, { timeout, signal }, attempt),
    () => `waiting for a server at '${address}'`,
  )
}

/** What a server says that it serves. */
async function asked(address: string, { waitForServer, ...limits }: Limits): Promise<Contract> {
  try {
    return await waited(address, limits, (signal) =>
      reached(() => contractAt(address, { signal }), waitForServer, signal),
    )
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== 'ERR_MILLRACE_UNSUPPORTED') throw error
    throw new UsageError(
      `'${address}' is shared memory, which does not say what is served there: name a module that has the contract, by --contract FILE`,
    )
  }
}

/** `FILE`, or `FILE#EXPORT` if it has several. */
async function imported(given: string): Promise<Contract> {
  const at = given.lastIndexOf('#')
  const [file, wanted] = at > 0 ? [given.slice(0, at), given.slice(at + 1)] : [given, undefined]
  let module: Readonly<Record<string, unknown>>
  try {
    module = (await import(pathToFileURL(resolve(file)).href)) as typeof module
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const hint =
      code === 'ERR_UNKNOWN_FILE_EXTENSION'
        ? `; where tsx is installed, NODE_OPTIONS='--import tsx' loads TypeScript`
        : ''
    throw new UsageError(`--contract '${file}' cannot be loaded: ${message}${hint}`)
  }
  const found = Object.entries(module).filter(
    ([name, value]) => isContract(value) && (wanted === undefined || name === wanted),
  )
  if (found.length === 1) return found[0]![1] as Contract
  const names = found.map(([name]) => name).join(', ')
  throw new UsageError(
    found.length > 1
      ? `--contract '${file}' has several contracts: name one, as '${file}#NAME', of ${names}`
      : `--contract '${file}' exports no contract${wanted === undefined ? '' : ` '${wanted}'`}`,
  )
}

function isContract(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'plans' in value && 'fingerprint' in value
}

/** The value of the text; many values for functions that take many: lines of standard input, unless there is a text. */
function inputOf(plan: Plan, text: string | undefined): unknown {
  const isMany = plan.kind === 'upload' || plan.kind === 'duplex'
  if (isMany) return text === undefined ? lines(plan) : [valueOf(plan, text)]
  return text === undefined ? undefined : valueOf(plan, text)
}

async function* lines(plan: Plan): AsyncGenerator {
  const { createInterface } = process.getBuiltinModule('node:readline')
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() !== '') yield valueOf(plan, line)
  }
}

function valueOf({ input }: Plan, text: string): unknown {
  if (input.codec.name === 'bytes') return Buffer.from(text)
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new UsageError(`'${text}' is no JSON: ${(error as Error).message}`)
  }
}

function list({ name, codec, plans }: Contract): void {
  const width = Math.max(...plans.map((plan) => plan.name.length))
  const all = plans.map(({ name: one, kind, idempotent }) => {
    const facts = [kind, ...(idempotent ? ['idempotent'] : [])].join(', ')
    return `  ${one.padEnd(width)}  ${facts}\n`
  })
  process.stdout.write(`${name}, by ${codec}\n${all.join('')}`)
}

/** Bytes as they are; anything else as a line of JSON, and nothing for nothing. Waits for whoever reads it. */
async function write({ output }: Plan, value: unknown): Promise<void> {
  if (value === undefined) return
  const bytes =
    output.codec.name === 'bytes' ? (value as Uint8Array) : `${JSON.stringify(value, readable)}\n`
  await written(bytes)
}

/** What JSON has no form for. */
function readable(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Map) return [...value]
  return value instanceof Set ? [...value] : value
}

function milliseconds(option: string, given: string | undefined): number | undefined {
  return given === undefined ? undefined : parseCount(option, given, 0, 2 ** 31)
}
