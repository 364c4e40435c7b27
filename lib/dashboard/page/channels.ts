// The table of channels. A thousand of them are more than anybody reads: the first rows are shown, in the order and by the filter that was
// chosen, and more when they are asked for.

import type { Row } from '../wire.js'
import { el, on, say, setAttribute, unseen } from './dom.js'
import { DeadLetters } from './redrive.js'
import { SearchBox } from './search-box.js'
import { Sparkline } from './sparkline.js'
import { matches, type Channel, type Store } from './store.js'
import { linkTo, type View } from './view.js'
import { count, milliseconds, plural, rate } from './words.js'

const rowsAtOnce = 100
/** Looks that a line shows: a minute, at one a second. */
const sparkPlaces = 60

interface Column {
  readonly key: string
  readonly label: string
  /** What is meant, for who points at it. */
  readonly title?: string
  /** At which width of the window it is there. */
  readonly width?: 'medium' | 'wide'
  readonly isNumber?: boolean
  /** What it is sorted by; without, it is not. */
  readonly by?: (row: Row) => number | string | undefined
}

const columns: readonly Column[] = [
  { key: 'name', label: 'Channel', by: ({ name }) => name },
  { key: 'spark', label: 'Last minute' },
  {
    key: 'in',
    label: 'In/s',
    title: 'Messages, frames, jobs or calls a second that came in',
    isNumber: true,
    by: (row) => row.in,
  },
  {
    key: 'out',
    label: 'Out/s',
    title: 'The same, taken out or done',
    isNumber: true,
    width: 'medium',
    by: (row) => row.out,
  },
  {
    key: 'depth',
    label: 'Waiting',
    title: 'What waits, for the reader who is farthest behind',
    isNumber: true,
    by: (row) => row.depth,
  },
  {
    key: 'oldest',
    label: 'Oldest',
    title: 'How long the oldest of that has waited',
    isNumber: true,
    width: 'wide',
    by: (row) => row.oldest,
  },
  {
    key: 'lags',
    label: 'Lag of each',
    title: 'How far each reader, subscription or stage is behind',
    width: 'wide',
    by: ({ lags }) => Math.max(-1, ...lags.map(({ lag }) => lag)),
  },
  {
    key: 'hand',
    label: 'In hand',
    title: 'Jobs, calls, slots or locks that somebody has',
    isNumber: true,
    width: 'medium',
    by: (row) => row.hand,
  },
  {
    key: 'parked',
    label: 'Asleep',
    title: 'Who waits for something to do, or for room',
    isNumber: true,
    width: 'wide',
    by: (row) => row.parked,
  },
  {
    key: 'drops',
    label: 'Drops/s',
    title: 'What somebody did not get',
    isNumber: true,
    width: 'medium',
    by: (row) => row.drops,
  },
  { key: 'dead', label: 'Dead letters', width: 'medium', by: (row) => row.dead },
  {
    key: 'holders',
    label: 'On it',
    title: 'Who is on it, and who has died there',
    width: 'medium',
    by: ({ holders }) => holders.length,
  },
]

export class Channels implements View {
  readonly element: HTMLElement
  readonly title = 'Channels'
  readonly #search = new SearchBox(() => {
    this.#limit = rowsAtOnce
    this.#choose()
  })
  readonly #body = el('tbody')
  readonly #table: HTMLTableElement
  readonly #more = el('button', { type: 'button', id: 'more', hidden: true })
  readonly #empty = el('p', { class: 'empty', hidden: true })
  readonly #headings = new Map<string, HTMLTableCellElement>()
  readonly #rows = new Map<string, TableRow>()
  #sort: { readonly column: Column; readonly down: boolean } = { column: columns[0]!, down: false }
  #limit = rowsAtOnce
  #order: string[] = []
  #isChosen = true
  #store: Store | undefined

  constructor() {
    const head = el('tr', {}, ...columns.map((column) => this.#heading(column)))
    this.#table = el(
      'table',
      { id: 'channels' },
      el('caption', { class: 'unseen' }, 'Channels of this machine'),
      el('thead', {}, head),
      this.#body,
    )
    on(this.#more, 'click', () => {
      this.#limit += rowsAtOnce
      this.#choose()
    })
    this.element = el(
      'section',
      { 'aria-label': 'Channels' },
      this.#search.element,
      el(
        'div',
        { class: 'scroll', role: 'region', 'aria-label': 'Table of channels', tabindex: 0 },
        this.#table,
      ),
      this.#empty,
      this.#more,
    )
    this.#showSort()
  }

  update(store: Store): void {
    this.#store = store
    this.#show()
  }

  /** The order, the filter or the number of rows is another one. */
  #choose(): void {
    this.#isChosen = true
    this.#showSort()
    this.#show()
  }

  #show(): void {
    const store = this.#store
    if (store === undefined) return
    const filter = this.#search.wanted
    const all = [...store.channels.values()]
    const found = filter === '' ? all : all.filter((channel) => matches(channel, filter))
    this.#order = this.#ordered(found)
    const shown = this.#order.slice(0, this.#limit)
    const kept = new Set(shown)
    for (const [id, row] of this.#rows) {
      if (kept.has(id)) continue
      row.element.remove()
      this.#rows.delete(id)
    }
    let next = this.#body.firstElementChild
    for (const id of shown) {
      const channel = store.channels.get(id)!
      const row = this.#rows.get(id) ?? new TableRow(channel)
      this.#rows.set(id, row)
      row.show(channel, store)
      if (row.element === next) next = next.nextElementSibling
      else this.#body.insertBefore(row.element, next)
    }
    setAttribute(this.#table, 'aria-rowcount', found.length + 1)
    const more = found.length - shown.length
    this.#more.hidden = more === 0
    say(this.#more, `Show ${plural(Math.min(more, rowsAtOnce), 'more row')} of ${count(more)}`)
    this.#empty.hidden = found.length > 0
    say(
      this.#empty,
      filter === '' ? 'There are no channels yet.' : `No channel matches “${filter}”.`,
    )
    this.#search.tell(
      filter === ''
        ? plural(all.length, 'channel')
        : `${count(found.length)} of ${plural(all.length, 'channel')}`,
    )
    this.#isChosen = false
  }

  /** Rows do not run away from who points at them, or has the keyboard there. */
  #ordered(found: readonly Channel[]): string[] {
    const { column, down } = this.#sort
    const isHeld =
      !this.#isChosen &&
      (this.#body.matches(':hover') || this.#body.contains(document.activeElement))
    if (isHeld) {
      const there = new Set(found.map(({ id }) => id))
      const held = this.#order.filter((id) => there.delete(id))
      return [...held, ...there]
    }
    const key = column.by!
    return found
      .map((channel) => ({ channel, value: key(channel.row) }))
      .sort((a, b) => {
        const order = compare(a.value, b.value)
        return (down ? -order : order) || compare(a.channel.id, b.channel.id)
      })
      .map(({ channel }) => channel.id)
  }

  #heading(column: Column): HTMLTableCellElement {
    const cell = el('th', { scope: 'col', class: classOf(column), title: column.title })
    this.#headings.set(column.key, cell)
    if (column.by === undefined) {
      cell.append(column.label)
      return cell
    }
    const button = el('button', { type: 'button' }, column.label)
    on(button, 'click', () => {
      const isSame = this.#sort.column === column
      this.#sort = { column, down: isSame ? !this.#sort.down : column.key !== 'name' }
      this.#choose()
    })
    cell.append(button)
    return cell
  }

  #showSort(): void {
    const { column, down } = this.#sort
    for (const [key, cell] of this.#headings) {
      const order = down ? 'descending' : 'ascending'
      setAttribute(cell, 'aria-sort', key === column.key ? order : undefined)
    }
  }
}

