// `millrace recv NAME`: a queue to standard output.

import { MillraceError, type QueueConsumer, SpscQueue } from '../index.js'
import { isStream, writeAll } from './files.js'
import { openSide, parsePipeArguments } from './pipe.js'

const stdout = 1

export async function recv(args: readonly string[], signal: AbortSignal): Promise<void> {
  const pipe = parsePipeArguments('recv', args)
  if (pipe === undefined) return
  const consumer = openSide((name, options) => SpscQueue.consumer(name, options), pipe)
  try {
    await waitForSender(consumer, pipe.timeout, signal)
    await writeMessages(consumer, isStream(stdout) ? writeToStream : writeToFile, signal)
  } catch (error) {
    throw explain(error, pipe.name)
  } finally {
    consumer.close({ discard: true })
  }
}

type Write = (bytes: Uint8Array, signal: AbortSignal) => Promise<void>

/**
 * A write may last, and the next read overwrites the buffer, so one waits for the other; the sender fills
 * the ring meanwhile. An empty message adds nothing to the output, so it can serve as a receipt: it is taken
 * only when everything before it is written, and `send` waits for that.
 */
async function writeMessages(
  consumer: QueueConsumer,
  write: Write,
  signal: AbortSignal,
): Promise<void> {
  const buffer = Buffer.allocUnsafeSlow(consumer.capacity)
  for (;;) {
    if (!(await consumer.readable({ signal }))) return
    const filled = popMany(consumer, buffer)
    if (filled > 0) await write(buffer.subarray(0, filled), signal)
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

async function writeToFile(bytes: Uint8Array): Promise<void> {
  await writeAll(stdout, bytes)
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
