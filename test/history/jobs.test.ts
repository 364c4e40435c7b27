// Every job once, by one at a time, in order: what passes, and what does not.

import test, { type ExecutionContext } from 'ava'

import { judgeJobs, unfinished, type JobEvent } from '../support/history/jobs.js'

type Name = JobEvent['event']
type More = Partial<Omit<JobEvent, 'event' | 'who' | 'job'>>

/** `[event, who, job, more]`, a millisecond apart. */
type Line = readonly [event: Name, who: number, job: number, more?: More]

function journal(...lines: readonly Line[]): JobEvent[] {
  return lines.map(([event, who, job, more], i) => ({ event, who, job, at: i * 1e6, ...more }))
}

const [alice, bob, carol] = [1, 2, 3] as const
const complete: More = { how: 'complete' }

function pushed(who: number, job: number, more: More = {}): Line[] {
  return [
    ['pushing', who, job, more],
    ['confirmed', who, job],
  ]
}

function settled(who: number, job: number, how = 'complete'): Line[] {
  return [
    ['settling', who, job, { how }],
    ['settled', who, job],
  ]
}

function done(who: number, job: number): Line[] {
  return [['taken', who, job], ...settled(who, job)]
}

function passes(t: ExecutionContext, ...lines: readonly Line[]): void {
  t.deepEqual(judgeJobs(journal(...lines)).violations, [])
}

function fails(t: ExecutionContext, expected: RegExp, ...lines: readonly Line[]): void {
  const { violations } = judgeJobs(journal(...lines))
  t.is(violations.length, 1, violations.join('\n'))
  t.regex(violations[0]!, expected)
}

test('jobs that are pushed, taken and settled, also after they were given back', (t) => {
  passes(
    t,
    ...pushed(alice, 10),
    ...pushed(alice, 11),
    ['taken', bob, 10],
    ...settled(bob, 10, 'release'),
    ...done(carol, 11),
    ['taken', carol, 10],
    ...settled(carol, 10, 'retry'),
    ...done(bob, 10),
  )
})

test('a job that nobody takes is lost, if its push was confirmed', (t) => {
  fails(t, /10 is lost/, ...pushed(alice, 10))
  passes(t, ['pushing', alice, 10])
})

test('a job that was taken and neither settled nor taken again is lost, confirmed or not', (t) => {
  fails(t, /10 is lost/, ['pushing', alice, 10], ['taken', bob, 10], ['killed', bob, 0])
  fails(t, /10 is lost/, ...pushed(alice, 10), ['taken', bob, 10], ...settled(bob, 10, 'release'))
})

test('a job that nobody pushed', (t) => {
  fails(t, /10 was taken, and nobody pushed it/, ['taken', bob, 10])
})

test('two who have a job at a time', (t) => {
  const lines: Line[] = [...pushed(alice, 10), ['taken', bob, 10], ['taken', carol, 10]]
  fails(t, /taken by 3 while 2 had it/, ...lines, ...settled(carol, 10))
})

test('the job of one that was killed is taken by the next one, and how long that took is told', (t) => {
  const lines: Line[] = [
    ...pushed(alice, 10),
    ['taken', bob, 10],
    ['killed', bob, 0, { at: 3e6 }],
    ['taken', carol, 10, { at: 5.5e6 }],
    ...settled(carol, 10),
  ]
  passes(t, ...lines)
  t.deepEqual(judgeJobs(journal(...lines)).redeliveries, [2.5])
})

test('one that was killed had its job as long as it told anything', (t) => {
  fails(
    t,
    /taken by 3 while 2 had it/,
    ...pushed(alice, 10),
    ...pushed(alice, 11),
    ['taken', bob, 10],
    ['taken', carol, 10],
    ['taken', bob, 11],
    ['killed', bob, 0],
    ...settled(carol, 10),
    ...done(carol, 11),
  )
})

test('a job that is seen after its end', (t) => {
  fails(t, /taken by 3 after its end/, ...pushed(alice, 10), ...done(bob, 10), ...done(carol, 10))
})

test('a job that was taken by another before the one who completed it has told so', (t) => {
  fails(
    t,
    /was taken after 2 had settled it/,
    ...pushed(alice, 10),
    ['taken', bob, 10],
    ['settling', bob, 10, complete],
    ['taken', carol, 10],
    ['settled', bob, 10],
    ...settled(carol, 10),
  )
})

test('a job that was given back may be taken before that is told', (t) => {
  passes(
    t,
    ...pushed(alice, 10),
    ['taken', bob, 10],
    ['settling', bob, 10, { how: 'release' }],
    ...done(carol, 10),
    ['settled', bob, 10],
  )
})

test('who was killed while it settled has done so or not', (t) => {
  const lines: Line[] = [
    ...pushed(alice, 10),
    ['taken', bob, 10],
    ['settling', bob, 10, complete],
    ['killed', bob, 0],
  ]
  passes(t, ...lines)
  t.is(judgeJobs(journal(...lines)).unknown, 1)
  passes(t, ...lines, ...done(carol, 10))
  t.is(judgeJobs(journal(...lines, ...done(carol, 10))).unknown, 0)
})

