// `millrace send NAME`: standard input into a queue, or over a connection.

import { isatty } from 'node:tty'
import { MillraceError, type QueueProducer, SpscQueue } from '../index.js'
import { isStream, readInto } from './files.js'
import { elsewhere, openSide, parsePipeArguments } from './pipe.js'
import { dieIfInterrupted } from './process-end.js'
import { tellLog, tellsRecords } from './telling.js'

const stdin = 0

export async function send(args: readonly string[], signal: AbortSignal): Promise<void> {
  const pipe = await parsePipeArguments('send', args)
  if (pipe === undefined) return
  const address = await elsewhere(pipe.name)
  if (address !== undefined) {
    await (await import('./pipe-over.js')).sendOver(address, pipe, signal)
    return
  }
  const producer = openSide((name, options) => SpscQueue.producer(name, options), pipe)
  try {
    if (isatty(stdin)) announce(producer)
    await waitForReceiver(producer, pipe.timeout, signal)
    if (isStream(stdin)) await sendStream(producer, process.stdin, signal)
    else await sendFile(producer, signal)
    // `recv` takes an empty message only when everything before it is written: now end() means that.
    await producer.push('', { signal })
    await producer.end({ signal })
  } catch (error) {
    // A receiver must not take half a file for a whole one.
    if (!producer.closed && producer.peer === 'attached') {
      await dieIfInterrupted(signal)
      producer.abort(error)
    }
    throw explain(error, pipe.name)
  } finally {
    producer.close({ discard: producer.closed || producer.peer !== 'attached' })
  }
}

/** Who sits at a terminal sees otherwise nothing happen. */
function announce({ name, peer }: QueueProducer): void {
  const waits = peer === 'attached' ? '' : `waiting for 'millrace recv ${name}'; then `
  const said = `${waits}sending what is typed here, until Ctrl-D at the start of a line`
  if (tellsRecords()) tellLog('info', { event: 'typing', channel: name }, said)
  else process.stderr.write(`${said}\n`)
}

async function waitForReceiver(
  producer: QueueProducer,
  timeout: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    await producer.waitForPeer({ signal, timeout })
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== 'ERR_MILLRACE_TIMEOUT') throw error
    throw new MillraceError(
      'ERR_MILLRACE_TIMEOUT',
      `no receiver appeared on '${producer.name}' within ${timeout} ms: start ` +
        `'millrace recv ${producer.name}', or allow it more time with --timeout`,
    )
  }
}

/** Reads straight into the ring: the only copy is the kernel's. */
async function sendFile(producer: QueueProducer, signal: AbortSignal): Promise<void> {
  const piece = pieceBytes(producer)
  for (;;) {
    using room = await producer.reserveWhenFree(piece, { signal })
    const length = readInto(stdin, room.bytes)
    if (length === 0) return
    assertReceiver(producer)
    room.commit(length)
  }
}

async function sendStream(
  producer: QueueProducer,
  stream: NodeJS.ReadStream,
  signal: AbortSignal,
): Promise<void> {
  const piece = pieceBytes(producer)
  const onAbort = () => {
    stream.destroy(signal.reason as Error)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  signal.throwIfAborted()
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; at += piece) {
      assertReceiver(producer)
      await producer.push(chunk.subarray(at, at + piece), { signal })
    }
  }
}

/** Several fit at once, so that both sides can work at the same time. */
function pieceBytes(producer: QueueProducer): number {
  return Math.floor(producer.capacity / 4) - 8
}

/** While there is room, pushing succeeds without a receiver; sending on would be in vain. */
function assertReceiver(producer: QueueProducer): void {
  const { peer } = producer
  if (peer === 'attached') return
  // Put into words by explain().
  if (peer === 'gone') throw new MillraceError('ERR_MILLRACE_PEER_GONE', '')
  throw new MillraceError(
    peer === 'failed' ? 'ERR_MILLRACE_PEER_FAILED' : 'ERR_MILLRACE_CLOSED',
    '',
  )
}

function explain(error: unknown, name: string): unknown {
  if (!(error instanceof MillraceError)) return error
  if (error.code === 'ERR_MILLRACE_PEER_GONE') {
    return new MillraceError(
      error.code,
      `the receiver on '${name}' died before it had read everything`,
    )
  }
  if (error.code === 'ERR_MILLRACE_PEER_FAILED') {
    const why = error.cause instanceof Error ? `: ${error.cause.message}` : ''
    return new MillraceError(
      error.code,
      `the receiver on '${name}' failed before it had read everything${why}`,
    )
  }
  if (error.code === 'ERR_MILLRACE_CLOSED') {
    return new MillraceError(
      error.code,
      `the receiver on '${name}' closed before it had read everything`,
    )
  }
  return error
}
