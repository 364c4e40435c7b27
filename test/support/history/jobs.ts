// Was every job done once, by one at a time, and in order? Judges what the users of a work queue have written down outside it,
// in one file to which all append: what is told after it happened (confirmed, taken, settled), what before (pushing, settling).
//
// Where leases end by time, one may lose a job and live. Who takes a job says since when its lease may have run, and does not tell
// of it after half of the lease: so each lease ends at the earliest when that time and the lease have passed, and a line that is
// older than that of the next holder, but comes after it, is of one that had the job before.

/** What a line of the journal says. */
export interface JobEvent {
  readonly event:
    | 'pushing'
    | 'confirmed'
    | 'taken'
    | 'settling'
    | 'settled'
    /** A settle was refused. */
    | 'refused'
    /** The lease of a job in hand was made longer. */
    | 'extended'
    /** `who` was killed, at this time. */
    | 'killed'
    /** The job was found among the dead letters, and thrown away. */
    | 'buried'
    /** Dead letters are sent round again; `job` is of no account. */
    | 'redriving'
    | 'redriven'
  /** Monotonic nanoseconds. */
  readonly at: number
  /** Whoever comes for one that was killed is somebody else. */
  readonly who: number
  readonly job: number
  /** Of `pushing`. */
  readonly level?: number
  readonly group?: string
  readonly delayed?: boolean
  /** Of `taken`: how often it was in hand, this time included, and how many attempts began. */
  readonly acquired?: number
  readonly attempt?: number
  /** Of `taken` and `extended`, where leases end by time: a time before it. */
  readonly since?: number
  /** Of `settling`. */
  readonly how?: string
}

export interface JobsVerdict {
  readonly violations: string[]
  readonly confirmed: number
  readonly taken: number
  /** Jobs of which it cannot be said whether they are done: who settled them was killed before it could tell. */
  readonly unknown: number
  /** Milliseconds from the death of a holder to the next time that its job was taken. */
  readonly redeliveries: number[]
  /** Jobs that somebody who lived had lost when he came to settle them. */
  readonly late: number
}

type State = 'open' | 'done' | 'dead' | 'perhaps done' | 'perhaps dead'

interface Story {
  readonly pushing: number
  readonly level: number
  readonly group: string | undefined
  /** Has a place of its own: neither delayed, nor behind others of a group, nor pushed twice. */
  inLine: boolean
  confirmed: number
  takes: number
  state: State
  holder: number | undefined
  /** Who settles it, and has not told that it is done: how, and since which line. */
  readonly settling: Map<number, Settling>
  lastTaken: number
  lastTakenAt: number
  /** The lease of the holder does not end before. */
  until: number
  /** Those who have lost it by time, and have not been told yet. */
  readonly overtaken: Set<number>
  died: number
}

interface Settling {
  readonly how: string
  readonly line: number
  /** As of the story, then. */
  readonly until: number
}

const noLine = -1

/**
 * Nobody is in the middle of anything at the end of `events`: what was there must have come to an end. `lease`: nanoseconds, where
 * leases end by time.
 */
export function judgeJobs(events: readonly JobEvent[], lease = Infinity): JobsVerdict {
  return new Judge(events, lease).judge()
}

/** What living users push, settle or have in hand, and have not told the end of, as "who job": the journal is not at rest. */
export function unfinished(events: readonly JobEvent[]): string[] {
  const open = new Set<string>()
  const killed = new Set<number>()
  for (const { event, who, job } of events) {
    // Who has lost a job to others has yet to find that out, and to say so.
    if (event === 'settling' || event === 'pushing' || event === 'taken') open.add(`${who} ${job}`)
    if (event === 'settled' || event === 'refused' || event === 'confirmed')
      open.delete(`${who} ${job}`)
    if (event === 'killed') killed.add(who)
  }
  return [...open].filter((key) => !killed.has(Number(key.split(' ')[0])))
}

class Judge {
  readonly #events: readonly JobEvent[]
  readonly #violations: { readonly job: number; readonly what: string }[] = []
  readonly #redeliveries: number[] = []
  readonly #jobs = new Map<number, Story>()
  readonly #groups = new Map<string, Set<Story>>()
  /** The line in which somebody told something last. */
  readonly #lastLine = new Map<number, number>()
  readonly #killedAt = new Map<number, number>()
  readonly #deaths: readonly number[]
  /** For each user and level: the line of the latest push of those jobs that it took before anybody else. */
  readonly #latest = new Map<string, number>()
  #redriveBegan = noLine
  #redriveEnded = noLine
  #redrivenAt = -Infinity
  #taken = 0
  #late = 0
  readonly #lease: number

