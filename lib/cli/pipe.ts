// What `send` and `recv` have in common. Every piece of input is one message; an empty message is the
// end. Without it, a sender that was interrupted and closed would look like one that was done.

import {
  MillraceError,
  type QueueConsumer,
  type QueueOptions,
  type QueueProducer,
} from '../index.js'
import { parseBytes, parseCount } from './quantities.js'
import { logAsAsked } from './telling.js'
import { logOptions, parseCommand, UsageError } from './usage.js'

/** Large enough for few wake-ups, small enough to stay in the caches. */
const defaultCapacity = 2 ** 20

export interface PipeArguments {
  readonly name: string
  /** As asked for, in bytes. */
  readonly capacity: number | undefined
  /** Milliseconds until the other side must have appeared. */
  readonly timeout: number
}

export async function parsePipeArguments(
  command: 'send' | 'recv',
  args: readonly string[],
): Promise<PipeArguments | undefined> {
  const parsed = parseCommand(command, args, ['capacity', 'timeout', ...logOptions])
  if (parsed === undefined) return undefined
  const { values, positionals } = parsed
  await logAsAsked(values)
  const [name, extra] = positionals
  if (name === undefined) throw new UsageError(`'${command}' needs the NAME of a queue`)
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`)
  return {
    name,
    capacity: values.capacity === undefined ? undefined : parseBytes('--capacity', values.capacity),
    timeout:
      values.timeout === undefined
        ? Infinity
        : parseCount('--timeout', values.timeout, 0, Number.MAX_SAFE_INTEGER),
  }
}

/** The address, if it is not this machine's memory. What connections need is not loaded for names. */
export async function elsewhere(name: string): Promise<string | undefined> {
  if (!name.includes('://') && (process.env['MILLRACE_ADDRESSES'] ?? '') === '') return undefined
  const { addressElsewhere } = await import('../net.js')
  return addressElsewhere(name)
}

/** Opens a side with the capacity asked for; without one, any capacity will do. */
export function openSide<Side extends QueueProducer | QueueConsumer>(
  open: (name: string, options: QueueOptions) => Side,
  { name, capacity }: PipeArguments,
): Side {
  // What a transfer that failed has left is no part of this one.
  const fresh = true
  if (capacity !== undefined) return open(name, { capacity, fresh })
  try {
    return open(name, { capacity: defaultCapacity, fresh })
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== 'ERR_MILLRACE_GEOMETRY') throw error
    return open(name, { fresh })
  }
}
