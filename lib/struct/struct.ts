// The definition of a structure: where its fields are, as a C compiler on a 64-bit Unix lays them out
// (System V ABI: every field at the next multiple of its alignment, the whole a multiple of the largest),
// and everything that can be done with bytes once that is known.

import { invalidArgument } from '../errors.js'
import { inspected, inspection, type Inspecting } from '../base/inspection.js'
import { checkOptions, flag, show } from '../base/options.js'
import { overRing, type MovableRecords } from '../base/record-schema.js'
import {
  compile,
  definition,
  judgement,
  makeViewClass,
  memory,
  nothing,
  parts,
  start,
  StructView as View,
  type Field,
  type ViewClass,
} from './accessor.js'
import { elements, judgeIndex, look, noStructures, part, Structures } from './array-view.js'
import type {
  Fields,
  FieldLayout,
  Memory,
  Struct,
  StructArray,
  StructInput,
  StructOptions,
  StructValue,
  StructView,
} from './definition.js'
import { cHeader, structBody } from './c-header.js'
import {
  checkType,
  move,
  Type,
  type Codec,
  type Layout,
  type MovablePart,
  type Shape,
} from './field-type.js'
import { fingerprintOf } from './fingerprint.js'
import { checkIdentifier } from './identifier.js'
import { jsonOf } from './plain.js'
import { refusal, refusalWithin, wrongValue, type Key } from './refusal.js'
import type { Below } from './ring-records.js'
import { hostIsLittleEndian } from './scalar.js'
import { wholeCode, type WholeCode } from './whole.js'

class StructType<F extends Fields> extends Type implements Struct<F> {
  readonly name: string | undefined
  readonly size: number
  readonly align: number
  readonly packed: boolean
  readonly endian: 'little' | 'big'
  readonly fields: readonly FieldLayout[]
  readonly fingerprint: bigint
  readonly description: string
  readonly inside: Type['inside']
  readonly #layout: Layout
  readonly #codec: StructCodec

  constructor(layout: Layout) {
    super()
    const { name, size, align, packed, endian, fields } = layout
    this.name = name
    this.size = size
    this.align = align
    this.packed = packed
    this.endian = endian
    this.fields = fields.map((field) =>
      Object.freeze({
        name: field.name,
        type: field.type.description,
        offset: field.offset,
        size: field.type.size,
      }),
    )
    Object.freeze(this.fields)
    this.description = descriptionOf(layout)
    this.fingerprint = layout.fingerprint
    this.inside = { layout, path: '' }
    this.#layout = layout
    this.#codec = new StructCodec(layout)
  }

  override [inspected](...how: Inspecting): string {
    const { name, size, align, packed, endian, fingerprint, fields } = this
    return inspection('Struct', how, () => ({
      ...(name !== undefined && { name }),
      ...{ size, align, packed, endian, fingerprint, fields },
    }))
  }

  declaration(identifier: string): string {
    const { name } = this
    return name === undefined
      ? `${structBody(this.#layout)} ${identifier}`
      : `struct ${name} ${identifier}`
  }

