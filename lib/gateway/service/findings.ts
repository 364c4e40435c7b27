// What is wrong with a file of configuration: all of it, each with its line and column, and without what came out of the environment.

import { withoutSecrets } from '../../telemetry/secrets.js'
import type { YamlLines, YamlNode } from './yaml.js'

/** Where something stands: a node, or how many characters are before it. */
export type Spot = YamlNode | number | null

/** Shorter ones stand in every other word. */
const shortestSecret = 3

export class Findings {
  readonly #file: string
  readonly #lines: YamlLines
  readonly #found: { readonly offset: number; readonly message: string }[] = []
  /** What variables have, with what is shown instead. */
  readonly #secrets = new Map<string, string>()

  constructor(file: string, lines: YamlLines) {
    this.#file = file
    this.#lines = lines
  }

  isEmpty(): boolean {
    return this.#found.length === 0
  }

  /** From now on no message has the value. */
  hide(value: string, shown: string): void {
    if (value.length >= shortestSecret) this.#secrets.set(value, shown)
  }

  add(spot: Spot, message: string): void {
    const offset = typeof spot === 'number' ? spot : (spot?.range?.[0] ?? 0)
    this.#found.push({ offset, message })
  }

  line(spot: Spot): number {
    return this.#lines.linePos(typeof spot === 'number' ? spot : (spot?.range?.[0] ?? 0)).line
  }

  /** `FILE:LINE:COLUMN`, as editors and terminals make a link of it. */
  place(spot: Spot): string {
    const offset = typeof spot === 'number' ? spot : (spot?.range?.[0] ?? 0)
    // Of an empty text nobody has counted lines.
    const { line, col } = this.#lines.linePos(offset)
    return `${this.#file}:${String(Math.max(line, 1))}:${String(Math.max(col, 1))}`
  }

  /** In the order of the file. */
  all(): string[] {
    return this.#found
      .toSorted((one, other) => one.offset - other.offset)
      .map(({ offset, message }) => `${this.place(offset)}: ${this.masked(message)}`)
  }

  /** Without what is secret: values of variables, and what stands before the host of an address. */
  masked(message: string): string {
    let text = message
    for (const [value, shown] of this.#secrets) text = text.replaceAll(value, shown)
    return withoutSecrets(text)
  }
}
