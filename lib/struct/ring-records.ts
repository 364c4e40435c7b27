// Records where they lie in the ring of a queue, and one view that goes from record to record. It is as every view of the
// definition, but writes numbers by typed arrays over the whole ring where it can, not by a DataView: at each store by a
// DataView V8 forgets what it has loaded of any object (over what memory this view is, where it begins), and keeps it at
// stores into typed arrays. Loads forget nothing.
//
// It can where a number lies at a multiple of its size, in the byte order of this machine; a ring begins each message
// at a multiple of eight bytes. While the view is over nothing, something stands for the typed arrays that takes the way
// through the DataView after all, so that no setter has to ask where the view is. Nor does its array: for a view that was moved
// elsewhere something stands, too, that gets it back.
//
// A typed array whose memory was taken away would ignore what is written. So whoever takes it away puts the records over
// nothing first.
//
// A part: only queues of records load it.

import { put, type MovableRecords } from '../base/record-schema.js'
import type * as Accessor from './accessor.js'
import type { Field, StructView, ViewClass } from './accessor.js'
import type * as ArrayViews from './array-view.js'
import type * as FieldTypes from './field-type.js'
import type { Codec, TypedArrayConstructor } from './field-type.js'
import type * as Scalars from './scalar.js'

/** What a part of the entry point has of the rest is given to it. */
export type Below = Pick<
  typeof Accessor,
  'compile' | 'judgement' | 'memory' | 'nothing' | 'parts' | 'start'
> &
  Pick<typeof ArrayViews, 'judgeIndex' | 'part' | 'Structures'> &
  Pick<typeof FieldTypes, 'move'> &
  Pick<typeof Scalars, 'hostIsLittleEndian'>

// Of a view
/** Where it begins in each typed array, in units of its largest numbers. */
const place = Symbol('place')
/** Its array. */
const owner = Symbol('owner')
/** Puts it over the memory of its array; to a place there; elsewhere. */
const settle = Symbol('settle')
const walk = Symbol('walk')
const detach = Symbol('detach')
// Of an array
/** Over what memory its typed arrays lie. */
const laid = Symbol('laid')
// Of both: the typed arrays, the first, second …
const lanes = Array.from({ length: 10 }, (_, index) => Symbol(`lane ${String(index)}`))
/** Of a view: what stands for these when it is not over its ring. */
const detours = lanes.map(({ description }) => Symbol(`detour of ${description!}`))

type Lane = TypedArrayConstructor & { readonly name: string }

interface LaneView extends StructView {
  [walk](over: DataView, at: number): void
  [settle](array: object, over: DataView, at: number): void
  [detach](over: DataView, at: number): void
}

interface Plan {
  readonly kinds: readonly Lane[]
  readonly fields: readonly Field[]
  /** The place of a view is its beginning, shifted by this. */
  readonly shift: number
}

/** What makes arrays of such records; `undefined` if no field gains by it, or if program text may not be compiled. */
export function ringRecords(
  below: Below,
  codec: Codec,
  fields: readonly Field[],
  viewClass: ViewClass,
): (() => MovableRecords) | undefined {
  const plan = planOf(fields, codec.size)
  if (plan.kinds.length === 0) return undefined
  const View = makeView(below, viewClass, plan)
  const Records = View && makeRecords(below, codec, View, plan)
  if (Records === undefined) return undefined
  const kept = new Records() // with none left, V8 would forget their shape, and all code that was optimised for it
  return () => new (kept.constructor as typeof Records)()
}

function planOf(all: readonly Field[], size: number): Plan {
  const fields = all.filter(({ codec, offset }) => {
    const width = codec.text && codec.stored?.BYTES_PER_ELEMENT
    return width !== undefined && size % width === 0 && offset % width === 0
  })
  const kinds = [...new Set(fields.map(({ codec }) => codec.stored as Lane))]
  const widest = Math.max(...kinds.map((kind) => kind.BYTES_PER_ELEMENT))
  return { kinds, fields, shift: Math.log2(widest) }
}

