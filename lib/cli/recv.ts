// `millrace recv NAME`: a queue to standard output, or a connection.

import { MillraceError, type QueueConsumer, SpscQueue } from '../index.js'
import { isStream, writeAll } from './files.js'
import { elsewhere, openSide, parsePipeArguments } from './pipe.js'

const stdout = 1

/** Messages up to so many bytes are written together, as many as fit into as much. */
const togetherBytes = 65_536

export async function recv(args: readonly string[], signal: AbortSignal): Promise<void> {
  const pipe = await parsePipeArguments('recv', args)
  if (pipe === undefined) return
  const address = await elsewhere(pipe.name)
  if (address !== undefined) {
    await (await import('./pipe-over.js')).recvOver(address, pipe, signal)
    return
  }
  const consumer = openSide((name, options) => SpscQueue.consumer(name, options), pipe)
  try {
    await waitForSender(consumer, pipe.timeout, signal)
    await (isStream(stdout) ? receiveToStream : receiveToFile)(consumer, signal)
  } catch (error) {
    throw explain(error, pipe.name)
  } finally {
    consumer.close({ discard: true })
  }
}

type Receive = (consumer: QueueConsumer, signal: AbortSignal) => Promise<void>

// An empty message adds nothing to the output, so it can serve as a receipt: it is taken only when everything before it is
// written, and `send` waits for that.

/** A write is over when it returns, so what is large is written from where it lies in the ring; what is small, together. */
const receiveToFile: Receive = async (consumer, signal) => {
  const together = Buffer.allocUnsafeSlow(togetherBytes)
  let filled = 0
  const flush = () => {
    writeAll(stdout, together.subarray(0, filled))
    filled = 0
  }
  const take = (message: Uint8Array) => {
    if (message.length === 0 || filled + message.length > together.length) flush()
    if (message.length > together.length) writeAll(stdout, message)
    else {
      together.set(message, filled)
      filled += message.length
    }
  }
  while (await consumer.readable({ signal })) {
    consumer.drain(take)
    flush()
  }
}

/**
 * A write may last, and the next read overwrites the buffer, so one waits for the other; the sender fills the ring meanwhile.
 */
const receiveToStream: Receive = async (consumer, signal) => {
  const buffer = Buffer.allocUnsafeSlow(consumer.capacity)
  for (;;) {
    if (!(await consumer.readable({ signal }))) return
    const filled = popMany(consumer, buffer)
    if (filled > 0) await writeToStream(buffer.subarray(0, filled), signal)
    if (consumer.nextLength === 0) consumer.tryPop()
  }
}

/** Copies messages one behind the other while they fit; stops before an empty one. */
function popMany(consumer: QueueConsumer, buffer: Buffer): number {
  let filled = 0
  for (;;) {
    const next = consumer.nextLength
    if (next <= 0 || filled + next > buffer.length) return filled
    filled += consumer.tryPopInto(buffer.subarray(filled))
  }
}

/** The timeout is for the sender to appear, not for its input. */
async function waitForSender(
  consumer: QueueConsumer,
  timeout: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    await consumer.readable({ signal, timeout })
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== 'ERR_MILLRACE_TIMEOUT') throw error
    if (consumer.peer === 'attached') return
    throw new MillraceError(
      'ERR_MILLRACE_TIMEOUT',
      `no sender appeared on '${consumer.name}' within ${timeout} ms: start ` +
        `'millrace send ${consumer.name}', or allow it more time with --timeout`,
    )
  }
}

function writeToStream(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      reject(signal.reason as Error)
    }
    if (signal.aborted) {
      onAbort()
      return
    }
    signal.addEventListener('abort', onAbort, { once: true })
    process.stdout.write(bytes, (error) => {
      signal.removeEventListener('abort', onAbort)
      if (error) reject(error)
      else resolve()
    })
  })
}

function explain(error: unknown, name: string): unknown {
  if (!(error instanceof MillraceError)) return error
  if (error.code === 'ERR_MILLRACE_PEER_FAILED') {
    const why = error.cause instanceof Error ? `: ${error.cause.message}` : ''
    return new MillraceError(
      error.code,
      `the sender on '${name}' failed before the end of its input${why}; what it sent is written`,
    )
  }
  if (error.code !== 'ERR_MILLRACE_PEER_GONE') return error
  return new MillraceError(
    error.code,
    `the sender on '${name}' died before the end of its input; what it sent is written`,
  )
}
