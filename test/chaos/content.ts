// Messages, frames and values: a number, and bytes that depend on it. The same as in victims.cpp.

const mostWords = 24
export const mostBytes = 8 * mostWords

export function contentOf(number: number): Buffer {
  const words = 1 + (number % mostWords)
  const content = Buffer.alloc(8 * words)
  content.writeBigUInt64LE(BigInt(number))
  for (let i = 1; i < words; i++) content.writeBigUInt64LE(BigInt(number * 31 + i), 8 * i)
  return content
}

/** The number whose content this is; 0 if it is not whole. */
export function numberIn(content: Uint8Array): number {
  if (content.byteLength < 8) return 0
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength)
  const number = Number(bytes.readBigUInt64LE())
  return contentOf(number).equals(bytes) ? number : 0
}