  get shape(): Shape {
    return { layout: this.#layout }
  }

  protected makeCodec(): Codec {
    return this.#codec // with its own byte order
  }

  view(bytes: Memory, offset = 0): StructView<F> {
    const at = this.#locate(bytes, offset, 1)
    return this.#codec.part(dataViewOf(bytes), at) as StructView<F>
  }

  move(view: StructView<F>, bytes: Memory, offset = 0): StructView<F> {
    const own = this.#own(view)
    const at = this.#locate(bytes, offset, 1)
    const buffer = bufferOf[+ArrayBuffer.isView(bytes)]!(bytes)
    own[move](over[+(own[memory].buffer !== buffer)]!(own, bytes), at)
    return view
  }

  set(view: StructView<F>, values: Partial<StructInput<F>>): void {
    const own = this.#own(view)
    this.#codec.writeSome(own[memory], own[start], values)
  }

  read(source: StructView<F> | Memory, offset = 0): StructValue<F> {
    if (source instanceof View) {
      const own = this.#own(source)
      return this.#codec.read(own[memory], own[start]) as StructValue<F>
    }
    const at = this.#locate(source as Memory, offset, 1)
    return this.#codec.read(dataViewOf(source as Memory), at) as StructValue<F>
  }

  write(bytes: Memory, value: StructInput<F>, offset = 0): void {
    const at = this.#locate(bytes, offset, 1)
    this.#codec.write(dataViewOf(bytes), at, value)
  }

  encode(value: StructInput<F>): Uint8Array {
    const made = new Uint8Array(this.size)
    this.write(made, value)
    return made
  }

  array(
    bytes: Memory,
    options?: { readonly offset?: number | undefined; readonly length?: number | undefined },
  ): StructArray<F> {
    const { offset = 0, length } = checkOptions(options, ['offset', 'length'])
    const room = Math.max(0, Math.floor((sizeOf(bytes) - offset) / this.size))
    const count = length ?? (Number.isInteger(room) ? room : 0)
    const at = this.#locate(bytes, offset, count)
    const made: unknown = elements(this.#codec, count, this.size, dataViewOf(bytes), at)
    return made as StructArray<F>
  }

  [overRing](): MovableRecords {
    return this.#codec.overRing()
  }

  toCHeader(): string {
    return cHeader(this.#layout)
  }

  toPython(): string {
    const { pythonModule } = require('./python-module.js') as typeof import('./python-module.js')
    return pythonModule(this.#layout)
  }

  #own(view: unknown): View {
    const isOther = (view as Partial<View> | undefined)?.[definition] !== this.#codec
    judgeView[+isOther]!(view, this)
    return view as View
  }

  /** Where in its buffer the structure begins, if `count` of them lie within the bytes. */
  #locate(bytes: Memory, offset: number, count: number): number {
    const end = offset + this.size * count
    const isOutside =
      !Number.isInteger(offset) ||
      !Number.isInteger(count) ||
      offset < 0 ||
      count < 0 ||
      end > sizeOf(bytes)
    judgePlace[+isOutside]!(this, bytes, offset, count)
    return beginningOf[+ArrayBuffer.isView(bytes)]!(bytes) + offset
  }
}

function sizeOf(bytes: unknown): number {
  const tag = (bytes as Partial<ArrayBuffer> | undefined)?.[Symbol.toStringTag] as
    string | undefined
  const isOther =
    +(tag !== 'ArrayBuffer') & +(tag !== 'SharedArrayBuffer') & +!ArrayBuffer.isView(bytes)
  judgeMemory[isOther]!(bytes)
  return (bytes as Memory).byteLength
}

const judgeMemory = judgement((bytes: unknown) => {
  throw wrongValue('the memory', 'a typed array, a DataView, a Buffer or an ArrayBuffer', bytes)
})

const judgeView = judgement((_view: unknown, { name }: Pick<Layout, 'name'>) => {
  throw invalidArgument(`this is no view of ${name ?? 'the structure'}; make one with view()`)
})

const judgePlace = judgement(
  ({ name, size }: Pick<Layout, 'name' | 'size'>, bytes: Memory, offset: number, count: number) => {
    const title = name ?? 'the structure'
    const what = count === 1 ? title : `${String(count)} of ${title}`
    throw invalidArgument(
      `${what} takes ${String(size * count)} bytes at offset ${String(offset)}, which do not lie ` +
        `within the ${String(sizeOf(bytes))} bytes given`,
    )
  },
)

/** The view of the memory that a structure moves to: mostly that where it is already. */
const over = [
  (own: View, _bytes: Memory) => own[memory],
  (_own: View, bytes: Memory) => dataViewOf(bytes),
] as const

// A buffer, or a view of one: by tables, for the reason that `judgement` gives.
const bufferOf = [
  (bytes: Memory) => bytes as ArrayBufferLike,
  (bytes: Memory) => (bytes as ArrayBufferView).buffer,
] as const
const beginningOf = [
  (_bytes: Memory) => 0,
  (bytes: Memory) => (bytes as ArrayBufferView).byteOffset,
] as const

/** One per buffer. It does not keep the buffer: the memory behind it may be mapped. */
const dataViews = new WeakMap<ArrayBufferLike, DataView>()

function dataViewOf(bytes: Memory): DataView {
  const buffer = bufferOf[+ArrayBuffer.isView(bytes)]!(bytes)
  let made = dataViews.get(buffer)
  if (made === undefined) {
    made = new DataView(buffer)
    dataViews.set(buffer, made)
  }
  return made
}

/** A part: for queues of records only. */
const ringRecords = () =>
  (require('./ring-records.js') as typeof import('./ring-records.js')).ringRecords
const below: Below = {
  ...{ compile, hostIsLittleEndian, judgeIndex, judgement, memory, move, nothing, part, parts },
  ...{ start, Structures },
}

class StructCodec implements Codec {
  readonly size: number
  readonly name: string | undefined
  readonly fields: ReadonlyMap<string, Field>
  readonly #fields: readonly Field[]
  readonly #padding: readonly number[]
  #viewClass: ViewClass | undefined
  #whole: WholeCode | undefined
  #makeRecords: (() => MovableRecords) | undefined
  /** Never used: with no view left, V8 would forget their shape, and all code that was optimised for it. */
  lastView: MovablePart | undefined

  constructor({ name, size, endian, fields }: Layout) {
    this.size = size
    this.name = name
    this.#fields = fields.map(({ name, offset, type }) => ({
      name,
      offset,
      codec: type.codec(endian === 'little'),
    }))
    this.fields = new Map(this.#fields.map((field) => [field.name, field]))
    const padding: number[] = []
    let end = 0
    for (const { offset, codec } of [...this.#fields, { offset: size, codec: { size: 0 } }]) {
      for (; end < offset; end++) padding.push(end)
      end = offset + codec.size
    }
    this.#padding = padding
  }

  get viewClass(): ViewClass {
    if (this.#viewClass === undefined) {
      this.#viewClass = makeViewClass(this.#fields)
      Object.defineProperties(this.#viewClass.prototype, viewMembers(this))
      Object.defineProperty(this.#viewClass.prototype, definition, { value: this })
      this.lastView = this.part(nothing, 0)
    }
    return this.#viewClass
  }

  part(over: DataView, at: number): MovablePart {
    return new this.viewClass(over, at)
  }

  overRing(): MovableRecords {
    this.#makeRecords ??=
      ringRecords()(below, this, this.#fields, this.viewClass) ?? (() => noStructures(this))
    return this.#makeRecords()
  }

  get #inOne(): WholeCode {
    return (this.#whole ??= wholeCode(this.#fields, this.#padding, this))
  }

  read(over: DataView, at: number): Record<string, unknown> {
    return this.#inOne.read(over, at)
  }

  /** The same to be shown: what is inside is not read before somebody looks at it. */
  look(over: DataView, at: number): object {
    return Object.fromEntries(
      this.#fields.map(({ name, offset, codec }) => [name, look(codec, over, at + offset)]),
    )
  }

  /** Views of the same definition will do as values, too. `name`: of the field it is, if it is one. */
  write(over: DataView, at: number, value: unknown, name?: Key): void {
    try {
      if (this.#inOne.write(over, at, value)) return
      this.#writeEach(over, at, value)
    } catch (error) {
      throw refusalWithin(name, error)
    }
  }

  /** In whatever order the value has its fields. */
  #writeEach(over: DataView, at: number, value: unknown): void {
    const given = this.#check(value)
    for (const { name } of this.#fields) {
      if (!(name in given)) throw refusal(this.#itself, `lacks its field '${name}'`)
    }
    for (const { name, offset, codec } of this.#fields) {
      codec.write(over, at + offset, given[name], name)
    }
    for (const byte of this.#padding) over.setUint8(at + byte, 0)
  }

  writeSome(over: DataView, at: number, values: unknown): void {
    const given = this.#check(values)
    for (const { name: key, offset, codec } of this.#fields) {
      if (key in given) codec.write(over, at + offset, given[key], key)
    }
  }

  #check(value: unknown): Readonly<Record<string, unknown>> {
    if (typeof value !== 'object' || value === null) {
      throw wrongValue(this.#itself, 'an object with its fields', value)
    }
    for (const key of Object.keys(value)) {
      if (!this.fields.has(key)) throw refusal(this.#itself, `has no field '${key}'`)
    }
    return value as Readonly<Record<string, unknown>>
  }

  get #itself() {
    return { whole: this.name ?? 'the structure' }
  }
}

/** What views have beside their fields. */
function viewMembers(codec: StructCodec): PropertyDescriptorMap {
  return {
    toJSON: {
      value(this: View) {
        return jsonOf(codec.read(this[memory], this[start]))
      },
    },
    [inspected]: {
      value(this: View, ...how: Inspecting) {
        return inspection(codec.name ?? 'StructView', how, () =>
          codec.look(this[memory], this[start]),
        )
      },
    },
  }
}

/**
 * Defines a structure with the layout that a C compiler gives it, for zero-copy access to shared memory.
 *
 * @example
 * ```ts
 * const Trade = struct({ price: f64, size: u32, side: u8, symbol: char(8), levels: array(f64, 10) })
 * using memory = SharedMemory.create('trades', Trade.size * 1000, { schema: Trade })
 * const trades = Trade.array(memory.buffer)
 * trades.at(0).price = 101.5
 * ```
 *
 * @throws MillraceError `INVALID_ARGUMENT`: no fields, or a name that is none in C or C++
 */
export function struct<const F extends Fields>(fields: F, options?: StructOptions): Struct<F> {
  const given = checkOptions(options, ['name', 'packed', 'endian'])
  const { endian = 'little', name } = given
  if (!['little', 'big'].includes(endian)) {
    throw invalidArgument(`endian must be 'little' or 'big', not ${show(endian)}`)
  }
  if (name !== undefined) checkIdentifier(name, 'the name of a structure')
  const entries = Object.entries((fields as Fields | null | undefined) ?? {})
  if (entries.length === 0) throw invalidArgument('a structure needs at least one field')
  const packed = flag(given, 'packed')
  let end = 0
  let align = 1
  const placed = entries.map(([key, fieldType]) => {
    const type = checkType(fieldType, `field '${checkIdentifier(key, 'the name of a field')}'`)
    const offset = packed ? end : roundUp(end, type.align)
    if (!packed) align = Math.max(align, type.align)
    end = offset + type.size
    return { name: key, offset, type }
  })
  const layout = { name, packed, endian, fields: placed, align, size: roundUp(end, align) }
  return new StructType<F>({ ...layout, fingerprint: fingerprintOf(descriptionOf(layout)) })
}

/** Of what the bytes are, and nothing else: neither the name nor the alignment. */
function descriptionOf({ fields, size, endian }: Omit<Layout, 'fingerprint'>): string {
  const members = fields.map(
    ({ name, type, offset }) => `${name}:${type.description}@${String(offset)}`,
  )
  return `{${members.join()}}${String(size)}${endian}`
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}