/** The view of the definition again, with other code for writing numbers, and for going from record to record. */
function makeView(
  below: Below,
  base: ViewClass,
  { kinds, fields, shift }: Plan,
): ViewClass | undefined {
  const { compile, judgement, memory, move, nothing, parts, start } = below
  const setters = fields.map(({ name, offset, codec }, index) => {
    const { stored, text } = codec
    const width = stored!.BYTES_PER_ELEMENT
    const up = shift - Math.log2(width)
    const from = up === 0 ? 'this[place]' : `(this[place] << ${String(up)})`
    const at = offset === 0 ? from : `${from} + ${String(offset / width)} | 0`
    const lane = `lane${String(kinds.indexOf(stored as Lane))}`
    return `
  get ${name}() { return ${text!.get('this[memory]', `this[start] + ${String(offset)}`)} }
  set ${name}(value) {
    ;(${text!.refuses('value')} ? refuse : pass)(value, ${String(index)})
    this[${lane}][${at}] = ${text!.encode('value')}
  }`
  })
  const moves = base.partFields
    .map(({ offset }, i) => `\n    this[parts][${String(i)}][move](over, at + ${String(offset)})`)
    .join('')
  const each = (text: (lane: string) => string) =>
    kinds.map((_, index) => `\n    ${text(String(index))}`).join('')
  const text = `'use strict'
return class View extends Base {
  [owner] = undefined;
  [place] = 0;${each((lane) => `[detour${lane}] = detour(below, this, kinds[${lane}]);`)}${each((lane) => `[lane${lane}] = this[detour${lane}];`)}
${setters.join('')}
  [move](over, at) {
    leave(below, this[owner], this)
    this[detach](over, at)
  }
  [detach](over, at) {
    this[memory] = over
    this[start] = at
    this[place] = 0${each((lane) => `this[lane${lane}] = this[detour${lane}]`)}${moves}
  }
  [settle](array, over, at) {
    this[memory] = over${each((lane) => `this[lane${lane}] = array[lane${lane}]`)}
    this[walk](over, at)
  }
  [walk](over, at) {
    this[start] = at
    this[place] = at >> ${String(shift)}${moves}
  }
}`
  const [pass, refuse] = judgement((value: unknown, index: number) => {
    throw fields[index]!.codec.text!.refusal(fields[index]!.name, value)
  })
  const known = { Base: base, below, nothing, kinds, detour, leave, pass, refuse, ...named(kinds) }
  const members = { memory, start, parts, move, place, owner, settle, walk, detach }
  return compile(text, { ...known, ...members }) as ViewClass | undefined
}

/** The view was moved elsewhere. As every array, its own gets it back when it is used again. */
function leave({ part }: Below, array: Record<symbol, unknown>, view: LaneView): void {
  const back = () => {
    array[part] = view
    return view
  }
  const away: Omit<LaneView, keyof StructView> = {
    [walk]: (over, at) => {
      back()[settle](array, over, at)
    },
    [settle]: (_, over, at) => {
      back()[settle](array, over, at)
    },
    [detach]: (over, at) => {
      back()[detach](over, at)
    },
  }
  array[part] = away
}

/** To be written to; indices are those of a view that begins at 0. */
function detour(
  { hostIsLittleEndian, ...below }: Below,
  view: StructView,
  { BYTES_PER_ELEMENT, name }: Lane,
): object {
  const method = `set${name.replace('Array', '') as 'Float64'}` as const
  return new Proxy(
    {},
    {
      set: (_, index, value: number) => {
        const at = view[below.start] + Number(index) * BYTES_PER_ELEMENT
        view[below.memory][method](at, value, hostIsLittleEndian)
        return true
      },
    },
  )
}

function makeRecords(
  below: Below,
  codec: Codec,
  View: ViewClass,
  { kinds }: Plan,
): (new () => MovableRecords) | undefined {
  const { compile, judgeIndex, memory, nothing, part, start, Structures } = below
  const lay = (array: Record<symbol, unknown>, over: DataView) => {
    array[laid] = over
    kinds.forEach((Typed, index) => {
      const length = Math.floor(over.byteLength / Typed.BYTES_PER_ELEMENT)
      array[lanes[index]!] = new Typed(over.buffer, over.byteOffset, length)
    })
  }
  const size = String(codec.size)
  const text = `'use strict'
return class Records extends Structures {
  [laid] = undefined;${kinds.map((_, lane) => ` [lane${String(lane)}] = undefined;`).join('')}
  constructor() {
    super(codec, 0, ${size}, nothing, 0)
    this[part] = new View(nothing, 0)
    this[part][owner] = this
  }
  at(index) {
    judgeIndex[+(index >>> 0 !== index || index >= this.length)](index, this)
    const inside = this[part]
    inside[walk](this[memory], this[start] + index * ${size} | 0)
    return this[part]
  }
  [put](over, at, length) {
    this.length = length
    this[start] = at
    this[memory] = over ?? nothing
    if (over === undefined) this[part][detach](nothing, at)
    else {
      if (over !== this[laid]) lay(this, over)
      this[part][settle](this, over, at)
    }
  }
}`
  const known = { Structures, View, codec, nothing, lay, judgeIndex, ...named(kinds) }
  const members = { put, part, memory, start, laid, owner, settle, walk, detach }
  return compile(text, { ...known, ...members }) as (new () => MovableRecords) | undefined
}

/** What program text calls the lanes. */
function named(kinds: readonly Lane[]): Record<string, symbol> {
  return Object.fromEntries(
    kinds.flatMap((_, index) => [
      [`lane${String(index)}`, lanes[index]!],
      [`detour${String(index)}`, detours[index]!],
    ]),
  )
}
