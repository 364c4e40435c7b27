// What goes to and fro, as the peers in the other languages make it.

/** A busy machine starts a process in seconds. */
export const patience = 60_000

/** Bytes. */
export const sizes = { queue: 16_384, slot: 4096, memory: 20_000 }

/** Message `number`: its number, and bytes that follow from it. */
export function content(number: number): Buffer {
  const message = Buffer.alloc(8 + ((number * 7) % 3000), number % 251)
  message.writeBigUInt64LE(BigInt(number))
  return message
}

/** The number of a message; throws if it is not whole. */
export function numberOf(message: Uint8Array): number {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength)
  const number = Number(bytes.readBigUInt64LE())
  if (!bytes.equals(content(number))) throw new Error(`message ${number} is not whole`)
  return number
}

/** What plain memory is filled with. */
export function bytesOf(seed: number, size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let i = 0; i < size; i++) bytes[i] = (seed * 31 + i * 7) & 0xff
  return bytes
}
