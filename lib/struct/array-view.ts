// Elements at equal distances in memory: the array of a field, structures one after another, or one field
// of each of them. As with views, each kind of element has code of its own (see accessor.ts).

import { invalidArgument, MillraceError } from '../errors.js'
import { inspected, inspection, type Inspecting } from '../base/inspection.js'
import { put, type MovableRecords } from '../base/record-schema.js'
import { compile, judgement, memory, nothing, start } from './accessor.js'
import {
  checkLength,
  checkType,
  move,
  Type,
  type Codec,
  type FieldType,
  type MovablePart,
  type Shape,
} from './field-type.js'
import { jsonOf } from './plain.js'
import { refusalWithin, wrongValue, type Key } from './refusal.js'
import type { ArrayFieldTypes, ArrayView } from './definition.js'

/** @internal */
export const stride = Symbol('stride')
/** @internal */
export const part = Symbol('part')
const current = Symbol('current')

/** @internal */
export class Elements implements ArrayView<unknown, unknown, unknown, unknown>, MovablePart {
  length: number;
  [memory]: DataView;
  [start]: number
  readonly [stride]: number
  /** Elements with an inside: the one accessor that goes from element to element. */
  readonly [part]: MovablePart | undefined;
  /** Where that is. */
  [current] = 0
  readonly #codec: Codec
  #typed: unknown

  constructor(codec: Codec, length: number, distance: number, over: DataView, at: number) {
    this.length = length
    this[memory] = over
    this[start] = at
    this[stride] = distance
    this[part] = codec.part?.(over, at)
    this.#codec = codec
  }

  at(index: number): unknown {
    if (index >>> 0 !== index || index >= this.length) throw outside(this, index)
    const at = this[start] + index * this[stride]
    const inside = this[part]
    if (inside === undefined) return this.#codec.read(this[memory], at)
    this[current] = index
    inside[move](this[memory], at)
    return this.#codec.exposes === true
      ? (inside as MovablePart & { readonly exposed: unknown }).exposed
      : inside
  }

  set(index: number, value: unknown): void {
    if (index >>> 0 !== index || index >= this.length) throw outside(this, index)
    this.#codec.write(this[memory], this[start] + index * this[stride], value, index)
  }

