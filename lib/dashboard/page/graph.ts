// Who writes to whom: processes and channels, with arrows along which messages go. The same in words stands below.

import type { Holder, Row } from '../wire.js'
import { el, say, setAttribute, svg } from './dom.js'
import { layout, type Arrow } from './layout.js'
import { SearchBox } from './search-box.js'
import { matches, type Channel, type Store } from './store.js'
import { linkTo, type View } from './view.js'
import { plural, rate } from './words.js'

/** More are not drawn: nobody would find anything. */
const mostChannels = 60
const node = { width: 168, height: 40 }
const gap = { width: 72, height: 14 }
const margin = 12
/** Signs that fit into a node. */
const widest = 22

/** Somebody on a channel whose process is known. */
interface Tie {
  readonly channel: string
  readonly process: string
  readonly holder: Holder
}

export class Graph implements View {
  readonly element: HTMLElement
  readonly title = 'Who writes to whom'
  readonly #search = new SearchBox(() => {
    if (this.#store !== undefined) this.update(this.#store)
  })
  readonly #drawing = el('div', {
    class: 'scroll drawing',
    role: 'region',
    'aria-label': 'Drawing',
    tabindex: 0,
  })
  readonly #words = el('ul', { class: 'words', id: 'graph-words' })
  /** What a node says beside its name, by its id. */
  readonly #under = new Map<string, SVGTextElement>()
  readonly #lines = new Map<string, SVGPathElement[]>()
  #shape = ''
  #store: Store | undefined

  constructor() {
    this.element = el(
      'section',
      { 'aria-label': this.title },
      this.#search.element,
      this.#drawing,
      el('h2', {}, 'In words'),
      this.#words,
    )
  }

  update(store: Store): void {
    this.#store = store
    const filter = this.#search.wanted
    const held = [...store.channels.values()].filter(
      (channel) =>
        channel.row.holders.some(({ pid }) => pid !== undefined) &&
        (filter === '' || matches(channel, filter)),
    )
    const shown = held.sort((a, b) => busyness(b.row) - busyness(a.row)).slice(0, mostChannels)
    const channels = shown.sort((a, b) => (a.id < b.id ? -1 : 1))
    const ties = channels.flatMap(tiesOf)
    const processes = [...new Set(ties.map(({ process }) => process))].sort()
    const hidden = held.length - channels.length
    this.#search.tell(
      `${plural(channels.length, 'channel')}, ${plural(processes.length, 'process', 'processes')}` +
        (hidden > 0 ? `; ${String(hidden)} that are less busy are left out` : ''),
    )
    const shape = JSON.stringify([
      ties.map(({ channel, process, holder }) => [channel, process, holder.does, holder.alive]),
      processes.map((pid) => store.processName(Number(pid))),
      Math.round(this.#drawing.clientWidth / 100),
    ])
    if (shape !== this.#shape) {
      this.#shape = shape
      this.#draw(channels, processes, ties, store)
      this.#tell(channels, store)
    }
    for (const { id, row } of channels) {
      const text = this.#under.get(id)
      if (text !== undefined) say(text, under(row))
      for (const line of this.#lines.get(id) ?? []) {
        setAttribute(line, 'stroke-width', thickness(row).toFixed(1))
      }
    }
  }

  #draw(
    channels: readonly Channel[],
    processes: readonly string[],
    ties: readonly Tie[],
    store: Store,
  ): void {
    this.#under.clear()
    this.#lines.clear()
    const arrows = ties.map(arrowOf)
    const width = Math.max(this.#drawing.clientWidth - 2 * margin, node.width)
    const placed = layout([...processes, ...channels.map(({ id }) => id)], arrows, {
      node,
      gap,
      width,
    })
    const box = { width: placed.width + 2 * margin, height: placed.height + 2 * margin }
    const picture = svg(
      'svg',
      {
        width: box.width,
        height: box.height,
        viewBox: `${String(-margin)} ${String(-margin)} ${String(box.width)} ${String(box.height)}`,
        role: 'group',
        'aria-label': 'Processes and channels',
        'aria-describedby': 'graph-words',
      },
      svg('defs', {}, head('head')),
    )
    for (const tie of ties) {
      const { from, to } = arrowOf(tie)
      const line = this.#line(placed.at.get(from)!, placed.at.get(to)!, tie)
      this.#lines.set(tie.channel, [...(this.#lines.get(tie.channel) ?? []), line])
      picture.append(line)
    }
    const alive = new Set(ties.filter(({ holder }) => holder.alive).map(({ process }) => process))
    for (const pid of processes) {
      const name = store.processes.get(pid) ?? ''
      const isDead = !alive.has(pid)
      const said = `process ${name === '' ? '' : `${name} `}${pid}${isDead ? ', dead' : ''}`
      const box = svg('g', {
        class: 'process',
        'data-dead': isDead,
        role: 'img',
        'aria-label': said,
      })
      fill(box, placed.at.get(pid)!, name === '' ? 'process' : name, said)
      box.append(second(placed.at.get(pid)!, `${pid}${isDead ? ' †' : ''}`))
      picture.append(box)
    }
    for (const { id, row } of channels) {
      const link = svg('a', {
        href: linkTo(id),
        class: 'channel',
        'aria-label': `${row.kind} ${row.name}`,
      })
      fill(link, placed.at.get(id)!, row.name, `${row.kind} ${row.name}`)
      const text = second(placed.at.get(id)!, under(row))
      this.#under.set(id, text)
      link.append(text)
      picture.append(link)
    }
    this.#drawing.replaceChildren(
      channels.length === 0 ? el('p', { class: 'empty' }, 'Nobody is on a channel.') : picture,
    )
  }

  #line(
    from: { readonly x: number; readonly y: number },
    to: { readonly x: number; readonly y: number },
    { holder }: Tie,
  ): SVGPathElement {
    const isForward = to.x > from.x
    const start = {
      x: from.x + (isForward ? node.width : node.width / 2),
      y: from.y + node.height / 2,
    }
    const end = { x: to.x + (isForward ? 0 : node.width / 2), y: to.y + node.height / 2 }
    const bend = isForward ? Math.max((end.x - start.x) / 2, 24) : 0
    // What goes back, or stays in its column, goes below or above the nodes.
    const [y1, y2] = isForward ? [start.y, end.y] : [from.y + node.height, to.y + node.height]
    const dip = isForward ? 0 : node.height + gap.height
    const path = isForward
      ? `M${String(start.x)} ${String(y1)}C${String(start.x + bend)} ${String(y1)} ${String(end.x - bend)} ${String(y2)} ${String(end.x - 5)} ${String(y2)}`
      : `M${String(start.x)} ${String(y1)}C${String(start.x)} ${String(y1 + dip)} ${String(end.x)} ${String(y2 + dip)} ${String(end.x)} ${String(y2 + 5)}`
    return svg('path', {
      d: path,
      class: `arrow ${holder.does}`,
      'data-dead': !holder.alive,
      'marker-end': holder.does === 'holds' ? undefined : 'url(#head)',
      'marker-start': holder.does === 'both' ? 'url(#head)' : undefined,
      'aria-hidden': 'true',
    })
  }

  #tell(channels: readonly Channel[], store: Store): void {
    this.#words.replaceChildren(
      ...channels.map(({ id, row }) => {
        const groups = (['writes', 'both', 'reads', 'holds'] as const).flatMap((does) => {
          const who = row.holders.filter((holder) => holder.does === does)
          if (who.length === 0) return []
          const names = who.map(({ pid, alive, role }) => {
            const name = pid === undefined ? role : store.processName(pid)
            return alive ? name : `${name} (dead)`
          })
          return [`${[...new Set(names)].join(', ')} ${verbs[does](names.length)}`]
        })
        return el(
          'li',
          {},
          el('a', { href: linkTo(id) }, row.name),
          ` (${row.kind}): ${groups.join('; ')}`,
        )
      }),
    )
  }
}

