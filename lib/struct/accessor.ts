// The class of the views of one structure. It is made once per definition, and each definition gets
// code of its own: functions that all definitions shared would be slow as soon as a program has some
// (an engine optimises a piece of code for few shapes of objects; docs/struct.md has the figures).
// Own code means code from text. Where that is forbidden (CSP, --disallow-code-generation-from-strings),
// shared functions do the same.
//
// A view is a DataView over the whole buffer and a position in it; both change when it moves. Whoever
// creates or moves it has checked that the structure lies within the bytes that were given.

import { move, type Codec, type MovablePart } from './field-type.js'

export const memory = Symbol('memory')
export const start = Symbol('start')
/** Of what definition a view is: a property of its class. (`instanceof` has the branch that `judgement` is about.) */
export const definition = Symbol('definition')
export const parts = Symbol('parts')

/** Accessors may be made over it, but not used. */
export const nothing = new DataView(new ArrayBuffer(0))

/** A field as the accessors need it. */
export interface Field {
  readonly name: string
  readonly offset: number
  readonly codec: Codec
}

/** Views have the fields of their structure as properties, and nothing else: no name is taken. */
export abstract class StructView implements MovablePart {
  [memory]: DataView;
  [start]: number
  readonly [parts]: readonly MovablePart[]
  declare readonly [definition]: unknown;
  declare ['constructor']: ViewClass

  constructor(over: DataView, at: number) {
    this[memory] = over
    this[start] = at
    this[parts] = this.constructor.partFields.map(({ codec, offset }) =>
      codec.part!(over, at + offset),
    )
  }

  [move](over: DataView, at: number): void {
    this[memory] = over
    this[start] = at
    const { partFields } = this.constructor
    for (let i = 0; i < partFields.length; i++)
      this[parts][i]![move](over, at + partFields[i]!.offset)
  }
}

export interface ViewClass {
  new (over: DataView, at: number): StructView
  /** Fields with an accessor of their own. */
  readonly partFields: readonly Field[]
}

/**
 * What is done about a value: `judge[+(is it wrong?)](value, …)`, in generated code `(is it wrong? refuse : pass)(value, …)`,
 * of which V8 leaves nothing where it knows that the value is right. An ordinary branch would do, but V8 boxes
 * the floating-point numbers of the loop around an inlined branch that can throw (since 12.4, in code entered by on-stack
 * replacement): 16 bytes a round. So does `instanceof`. A call that always went to one function has no branch; another target leaves the optimised code.
 */
export function judgement<Given extends readonly unknown[]>(
  refuse: (...given: Given) => never,
): readonly [pass: (...given: Given) => void, refuse: (...given: Given) => never] {
  return [() => undefined, refuse]
}

let compiled = 0

/** Runs program text with these names known; undefined where that is forbidden. */
export function compile(body: string, known: Readonly<Record<string, unknown>>): unknown {
  // V8 gives the same text the same code, with what it has learnt about other definitions.
  const unique = `${body} // ${String(++compiled)}`
  try {
    // The text is made of numbers, our own names and identifiers that were checked.
    // eslint-disable-next-line @typescript-eslint/no-implied-eval, @typescript-eslint/no-unsafe-call
    return new Function(...Object.keys(known), unique)(...Object.values(known))
  } catch (error) {
    if (error instanceof EvalError) return undefined
    throw error
  }
}

export function makeViewClass(fields: readonly Field[]): ViewClass {
  const partFields = fields.filter(({ codec }) => codec.part !== undefined)
  const [pass, refuse] = judgement((value: unknown, index: number) => {
    throw fields[index]!.codec.text!.refusal(fields[index]!.name, value)
  })
  const made =
    (compile(viewClassText(fields, partFields), {
      StructView,
      memory,
      start,
      parts,
      move,
      codecs: fields.map(({ codec }) => codec),
      pass,
      refuse,
    }) as ViewClass | undefined) ?? shareAccessors(fields, partFields)
  return Object.defineProperty(made, 'partFields', { value: partFields })
}

function viewClassText(fields: readonly Field[], partFields: readonly Field[]): string {
  const members = fields.map((field, index) => {
    const { name, offset, codec } = field
    const at = `this[start] + ${String(offset)}`
    const own = `codecs[${String(index)}]`
    const { text } = codec
    if (text !== undefined) {
      return `
  get ${name}() { return ${text.get('this[memory]', at)} }
  set ${name}(value) {
    ;(${text.refuses('value')} ? refuse : pass)(value, ${String(index)})
    ${text.set('this[memory]', at, 'value')}
  }`
    }
    const setter = `set ${name}(value) { ${own}.write(this[memory], ${at}, value, '${name}') }`
    if (codec.part === undefined) {
      return `
  get ${name}() { return ${own}.read(this[memory], ${at}) }
  ${setter}`
    }
    const part = `this[parts][${String(partFields.indexOf(field))}]`
    return codec.exposes === true
      ? `
  get ${name}() { return ${part}.exposed }
  ${setter}`
      : `
  get ${name}() { return ${part} }`
  })
  const moves = partFields.map(
    ({ offset }, index) => `
    this[parts][${String(index)}][move](over, at + ${String(offset)})`,
  )
  return `'use strict'
return class View extends StructView {${members.join('')}
  [move](over, at) {
    this[memory] = over
    this[start] = at${moves.join('')}
  }
}`
}

function shareAccessors(fields: readonly Field[], partFields: readonly Field[]): ViewClass {
  const made = class View extends StructView {
    static readonly partFields = partFields
  }
  for (const field of fields) {
    const { name, offset, codec } = field
    const index = partFields.indexOf(field)
    const set = function (this: StructView, value: unknown) {
      codec.write(this[memory], this[start] + offset, value, name)
    }
    Object.defineProperty(made.prototype, name, {
      configurable: true,
      ...(codec.part === undefined
        ? {
            get(this: StructView) {
              return codec.read(this[memory], this[start] + offset)
            },
            set,
          }
        : codec.exposes === true
          ? {
              get(this: StructView) {
                return (this[parts][index] as MovablePart & { exposed: unknown }).exposed
              },
              set,
            }
          : {
              get(this: StructView) {
                return this[parts][index]
              },
            }),
    })
  }
  return made
}
