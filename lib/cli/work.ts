// `millrace work COMMAND NAME`: work queues and pipelines from the shell.

import type { DeadLetter, DeadReason, Job } from '../work.js'
import { formatColumns } from './columns.js'
import { formatBytes, parseCount } from './quantities.js'
import { nameHere } from './here.js'
import { jobsUnder, openJobs, type Jobs } from './jobs.js'
import { written } from './output.js'
import { logAsAsked } from './telling.js'
import { logOptions, parseCommand, UsageError } from './usage.js'

const options = [
  'priority',
  'delay',
  'ttl',
  'id',
  'group',
  'timeout',
  'limit',
  'reason',
  'stage',
  ...logOptions,
] as const
const flags = ['json', 'lines'] as const

type Values = Partial<
  Record<(typeof options)[number], string> & Record<(typeof flags)[number], boolean>
>

interface Call {
  readonly rest: readonly string[]
  readonly values: Values
  readonly signal: AbortSignal
}

/** What each takes, and whether it makes the queue if there is none. */
const verbs: Readonly<
  Record<
    string,
    {
      readonly takes: readonly (keyof Values)[]
      readonly run: (jobs: Jobs, call: Call) => void | Promise<void>
    }
  >
> = {
  push: {
    takes: ['priority', 'delay', 'ttl', 'id', 'group', 'timeout', 'lines', 'json'],
    run: push,
  },
  take: { takes: ['limit', 'timeout', 'stage', 'json'], run: take },
  peek: { takes: ['limit', 'stage', 'json'], run: peek },
  dead: { takes: ['limit', 'stage', 'json'], run: dead },
  redrive: { takes: ['limit', 'reason', 'stage', 'json'], run: redrive },
}

/** A wide terminal shows no more of a payload or an error than a narrow one. */
const widest = 80
const most = 2 ** 20

export async function work(args: readonly string[], signal: AbortSignal): Promise<void> {
  const parsed = parseCommand('work', args, options, flags)
  if (parsed === undefined) return
  const { values } = parsed
  await logAsAsked(values)
  const [verb, name, ...rest] = parsed.positionals
  if (verb === undefined) {
    throw new UsageError(`work wants one of ls, ${Object.keys(verbs).join(', ')}`)
  }
  if (verb === 'ls') {
    if (rest.length > 0) throw new UsageError(`unexpected argument '${rest[0]!}'`)
    allow(verb, values, ['json'])
    ls(nameHere('work ls', name ?? ''), values)
    return
  }
  const found = verbs[verb]
  if (found === undefined) throw new UsageError(`unknown command 'work ${verb}'`)
  allow(verb, values, found.takes)
  if (name === undefined) throw new UsageError(`work ${verb} wants the name of a queue`)
  if (rest.length > (verb === 'push' ? 1 : 0)) {
    throw new UsageError(`unexpected argument '${rest.at(-1)!}'`)
  }
  using queue = await openJobs(name, { verb, stage: values.stage })
  await found.run(queue, { rest, values, signal })
}

function allow(verb: string, values: Values, known: readonly (keyof Values)[]): void {
  for (const option of Object.keys(values) as (keyof Values)[]) {
    if ((logOptions as readonly string[]).includes(option)) continue
    if (!known.includes(option)) throw new UsageError(`work ${verb} has no option --${option}`)
  }
}

function ls(prefix: string, { json }: Values): void {
  const found = jobsUnder(prefix)
  if (json === true) {
    print(found)
    return
  }
  if (found.length === 0) {
    process.stdout.write('nothing there\n')
    return
  }
  const isHeld = found.some(({ stages }) => stages !== undefined)
  const columns = [
    'ready',
    'leased',
    'delayed',
    'grouped',
    ...(isHeld ? (['held'] as const) : []),
    'dead',
    'handles',
  ] as const
  const row = (name: string, of: Readonly<Partial<Record<(typeof columns)[number], number>>>) => [
    ...columns.map((column) => (of[column] === undefined ? '-' : String(of[column]))),
    name,
  ]
  const heading = [...columns.map((column) => column.toUpperCase()), 'NAME']
  const rows = found.flatMap(({ name, stages, ...stats }) => [
    row(name, stats),
    ...Object.entries(stages ?? {}).map(([stage, { inHand, ...its }]) =>
      row(`  ${stage}`, { ...its, leased: inHand }),
    ),
  ])
  process.stdout.write(
    formatColumns(
      [heading, ...rows],
      columns.map((_, at) => at),
    ),
  )
}

async function push({ queue }: Jobs, { rest, values, signal }: Call): Promise<void> {
  const { id, group, lines } = values
  const given = {
    priority: number(values, 'priority', 0, 31),
    delay: number(values, 'delay', 0, 8_640_000_000),
    ttl: number(values, 'ttl', 1, 8_640_000_000),
    timeout: number(values, 'timeout', 0, 2 ** 31),
    id,
    group,
    signal,
  }
  if (lines === true && id !== undefined) {
    throw new UsageError('--lines and --id: all but the first would be duplicates')
  }
  const payloads = await payloadsOf(rest[0], lines === true)
  let duplicates = 0
  for (const payload of payloads) {
    if ((await queue.push(payload, given)).duplicate) duplicates++
  }
  const pushed = payloads.length - duplicates
  if (values.json === true) print({ pushed, duplicates })
  else {
    const known = duplicates === 0 ? '' : `, ${String(duplicates)} known already`
    process.stdout.write(`${counted(pushed)} pushed${known}\n`)
  }
}

