// Makes a Mach-O file repeatable. Zig's linker writes no indirect symbol for a pointer to something local, but counts it:
// as many at the end of the table, and the gap that follows, hold what was in its memory. The identifier of the file and
// its signature follow from that. Only debuggers and disassemblers read indirect symbols.
//
// Sources: Apple's <mach-o/loader.h> and <kern/cs_blobs.h>.
import { createHash } from 'node:crypto'

const sha256 = (bytes) => createHash('sha256').update(bytes).digest()

/** Mends the indirect symbols, and states identifier and signature anew. Changes `file`. */
export function makeRepeatable(file) {
  const command = commandsOf(file)
  const symbols = command.get(0x2)
  const dynamicSymbols = command.get(0xb)
  const identifier = command.get(0x1b) + 8
  const signature = command.get(0x1d)

  // The signature as the linker made it must be understood before it is made again.
  const slots = signature === undefined ? [] : pageHashes(file, file.readUInt32LE(signature + 8))
  if (!slots.every(({ stated, page }) => stated.equals(sha256(page)))) {
    throw new Error('the signature of the linker is not understood')
  }

  const indirect = file.readUInt32LE(dynamicSymbols + 56)
  const entries = file.readUInt32LE(dynamicSymbols + 60)
  for (let index = writtenSymbols(file, indirect, entries); index < entries; index++) {
    file.writeUInt32LE(0x80000000, indirect + 4 * index) // INDIRECT_SYMBOL_LOCAL
  }
  const gap = indirect + 4 * entries
  const strings = file.readUInt32LE(symbols + 16)
  if (strings < gap || strings - gap > 7) throw new Error('strings do not follow indirect symbols')
  file.fill(0, gap, strings)

  const end = signature === undefined ? file.length : file.readUInt32LE(signature + 8)
  file.fill(0, identifier, identifier + 16)
  sha256(file.subarray(0, end)).copy(file, identifier, 0, 16)
  file[identifier + 6] = (file[identifier + 6] & 0x0f) | 0x30 // a UUID that is a digest
  file[identifier + 8] = (file[identifier + 8] & 0x3f) | 0x80

  for (const { stated, page } of slots) sha256(page).copy(stated)
}

/** How many there are: the table begins with those of the stubs, and ends with the same again, for the lazy pointers. */
function writtenSymbols(file, indirect, entries) {
  const stubs = stubCount(file)
  const table = (from, to) => file.subarray(indirect + 4 * from, indirect + 4 * to)
  for (let from = stubs; from + stubs <= entries; from++) {
    if (table(from, from + stubs).equals(table(0, stubs))) return from + stubs
  }
  throw new Error('there are no lazy pointers in the order of the stubs')
}

function stubCount(file) {
  let at = 32
  for (let left = file.readUInt32LE(16); left > 0; left--) {
    const sections = file.readUInt32LE(at) === 0x19 ? file.readUInt32LE(at + 64) : 0
    for (let index = 0; index < sections; index++) {
      const section = at + 72 + 80 * index
      if (file[section + 64] !== 8) continue // S_SYMBOL_STUBS
      return Number(file.readBigUInt64LE(section + 40)) / file.readUInt32LE(section + 72)
    }
    at += file.readUInt32LE(at + 4)
  }
  throw new Error('there are no stubs')
}

/** Where each load command begins, by its number. */
function commandsOf(file) {
  const found = new Map()
  let at = 32
  for (let left = file.readUInt32LE(16); left > 0; left--) {
    found.set(file.readUInt32LE(at), at)
    at += file.readUInt32LE(at + 4)
  }
  return found
}

/** The pages that a signature covers, with its digests of them; both are views. Its numbers are big-endian. */
function pageHashes(file, superBlob) {
  for (let index = 0; index < file.readUInt32BE(superBlob + 8); index++) {
    const directory = superBlob + file.readUInt32BE(superBlob + 12 + 8 * index + 4)
    if (file.readUInt32BE(directory) !== 0xfade0c02) continue
    const [hashSize, hashType] = [file[directory + 36], file[directory + 37]]
    if (hashSize !== 32 || hashType !== 2) throw new Error('the signature is not one of SHA-256')
    const hashes = directory + file.readUInt32BE(directory + 16)
    const limit = file.readUInt32BE(directory + 32)
    const pageSize = 2 ** file[directory + 39]
    return Array.from({ length: file.readUInt32BE(directory + 28) }, (_, page) => ({
      stated: file.subarray(hashes + 32 * page, hashes + 32 * (page + 1)),
      page: file.subarray(page * pageSize, Math.min((page + 1) * pageSize, limit)),
    }))
  }
  throw new Error('the signature has no code directory')
}