test('a settle of a living one that was refused', (t) => {
  fails(
    t,
    /taken away from 2/,
    ...pushed(alice, 10),
    ['taken', bob, 10],
    ['settling', bob, 10, complete],
    ['refused', bob, 10],
  )
})

test('a settle by one who does not have the job', (t) => {
  const lines: Line[] = [...pushed(alice, 10), ['taken', bob, 10], ...settled(carol, 10)]
  fails(t, /is settled by 3, which does not have it/, ...lines)
})

test('dead letters are found, or lost', (t) => {
  const lines: Line[] = [...pushed(alice, 10), ['taken', bob, 10], ...settled(bob, 10, 'reject')]
  fails(t, /lost among the dead letters/, ...lines)
  passes(t, ...lines, ['buried', alice, 10])
  fails(t, /is done, and a dead letter/, ...pushed(alice, 10), ...done(bob, 10), [
    'buried',
    alice,
    10,
  ])
})

test('a dead letter is taken again only if it was sent round again', (t) => {
  const lines: Line[] = [...pushed(alice, 10), ['taken', bob, 10], ...settled(bob, 10, 'reject')]
  fails(t, /although it was a dead letter/, ...lines, ...done(carol, 10))
  passes(t, ...lines, ['redriving', alice, 0], ...done(carol, 10), ['redriven', alice, 0])
  passes(t, ...lines, ['redriving', alice, 0], ['redriven', alice, 0], ...done(carol, 10))
  fails(
    t,
    /although it was a dead letter/,
    ['redriving', alice, 0],
    ['redriven', alice, 0],
    ...lines,
    ...done(carol, 10),
  )
})

test('who takes an older job for the first time has not taken a younger one before', (t) => {
  const both = [...pushed(alice, 10), ...pushed(alice, 11)]
  fails(
    t,
    /10 was taken by 2 after one that was pushed later/,
    ...both,
    ...done(bob, 11),
    ...done(bob, 10),
  )
  // Of two, the one who took the older one may tell it later.
  passes(t, ...both, ...done(bob, 11), ...done(carol, 10))
  // It was in hand before; who had it could not tell.
  passes(t, ...both, ...done(bob, 11), ['taken', bob, 10, { attempt: 2 }], ...settled(bob, 10))
  // The younger one has a higher level.
  const levels = [...pushed(alice, 10), ...pushed(alice, 11, { level: 1 })]
  passes(t, ...levels, ...done(bob, 11), ...done(bob, 10))
  // Pushed at the same time.
  passes(
    t,
    ['pushing', alice, 10],
    ['pushing', carol, 11],
    ['confirmed', carol, 11],
    ['confirmed', alice, 10],
    ...done(bob, 11),
    ...done(bob, 10),
  )
  // It was put off.
  const delayed = [...pushed(alice, 10, { delayed: true }), ...pushed(alice, 11)]
  passes(t, ...delayed, ...done(bob, 11), ...done(bob, 10))
})

test('whoever was killed may have found the older job, and told nobody', (t) => {
  const dies = (at: number): Line => ['killed', carol, 0, { at }]
  const before: Line[] = [...pushed(alice, 10), ...pushed(alice, 11), ...done(bob, 11)]
  // The lines of the journal are a millisecond apart: the push of the older one is that of 0 to 1, its take that of 7.
  passes(t, ...before, dies(6.5e6), ...done(bob, 10))
  // The line of the death comes when all is over.
  passes(t, ...before, ...done(bob, 10), dies(6.5e6))
  // It found the job before its push was confirmed.
  passes(t, ...before, ...done(bob, 10), dies(0.5e6))
  // It died before there was the job, or after another one had it.
  const overtaken = /10 was taken by 2 after one that was pushed later/
  fails(t, overtaken, ...before, ...done(bob, 10), dies(-1))
  fails(t, overtaken, ...before, ...done(bob, 10), dies(9.5e6))
})

test('of a group one job at a time, the older ones first', (t) => {
  const group: More = { group: 'g' }
  const both = [...pushed(alice, 10, group), ...pushed(alice, 11, group)]
  passes(t, ...both, ...done(bob, 10), ...done(carol, 11))
  fails(t, /11 was taken before an older one/, ...both, ...done(bob, 11), ...done(bob, 10))
  const [first, ...rest] = done(bob, 10)
  fails(t, /11 was taken before an older one/, ...both, first!, ...done(carol, 11), ...rest)
  // Given back, it is still the first.
  fails(
    t,
    /11 was taken before an older one/,
    ...both,
    ['taken', bob, 10],
    ...settled(bob, 10, 'release'),
    ...done(carol, 11),
    ...done(bob, 10),
  )
  // As a dead letter it lets the others go on.
  passes(t, ...both, ['taken', bob, 10], ...settled(bob, 10, 'reject'), ...done(carol, 11), [
    'buried',
    alice,
    10,
  ])
})

