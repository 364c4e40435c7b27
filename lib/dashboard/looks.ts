// Looks at all channels, one for all open pages, and none while no page is open. They take a twentieth of a core at most: where there are
// so many channels that a look takes long, there are fewer of them.

import { now, startTimer, stopTimer, type Timer } from '../base/time.js'
import type { Observed } from '../telemetry/figures.js'
import { observe } from '../telemetry/observe.js'
import { ProcessNames } from './processes.js'
import { detailOf, rowOf, type Counted } from './rows.js'
import type { News, Tab } from './tab.js'
import { idOf, type Detail, type Row } from './wire.js'

/** Part of a core that looks may take: 1 / 20. */
const share = 20
/** Connections on which nothing is said for 10 s end. */
const longestInterval = 5000

interface Known {
  readonly seen: Observed
  readonly row: Row
  readonly counted: Counted
  /** The row, as it was told. */
  readonly text: string
}

export interface LooksOptions {
  readonly prefix: string
  /** Milliseconds between two. */
  readonly interval: number
}

export class Looks {
  readonly #options: LooksOptions
  readonly #tabs = new Set<Tab>()
  readonly #names = new ProcessNames()
  #known = new Map<string, Known>()
  #processes = new Map<number, string>()
  #at: number | undefined
  #head = ''
  #timer: Timer | undefined
  /** For tests and people: how often it was looked. */
  #count = 0

  constructor(options: LooksOptions) {
    this.#options = options
  }

  get count(): number {
    return this.#count
  }

  /** A page that is told of all looks from now on. */
  join(tab: Tab): void {
    this.#tabs.add(tab)
    if (this.#at === undefined) this.#look()
    else tab.tell({ changes: '', all: () => this.#all() })
  }

  leave(tab: Tab): void {
    if (!this.#tabs.delete(tab) || this.#tabs.size > 0) return
    this.#stop()
  }

  end(): void {
    for (const tab of this.#tabs) tab.end()
    this.#tabs.clear()
    this.#stop()
  }

  /** All that was seen of that channel at the last look; while there is none, it is looked at alone. */
  detail(kind: string, name: string): Detail | undefined {
    const known =
      this.#at === undefined
        ? observe({ name }).map((seen) => ({ seen, ...rowOf(seen, undefined) }))
        : [this.#known.get(idOf({ kind, name }))]
    const found = known.find((one) => one?.row.kind === kind)
    return found === undefined ? undefined : detailOf(found.seen, found.row)
  }

  #stop(): void {
    stopTimer(this.#timer)
    this.#at = undefined
    this.#known = new Map()
    this.#processes = new Map()
  }

  #look(): void {
    const at = now()
    this.#count++
    const seconds = (at - (this.#at ?? at)) / 1000
    const before = this.#known
    const known = new Map<string, Known>()
    for (const seen of observe({ prefix: this.#options.prefix })) {
      const old = before.get(idOf(seen))
      const { row, counted } = rowOf(seen, old && { counted: old.counted, seconds })
      known.set(idOf(row), { seen, row, counted, text: JSON.stringify(row) })
    }
    const processes = new Map(this.#names.of(pidsOf(known)))
    const changed = [...known].flatMap(([id, { text }]) =>
      before.get(id)?.text === text ? [] : [text],
    )
    const gone = [...before.keys()].filter((id) => !known.has(id))
    const named = [...processes].filter(([pid, name]) => this.#processes.get(pid) !== name)
    this.#known = known
    this.#processes = processes
    this.#at = at
    const took = now() - at
    const interval = Math.min(Math.max(this.#options.interval, took * share), longestInterval)
    this.#head = `"took":${took.toFixed(1)},"interval":${interval.toFixed(0)}`
    let all: string | undefined
    const news: News = {
      changes: this.#text(false, changed, gone, named),
      all: () => (all ??= this.#all()),
    }
    for (const tab of this.#tabs) tab.tell(news)
    this.#timer = startTimer(interval, () => {
      this.#look()
    })
  }

  #all(): string {
    const rows = [...this.#known.values()].map(({ text }) => text)
    return this.#text(true, rows, [], [...this.#processes])
  }

  #text(
    full: boolean,
    rows: readonly string[],
    gone: readonly string[],
    processes: readonly (readonly [number, string])[],
  ): string {
    const named = JSON.stringify(Object.fromEntries(processes))
    return `${this.#head},"full":${String(full)},"rows":[${rows.join()}],"gone":${JSON.stringify(gone)},"processes":${named}`
  }
}

function pidsOf(known: ReadonlyMap<string, Known>): Set<number> {
  const pids = new Set<number>()
  for (const { row } of known.values()) {
    for (const { pid } of row.holders) if (pid !== undefined) pids.add(pid)
  }
  return pids
}