/** The argument, or standard input: as one payload, or each of its lines. */
async function payloadsOf(text: string | undefined, lines: boolean): Promise<Buffer[]> {
  const chunks: Buffer[] = []
  if (text !== undefined) chunks.push(Buffer.from(text))
  else for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk)
  const all = Buffer.concat(chunks)
  if (!lines) return [all]
  const split = all.toString('latin1').split('\n')
  if (split.at(-1) === '') split.pop()
  return split.map((line) => Buffer.from(line, 'latin1'))
}

/** A job is complete, or goes on to the next stage, when it is written: who dies before that has taken nothing. */
async function take(jobs: Jobs, { values, signal }: Call): Promise<void> {
  const limit = number(values, 'limit', 1, most) ?? 1
  const timeout = number(values, 'timeout', 0, 2 ** 31)
  for (let i = 0; i < limit; i++) {
    const job = await jobs.takeOne({ signal, timeout })
    await written(
      values.json === true
        ? `${JSON.stringify(factsOf(job))}\n`
        : Buffer.concat([job.bytes, Buffer.from('\n')]),
    )
    // By an address it is a promise.
    await job.complete()
  }
}

/** Has them in hand for a moment, and gives them back to their places; no attempt counts. */
async function peek(jobs: Jobs, { values, signal }: Call): Promise<void> {
  const limit = number(values, 'limit', 1, most) ?? 10
  if (jobs.ready === 0) {
    process.stdout.write(values.json === true ? '[]\n' : 'nothing is ready\n')
    return
  }
  const found = await jobs.takeBatch(limit, { signal, timeout: 1000 })
  const facts = found.map(factsOf)
  for (const job of found) job.release()
  if (values.json === true) {
    print(facts)
    return
  }
  const rows = facts.map((fact) => [
    String(fact.priority),
    String(fact.attempt - 1),
    formatBytes(fact.bytes),
    fact.id ?? '-',
    fact.group ?? '-',
    fact.text,
  ])
  table(['PRIORITY', 'TRIED', 'SIZE', 'ID', 'GROUP', 'PAYLOAD'], rows, [0, 1, 2])
}

function dead({ queue, stages, stage }: Jobs, { values }: Call): void {
  const limit = number(values, 'limit', 1, most)
  const found = queue.dead
    .peek(stage === undefined ? { limit } : undefined)
    .filter((letter) => stage === undefined || letter.stage === stage)
    .slice(0, limit)
  if (values.json === true) {
    print(found.map((letter) => ({ ...letter, ...payloadOf(letter.bytes) })))
    return
  }
  if (found.length === 0) {
    process.stdout.write('nothing is dead\n')
    return
  }
  const row = (letter: DeadLetter) => [
    letter.diedAt.toISOString().slice(0, 19),
    letter.reason,
    String(letter.attempts),
    ...(stages === undefined ? [] : [letter.stage ?? '-']),
    letter.id ?? '-',
    letter.error ?? payloadOf(letter.bytes).text,
  ]
  const staged = stages === undefined ? [] : ['STAGE']
  table(['DIED', 'REASON', 'TRIED', ...staged, 'ID', 'ERROR'], found.map(row), [2])
}

function redrive({ queue, stage }: Jobs, { values }: Call): void {
  const reasons: readonly DeadReason[] = ['rejected', 'attempts', 'died', 'expired']
  const { reason } = values
  if (reason !== undefined && !(reasons as readonly string[]).includes(reason)) {
    throw new UsageError(`--reason must be one of ${reasons.join(', ')}, not '${reason}'`)
  }
  const redriven = queue.dead.redrive({
    limit: number(values, 'limit', 1, most),
    filter:
      reason === undefined && stage === undefined
        ? undefined
        : (letter) =>
            (reason === undefined || letter.reason === reason) &&
            (stage === undefined || letter.stage === stage),
  })
  if (values.json === true) print({ redriven })
  else process.stdout.write(`${counted(redriven)} sent round again\n`)
}

function factsOf(job: Job) {
  return {
    id: job.id,
    group: job.group,
    priority: job.priority,
    attempt: job.attempt,
    acquired: job.acquired,
    pushedAt: job.pushedAt,
    ...payloadOf(job.copy()),
  }
}

/** What is no text is shown as base64, and what it would be as text with signs for the rest. */
function payloadOf(payload: Buffer) {
  const text = payload.toString()
  const isText = Buffer.from(text).equals(payload)
  return { bytes: payload.length, text, base64: isText ? undefined : payload.toString('base64') }
}

/** Cut at the width of a terminal. */
function table(heading: string[], rows: readonly string[][], right: readonly number[]): void {
  const widths = heading.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)),
  )
  const room = widths.slice(0, -1).reduce((left, width) => left - Math.min(width, 24) - 2, widest)
  const last = Math.max(room, heading.at(-1)!.length)
  const cut = rows.map((row) =>
    row.map((cell, at) => shortened(cell, at === row.length - 1 ? last : 24)),
  )
  process.stdout.write(formatColumns([heading, ...cut], right))
}

function shortened(text: string, width: number): string {
  const signs = Array.from(text)
  return signs.length <= width ? text : `${signs.slice(0, width - 1).join('')}…`
}

function number(
  values: Values,
  option: (typeof options)[number],
  least: number,
  greatest: number,
): number | undefined {
  const text = values[option]
  return text === undefined ? undefined : parseCount(`--${option}`, text, least, greatest)
}

function counted(count: number): string {
  return `${String(count)} job${count === 1 ? '' : 's'}`
}

function print(found: unknown): void {
  process.stdout.write(`${JSON.stringify(found, undefined, 2)}\n`)
}
