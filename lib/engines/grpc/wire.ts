// The few messages of Protocol Buffers that are needed here, by hand: fields of a number and either bytes or a whole number.
//
//   key: varint of field << 3 | type · type 0: a varint · type 2: a varint of the length, and as many bytes

/** Fields by their numbers; of one that comes more than once, the last. */
export type Fields = ReadonlyMap<number, Uint8Array | number>

/** Throws if that is no message. */
export function readFields(message: Uint8Array): Fields {
  const fields = new Map<number, Uint8Array | number>()
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let factor = 1; factor < 2 ** 49; factor *= 128) {
      const byte = message[at++]
      if (byte === undefined) throw cutOff()
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
    throw new RangeError('a number is longer than numbers are here')
  }
  while (at < message.length) {
    const key = varint()
    const field = Math.floor(key / 8)
    switch (key % 8) {
      case 0:
        fields.set(field, varint())
        break
      case 2: {
        const length = varint()
        if (at + length > message.length) throw cutOff()
        fields.set(field, message.subarray(at, at + length))
        at += length
        break
      }
      case 1:
        at += 8
        break
      case 5:
        at += 4
        break
      default:
        throw new RangeError('a field is of a type that there is not')
    }
    if (at > message.length) throw cutOff()
  }
  return fields
}

function cutOff(): RangeError {
  return new RangeError('the message is cut off')
}

/** A text; empty if it is not there. */
export function textOf(fields: Fields, field: number): string {
  const found = fields.get(field)
  return found instanceof Uint8Array ? Buffer.from(found).toString() : ''
}

export function bytesOf(fields: Fields, field: number): Uint8Array {
  const found = fields.get(field)
  return found instanceof Uint8Array ? found : new Uint8Array(0)
}

/** Bytes are fields of type 2, whole numbers of type 0; what is empty or 0 is left out, as the format has it. */
export function writeFields(
  entries: readonly (readonly [field: number, value: Uint8Array | number])[],
): Buffer {
  const parts: Uint8Array[] = []
  for (const [field, value] of entries) {
    if (typeof value === 'number') {
      if (value !== 0) parts.push(varintOf(field * 8), varintOf(value))
    } else if (value.length > 0) {
      parts.push(varintOf(field * 8 + 2), varintOf(value.length), value)
    }
  }
  return Buffer.concat(parts)
}

function varintOf(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  bytes.push(rest)
  return new Uint8Array(bytes)
}
