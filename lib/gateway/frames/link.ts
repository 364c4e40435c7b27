// What two gateways say to each other over a connection of ours. Who takes frames says first what it takes; then each part is two messages,
// its head and its bytes, which are written to the slot as they arrive; and of each frame it is told what became of it.
//
//   sends:  head · bytes · head · bytes …
//   takes:  f64 bytes of a slot · then, for each frame: f64 ordinal, u8 outcome

import type { FrameDrop } from '../config.js'
import type { Outcome } from './target.js'

/** Told by both sides: another one is another language. */
export const linkFingerprint = 0x6d72_6631n

const factsBytes = 8
const answerBytes = 9
/** Their places are what goes over the connection. */
const outcomes: readonly Outcome[] = [
  'delivered',
  'loop',
  'duplicate',
  'too-large',
  'no-room',
  'incomplete',
  'damaged',
]

export function helloOf(slotBytes: number): Buffer {
  const hello = Buffer.allocUnsafe(factsBytes)
  hello.writeDoubleLE(slotBytes)
  return hello
}

/** Undefined: it is none. */
export function slotBytesOf(hello: Buffer | undefined): number | undefined {
  if (hello?.length !== factsBytes) return undefined
  const slotBytes = hello.readDoubleLE()
  return Number.isSafeInteger(slotBytes) && slotBytes > 0 ? slotBytes : undefined
}

export function answerOf(ordinal: number, outcome: Outcome): Buffer {
  const answer = Buffer.allocUnsafe(answerBytes)
  answer.writeDoubleLE(ordinal)
  answer.writeUInt8(Math.max(outcomes.indexOf(outcome), 0), factsBytes)
  return answer
}

export interface Answer {
  readonly ordinal: number
  readonly outcome: 'delivered' | 'loop' | 'duplicate' | FrameDrop
}

/** Undefined: it is none. */
export function readAnswer(answer: Buffer): Answer | undefined {
  if (answer.length !== answerBytes) return undefined
  const outcome = outcomes[answer.readUInt8(factsBytes)]
  return outcome === undefined ? undefined : { ordinal: answer.readDoubleLE(), outcome }
}
