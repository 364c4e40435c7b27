// Every job through every stage: what passes, and what does not.

import test, { type ExecutionContext } from 'ava'

import { judgeStages, type StageEvent } from '../support/history/stages.js'

type Line = readonly [
  event: StageEvent['event'],
  who: number,
  job: number,
  more?: Partial<Omit<StageEvent, 'event' | 'who' | 'job'>>,
]

const stages = { count: 3, ordered: 1 }
const [alice, bob, carol, dave, erin] = [1, 2, 3, 4, 5] as const

/** A millisecond apart. */
function judged(lines: readonly Line[]): string[] {
  const events = lines.map(([event, who, job, more], i) => ({
    event,
    who,
    job,
    at: i * 1e6,
    ...more,
  }))
  return judgeStages(events, stages).violations
}

function passes(t: ExecutionContext, ...lines: readonly Line[]): void {
  t.deepEqual(judged(lines), [])
}

function fails(t: ExecutionContext, expected: RegExp, ...lines: readonly Line[]): void {
  const violations = judged(lines)
  t.is(violations.length, 1, violations.join('\n'))
  t.regex(violations[0]!, expected)
}

function pushed(job: number): Line[] {
  return [
    ['pushing', alice, job],
    ['confirmed', alice, job],
  ]
}

function settled(who: number, job: number, how = 'step'): Line[] {
  return [
    ['settling', who, job, { how }],
    ['settled', who, job],
  ]
}

function stepped(who: number, job: number, stage: number): Line[] {
  return [['taken', who, job, { stage }], ...settled(who, job)]
}

function through(job: number): Line[] {
  return [...stepped(bob, job, 0), ...stepped(carol, job, 1), ...stepped(dave, job, 2)]
}

test('jobs that go through all stages, also after they were given back', (t) => {
  passes(
    t,
    ...pushed(10),
    ...pushed(11),
    ...stepped(erin, 11, 0),
    ...stepped(bob, 10, 0),
    ['taken', carol, 11, { stage: 1 }],
    ...settled(carol, 11, 'retry'),
    ...stepped(carol, 10, 1),
    ...stepped(carol, 11, 1),
    ...stepped(dave, 10, 2),
    ...stepped(dave, 11, 2),
  )
})

test('a job that stays in a stage is lost', (t) => {
  fails(t, /^job 10 in stage 0 is lost/, ...pushed(10))
  fails(t, /^job 10 in stage 1 is lost/, ...pushed(10), ...stepped(bob, 10, 0))
  fails(t, /^job 10 in stage 2 is lost/, ...pushed(10), ...through(10).slice(0, 6))
})

test('a job whose worker is killed while it moves on is in one of the two stages', (t) => {
  const lines: Line[] = [
    ...pushed(10),
    ['taken', bob, 10, { stage: 0 }],
    ['settling', bob, 10, { how: 'step' }],
    ['killed', bob, 0],
  ]
  fails(t, /^job 10 in stage 1 is lost/, ...lines)
  passes(t, ...lines, ...stepped(carol, 10, 1), ...stepped(dave, 10, 2))
  passes(t, ...lines, ...through(10).map(([event, , ...rest]): Line => [event, dave, ...rest]))
})

test('a job that goes through a stage twice', (t) => {
  fails(
    t,
    /^job 10 in stage 1 was taken by 3 after its end/,
    ...pushed(10),
    ...through(10).slice(0, 6),
    ['taken', carol, 10, { stage: 1 }],
    ...settled(carol, 10),
    ...stepped(dave, 10, 2),
  )
})

test('a job that comes out twice', (t) => {
  fails(
    t,
    /^job 10 in stage 2 was taken by 2 after its end/,
    ...pushed(10),
    ...through(10),
    ...stepped(bob, 10, 2),
  )
})

test('a job that skips a stage', (t) => {
  fails(
    t,
    /^job 10 in stage 2 was taken, and nobody pushed it/,
    ...pushed(10),
    ['taken', bob, 10, { stage: 0 }],
    ['taken', dave, 10, { stage: 2 }],
    ['settling', bob, 10, { how: 'release' }],
    ['settled', bob, 10],
    ...through(10).slice(0, 6),
    ['taken', dave, 10, { stage: 2 }],
    ...settled(dave, 10),
  )
})

test('a dead letter ends where it was', (t) => {
  const lines: Line[] = [
    ...pushed(10),
    ...stepped(bob, 10, 0),
    ['taken', carol, 10, { stage: 1 }],
    ...settled(carol, 10, 'reject'),
  ]
  passes(t, ...lines, ['buried', 0, 10, { stage: 1 }])
  fails(t, /^job 10 in stage 1 is lost among the dead letters/, ...lines)
})

test('a job that overtakes behind the ordered stage', (t) => {
  const both = [...pushed(10), ...pushed(11), ...stepped(bob, 10, 0), ...stepped(bob, 11, 0)]
  const older = [...stepped(carol, 10, 1), ...stepped(dave, 10, 2)]
  const younger = [...stepped(erin, 11, 1), ...stepped(dave, 11, 2)]
  passes(t, ...both, ...older, ...younger)
  fails(t, /^job 10 came to 4 in stage 2 after 11/, ...both, ...younger, ...older)
})

test('jobs that were pushed at the same time have no order', (t) => {
  passes(
    t,
    ['pushing', alice, 10],
    ...pushed(11),
    ['confirmed', alice, 10],
    ...through(11),
    ...through(10),
  )
})

test('a job that comes back behind the ordered stage is no overtaker', (t) => {
  const older = [...stepped(bob, 10, 0), ...stepped(carol, 10, 1)]
  const again: Line[] = [['taken', dave, 10, { stage: 2, attempt: 2 }], ...settled(dave, 10)]
  passes(t, ...pushed(10), ...pushed(11), ...older, ...through(11), ...again)
})

test('a job that somebody died with who had not taken it yet is no overtaker', (t) => {
  const both = [...pushed(10), ...pushed(11), ...stepped(bob, 10, 0), ...stepped(bob, 11, 0)]
  const older = [...stepped(carol, 10, 1), ...stepped(dave, 10, 2)]
  const younger = [...stepped(erin, 11, 1), ...stepped(dave, 11, 2)]
  passes(t, ...both, ...younger, ['killed', 6, 0], ...older)
})
