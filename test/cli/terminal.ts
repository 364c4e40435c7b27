// A command on a terminal, as a person has it: what stands on the screen, and keys that are pressed. The terminal is a pseudo terminal of
// util-linux's `script`.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { ExecutionContext } from 'ava'

import { command, until } from './run.js'

export interface Size {
  readonly columns: number
  readonly rows: number
}

export const keys = {
  down: '\u001b[B',
  up: '\u001b[A',
  pageDown: '\u001b[6~',
  end: '\u001b[F',
  right: '\u001b[C',
  enter: '\r',
  escape: '\u001b',
  interrupt: '\u0003',
} as const

const aboutColours = new Set(['NO_COLOR', 'FORCE_COLOR', 'NODE_DISABLE_COLORS', 'CI'])

/** Runs `millrace` with these arguments; ended with its test. */
export class Terminal {
  readonly #child: ChildProcess
  readonly #screen: ScreenOfTerminal
  readonly ended: Promise<number | null>
  /** All that was written to it. */
  written = ''

  constructor(
    t: ExecutionContext,
    args: readonly string[],
    {
      columns = 80,
      rows = 24,
      env = {},
    }: Partial<Size> & { readonly env?: NodeJS.ProcessEnv } = {},
  ) {
    const quoted = [process.execPath, command, ...args].map((arg) => `'${arg}'`).join(' ')
    const inside = `stty rows ${String(rows)} cols ${String(columns)}; exec ${quoted}`
    const own = Object.entries(process.env).filter(([name]) => !aboutColours.has(name))
    const plain = { ...Object.fromEntries(own), TERM: 'xterm-256color', ...env }
    this.#screen = new ScreenOfTerminal({ columns, rows })
    this.#child = spawn('script', ['--quiet', '--return', '--command', inside, '/dev/null'], {
      env: plain,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.written += text
      this.#screen.write(text)
    })
    this.ended = once(this.#child, 'close').then(([code]) => code as number | null)
    const watchdog = setTimeout(() => this.#child.kill('SIGKILL'), 100_000)
    t.teardown(async () => {
      // Nobody reads that any more where it has ended.
      this.#child.stdin!.on('error', () => undefined).write(keys.interrupt)
      await this.ended
      clearTimeout(watchdog)
    })
  }

  press(text: string): void {
    this.#child.stdin!.write(text)
  }

  /** The lines of the screen, without what is blank at their ends. */
  get lines(): readonly string[] {
    return this.#screen.lines
  }

  get lastLine(): string {
    return this.lines.at(-1) ?? ''
  }

  /** Is it the screen of its own that programs have, or the one that scrolls? */
  get isOther(): boolean {
    return this.#screen.isOther
  }

  async shows(so: (lines: readonly string[]) => boolean, what: string): Promise<void> {
    await until(() => so(this.lines), what).catch(() => {
      throw new Error(`it does not show ${what}; there stands:\n${this.lines.join('\n')}`)
    })
  }
}

/** What a terminal makes of the few signs that are understood here; others are an error. */
class ScreenOfTerminal {
  readonly #size: Size
  #cells: string[][]
  #row = 0
  #column = 0
  #rest = ''
  isOther = false
  /** What is drawn becomes what is seen when all of it is there: a screen ends by blanking its rest. */
  lines: readonly string[] = []

  constructor(size: Size) {
    this.#size = size
    this.#cells = Array.from({ length: size.rows }, () => [])
  }

  write(text: string): void {
    const all = this.#rest + text
    // eslint-disable-next-line no-control-regex -- they are what it is about
    const token = /\u001b\[([?\d;]*)([A-Za-z])|\r|\n|[^\u0000-\u001f]/guy
    while (token.lastIndex < all.length) {
      const at = token.lastIndex
      const found = token.exec(all)
      if (found === null) {
        // The rest of it comes with what is written next.
        if (!all.startsWith('\u001b') || all.length - at > 16)
          throw new Error(`no terminal knows ${JSON.stringify(all.slice(at, at + 16))}`)
        this.#rest = all.slice(at)
        return
      }
      this.#do(found[0], found[1] ?? '', found[2])
    }
    this.#rest = ''
  }

  #do(sign: string, given: string, what: string | undefined): void {
    if (sign === '\r') this.#column = 0
    else if (sign === '\n') this.#down()
    else if (what === undefined) this.#put(sign)
    else if (what === 'H' && given === '') [this.#row, this.#column] = [0, 0]
    else if (what === 'K' && given === '') this.#line.splice(this.#column)
    else if (what === 'J' && given === '') {
      this.#line.splice(this.#column)
      for (const line of this.#cells.slice(this.#row + 1)) line.length = 0
      this.lines = this.#cells.map((line) => line.join('').trimEnd())
    } else if (given === '?1049') {
      this.isOther = what === 'h'
      this.#cells = Array.from({ length: this.#size.rows }, () => [])
    } else if (what !== 'm' && given !== '?25' && given !== '?7') {
      throw new Error(`no terminal knows ${JSON.stringify(sign)}`)
    }
  }

  get #line(): string[] {
    return this.#cells[this.#row]!
  }

  #down(): void {
    if (this.#row < this.#size.rows - 1) this.#row++
    else this.#cells = [...this.#cells.slice(1), []]
  }

  #put(sign: string): void {
    if (this.#column >= this.#size.columns)
      throw new Error(`wider than the screen: ${this.#line.join('')}${sign}`)
    while (this.#line.length < this.#column) this.#line.push(' ')
    this.#line[this.#column++] = sign
  }
}