test('a push that was repeated by its id counts as one', (t) => {
  passes(
    t,
    ['pushing', alice, 10],
    ['killed', alice, 0],
    ['pushing', bob, 10],
    ['confirmed', bob, 10],
    ...done(carol, 10),
  )
  fails(
    t,
    /taken by 3 after its end/,
    ['pushing', alice, 10],
    ['killed', alice, 0],
    ['pushing', bob, 10],
    ['confirmed', bob, 10],
    ...done(carol, 10),
    ...done(carol, 10),
  )
})

test('a journal is at rest when no living one is in the middle of anything', (t) => {
  const lines: Line[] = [...pushed(alice, 10), ['taken', bob, 10], ['settling', bob, 10, complete]]
  t.is(unfinished(journal(...lines)).length, 1)
  t.is(unfinished(journal(...lines, ['settled', bob, 10])).length, 0)
  t.is(unfinished(journal(...lines, ['killed', bob, 0])).length, 0)
  t.is(unfinished(journal(['pushing', alice, 10])).length, 1)
  // Somebody else has it, and who had it before does not know yet.
  const lost = [...lines.slice(0, 3), ['taken', alice, 10]] as typeof lines
  t.true(unfinished(journal(...lost)).includes(`${bob} 10`))
  t.false(unfinished(journal(...lost, ['refused', bob, 10])).includes(`${bob} 10`))
})

// Leases of 10 ms.
const lease = 10e6
const taken = (who: number, job: number, ms: number): Line => [
  'taken',
  who,
  job,
  { at: ms * 1e6, since: (ms - 1) * 1e6 },
]
const at = (event: Name, who: number, job: number, ms: number, more: More = {}): Line => [
  event,
  who,
  job,
  { at: ms * 1e6, ...more },
]
const told = (...lines: readonly Line[]) => judgeJobs(journal(...lines), lease)

test('leases: one that is over is taken by another, and what its holder does then is refused', (t) => {
  const { violations, late } = told(
    ...pushed(alice, 10),
    taken(bob, 10, 2),
    taken(carol, 10, 11),
    at('settling', bob, 10, 12, complete),
    at('refused', bob, 10, 12),
    at('settling', carol, 10, 13, complete),
    at('settled', carol, 10, 13),
  )
  t.deepEqual(violations, [])
  t.is(late, 1)
})

test('leases: one that is over, and that nobody has taken yet, is lost all the same', (t) => {
  const lines: Line[] = [
    ...pushed(alice, 10),
    taken(bob, 10, 2),
    at('settling', bob, 10, 11, complete),
    at('refused', bob, 10, 12),
  ]
  t.regex(told(...lines).violations[0]!, /job 10 is lost/)
  t.deepEqual(told(...lines, taken(carol, 10, 13), ...settled(carol, 10)).violations, [])
})

test('leases: none ends before its time', (t) => {
  const held = [...pushed(alice, 10), taken(bob, 10, 2)]
  const end = [...settled(carol, 10)]
  t.regex(told(...held, taken(carol, 10, 10), ...end).violations[0]!, /while 2 had it/)
  t.regex(
    told(...held, at('refused', bob, 10, 9), taken(carol, 10, 12), ...end).violations[0]!,
    /taken away from 2, which was alive/,
  )
  const settling = at('settling', bob, 10, 4, complete)
  t.regex(
    told(...held, settling, taken(carol, 10, 8), at('refused', bob, 10, 9), ...end).violations[0]!,
    /taken away from 2, which was alive/,
  )
  const extended = at('extended', bob, 10, 8, { since: 7e6 })
  t.regex(told(...held, extended, taken(carol, 10, 16), ...end).violations[0]!, /while 2 had it/)
  t.deepEqual(
    told(...held, extended, taken(carol, 10, 17), at('refused', bob, 10, 18), ...end).violations,
    [],
  )
})

test('leases: a settle that is too late must be refused, and a job has one end', (t) => {
  const held = [...pushed(alice, 10), taken(bob, 10, 2), taken(carol, 10, 11)]
  t.regex(
    told(...held, ...settled(bob, 10), ...settled(carol, 10)).violations[0]!,
    /was settled by 2, which does not have it/,
  )
  t.regex(
    told(
      ...pushed(alice, 10),
      taken(bob, 10, 2),
      at('settling', bob, 10, 11, complete),
      taken(carol, 10, 12),
      at('settled', bob, 10, 13),
      ...settled(carol, 10),
    ).violations[0]!,
    /was taken after 2 had settled it/,
  )
})

test('leases: a line that comes late is of one that had the job before', (t) => {
  const { violations } = told(
    ...pushed(alice, 10),
    taken(carol, 10, 15),
    taken(bob, 10, 2),
    ...settled(carol, 10),
    at('refused', bob, 10, 17),
  )
  t.deepEqual(violations, [])
})