  constructor(events: readonly JobEvent[], lease: number) {
    this.#events = events
    this.#lease = lease
    this.#deaths = events.filter(({ event }) => event === 'killed').map(({ at }) => at)
    for (const [line, { event, who, at }] of events.entries()) {
      if (event !== 'killed') this.#lastLine.set(who, line)
      else if (!this.#killedAt.has(who)) this.#killedAt.set(who, at)
    }
  }

  judge(): JobsVerdict {
    for (const [line, event] of this.#events.entries()) this.#read(line, event)
    let confirmed = 0
    let unknown = 0
    for (const [job, story] of this.#jobs) {
      if (story.confirmed !== noLine) confirmed++
      // What was taken was there, whether its push was confirmed or not.
      if (story.confirmed === noLine && story.takes === 0) continue
      if (story.state.startsWith('perhaps')) unknown++
      if (story.state === 'open') this.#wrong(job, 'is lost')
      if (story.state === 'dead') this.#wrong(job, 'is lost among the dead letters')
    }
    const violations = this.#violations.map(
      ({ job, what }) => `job ${job} ${what}: ${this.#tell(job)}`,
    )
    const [taken, late, redeliveries] = [this.#taken, this.#late, this.#redeliveries]
    return { violations, confirmed, taken, unknown, redeliveries, late }
  }

  /** All that is known of a job. */
  #tell(which: number): string {
    const all = this.#events.filter(({ job }) => job === which)
    return all.map(({ event, who, how = '' }) => `${event} ${how} ${who}`).join(', ')
  }

  #wrong(job: number, what: string): void {
    if (this.#violations.length < 10) this.#violations.push({ job, what })
  }

  #read(line: number, event: JobEvent): void {
    if (event.event === 'killed') return
    if (event.event === 'redriving') {
      this.#redriveBegan = line
      this.#redrivenAt = event.at
    } else if (event.event === 'redriven') this.#redriveEnded = line
    else if (event.event === 'pushing') this.#pushing(line, event)
    else {
      const story = this.#jobs.get(event.job)
      if (story === undefined) this.#wrong(event.job, `was ${event.event}, and nobody pushed it`)
      else if (event.event === 'confirmed') story.confirmed = line
      else if (event.event === 'taken') this.#take(line, event, story)
      else if (event.event === 'buried') this.#bury(event, story)
      else this.#settle(line, event, story)
    }
  }