  assign(values: unknown): void {
    const { [memory]: over, [start]: at, [stride]: distance, length } = this
    writeAll(this.#codec, over, at, distance, values, length)
  }

  toArray(): unknown[] {
    return Array.from({ length: this.length }, (_, index) =>
      this.#codec.read(this[memory], this[start] + index * this[stride]),
    )
  }

  get typed(): unknown {
    const Typed = this.#codec.elements
    if (this[stride] !== Typed?.BYTES_PER_ELEMENT) return undefined
    if (this[start] % Typed.BYTES_PER_ELEMENT !== 0) return undefined
    return (this.#typed ??= new Typed(this[memory].buffer, this[start], this.length))
  }

  [move](over: DataView, at: number): void {
    this[memory] = over
    this[start] = at
    this.#typed = undefined
    this[part]?.[move](over, at + this[current] * this[stride])
  }

  [Symbol.iterator](): Iterator<unknown> {
    return new Walk(this)
  }

  toJSON(): unknown {
    return jsonOf(this.toArray())
  }

  [inspected](...how: Inspecting): string {
    return this.shown('ArrayView', how)
  }

  /** As many elements as are shown, each by itself: the accessor stays where it is. */
  protected shown(title: string, how: Inspecting): string {
    return inspection(`${title}(${String(this.length)})`, how, () => {
      const { length } = this
      const { maxArrayLength = 100 } = how[1] ?? {}
      const first = Array.from({ length: Math.min(maxArrayLength ?? length, length) }, (_, index) =>
        look(this.#codec, this[memory], this[start] + index * this[stride]),
      )
      first.length = length // the rest is counted, not read
      return first
    })
  }
}

/** @internal What is at a place, to be shown: of what has an inside, an accessor of its own. */
export function look(codec: Codec, over: DataView, at: number): unknown {
  const inside = codec.part?.(over, at)
  if (inside === undefined) return codec.read(over, at)
  return codec.exposes === true
    ? (inside as MovablePart & { readonly exposed: unknown }).exposed
    : inside
}

/** Gives the same result object at each step. */
class Walk implements Iterator<unknown> {
  readonly #over: Elements
  readonly #result: { done: boolean; value: unknown } = { done: false, value: undefined }
  #next = 0

  constructor(over: Elements) {
    this.#over = over
  }

  next(): IteratorResult<unknown> {
    const result = this.#result
    result.done = this.#next >= this.#over.length
    result.value = result.done ? undefined : this.#over.at(this.#next++)
    return result as IteratorResult<unknown>
  }
}

function outside(array: Elements, index: unknown): Error {
  if (array[memory] === nothing) {
    return new MillraceError(
      'ERR_MILLRACE_RELEASED',
      `there is no element ${String(index)}: what this array shows is not there yet, or was released`,
    )
  }
  return invalidArgument(
    `there is no element ${String(index)} in an array of ${String(array.length)}`,
  )
}

/** @internal Is it an index of that array? */
export const judgeIndex = judgement((index: unknown, array: Elements) => {
  throw outside(array, index)
})

function writeAll(
  codec: Codec,
  over: DataView,
  at: number,
  distance: number,
  values: unknown,
  length: number,
  name?: Key,
): void {
  try {
    const given = (values as ArrayLike<unknown> | null | undefined)?.length
    if (given !== length || typeof values === 'string') {
      const what = typeof given === 'number' ? `${String(given)} of them` : values
      throw wrongValue({ whole: 'the array' }, `an array of exactly ${String(length)} values`, what)
    }
    for (let i = 0; i < length; i++) {
      const value = values instanceof Elements ? values.at(i) : (values as ArrayLike<unknown>)[i]
      codec.write(over, at + i * distance, value, i)
    }
  } catch (error) {
    throw refusalWithin(name, error)
  }
}

/** @internal Elements that are structures. */
export class Structures extends Elements implements MovableRecords {
  readonly #fields: NonNullable<Codec['fields']>

  constructor(codec: Codec, length: number, distance: number, over: DataView, at: number) {
    super(codec, length, distance, over, at)
    this.#fields = codec.fields!
  }

  override [inspected](...how: Inspecting): string {
    return this.shown('StructArray', how)
  }

  field(name: string): Elements {
    const field = this.#fields.get(name)
    if (field === undefined) throw invalidArgument(`there is no field '${name}'`)
    const { codec, offset } = field
    return elements(codec, this.length, this[stride], this[memory], this[start] + offset)
  }

  /** The cursor goes along, so that one that was kept shows nothing either when the array lies over nothing. */
  [put](over = nothing, at: number, length: number): void {
    this.length = length
    this[current] = 0
    this[move](over, at)
  }
}

type ElementsClass = typeof Elements

/** `last` is never used: it keeps the shape of the others, as in struct.ts. */
const classes = new WeakMap<Codec, { readonly Own: ElementsClass; readonly last: Elements }>()

/** @internal */
export function elements(...args: ConstructorParameters<ElementsClass>): Elements {
  const [codec] = args
  let made = classes.get(codec)
  if (made === undefined) {
    const base = codec.fields === undefined ? Elements : Structures
    const Own = ownCode(codec, base) ?? base
    made = { Own, last: new Own(codec, 1, 1, nothing, 0) }
    classes.set(codec, made)
  }
  return new made.Own(...args)
}

/** @internal An array that shows none of its structures as yet. */
export function noStructures(codec: Codec): MovableRecords {
  const made: unknown = elements(codec, 0, codec.size, nothing, 0)
  return made as MovableRecords
}

/** The same class again, with code of its own for what is called often. */
function ownCode(codec: Codec, base: ElementsClass): ElementsClass | undefined {
  const { text } = codec
  const check = 'judgeIndex[+(index >>> 0 !== index || index >= this.length)](index, this)'
  const at = 'this[start] + index * this[stride]'
  const numbers =
    text !== undefined &&
    `
  at(index) {
    ${check}
    return ${text.get('this[memory]', at)}
  }
  set(index, value) {
    ${check}
    ;(${text.refuses('value')} ? refuse : pass)(value, index)
    ${text.set('this[memory]', at, 'value')}
  }`
  const insides =
    codec.part !== undefined &&
    codec.exposes !== true &&
    `
  at(index) {
    ${check}
    const inside = this[part]
    this[current] = index
    inside[move](this[memory], ${at})
    return inside
  }`
  const members = numbers || insides
  if (members === false) return undefined
  const [pass, refuse] = judgement((value: unknown, index: number) => {
    throw text!.refusal(index, value)
  })
  return compile(`'use strict'\nreturn class extends base {${members}\n}`, {
    base,
    pass,
    refuse,
    memory,
    start,
    stride,
    part,
    current,
    move,
    judgeIndex,
  }) as ElementsClass | undefined
}

class ArrayType extends Type {
  readonly size: number
  readonly align: number
  readonly description: string
  readonly inside: Type['inside']
  readonly #element: Type
  readonly #length: number

  constructor(element: Type, length: number) {
    super()
    this.#element = element
    this.#length = length
    this.size = element.size * length
    this.align = element.align
    const { inside } = element
    this.inside = inside && { layout: inside.layout, path: `[0]${inside.path}` }
    this.description = `${element.description}[${String(length)}]`
  }

  declaration(identifier: string): string {
    return this.#element.declaration(`${identifier}[${String(this.#length)}]`)
  }

  get shape(): Shape {
    return { of: this.#element, length: this.#length }
  }

  protected makeCodec(littleEndian: boolean): Codec {
    const element = this.#element.codec(littleEndian)
    const length = this.#length
    const distance = element.size
    return {
      size: this.size,
      read: (over, at) =>
        Array.from({ length }, (_, index) => element.read(over, at + index * distance)),
      write: (over, at, value, name) => {
        writeAll(element, over, at, distance, value, length, name)
      },
      part: (over, at) => elements(element, length, distance, over, at),
    }
  }
}

/** `type[length]`; arrays of arrays and of structures, too. */
export function array<const Element extends FieldType>(
  type: Element,
  length: number,
): FieldType<ArrayFieldTypes<Element>> {
  const element = checkType(type, 'the elements of an array')
  return new ArrayType(element, checkLength(length, element.size))
}
