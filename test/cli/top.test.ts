// `millrace top` on a terminal: what stands there, and what keys do.

import { execFileSync } from 'node:child_process'
import test, { type ExecutionContext } from 'ava'
import { SpscQueue } from 'millrace'
import { WorkQueue } from 'millrace/work'
import { uniqueName } from '../support/names.js'
import { command, start, until } from './run.js'
import { keys, Terminal } from './terminal.js'

const onTerminals = hasScript() ? test.serial : test.skip

/** util-linux has it; the one of other systems has other options. */
function hasScript(): boolean {
  try {
    return execFileSync('script', ['--version']).includes('util-linux')
  } catch {
    return false
  }
}

/** Queues `NAME-01` to `NAME-30`; of each there are as many messages as its number says. */
function fill(t: ExecutionContext, count: number): string {
  const name = uniqueName(t)
  for (let number = 1; number <= count; number++) {
    const consumer = SpscQueue.consumer(nameOf(name, number), { capacity: 2 ** 14 })
    const producer = SpscQueue.producer(nameOf(name, number))
    for (let message = 0; message < number; message++) producer.tryPush('x')
    t.teardown(() => {
      consumer.drain(() => undefined)
      producer.close()
      consumer.close()
    })
  }
  return name
}

const nameOf = (name: string, number: number) => `${name}-${String(number).padStart(2, '0')}`
const namesIn = (lines: readonly string[]) =>
  lines.slice(1, -1).flatMap((line) => /^queue +\S*-(\d\d)\b/.exec(line)?.[1] ?? [])

onTerminals(
  'it fills the screen, and its last line tells the keys and how much there is',
  async (t) => {
    const name = fill(t, 30)
    const terminal = new Terminal(t, ['top', name, '--interval', '100', '--sort', 'name'])
    await terminal.shows((lines) => namesIn(lines).length === 22, 'a screen of rows')
    t.true(terminal.isOther)
    t.regex(
      terminal.lines[0]!,
      /^KIND +▲NAME +IN\/S {2,}OUT\/S {2,}DEPTH {2,}OLDEST {2,}HAND {2,}DROPS\/S {2,}PEERS$/,
    )
    t.is(
      terminal.lastLine,
      '/ filter  1-8 sort  r reverse  ↑↓ scroll  space stop  q quit          1-22 of 30',
    )
    t.deepEqual(namesIn(terminal.lines).slice(0, 2), ['01', '02'])
    terminal.press('q')
    t.is(await terminal.ended, 0)
    t.false(terminal.isOther, 'the screen as it was before is back')
    t.true(terminal.written.endsWith('\u001b[?25h\u001b[?1049l'), 'with its cursor')
  },
)

onTerminals('keys sort, reverse and scroll', async (t) => {
  const name = fill(t, 30)
  const terminal = new Terminal(t, ['top', name, '--interval', '100'])
  const first = (wanted: string, what: string) =>
    terminal.shows((lines) => namesIn(lines)[0] === wanted, what)
  await first('01', 'nothing comes in, so it is in the order of names')
  terminal.press('4')
  await first('30', 'the deepest first')
  t.regex(terminal.lines[0]!, / ▼DEPTH /)
  terminal.press('4')
  await first('01', 'the same key again reverses that')
  t.regex(terminal.lines[0]!, / ▲DEPTH /)
  terminal.press('r')
  await first('30', 'and so does r')
  terminal.press(keys.down)
  await first('29', 'a row further down')
  t.regex(terminal.lastLine, / 2-23 of 30$/)
  terminal.press(keys.pageDown)
  await first('22', 'a page, but no further than the last row')
  terminal.press(keys.up)
  await first('23', 'a row up')
  terminal.press(keys.end)
  await first('22', 'the end')
  t.regex(terminal.lastLine, / 9-30 of 30$/)
  terminal.press('1')
  await first('01', 'another order begins at its top')
  terminal.press(keys.right)
  await terminal.shows(([heading]) => heading?.includes(' ▼IN/S ') === true, 'the column beside it')
  terminal.press(keys.interrupt)
  t.is(await terminal.ended, 130)
  t.false(terminal.isOther)
})

onTerminals('what is typed after / is looked for at once', async (t) => {
  const name = fill(t, 30)
  const jobs = WorkQueue.open(`${name}-jobs`)
  t.teardown(() => {
    jobs.close()
  })
  const terminal = new Terminal(t, ['top', name, '--interval', '100', '--sort', 'name'])
  const shows = (wanted: readonly string[], what: string) =>
    terminal.shows((lines) => namesIn(lines).join() === wanted.join(), what)
  await terminal.shows((lines) => lines.some((line) => line.startsWith('queue')), 'rows')
  terminal.press('/')
  await terminal.shows((lines) => (lines.at(-1) ?? '').startsWith('Filter: █'), 'it asks what for')
  terminal.press(`${name}-1`)
  const tens = ['10', '11', '12', '13', '14', '15', '16', '17', '18', '19']
  await shows(tens, 'while one types')
  t.true(terminal.lastLine.startsWith(`Filter: ${name}-1█  Enter keeps it`), terminal.lastLine)
  t.regex(terminal.lastLine, / 1-10 of 10 \(31\)$/)
  terminal.press('7\u001b[200~\u0007')
  await shows(['17'], 'what is no part of a name is not typed')
  terminal.press('\u007f')
  await shows(tens, 'a sign less')
  terminal.press(keys.enter)
  await terminal.shows(
    (lines) => (lines.at(-1) ?? '').startsWith(`[${name}-1]  / filter `),
    'it is kept',
  )
  terminal.press(keys.escape)
  await terminal.shows((lines) => (lines.at(-1) ?? '').startsWith('/ filter '), 'and left')
  t.is(namesIn(terminal.lines).length, 22)

  terminal.press('/WORK jobs\r')
  await terminal.shows((lines) => /^work +\S+-jobs /.test(lines[1] ?? ''), 'by its kind, too')
  t.is(terminal.lines[2], '')
  terminal.press('/\u0015nobody\r')
  await terminal.shows(
    (lines) => lines[0] === 'nothing there that the filter lets through',
    'nothing',
  )
  t.regex(terminal.lastLine, / 0 \(31\)$/)
  terminal.press('q')
  t.is(await terminal.ended, 0)
})

