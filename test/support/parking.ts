// For tests that look at the words by which a queue's sides wake one another: a mapping of its segment, and what a test and
// its Worker agree about.

import { MappedFile, SharedMemory } from 'millrace'
import {
  consumerParked,
  consumerPosition,
  producerParked,
  producerPosition,
  ring,
} from './queue-words.js'

/** Of the Worker. */
export interface Task {
  readonly name: string
  /** What the Worker plays. */
  readonly role: 'consumer' | 'producer'
  readonly signs: SharedArrayBuffer
}

/** Of a message of 64 bytes. */
export const recordBytes = 72

/** Indices in `signs`, and what `order` says. */
export const sign = {
  order: 0,
  looping: 1,
  rounds: 2,
  visibleAt: 3,
  words: 4,
  turn: 1,
  end: 2,
} as const

/** Said instead of a position while it is not known yet. */
export const nowhere = -1

/** The queue's control words, its ring, and indices in the former as the given side sees them. */
export function lookInto(name: string, role: Task['role']) {
  const { buffer, size } = SharedMemory.open(new MappedFile(`/dev/shm/millrace.q.${name}`))
  const word = (offset: number) => (offset - producerPosition) / 4
  const isConsumer = role === 'consumer'
  return {
    control: new Int32Array(buffer, producerPosition, (ring - producerPosition) / 4),
    ring: new Int32Array(buffer, ring),
    capacity: size - ring,
    parked: word(isConsumer ? consumerParked : producerParked),
    own: word(isConsumer ? consumerPosition : producerPosition),
    theirs: word(isConsumer ? producerPosition : consumerPosition),
  }
}