const verbs = {
  writes: (many: number) => (many === 1 ? 'writes' : 'write'),
  reads: (many: number) => (many === 1 ? 'reads' : 'read'),
  both: (many: number) => (many === 1 ? 'writes and reads' : 'write and read'),
  holds: (many: number) => (many === 1 ? 'has it open' : 'have it open'),
} as const

function tiesOf({ id, row }: Channel): Tie[] {
  return row.holders.flatMap((holder) =>
    holder.pid === undefined ? [] : [{ channel: id, process: String(holder.pid), holder }],
  )
}

function arrowOf({ channel, process, holder }: Tie): Arrow {
  return holder.does === 'reads' ? { from: channel, to: process } : { from: process, to: channel }
}

function busyness({ in: coming = 0, holders }: Row): number {
  return coming * 1000 + holders.length
}

function under(row: Row): string {
  return row.in === undefined ? row.kind : `${row.kind} · ${rate(row.in)}/s`
}

/** From 1 for nothing to 4 for a million a second. */
function thickness({ in: coming = 0 }: Row): number {
  return 1 + Math.min(Math.log10(1 + coming), 6) / 2
}

function head(id: string): SVGMarkerElement {
  return svg(
    'marker',
    {
      id,
      viewBox: '0 0 8 8',
      refX: 6,
      refY: 4,
      markerWidth: 9,
      markerHeight: 9,
      markerUnits: 'userSpaceOnUse',
      orient: 'auto-start-reverse',
    },
    svg('path', { d: 'M0 0L8 4L0 8z' }),
  )
}

function fill(
  group: SVGElement,
  { x, y }: { readonly x: number; readonly y: number },
  name: string,
  title: string,
): void {
  const shown = name.length > widest ? `${name.slice(0, widest - 1)}…` : name
  group.append(
    svg('title', {}, title),
    svg('rect', { x, y, width: node.width, height: node.height }),
    svg('text', { x: x + node.width / 2, y: y + 17, class: 'first' }, shown),
  )
}

function second(
  { x, y }: { readonly x: number; readonly y: number },
  text: string,
): SVGTextElement {
  return svg('text', { x: x + node.width / 2, y: y + 32, class: 'second' }, text)
}
