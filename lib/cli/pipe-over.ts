// `send` and `recv` by an address: the receiver listens, the sender connects, pieces of the input are messages. An empty message back
// is the receipt: everything is written. A transport of one direction has none, and then what the system has taken is sent.

import { MillraceError } from '../index.js'
import { connect, listen, type Channel } from '../net.js'
import type { PipeArguments } from './pipe.js'
import { dieIfInterrupted } from './process-end.js'
import { isNobodyThere, reached } from './reaching.js'
import { patiently } from './waiting.js'

export async function sendOver(
  address: string,
  { capacity, timeout }: PipeArguments,
  signal: AbortSignal,
): Promise<void> {
  const channel = await patiently(
    connected(address, capacity, timeout, signal),
    () => `waiting for 'millrace recv ${address}'`,
  )
  try {
    await sendAll(channel, signal)
    await channel.end({ signal })
    const isWritten =
      channel.traits.directions !== 'both' || (await channel.receive({ signal })) !== undefined
    if (!isWritten) throw new MillraceError('ERR_MILLRACE_CLOSED', '')
    await channel.close()
  } catch (error) {
    // A receiver must not take half a file for a whole one.
    await dieIfInterrupted(signal)
    channel.destroy()
    throw explain(error, `the receiver at '${address}'`, 'before it had read everything')
  }
}

async function connected(
  address: string,
  highWaterMark: number | undefined,
  timeout: number,
  signal: AbortSignal,
): Promise<Channel> {
  const end = performance.now() + timeout
  try {
    return await reached(
      () => {
        const left = Math.max(end - performance.now(), 0)
        return connect(address, { signal, highWaterMark, timeout: left })
      },
      timeout,
      signal,
    )
  } catch (error) {
    const { code } = error as { readonly code?: unknown }
    const isNobody = isNobodyThere(error) || code === 'ERR_MILLRACE_TIMEOUT'
    throw isNobody ? nobody(address, 'receiver', 'recv', timeout) : error
  }
}

async function sendAll(channel: Channel, signal: AbortSignal): Promise<void> {
  const input = process.stdin
  const onAbort = () => {
    input.destroy(signal.reason as Error)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  signal.throwIfAborted()
  for await (const piece of input as AsyncIterable<Buffer>) await channel.send(piece, { signal })
}

export async function recvOver(
  address: string,
  { capacity, timeout }: PipeArguments,
  signal: AbortSignal,
): Promise<void> {
  const channel = await accepted(address, capacity, timeout, signal)
  try {
    for await (const piece of channel.messages({ signal })) await write(piece, signal)
    if (channel.traits.directions === 'both') await channel.send('', { signal })
    await channel.close()
  } catch (error) {
    channel.destroy()
    throw explain(
      error,
      `the sender at '${address}'`,
      'before the end of its input; what it sent is written',
    )
  }
}

/** The first one that comes. */
async function accepted(
  address: string,
  highWaterMark: number | undefined,
  timeout: number,
  signal: AbortSignal,
): Promise<Channel> {
  const listener = await listen(address, { signal, highWaterMark })
  try {
    const channel = await patiently(
      listener.accept({ signal, timeout }),
      () => `waiting for 'millrace send ${listener.address}'`,
    )
    if (channel !== undefined) return channel
    throw new MillraceError('ERR_MILLRACE_CLOSED', `nobody listens at '${address}' any more`)
  } catch (error) {
    const { code } = error as { readonly code?: unknown }
    throw code === 'ERR_MILLRACE_TIMEOUT' ? nobody(address, 'sender', 'send', timeout) : error
  } finally {
    await listener.close()
  }
}

/** Waits for whoever reads it. */
function write(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const onAbort = () => {
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    process.stdout.write(bytes, (error) => {
      signal.removeEventListener('abort', onAbort)
      if (error) reject(error)
      else resolve()
    })
  })
}

function nobody(address: string, who: string, command: string, timeout: number): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_TIMEOUT',
    `no ${who} appeared at '${address}' within ${String(timeout)} ms: start ` +
      `'millrace ${command} ${address}', or allow it more time with --timeout`,
  )
}

function explain(error: unknown, who: string, when: string): unknown {
  if (!(error instanceof MillraceError)) return error
  if (error.code === 'ERR_MILLRACE_PEER_GONE') {
    return new MillraceError(error.code, `${who} died ${when}`)
  }
  if (error.code !== 'ERR_MILLRACE_CLOSED') return error
  return new MillraceError(error.code, `${who} closed ${when}`)
}
