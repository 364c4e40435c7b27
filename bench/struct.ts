// What a field costs: through a view, through a DataView by hand, in a plain object, and through the
// libraries of npm that do the same, as far as they are installed (they are no development dependencies):
//   npm install --no-save typed-struct buffer-backed-object structurae
//   npm run build:ts && npm run build:test && node out/bench/struct.js
//
// Each row is measured in a process of its own, because what an engine has seen before counts: "alone" is a
// program with one definition, "among 8" one that has used eight others. Processor time, the best of seven runs.

import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { array, char, f64, struct, u32, u8 } from 'millrace/struct'

/** Two fields are written and two read for each of the records, again and again. */
interface Record64 {
  price: number
  size: number
}

/** Not known to the compiler, as it need not be installed. */
function library(name: string): Promise<unknown> {
  return import(name)
}

/** Gives the record at an index. */
type At = (index: number) => Record64

const records = 1024
const rounds = 500
const accesses = 4 * records * rounds

const fields = { price: f64, size: u32, side: u8, symbol: char(8) }
const Trade = struct(fields)
const Deep = struct({ ...fields, levels: array(f64, 4) })
const memory = new ArrayBuffer(records * Deep.size)

const rows: Record<string, () => Promise<At> | At | typeof byHand> = {
  'plain object': () => {
    const all = Array.from({ length: records }, () => ({ price: 0.5, size: 0 }))
    return (index) => all[index]!
  },
  'DataView by hand': () => byHand,
  'millrace, array': () => {
    const trades = Trade.array(memory)
    return (index) => trades.at(index)
  },
  'millrace, array, an array inside': () => {
    const all = Deep.array(memory)
    return (index) => all.at(index)
  },
  'millrace, moved view': () => {
    const trade = Trade.view(memory)
    return (index) => Trade.move(trade, memory, index * Trade.size)
  },
  'buffer-backed-object': async () => {
    const { default: bbo } = (await library('buffer-backed-object')) as {
      default: Library
    }
    const all = bbo['ArrayOfBufferBackedObjects']!(memory, {
      price: bbo['Float64']!(),
      size: bbo['Uint32']!(),
      rest: bbo['reserved']!(Trade.size - 12),
    }) as Record64[]
    return (index) => all[index]!
  },
  'typed-struct': async () => {
    const { Struct } = (await library('typed-struct')) as { Struct: new () => Builder }
    const Made = new Struct().Float64LE('price').UInt32LE('size').compile()
    const all = Array.from({ length: records }, (_, i) => new Made(Buffer.from(memory, i * 56, 12)))
    return (index) => all[index]!
  },
  structurae: async () => {
    const { View } = (await library('structurae')) as { View: new () => Structurae }
    const Made = new View().create({
      $id: 'Trade',
      type: 'object',
      properties: {
        price: { type: 'number', btype: 'float64' },
        size: { type: 'number', btype: 'uint32' },
      },
    })
    const all = Array.from({ length: records }, (_, i) => {
      const view = new Made(memory, i * 56, 12)
      return {
        get price() {
          return view.get('price')
        },
        set price(value) {
          view.set('price', value)
        },
        get size() {
          return view.get('size')
        },
        set size(value) {
          view.set('size', value)
        },
      }
    })
    return (index) => all[index]!
  },
}

type Library = Record<string, (...args: unknown[]) => unknown>
interface Builder {
  Float64LE(name: string): Builder
  UInt32LE(name: string): Builder
  compile(): new (raw: Buffer) => Record64
}
interface Structurae {
  create(
    schema: unknown,
  ): new (
    buffer: ArrayBuffer,
    offset: number,
    length: number,
  ) => { get(name: string): number; set(name: string, value: number): void }
}

/** The same accesses as everybody's, written out. */
function byHand(): number {
  const view = new DataView(memory)
  const { size } = Trade
  let sum = 0
  for (let i = 0; i < records; i++) {
    const at = i * size
    view.setFloat64(at, i + 0.5, true)
    view.setUint32(at + 8, i, true)
    sum += view.getFloat64(at, true) + view.getUint32(at + 8, true)
  }
  return sum
}

function touchAll(at: At): number {
  let sum = 0
  for (let i = 0; i < records; i++) {
    const record = at(i)
    record.price = i + 0.5
    record.size = i
    sum += record.price + record.size
  }
  return sum
}

/** Nanoseconds per access. */
function measure(at: At | typeof byHand): number {
  const times: number[] = []
  let sum = 0
  for (let run = 0; run < 7; run++) {
    const start = process.cpuUsage().user
    for (let round = 0; round < rounds; round++) {
      sum += at === byHand ? byHand() : touchAll(at as At)
    }
    times.push(((process.cpuUsage().user - start) * 1e3) / accesses)
  }
  if (Number.isNaN(sum)) throw new Error('impossible')
  return Math.min(...times)
}

/** Makes the engine see other definitions: each with a field of its own, used in a function of its own. */
function useOthers(): void {
  for (let k = 0; k < 8; k++) {
    const Other = struct({ ...fields, [`other${String(k)}`]: f64 })
    const others = Other.array(new ArrayBuffer(records * Other.size))
    for (let i = 0; i < 200_000; i++) {
      const other = others.at(i % records)
      other.price = i
      other.size = i
    }
  }
}

async function row(name: string, among: boolean): Promise<void> {
  if (among) useOthers()
  let at: At | typeof byHand
  try {
    at = await rows[name]!()
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_MODULE_NOT_FOUND') throw error
    return
  }
  process.stdout.write(String(measure(at)))
}

const [name, among] = process.argv.slice(2)
if (name !== undefined) {
  await row(name, among === 'among')
} else {
  let baseline = 0
  const self = fileURLToPath(import.meta.url)
  const print = (title: string, flags: string[], ...args: string[]) => {
    const text = execFileSync(process.execPath, [...flags, self, ...args], { encoding: 'utf8' })
    const nanoseconds = Number(text)
    if (args[0] === 'DataView by hand') baseline = nanoseconds
    const shown = text === '' ? 'not installed' : `${nanoseconds.toFixed(1).padStart(6)} ns`
    const ratio = baseline > 0 && text !== '' ? `  ${(nanoseconds / baseline).toFixed(1)} x` : ''
    console.log(`${title.padEnd(44)}${shown}${ratio}`)
  }
  const ordered = [
    'DataView by hand',
    ...Object.keys(rows).filter((row) => !row.startsWith('Data')),
  ]
  for (const each of ordered) print(each, [], each)
  const noEval = '--disallow-code-generation-from-strings'
  print('millrace, array, among 8', [], 'millrace, array', 'among')
  print('millrace, array, no code from strings', [noEval], 'millrace, array')
  print('millrace, array, no code …, among 8', [noEval], 'millrace, array', 'among')
}
