// `millrace pub ADDRESS SUBJECT` and `millrace sub ADDRESS FILTER...`: a bus from the shell, by a name or any address.

import { Topics, type TopicMessage } from '../topics.js'
import { written } from './output.js'
import { parseCount } from './quantities.js'
import { logAsAsked, tell, tellsRecords } from './telling.js'
import { logOptions, parseCommand, UsageError } from './usage.js'
import { tellWaiting } from './waiting.js'

const most = 2 ** 20

export async function pub(args: readonly string[], signal: AbortSignal): Promise<void> {
  const parsed = parseCommand('pub', args, ['timeout', ...logOptions], ['lines'])
  if (parsed === undefined) return
  await logAsAsked(parsed.values)
  const [address, subject, text, extra] = parsed.positionals
  if (address === undefined || subject === undefined) {
    throw new UsageError('pub wants an address and a subject')
  }
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`)
  const timeout = milliseconds(parsed.values.timeout)
  using bus = Topics.open(address)
  tellWaiting(bus.connection)
  const options = { signal, timeout }
  let matched = 0
  for await (const payload of payloads(text, parsed.values.lines === true)) {
    matched = await bus.publish(subject, payload, options)
  }
  process.stdout.write(`${String(matched)} ${matched === 1 ? 'subscriber' : 'subscribers'}\n`)
}

/** The text, or what standard input has: all of it, or line by line. */
async function* payloads(
  text: string | undefined,
  lines: boolean,
): AsyncGenerator<string | Buffer> {
  if (text !== undefined) {
    if (lines) throw new UsageError('--lines takes standard input, and no text')
    yield text
    return
  }
  if (lines) {
    const { createInterface } = process.getBuiltinModule('node:readline')
    for await (const line of createInterface({ input: process.stdin })) yield line
    return
  }
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk)
  yield Buffer.concat(chunks)
}

export async function sub(args: readonly string[], signal: AbortSignal): Promise<void> {
  const options = ['limit', 'replay', 'timeout', 'policy', ...logOptions] as const
  const parsed = parseCommand('sub', args, options, ['json'])
  if (parsed === undefined) return
  const { values } = parsed
  await logAsAsked(values)
  const [address, ...filters] = parsed.positionals
  if (address === undefined || filters.length === 0) {
    throw new UsageError('sub wants an address and a filter')
  }
  const limit = values.limit === undefined ? Infinity : parseCount('--limit', values.limit, 1, most)
  const timeout = milliseconds(values.timeout)
  const { policy = 'wait' } = values
  if (policy !== 'wait' && policy !== 'overwrite-oldest') {
    throw new UsageError(`--policy must be wait or overwrite-oldest, not '${policy}'`)
  }
  const replay =
    values.replay === 'last' || values.replay === undefined
      ? values.replay
      : parseCount('--replay', values.replay, 0, most)
  using bus = Topics.open(address)
  tellWaiting(bus.connection)
  using subscription = await bus.subscribe(filters, {
    policy,
    signal,
    replay,
    timeout,
  })
  for (let count = 0; count < limit; count++) {
    using message = await subscription.receive({ signal, timeout })
    const { missed, subject } = message
    // With --json it stands in the message.
    if (missed > 0 && (values.json !== true || tellsRecords())) {
      tell(
        'warn',
        { event: 'missed', channel: address, subject, missed },
        `${String(missed)} missed`,
      )
    }
    await written(
      values.json === true ? asJson(message) : `${message.subject}\t${message.text()}\n`,
    )
  }
}

function asJson(message: TopicMessage): string {
  const { subject, index, missed, publishedAt, headers } = message
  return `${JSON.stringify({ subject, text: message.text(), index, missed, publishedAt, headers })}\n`
}

function milliseconds(given: string | undefined): number | undefined {
  return given === undefined ? undefined : parseCount('--timeout', given, 0, 2 ** 31)
}