class TableRow {
  readonly element = el('tr')
  readonly #cells = new Map<string, HTMLTableCellElement>()
  readonly #spark = new Sparkline()
  readonly #dead = new DeadLetters()
  readonly #state = el('span', { class: 'state' })

  constructor({ id, row }: Channel) {
    for (const column of columns) {
      const cell =
        column.key === 'name'
          ? el('th', { scope: 'row', class: classOf(column) })
          : el('td', { class: classOf(column) })
      this.#cells.set(column.key, cell)
      this.element.append(cell)
    }
    this.#cells
      .get('name')!
      .append(
        el('a', { href: linkTo(id) }, row.name),
        el('span', { class: 'under' }, row.kind, this.#state),
      )
    this.#cells.get('spark')!.append(this.#spark.element)
    this.#cells.get('dead')!.append(this.#dead.element)
  }

  show(channel: Channel, store: Store): void {
    const { row } = channel
    const set = (key: string, text: string): void => {
      say(this.#cells.get(key)!, text)
    }
    say(this.#state, row.state === 'in-use' ? '' : ` · ${row.state.replace('-', ' ')}`)
    setAttribute(this.#state, 'data-bad', ['abandoned', 'corrupt'].includes(row.state))
    this.#spark.show(
      store.last(channel, 'in', sparkPlaces),
      store.last(channel, 'out', sparkPlaces),
    )
    set('in', rate(row.in))
    set('out', rate(row.out))
    set('depth', count(row.depth))
    setAttribute(this.#cells.get('depth')!, 'data-full', isFull(row))
    set('oldest', milliseconds(row.oldest))
    set('lags', lags(row))
    set('hand', count(row.hand))
    set('parked', count(row.parked))
    set('drops', row.drops === 0 ? '–' : rate(row.drops))
    setAttribute(this.#cells.get('drops')!, 'data-bad', (row.drops ?? 0) > 0)
    this.#dead.show(row)
    showHolders(this.#cells.get('holders')!, row, store)
  }
}

const mostHolders = 4

function showHolders(cell: HTMLElement, { holders }: Row, store: Store): void {
  const shown = holders.slice(0, mostHolders)
  const key = JSON.stringify([shown, shown.map(({ pid }) => store.processName(pid))])
  if (cell.dataset.key === key) return
  cell.dataset.key = key
  const more = holders.length - shown.length
  cell.replaceChildren(
    ...shown.map(({ role, pid, alive }) =>
      el(
        'span',
        { class: 'holder', 'data-dead': !alive },
        `${role} `,
        pid === undefined ? undefined : el('b', {}, store.processName(pid)),
        alive ? undefined : el('span', { 'aria-hidden': 'true' }, ' †'),
        alive ? undefined : unseen(' dead'),
      ),
    ),
    ...(more > 0 ? [el('span', { class: 'holder' }, `and ${String(more)} more`)] : []),
  )
}

const mostLags = 4

function lags({ lags: all }: Row): string {
  if (all.length === 0) return '–'
  const shown = all.slice(0, mostLags).map(({ lag }) => count(lag))
  return `${shown.join(' · ')}${all.length > mostLags ? ` +${String(all.length - mostLags)}` : ''}`
}

/** Somebody will have to wait for room, or miss something. */
function isFull({ depth = 0, places }: Row): boolean {
  return places !== undefined && places > 0 && depth >= places * 0.9
}

function classOf({ isNumber, width, key }: Column): string {
  return [key, isNumber === true ? 'number' : '', width ?? ''].join(' ').trim()
}

/** What is not there is less than all that is. */
function compare(a: number | string | undefined, b: number | string | undefined): number {
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0
  return (typeof a === 'number' ? a : -1) - (typeof b === 'number' ? b : -1)
}
