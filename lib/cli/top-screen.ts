// `millrace top` on a terminal: the table fills the screen, and keys say what is in it. The screen as it was before comes back at the end.

import { emitKeypressEvents, type Key } from 'node:readline'

import { bold, dim, sizeOfScreen } from './screen.js'
import { matching, columns, ordered, type Found, type Order } from './top-rows.js'
import { shortened, tableLines } from './top-table.js'

const control = (what: string): string => `\u001b[${what}`
/** A screen of its own, without a cursor, on which nothing wraps. */
const enter = control('?1049h') + control('?25l') + control('?7l')
const leave = control('?7h') + control('?25h') + control('?1049l')
const home = control('H')
const restOfLine = control('K')
const restOfScreen = control('J')

const help = '/ filter  1-8 sort  r reverse  ↑↓ scroll  space stop  q quit'
const editing = 'Enter keeps it, Esc shows all'

export interface Shown {
  readonly filter: string
  readonly order: Order
  /** Rows at most; without, those that the screen has. */
  readonly limit: number | undefined
  readonly quit: () => void
}

export class Screen {
  readonly #limit: number | undefined
  readonly #quit: () => void
  readonly #hasKeys = process.stdin.isTTY
  #found: readonly Found[] = []
  #filter: string
  #order: Order
  #isEditing = false
  #isStill = false
  /** The first row that is shown. */
  #from = 0
  #isOpen = false

  constructor({ filter, order, limit, quit }: Shown) {
    this.#filter = filter
    this.#order = order
    this.#limit = limit
    this.#quit = quit
  }

  /** Does it stand still, so that nothing has to be looked at? */
  get isStill(): boolean {
    return this.#isStill
  }

  open(): void {
    this.#isOpen = true
    process.stdout.write(enter)
    process.stdout.on('resize', this.#draw)
    process.on('exit', this.close)
    if (!this.#hasKeys) return
    emitKeypressEvents(process.stdin)
    process.stdin.setRawMode(true).on('keypress', this.#onKey).resume()
  }

  /** Gives the terminal back. May be called again. */
  readonly close = (): void => {
    if (!this.#isOpen) return
    this.#isOpen = false
    process.off('exit', this.close)
    process.stdout.off('resize', this.#draw).write(leave)
    if (this.#hasKeys) process.stdin.off('keypress', this.#onKey).setRawMode(false).pause()
  }

  show(found: readonly Found[]): void {
    this.#found = found
    this.#draw()
  }

  readonly #draw = (): void => {
    const { columns: width, rows: height, colours } = sizeOfScreen()
    const room = this.#roomFor(height)
    const rows = ordered(matching(this.#found, this.#filter), this.#order)
    this.#from = Math.max(0, Math.min(this.#from, rows.length - room))
    const shown = rows.slice(this.#from, this.#from + room)
    const lines =
      rows.length === 0
        ? [
            this.#found.length === 0
              ? 'nothing there'
              : 'nothing there that the filter lets through',
          ]
        : tableLines(shown, {
            width,
            colours,
            order: this.#order,
            longestName: rows.reduce((most, { name }) => Math.max(most, name.length), 0),
          })
    const filled = [...lines, ...Array<string>(Math.max(height - 1 - lines.length, 0)).fill('')]
    const text = this.#lastLine(width, { first: this.#from, shown: shown.length, of: rows.length })
    const last = !colours ? text : this.#isEditing ? bold(text) : dim(text)
    process.stdout.write(
      `${home}${filled.map((line) => `${line}${restOfLine}\r\n`).join('')}${last}${restOfScreen}`,
    )
  }

  /** Beside the heading and the last line. */
  #roomFor(height: number): number {
    return Math.max(1, Math.min(height - 2, this.#limit ?? Infinity))
  }

  #lastLine(
    width: number,
    { first, shown, of }: { readonly first: number; readonly shown: number; readonly of: number },
  ): string {
    const all = of === this.#found.length ? '' : ` (${String(this.#found.length)})`
    const rows = of === 0 ? '0' : `${String(first + 1)}-${String(first + shown)} of ${String(of)}`
    const right = `${this.#isStill ? 'stopped, ' : ''}${rows}${all}`
    const left = this.#isEditing
      ? `Filter: ${this.#filter}█  ${editing}`
      : `${this.#filter === '' ? '' : `[${this.#filter}]  `}${this.#hasKeys ? help : ''}`
    const room = Math.max(width - right.length - 2, 0)
    return `${shortened(left, room).padEnd(room)}  ${right}`.slice(0, width)
  }

  readonly #onKey = (text: string | undefined, key: Key): void => {
    if (key.ctrl === true && key.name === 'c') process.kill(process.pid, 'SIGINT')
    else if (key.ctrl === true && key.name === 'z') this.#suspend()
    else {
      if (this.#isEditing) this.#edit(text, key)
      else this.#obey(text, key)
      if (this.#isOpen) this.#draw()
    }
  }

  #edit(text: string | undefined, { name, ctrl = false, meta = false }: Key): void {
    if (name === 'return' || name === 'enter') this.#isEditing = false
    else if (name === 'escape') {
      this.#isEditing = false
      this.#filter = ''
    } else if (name === 'backspace') this.#filter = this.#filter.slice(0, -1)
    else if (ctrl && name === 'u') this.#filter = ''
    // What names consist of, and what is between words: nothing else would find anything.
    else if (!ctrl && !meta && text !== undefined && /^[\w. -]+$/.test(text)) this.#filter += text
    this.#from = 0
  }

  #obey(text: string | undefined, { name }: Key): void {
    const room = this.#roomFor(sizeOfScreen().rows)
    const moves: Readonly<Record<string, number>> = {
      up: -1,
      down: 1,
      pageup: -room,
      pagedown: room,
      home: -Infinity,
      end: Infinity,
    }
    const move = moves[name ?? '']
    if (move !== undefined) this.#from = Math.max(0, this.#from + move)
    else if (text === '/') this.#isEditing = true
    else if (name === 'escape') this.#filter = ''
    else if (text === 'r') this.#sort(this.#order.by, !this.#order.reverse)
    else if (text === ' ') this.#isStill = !this.#isStill
    else if (text === 'q') this.#quit()
    else if (name === 'left' || name === 'right') this.#sortBeside(name === 'left' ? -1 : 1)
    else {
      const by = /^[1-8]$/.test(text ?? '') ? columns[Number(text) - 1] : undefined
      if (by !== undefined) this.#sort(by, by === this.#order.by && !this.#order.reverse)
    }
  }

  #sort(by: Order['by'], reverse: boolean): void {
    this.#order = { by, reverse }
    this.#from = 0
  }

  #sortBeside(step: number): void {
    const by = columns[columns.indexOf(this.#order.by) + step]
    if (by !== undefined) this.#sort(by, false)
  }

  /** As the terminal would do it, were its keys not ours. */
  #suspend(): void {
    this.close()
    process.once('SIGCONT', () => {
      this.open()
      this.#draw()
    })
    process.kill(0, 'SIGTSTP')
  }
}
