// What the users of a work queue write down, outside the queue: a file to which all append, one write(2) a line, so that what was
// written before a death stays. The same lines as in work_victims.hpp:
//   EVENT NANOSECONDS WHO JOB [MORE] .
// Whoever is killed in the write of a line that crosses a page leaves the part on the first one. So each begins on a new line, and counts
// if it has its end.

import {
  closeSync,
  constants,
  ftruncateSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monotonicNow } from 'millrace'

import type { StageEvent } from '../support/history/stages.js'

const events = {
  p: 'pushing',
  c: 'confirmed',
  s: 'taken',
  b: 'settling',
  d: 'settled',
  l: 'refused',
  e: 'extended',
  k: 'killed',
  x: 'buried',
  r: 'redriving',
  R: 'redriven',
} as const
export type Letter = keyof typeof events

export class Journal {
  readonly #path: string
  readonly #file: number

  private constructor(path: string, flags: number) {
    this.#path = path
    this.#file = openSync(path, flags | constants.O_APPEND, 0o600)
  }

  static create(queue: string): Journal {
    return new Journal(pathOf(queue), constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC)
  }

  static open(queue: string): Journal {
    return new Journal(pathOf(queue), constants.O_RDWR)
  }

  tell(letter: Letter, who: number, job: number, more = '', at = monotonicNow()): void {
    writeSync(this.#file, `\n${letter} ${at} ${who} ${job}${more === '' ? '' : ' '}${more} .`)
  }

  read(): StageEvent[] {
    const lines = readFileSync(this.#path, 'latin1').split('\n')
    return lines.filter((line) => line.endsWith(' .')).map((line) => parsed(line.slice(0, -2)))
  }

  /** Everything was judged; nobody is writing. */
  clear(): void {
    ftruncateSync(this.#file)
  }

  remove(): void {
    closeSync(this.#file)
    rmSync(this.#path)
  }
}

function pathOf(queue: string): string {
  const path = queue.startsWith('/') ? queue : join(process.env['TMPDIR'] ?? tmpdir(), queue)
  return `${path}.journal`
}

function parsed(line: string): StageEvent {
  const [letter, at, who, job, ...more] = line.split(' ')
  const event = events[letter as Letter]
  const base = { event, at: Number(at), who: Number(who), job: Number(job) }
  const [first = '', second = '', third = '', fourth = ''] = more
  if (event === 'pushing') {
    const group = second === '-' ? {} : { group: second }
    return { ...base, level: Number(first), delayed: third !== '0', ...group }
  }
  if (event === 'taken') {
    const stage = third === '' ? {} : { stage: Number(third) }
    const since = fourth === '' ? {} : { since: Number(fourth) }
    return { ...base, attempt: Number(first), acquired: Number(second), ...stage, ...since }
  }
  if (event === 'buried' && first !== '') return { ...base, stage: Number(first) }
  if (event === 'extended') return { ...base, since: Number(first) }
  return event === 'settling' ? { ...base, how: first } : base
}
