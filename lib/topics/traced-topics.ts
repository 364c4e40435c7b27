// What who looks on is shown of messages: when they are published, and received.

import type { ReceiveTrace, SendTrace } from '../base/traced.js'
import { receiving, sending, traced } from '../base/tracing.js'
import { plainHeaders, type Headers } from './headers.js'
import type { TopicMessage } from './message.js'
import type { PublishOptions } from './options.js'

const { bytesIn, packTrace, trace } = traced()

/** With what it is published: `context`, if it is another one than the headers have, is not among them. */
type Publish = (
  options: PublishOptions | undefined,
  context: Uint8Array | undefined,
) => Promise<number>

export function tracedPublish(
  { name }: { readonly name: string },
  subject: string,
  payload: unknown,
  options: PublishOptions | undefined,
  publish: Publish,
): Promise<number> {
  const lengths = Array.isArray(payload) ? payload.map(bytesIn) : [bytesIn(payload)]
  let headers: Headers | undefined
  let wrong: { readonly error: unknown } | undefined
  try {
    headers = plainHeaders(options?.headers)
  } catch (error) {
    // What can be read once was read.
    wrong = { error }
  }
  const given = headers?.['traceparent']
  const context: SendTrace = {
    operation: Array.isArray(payload) ? 'publishBatch' : 'publish',
    kind: 'topics',
    destination: name,
    subject,
    id: undefined,
    group: undefined,
    count: lengths.length,
    bytes: lengths.reduce((sum, length) => sum + length, 0),
    traceparent: given,
  }
  return trace(sending, context, () => {
    if (wrong !== undefined) throw wrong.error
    const other = context.traceparent === given ? undefined : packTrace(context.traceparent)
    if (headers === undefined) return publish(options, other)
    const { traceparent: _given, ...rest } = headers
    return publish({ ...options, headers: other === undefined ? headers : rest }, other)
  })
}

export function tracedReceive<T extends TopicMessage | readonly TopicMessage[]>(
  { destination, source }: { readonly destination: string; readonly source: string },
  operation: 'receive' | 'receiveBatch',
  receive: () => Promise<T>,
): Promise<T> {
  const context: ReceiveTrace = {
    ...{ operation, kind: 'topics', destination, source, group: undefined },
    messages: [],
  }
  return trace(receiving, context, async () => {
    const found = await receive()
    const all = (Array.isArray(found) ? found : [found]) as readonly TopicMessage[]
    context.messages = all.map((message) => ({
      subject: message.subject,
      id: undefined,
      bytes: message.length,
      traceparent: contextOf(message),
    }))
    return found
  })
}

/** A publisher that lies has written no headers: that is for whoever reads them. */
function contextOf(message: TopicMessage): string | undefined {
  try {
    return message.headers['traceparent']
  } catch {
    return undefined
  }
}