  #pushing(line: number, { job, level = 0, group, delayed = false }: JobEvent): void {
    const known = this.#jobs.get(job)
    if (known !== undefined) {
      known.inLine = false
      return
    }
    const story: Story = {
      pushing: line,
      level,
      group,
      inLine: !delayed && group === undefined,
      confirmed: noLine,
      takes: 0,
      state: 'open',
      holder: undefined,
      settling: new Map(),
      lastTaken: noLine,
      lastTakenAt: -Infinity,
      until: Infinity,
      overtaken: new Set(),
      died: noLine,
    }
    this.#jobs.set(job, story)
    if (group === undefined) return
    const all = this.#groups.get(group) ?? new Set()
    this.#groups.set(group, all.add(story))
  }

  #take(line: number, event: JobEvent, story: Story): void {
    const { who, job, at, since = at } = event
    this.#taken++
    if (this.#lease !== Infinity && at < story.lastTakenAt) {
      story.overtaken.add(who)
      return
    }
    if (story.state === 'done') this.#wrong(job, `was taken by ${who} after its end`)
    if (story.state === 'dead' && Math.max(this.#redriveBegan, this.#redriveEnded) < story.died) {
      this.#wrong(job, `was taken by ${who} although it was a dead letter`)
    }
    if (story.holder !== undefined) this.#takeOver(line, event, story, story.holder)
    const wasDead = story.state === 'dead' || story.state === 'perhaps dead'
    if (wasDead) this.#leaveGroup(story)
    else if (story.group !== undefined) this.#inGroup(job, story)
    this.#inLine(event, story)
    story.takes++
    story.state = 'open'
    story.holder = who
    story.lastTaken = line
    story.lastTakenAt = at
    story.until = since + this.#lease
    story.overtaken.delete(who)
  }

  #takeOver(line: number, { who, job, at }: JobEvent, story: Story, holder: number): void {
    const killedAt = this.#killedAt.get(holder)
    if (at >= story.until) {
      story.overtaken.add(holder)
      if (killedAt === undefined || killedAt >= story.until) return
    }
    // One that was killed certainly had it as long as it told something.
    if (killedAt === undefined || this.#lastLine.get(holder)! > line) {
      this.#wrong(job, `was taken by ${who} while ${holder} had it`)
    } else if (killedAt >= this.#redrivenAt) {
      // What had expired by then was not taken again, but sent round.
      this.#redeliveries.push(Math.max(0, (at - killedAt) / 1e6))
    }
    story.holder = undefined
  }

  /** All of its group that were pushed before must be done with. */
  #inGroup(job: number, story: Story): void {
    for (const other of this.#groups.get(story.group!) ?? []) {
      if (other === story || other.confirmed === noLine) continue
      const before = other.confirmed < story.pushing
      if (before && other.state === 'open')
        this.#wrong(job, `was taken before an older one of group ${story.group}`)
      if (other.state === 'done') this.#groups.get(story.group!)!.delete(other)
    }
  }

  /** Sent round again it comes behind all others. */
  #leaveGroup(story: Story): void {
    if (story.group !== undefined) this.#groups.get(story.group)?.delete(story)
  }

  /** Of one level, who takes an older job for the first time has not taken a younger one before. */
  #inLine({ who, job, at, acquired = 1, attempt = 1 }: JobEvent, story: Story): void {
    if (!story.inLine || story.takes > 0 || acquired > 1 || attempt > 1) return
    const key = `${who} ${story.level}`
    const latest = this.#latest.get(key) ?? noLine
    if (story.confirmed !== noLine && latest > story.confirmed && !this.#perhapsKept(story, at)) {
      this.#wrong(job, `was taken by ${who} after one that was pushed later`)
    }
    this.#latest.set(key, Math.max(latest, story.pushing))
  }

  /**
   * Whoever dies between making a job its own and counting that leaves it to whoever buries it, and others take the next one
   * meanwhile; it may have found the job before its push was confirmed. The times tell: the line of a death comes later than
   * the death, and perhaps later than what others do after it.
   */
  #perhapsKept({ pushing }: Story, at: number): boolean {
    const since = this.#events[pushing]!.at
    return this.#deaths.some((death) => death >= since && death <= at)
  }

  #settle(line: number, event: JobEvent, story: Story): void {
    const { who, job, how = '', at, since = at } = event
    if (event.event === 'extended') {
      if (story.holder === who) story.until = Math.max(story.until, since + this.#lease)
      return
    }
    if (event.event === 'settling') {
      if (story.overtaken.has(who)) return
      if (story.holder !== who) this.#wrong(job, `is settled by ${who}, which does not have it`)
      story.holder = undefined
      story.settling.set(who, { how, line, until: story.until })
      if (how === 'complete') story.state = 'perhaps done'
      if (how === 'reject') story.state = 'perhaps dead'
      story.died = line
      return
    }
    if (event.event === 'refused') {
      this.#refused(event, story)
      return
    }
    const settling = story.settling.get(who)
    story.settling.delete(who)
    if (settling === undefined) {
      this.#wrong(job, `was settled by ${who}, which does not have it`)
      return
    }
    const gone = settling.how === 'complete' || settling.how === 'reject'
    const again = story.lastTaken > settling.line
    const redriven = Math.max(this.#redriveBegan, this.#redriveEnded) > settling.line
    if (gone && again && !(settling.how === 'reject' && redriven)) {
      this.#wrong(job, `was taken after ${who} had settled it`)
    }
    if (again) return
    if (settling.how === 'complete') story.state = 'done'
    if (settling.how === 'reject') story.state = 'dead'
  }

  #refused({ who, job, at }: JobEvent, story: Story): void {
    const settling = story.settling.get(who)
    story.settling.delete(who)
    const overtaken = story.overtaken.delete(who)
    if (!overtaken && at < (settling?.until ?? story.until)) {
      this.#wrong(job, `was taken away from ${who}, which was alive`)
      return
    }
    this.#late++
    if (overtaken || story.lastTaken > (settling?.line ?? Infinity)) return
    // Its lease was over, and nobody has taken it since.
    if (story.state !== 'done') story.state = 'open'
    story.holder = undefined
  }

  #bury({ job, at }: JobEvent, story: Story): void {
    if (story.state === 'done') this.#wrong(job, 'is done, and a dead letter')
    const held = story.holder !== undefined && at < story.until
    if (held && !this.#killedAt.has(story.holder!))
      this.#wrong(job, `is a dead letter, and ${story.holder} has it`)
    story.state = 'done'
  }
}
