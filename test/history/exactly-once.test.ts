// Exactly once, in order, whole: what passes, and what does not.

import test, { type ExecutionContext } from 'ava'

import {
  exactlyOnce,
  type Message,
  type Sent,
  type Tolerance,
} from '../support/history/exactly-once.js'

function message(producer: string, sequence: number): Message {
  return { producer, sequence, content: `content ${sequence} of ${producer}` }
}

function sent(producer: string, count: number, killed = false): Sent[] {
  return Array.from({ length: count }, (_, i) => ({
    ...message(producer, i),
    certain: !killed || i < count - 1,
  }))
}

function arrived(...numbers: readonly number[]): Message[] {
  return numbers.map((number) => message('a', number))
}

function refused(
  t: ExecutionContext,
  expected: RegExp,
  all: readonly Sent[],
  received: readonly Message[],
  tolerance?: Tolerance,
): void {
  const verdict = exactlyOnce(all, received, tolerance)
  t.false(verdict.ok)
  if (!verdict.ok) t.regex(verdict.explanation, expected)
}

test('everything once and in order, producer by producer', (t) => {
  t.true(exactlyOnce(sent('a', 3), arrived(0, 1, 2)).ok)
  t.true(exactlyOnce([], []).ok)
  const mixed = [message('b', 0), message('a', 0), message('b', 1), message('a', 1)]
  t.true(exactlyOnce([...sent('a', 2), ...sent('b', 2)], mixed).ok)
})

test('a loss, at the start, in the middle, at the end, or of everything', (t) => {
  refused(t, /1 are missing.*message 0 of a/, sent('a', 3), arrived(1, 2))
  refused(t, /1 are missing.*message 1 of a/, sent('a', 3), arrived(0, 2))
  refused(t, /1 are missing.*message 2 of a/, sent('a', 3), arrived(0, 1))
  refused(t, /3 are missing/, sent('a', 3), [])
})

test('a duplicate, and another order', (t) => {
  refused(t, /message 1 of a arrived again/, sent('a', 3), arrived(0, 1, 1, 2))
  refused(t, /message 1 of a arrived again, or after message 2/, sent('a', 3), arrived(0, 2, 1))
})

test('a message that is torn, and one that was never sent', (t) => {
  refused(t, /not whole/, sent('a', 1), [{ ...message('a', 0), content: 'content 0 of' }])
  refused(t, /message 3 of a was never sent/, sent('a', 3), arrived(0, 1, 2, 3))
  refused(t, /message 0 of b was never sent/, sent('a', 1), [...arrived(0), message('b', 0)])
})

test('losses are as many as were reported', (t) => {
  t.true(exactlyOnce(sent('a', 5), arrived(0, 3, 4), { lost: 2 }).ok)
  refused(t, /2 are missing, 1 were reported/, sent('a', 5), arrived(0, 3, 4), { lost: 1 })
  refused(t, /3 were reported lost, but only 2/, sent('a', 5), arrived(0, 3, 4), { lost: 3 })
})

test('of a producer that was killed the last message may be there, whole, or not', (t) => {
  t.true(exactlyOnce(sent('a', 3, true), arrived(0, 1)).ok)
  t.true(exactlyOnce(sent('a', 3, true), arrived(0, 1, 2)).ok)
  refused(t, /1 are missing/, sent('a', 3, true), arrived(0, 2))
  refused(t, /never sent/, sent('a', 3, true), arrived(0, 1, 2, 3))
  refused(t, /again/, sent('a', 3, true), arrived(0, 1, 2, 2))
  refused(t, /not whole/, sent('a', 1, true), [{ ...message('a', 0), content: '' }])
})

test('what a consumer had in its hand when it was killed', (t) => {
  t.true(exactlyOnce(sent('a', 3), arrived(0, 2), { inHand: 1 }).ok)
  t.true(exactlyOnce(sent('a', 3), arrived(0, 1, 2), { inHand: 1 }).ok)
  refused(t, /2 are missing/, sent('a', 3), arrived(0), { inHand: 1 })
})

test('a list of what was sent that cannot be', (t) => {
  const late = { ...message('a', 3), certain: true }
  refused(t, /was sent after the producer was killed/, [...sent('a', 3, true), late], [])
  refused(t, /as number 3/, [...sent('a', 2), late], [])
})
