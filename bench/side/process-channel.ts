// What process.send is given: a Buffer where it can be cloned, base64 where it has to be JSON, which otherwise spells
// out each byte as a number.

import type { Parameters } from './parameters.js'

interface Packing {
  readonly pack: (message: Buffer) => Buffer | string
  readonly unpack: (message: unknown) => Uint8Array
}

export function packing({ serialization }: Parameters): Packing {
  if (serialization === 'advanced') {
    return { pack: (message) => message, unpack: (message) => message as Uint8Array }
  }
  return {
    pack: (message) => message.toString('base64'),
    unpack: (message) => Buffer.from(message as string, 'base64'),
  }
}
