// Reading and writing structures as a whole, as plain objects. As with views (see accessor.ts) each definition has code of
// its own, compiled from text: a loop over the fields meets every type and every name at one place, and takes twice the time.

import { compile, definition, judgement, type Field } from './accessor.js'

export interface WholeCode {
  read(over: DataView, at: number): Record<string, unknown>
  /** False, and nothing was done: it is neither a view of this definition nor an object with its fields in their order. */
  write(over: DataView, at: number, value: unknown): boolean
}

/** `owner` is what views have as their `definition`, `padding` where the bytes are that belong to no field. */
export function wholeCode(
  fields: readonly Field[],
  padding: readonly number[],
  owner: unknown,
): WholeCode {
  // It gets the object and not the number, which V8 would have to put into the heap for a call.
  const [pass, refuse] = judgement((value: Readonly<Record<string, unknown>>, index: number) => {
    const { name, codec } = fields[index]!
    throw codec.text!.refusal(name, value[name])
  })
  const made = compile(wholeText(fields, padding), {
    codecs: fields.map(({ codec }) => codec),
    names: fields.map(({ name }) => name),
    definition,
    owner,
    pass,
    refuse,
  }) as WholeCode | undefined
  return made ?? { read: (over, at) => readEach(fields, over, at), write: () => false }
}

function readEach(fields: readonly Field[], over: DataView, at: number) {
  const value: Record<string, unknown> = {}
  for (const { name, offset, codec } of fields) value[name] = codec.read(over, at + offset)
  return value
}

function wholeText(fields: readonly Field[], padding: readonly number[]): string {
  const reads = fields.map(({ name, offset, codec: { text } }, index) => {
    const at = `at + ${String(offset)}`
    return `${name}: ${text?.get('over', at) ?? `codecs[${String(index)}].read(over, ${at})`},`
  })
  const writes = fields.map(({ name, offset, codec: { text } }, index) => {
    const at = `at + ${String(offset)}`
    const own = String(index)
    if (text === undefined) return `codecs[${own}].write(over, ${at}, value.${name}, '${name}')`
    const field = `field${own}`
    return `const ${field} = value.${name}
    ;(${text.refuses(field)} ? refuse : pass)(value, ${own})
    ${text.set('over', at, field)}`
  })
  const zeroes = padding.map((byte) => `over.setUint8(at + ${String(byte)}, 0)`)
  // Of objects made at one place, V8 knows the list of keys: to compare it takes a few nanoseconds, Object.keys makes one.
  return `'use strict'
return {
  read(over, at) {
    return {
      ${reads.join('\n      ')}
    }
  },
  write(over, at, value) {
    if (typeof value !== 'object' || value === null) return false
    let seen = 0
    for (const key in value) if (key !== names[seen++]) return false
    if (seen !== ${String(fields.length)} && value[definition] !== owner) return false
    ${[...writes, ...zeroes].join('\n    ')}
    return true
  },
}`
}
