// 64-bit FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ (public domain), of a description.

const basis = 0xcbf29ce484222325n
const prime = 0x100000001b3n

/** Never 0, which means "none". */
export function fingerprintOf(description: string): bigint {
  let hash = basis
  for (const byte of Buffer.from(description)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * prime)
  }
  return hash === 0n ? basis : hash
}