onTerminals('it stands still by space, and does not look meanwhile', async (t) => {
  const name = uniqueName(t)
  const terminal = new Terminal(t, ['top', name, '--interval', '100'])
  await terminal.shows(([line]) => line === 'nothing there', 'nothing')
  terminal.press(' ')
  await terminal.shows((lines) => (lines.at(-1) ?? '').endsWith('  stopped, 0'), 'stopped')
  using _ = SpscQueue.consumer(name, { capacity: 4096 })
  // A key has it drawn, of what was seen last.
  terminal.press('1')
  terminal.press('2')
  await terminal.shows(([line]) => line === 'nothing there', 'nothing still')
  terminal.press(' ')
  await terminal.shows(([, line]) => line?.startsWith('queue ') === true, 'it goes on')
  terminal.press('q')
  t.is(await terminal.ended, 0)
})

onTerminals('colours are for terminals that have some, and nobody who wants none', async (t) => {
  const name = fill(t, 1)
  const args = ['top', name, '--interval', '100']
  const colourful = new Terminal(t, args)
  await until(() => colourful.written.includes('[1mKIND'), 'a heading in bold')
  const plain = new Terminal(t, args, { env: { NO_COLOR: '1' } })
  await plain.shows((lines) => namesIn(lines).length === 1, 'a row')
  t.false(/\[\d+m/.test(plain.written))
  const dumb = new Terminal(t, args, { env: { TERM: 'dumb' } })
  await until(() => dumb.written.split('KIND').length > 3, 'table after table')
  t.false(dumb.written.includes('\u001b'))
})

onTerminals('a narrow screen shows what it has room for, and nothing wraps', async (t) => {
  const name = fill(t, 3)
  const terminal = new Terminal(t, ['top', name, '--interval', '100'], { columns: 40, rows: 5 })
  await terminal.shows(
    (lines) => lines.filter((line) => line.startsWith('queue ')).length === 3,
    'rows',
  )
  t.true(terminal.lines.every((line) => line.length <= 40))
  t.regex(terminal.lastLine, /… {2}1-3 of 3$/)
  const wide = new Terminal(t, ['top', name, '--interval', '100'], { columns: 200 })
  await wide.shows((lines) => namesIn(lines).length === 3, 'all of each name')
})

test('into a pipe: tables without signs that only terminals understand, until nobody reads them', async (t) => {
  const name = fill(t, 3)
  const running = start(command, [
    'top',
    name,
    '--interval',
    '100',
    '--filter',
    'QUEUE -03',
    '--sort',
    'depth',
  ])
  let out = ''
  running.child.stdout!.on('data', (chunk: Buffer) => (out += chunk.toString()))
  await until(() => out.split('KIND').length > 3, 'three tables')
  for (const sign of ['\u001b', '▲', '▼']) t.false(out.includes(sign))
  t.deepEqual(
    new Set(out.split('\n').flatMap((line) => /^queue +\S+-(\d\d) /.exec(line)?.[1] ?? [])),
    new Set(['03']),
  )
  running.child.stdout!.destroy()
  const { code, err } = await running.ended
  t.deepEqual([code, err], [141, ''])
})

test('--filter, --reverse and --limit are for tables and JSON', async (t) => {
  const name = fill(t, 12)
  const rows = async (...options: string[]) => {
    const { out } = await start(command, [
      'top',
      name,
      '--once',
      '--json',
      '--interval',
      '100',
      ...options,
    ]).ended
    return (JSON.parse(out.toString()) as { name: string }[]).map((row) => row.name.slice(-2))
  }
  t.deepEqual(await rows('--sort', 'depth', '--limit', '2'), ['12', '11'])
  t.deepEqual(await rows('--sort', 'depth', '--reverse', '--limit', '2'), ['01', '02'])
  t.deepEqual(await rows('--filter', `${String(process.pid)} ${name}-1`, '--sort', 'name'), [
    '10',
    '11',
    '12',
  ])
  t.deepEqual(await rows('--filter', 'nothing'), [])
  const { out } = await start(command, ['top', name, '--once', '--interval', '100', '--limit', '2'])
    .ended
  t.regex(out.toString(), /\nand 10 more\n$/)
})
