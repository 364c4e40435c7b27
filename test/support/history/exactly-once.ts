// Did every message arrive once, whole and in order? For queues and frames, whose histories are too long to be
// searched for an order: here the order is known.

import type { Broken, Verdict } from './operation.js'

/** A message, with as much of its content (or a digest) as is needed to tell it from a torn or foreign one. */
export interface Message {
  /** Who sent it. One that was killed and its successor are two. */
  readonly producer: string
  /** Counts up by one with each message of its producer. */
  readonly sequence: number
  readonly content: string
}

export interface Sent extends Message {
  /**
   * `false`: the producer was killed while it sent this, which may have arrived or not. Nothing of this
   * producer can follow it.
   */
  readonly certain: boolean
}

export interface Tolerance {
  /** Messages that were reported lost (overwritten, or dropped), all of which must be missing. Default 0. */
  readonly lost?: number
  /**
   * Messages that may be missing because a consumer that was killed had taken them and not said so yet.
   * Default 0.
   */
  readonly inHand?: number
}

/**
 * Compares what one consumer (or a line of successors) received, in this order, with what was sent, in the
 * order of each producer.
 */
export function exactlyOnce(
  sent: Iterable<Sent>,
  received: Iterable<Message>,
  { lost = 0, inHand = 0 }: Tolerance = {},
): Verdict {
  const producers = new Map<string, Sent[]>()
  for (const message of sent) {
    const all = producers.get(message.producer) ?? []
    producers.set(message.producer, all)
    if (all.at(-1)?.certain === false) {
      return broken(
        `${name(message)} was sent after the producer was killed in ${name(all.at(-1)!)}`,
      )
    }
    if (message.sequence !== (all[0]?.sequence ?? message.sequence) + all.length) {
      return broken(`${name(message)} was sent as number ${all.length + 1} of its producer`)
    }
    all.push(message)
  }

  const next = new Map<string, number>()
  let missing: Sent[] = []
  for (const message of received) {
    const all = producers.get(message.producer)
    const at = message.sequence - (all?.[0]?.sequence ?? 0)
    const original = all?.[at]
    if (all === undefined || original === undefined)
      return broken(`${name(message)} was never sent`)
    const expected = next.get(message.producer) ?? 0
    if (at < expected) {
      return broken(`${name(message)} arrived again, or after ${name(all[expected - 1]!)}`)
    }
    if (original.content !== message.content) {
      return broken(
        `${name(message)} is not whole: ${cut(original.content)} was sent, ${cut(message.content)} arrived`,
      )
    }
    missing.push(...all.slice(expected, at))
    next.set(message.producer, at + 1)
  }
  for (const [producer, all] of producers) missing.push(...all.slice(next.get(producer) ?? 0))
  missing = missing.filter(({ certain }) => certain)

  if (missing.length < lost) {
    return broken(`${lost} were reported lost, but only ${missing.length} are missing`)
  }
  if (missing.length > lost + inHand) {
    return broken(
      `${missing.length} are missing, ${lost} were reported lost, and ${inHand} may have been taken by ` +
        `consumers that were killed: ${missing.slice(0, 5).map(name).join(', ')}${missing.length > 5 ? ', …' : ''}`,
    )
  }
  return { ok: true }
}

function broken(explanation: string): Broken {
  return { ok: false, explanation }
}

function name({ producer, sequence }: Message): string {
  return `message ${sequence} of ${producer}`
}

function cut(content: string): string {
  const most = 40
  return content.length <= most
    ? `'${content}'`
    : `'${content.slice(0, most)}…' (${content.length})`
}
