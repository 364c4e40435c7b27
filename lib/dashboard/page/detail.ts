// One channel: all that is seen of it, and what went through it for the last minutes.

import { idOf, type Detail as Told, type Row, type WaitBound } from '../wire.js'
import { Chart } from './chart.js'
import { el, say } from './dom.js'
import { Messages } from './messages.js'
import { Picture } from './picture.js'
import { DeadLetters } from './redrive.js'
import { ask } from './server.js'
import { remembered, type Store } from './store.js'
import type { View } from './view.js'
import { bytes, count, figure, milliseconds, rate, wordsOf } from './words.js'

const withMessages = ['queue', 'work', 'pipeline', 'topics', 'calls', 'cell']
const does = {
  writes: 'writes',
  reads: 'reads',
  both: 'writes and reads',
  holds: 'holds it',
} as const

export class Detail implements View {
  readonly element: HTMLElement
  readonly title: string
  readonly #kind: string
  readonly #name: string
  readonly #gone = el('p', { class: 'warning', role: 'status', hidden: true })
  readonly #facts = el('dl', { class: 'tiles' })
  readonly #dead = new DeadLetters()
  readonly #deadBox = el('p', { class: 'deadbox', hidden: true })
  readonly #rates = new Chart('A second', [
    { label: 'in', colour: 'in' },
    { label: 'out', colour: 'out' },
  ])
  readonly #depth = new Chart('Waiting', [{ label: 'waiting', colour: 'depth' }])
  readonly #tables = el('div')
  readonly #payload = el('div')
  #messages: Messages | undefined
  #picture: Picture | undefined
  #isAsking = false
  #ended = false

  constructor(kind: string, name: string) {
    this.#kind = kind
    this.#name = name
    this.title = name
    this.#deadBox.append('Dead letters: ', this.#dead.element)
    this.element = el(
      'article',
      { 'aria-labelledby': 'detail-title' },
      el('p', {}, el('a', { href: '#/' }, '← All channels')),
      el('h2', { id: 'detail-title' }, name, el('span', { class: 'kind' }, kind)),
      this.#gone,
      this.#facts,
      this.#deadBox,
      el('div', { class: 'charts' }, this.#rates.element, this.#depth.element),
      this.#payload,
      this.#tables,
    )
  }

  update(store: Store): void {
    const channel = store.channels.get(idOf({ kind: this.#kind, name: this.#name }))
    this.#gone.hidden = channel !== undefined
    if (channel === undefined) {
      say(this.#gone, 'This channel is not there (any more).')
      return
    }
    const { row } = channel
    this.#showFacts(row)
    this.#deadBox.hidden = row.dead === undefined
    this.#dead.show(row)
    const times = store.times(remembered)
    const curve = (name: 'in' | 'out' | 'depth') => store.last(channel, name, remembered)
    this.#rates.element.hidden = row.total === undefined
    this.#depth.element.hidden = row.depth === undefined
    if (row.total !== undefined) this.#rates.show(times, [curve('in'), curve('out')])
    if (row.depth !== undefined) this.#depth.show(times, [curve('depth')])
    this.#showPayload(store)
    this.#messages?.update()
    this.#ask(store)
  }

  end(): void {
    this.#ended = true
    this.#rates.end()
    this.#depth.end()
    this.#picture?.end()
    this.#messages?.end()
  }

  #showFacts(row: Row): void {
    const facts: readonly (readonly [string, string | undefined])[] = [
      ['State', row.state.replace('-', ' ')],
      ['In', row.in === undefined ? undefined : `${rate(row.in)}/s`],
      ['Out', row.out === undefined ? undefined : `${rate(row.out)}/s`],
      ['Waiting', waiting(row)],
      ['Oldest', row.oldest === undefined ? undefined : milliseconds(row.oldest)],
      ['In hand', row.hand === undefined ? undefined : count(row.hand)],
      ['Drops', row.drops === undefined ? undefined : `${rate(row.drops)}/s`],
      ['Asleep', row.parked === undefined ? undefined : count(row.parked)],
      ['Woken', row.wakes === undefined ? undefined : `${rate(row.wakes)}/s`],
    ]
    const shown = facts.filter(([, value]) => value !== undefined)
    const key = shown.map(([name]) => name).join()
    if (this.#facts.dataset.key !== key) {
      this.#facts.dataset.key = key
      this.#facts.replaceChildren(
        ...shown.map(([name]) => el('div', {}, el('dt', {}, name), el('dd'))),
      )
    }
    const values = this.#facts.querySelectorAll('dd')
    shown.forEach(([, value], at) => {
      say(values[at]!, value!)
    })
  }

  #showPayload({ greeting }: Store): void {
    if (this.#payload.childNodes.length > 0) return
    if (this.#kind !== 'frames' && !withMessages.includes(this.#kind)) return
    if (greeting?.payload !== true) {
      const what = this.#kind === 'frames' ? 'Pictures of frames' : 'Messages'
      this.#payload.append(
        el(
          'p',
          { class: 'facts' },
          `${what} are not shown: start `,
          el('code', {}, 'millrace dashboard --payload'),
          ' for that.',
        ),
      )
    } else if (this.#kind === 'frames') {
      this.#picture = new Picture(this.#name)
      this.#payload.append(this.#picture.element)
    } else {
      this.#messages = new Messages(this.#kind, this.#name)
      this.#payload.append(this.#messages.element)
    }
  }

  #ask(store: Store): void {
    if (this.#isAsking) return
    this.#isAsking = true
    ask('channel', { kind: this.#kind, name: this.#name })
      .then(async (response) => {
        const told = (await response.json()) as Told
        if (!this.#ended) this.#showTables(told, store)
      })
      // The next look tells whether it is gone.
      .catch(() => undefined)
      .finally(() => {
        this.#isAsking = false
      })
  }

  #showTables(told: Told, store: Store): void {
    const kinds = [...new Set(told.parts.map(({ kind }) => kind))]
    const tables: Table[] = [
      {
        caption: 'Who is on it',
        heads: ['Role', 'Process', 'Does', 'State'],
        numbers: [],
        rows: told.row.holders.map(({ role, pid, does: what, alive }) => [
          role,
          pid === undefined ? 'not recorded' : store.processName(pid),
          does[what],
          alive ? 'alive' : 'dead',
        ]),
      },
      ...kinds.map((kind) => ofParts(kind, told, store)),
      ofWaits(told),
      {
        caption: 'All numbers',
        heads: ['What', 'Value'],
        numbers: [1],
        rows: [
          ...Object.entries(told.figures).map(([key, value]) => [wordsOf(key), figure(key, value)]),
          ['size', bytes(told.size)],
          ['layout', told.layout ?? '–'],
          [
            'created',
            told.created === undefined ? '–' : new Date(told.created).toLocaleString('en'),
          ],
          ['made by', told.creator === undefined ? '–' : store.processName(told.creator)],
          ['where', told.path],
          ...(told.detail === '' ? [] : [['about it', told.detail]]),
        ],
      },
    ]
    const shown = tables.filter(({ rows }) => rows.length > 0)
    const old = [...this.#tables.querySelectorAll('table')]
    if (old.length === shown.length && shown.every((table, at) => refill(old[at]!, table))) return
    this.#tables.replaceChildren(...shown.map(tableOf))
  }
}

function waiting({ depth, places }: Row): string | undefined {
  if (depth === undefined) return undefined
  return places === undefined ? count(depth) : `${count(depth)} of ${count(places)}`
}

interface Table {
  readonly caption: string
  readonly heads: readonly string[]
  /** Columns of numbers. */
  readonly numbers: readonly number[]
  readonly rows: readonly (readonly string[])[]
}

function ofParts(kind: string, { parts }: Told, store: Store): Table {
  const these = parts.filter((part) => part.kind === kind)
  const first = these[0]!
  const named = these.some(({ name }) => name !== undefined)
  const policies = these.some(({ policy }) => policy !== undefined)
  const keys = Object.keys(first.figures)
  const before = ['No.', ...(named ? ['Name'] : []), 'Process', ...(policies ? ['When full'] : [])]
  return {
    caption: `Each ${kind}`,
    heads: [...before, ...keys.map(wordsOf)],
    numbers: [0, ...keys.map((_, at) => before.length + at)],
    rows: these.map(({ index, name, pid, policy, figures }) => [
      String(index),
      ...(named ? [name ?? ''] : []),
      pid === undefined ? '–' : store.processName(pid),
      ...(policies ? [policy ?? ''] : []),
      ...keys.map((key) => figure(key, figures[key] ?? NaN)),
    ]),
  }
}

function ofWaits({ waits }: Told): Table {
  return {
    caption: 'Waits',
    heads: ['Who', 'No.', 'Waits', 'Mean', 'Half of them', '99 %', 'Now'],
    numbers: [1, 2, 3, 4, 5, 6],
    rows: waits.map((wait) => [
      wait.side,
      String(wait.index),
      count(wait.waits),
      milliseconds(wait.mean),
      bound(wait.half),
      bound(wait.most),
      milliseconds(wait.now),
    ]),
  }
}

function bound(given: WaitBound | undefined): string {
  if (given === undefined) return '–'
  return 'atMost' in given ? `≤ ${milliseconds(given.atMost)}` : `> ${milliseconds(given.above)}`
}

function tableOf(table: Table): HTMLElement {
  const cell = (text: string, at: number) =>
    el('td', { class: table.numbers.includes(at) ? 'number' : undefined }, text)
  const head = (text: string, at: number) =>
    el('th', { scope: 'col', class: table.numbers.includes(at) ? 'number' : undefined }, text)
  return el(
    'div',
    { class: 'scroll', role: 'region', 'aria-label': table.caption, tabindex: 0 },
    el(
      'table',
      { 'data-shape': shapeOf(table) },
      el('caption', {}, table.caption),
      el('thead', {}, el('tr', {}, ...table.heads.map(head))),
      el('tbody', {}, ...table.rows.map((row) => el('tr', {}, ...row.map(cell)))),
    ),
  )
}

function shapeOf({ caption, heads, rows }: Table): string {
  return [caption, ...heads, rows.length].join('|')
}

/** Only what has changed: whoever has the eye or the selection in a table keeps it. False: it is another table. */
function refill(old: HTMLTableElement, table: Table): boolean {
  if (old.dataset.shape !== shapeOf(table)) return false
  table.rows.forEach((row, at) => {
    const { cells } = old.tBodies[0]!.rows[at]!
    row.forEach((text, column) => {
      say(cells[column]!, text)
    })
  })
  return true
}
