// Where the nodes of a graph are drawn: from left to right, along the arrows, each part of the graph that hangs together on its own. After
// Sugiyama, Tagawa and Toda (1981): circles are broken, layers are longest paths, and within a layer a node comes where its neighbours are.

export interface Arrow {
  readonly from: string
  readonly to: string
}

export interface Size {
  readonly width: number
  readonly height: number
}

export interface Placed extends Size {
  readonly at: ReadonlyMap<string, { readonly x: number; readonly y: number }>
}

interface Space {
  /** Of a node. */
  readonly node: Size
  readonly gap: Size
  /** How wide the drawing may be, if that is enough for each part. */
  readonly width: number
}

const sweeps = 6

/** The upper left corner of each node. */
export function layout(nodes: readonly string[], arrows: readonly Arrow[], space: Space): Placed {
  const parts = partsOf(nodes, arrows).map((part) => placePart(part, arrows, space))
  const at = new Map<string, { x: number; y: number }>()
  let [x, y, shelf, width] = [0, 0, 0, 0]
  for (const part of parts.sort((a, b) => b.height - a.height || b.width - a.width)) {
    if (x > 0 && x + part.width > space.width) {
      x = 0
      y += shelf + space.gap.height * 2
      shelf = 0
    }
    for (const [node, place] of part.at) at.set(node, { x: place.x + x, y: place.y + y })
    width = Math.max(width, x + part.width)
    x += part.width + space.gap.width
    shelf = Math.max(shelf, part.height)
  }
  return { at, width, height: y + shelf }
}

function partsOf(nodes: readonly string[], arrows: readonly Arrow[]): string[][] {
  const beside = neighbours(arrows)
  const seen = new Set<string>()
  return nodes.flatMap((first) => {
    if (seen.has(first)) return []
    const part: string[] = []
    const open = [first]
    seen.add(first)
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      part.push(node)
      for (const next of beside.get(node) ?? []) {
        if (!seen.has(next)) {
          seen.add(next)
          open.push(next)
        }
      }
    }
    return [part]
  })
}

function placePart(part: readonly string[], all: readonly Arrow[], space: Space): Placed {
  const inPart = new Set(part)
  const arrows = all.filter(({ from }) => inPart.has(from))
  const layers = ordered(layersOf(part, arrows), neighbours(arrows))
  const step = { x: space.node.width + space.gap.width, y: space.node.height + space.gap.height }
  const tallest = Math.max(...layers.map(({ length }) => length))
  const at = new Map<string, { x: number; y: number }>()
  layers.forEach((layer, column) => {
    const top = ((tallest - layer.length) * step.y) / 2
    layer.forEach((node, row) => at.set(node, { x: column * step.x, y: top + row * step.y }))
  })
  return {
    at,
    width: layers.length * step.x - space.gap.width,
    height: tallest * step.y - space.gap.height,
  }
}

/** Each node comes after all that lead to it, but for arrows that would close a circle. */
function layersOf(part: readonly string[], arrows: readonly Arrow[]): string[][] {
  const following = new Map<string, string[]>()
  for (const { from, to } of arrows) following.set(from, [...(following.get(from) ?? []), to])
  const entered = new Set(arrows.map(({ to }) => to))
  const begins = [...part].sort((a, b) => Number(entered.has(a)) - Number(entered.has(b)))
  const order: string[] = []
  const state = new Map<string, 'open' | 'done'>()
  const forward: Arrow[] = []
  const visit = (node: string): void => {
    state.set(node, 'open')
    for (const to of following.get(node) ?? []) {
      if (state.get(to) === 'open') continue
      forward.push({ from: node, to })
      if (!state.has(to)) visit(to)
    }
    state.set(node, 'done')
    order.unshift(node)
  }
  for (const node of begins) if (!state.has(node)) visit(node)
  const depth = new Map(part.map((node) => [node, 0]))
  const coming = new Map<string, string[]>()
  for (const { from, to } of forward) coming.set(to, [...(coming.get(to) ?? []), from])
  for (const node of order) {
    const before = (coming.get(node) ?? []).map((from) => depth.get(from)! + 1)
    depth.set(node, Math.max(0, ...before))
  }
  // What leads nowhere but is led to by nobody stands right before what it leads to.
  for (const node of order.toReversed()) {
    if (coming.has(node)) continue
    const next = forward.filter(({ from }) => from === node).map(({ to }) => depth.get(to)!)
    if (next.length > 0) depth.set(node, Math.min(...next) - 1)
  }
  const layers: string[][] = Array.from({ length: Math.max(...depth.values()) + 1 }, () => [])
  for (const node of order) layers[depth.get(node)!]!.push(node)
  return layers.filter((layer) => layer.length > 0)
}

/** So that arrows cross one another less: there and back again, each node to the middle of its neighbours in the layer before. */
function ordered(layers: readonly string[][], beside: ReadonlyMap<string, string[]>): string[][] {
  let now = layers.map((layer) => [...layer])
  for (let sweep = 0; sweep < sweeps; sweep++) {
    const places = new Map<string, number>()
    const place = (layer: readonly string[]): void => {
      layer.forEach((node, at) => places.set(node, (at + 0.5) / layer.length))
    }
    now.forEach(place)
    const turned = sweep % 2 === 0 ? now : now.toReversed()
    const sorted = turned.map((layer) => {
      const middle = new Map(
        layer.map((node) => {
          const known = (beside.get(node) ?? []).flatMap((one) => places.get(one) ?? [])
          const sum = known.reduce((all, one) => all + one, 0)
          return [node, known.length === 0 ? places.get(node)! : sum / known.length]
        }),
      )
      const next = [...layer].sort((a, b) => middle.get(a)! - middle.get(b)!)
      place(next)
      return next
    })
    now = sweep % 2 === 0 ? sorted : sorted.toReversed()
  }
  return now
}

function neighbours(arrows: readonly Arrow[]): Map<string, string[]> {
  const beside = new Map<string, string[]>()
  for (const { from, to } of arrows) {
    beside.set(from, [...(beside.get(from) ?? []), to])
    beside.set(to, [...(beside.get(to) ?? []), from])
  }
  return beside
}
