// Reads what a Mach-O file says of itself: <mach-o/loader.h>, <mach-o/nlist.h>. 64-bit, little-endian, one architecture.

const magic64 = 0xfeed_facf
const cpuTypes = { 0x0100_0007: 'x64', 0x0100_000c: 'arm64' }
const fileTypes = { 6: 'dynamic library', 8: 'bundle' }
const command = {
  symbolTable: 0x2,
  loadLibrary: 0xc,
  codeSignature: 0x1d,
  minimumMacos: 0x24,
  buildVersion: 0x32,
}
const external = 0x01
const typeMask = 0x0e
const stabMask = 0xe0
const undefinedType = 0x0
const dynamicLookup = 0xfe // instead of a library's number in n_desc; Zig's linker writes 0

/**
 * @param {Buffer} bytes
 * @returns {{ arch: string, type: string, minimum: string | undefined, signed: boolean, libraries: string[],
 *   exported: string[], imported: { symbol: string, from: string }[] }} `from`: a library, or `process` for what is
 *   looked for in all that the process has
 */
export function parseMachO(bytes) {
  if (bytes.readUInt32LE(0) !== magic64) throw new Error('no 64-bit Mach-O file')
  const arch = cpuTypes[bytes.readUInt32LE(4)]
  const type = fileTypes[bytes.readUInt32LE(12)]
  if (arch === undefined || type === undefined) throw new Error('another machine or kind of file')
  const found = { arch, type, minimum: undefined, signed: false, libraries: [] }
  const symbols = { exported: [], imported: [] }

  let at = 32
  for (let left = bytes.readUInt32LE(16); left > 0; left--) {
    const kind = bytes.readUInt32LE(at) & 0x7fff_ffff
    const size = bytes.readUInt32LE(at + 4)
    if (size < 8 || at + size > bytes.length) throw new Error('a load command is too long')
    if (kind === command.loadLibrary) {
      found.libraries.push(textAt(bytes, at + bytes.readUInt32LE(at + 8)))
    } else if (kind === command.minimumMacos) {
      found.minimum = version(bytes.readUInt32LE(at + 8))
    } else if (kind === command.buildVersion) {
      found.minimum = version(bytes.readUInt32LE(at + 12))
    } else if (kind === command.codeSignature) {
      found.signed = true
    } else if (kind === command.symbolTable) {
      readSymbols(bytes, at, symbols)
    }
    at += size
  }
  const { libraries } = found
  const imported = symbols.imported.map(({ symbol, from }) => ({
    symbol,
    from:
      from === dynamicLookup || from === 0 ? 'process' : (libraries[from - 1] ?? `library ${from}`),
  }))
  return { ...found, exported: symbols.exported, imported }
}

function readSymbols(bytes, at, { exported, imported }) {
  const [table, count, strings] = [8, 12, 16].map((offset) => bytes.readUInt32LE(at + offset))
  for (let i = 0; i < count; i++) {
    const entry = table + 16 * i
    const type = bytes.readUInt8(entry + 4)
    if ((type & stabMask) !== 0 || (type & external) === 0) continue
    const name = textAt(bytes, strings + bytes.readUInt32LE(entry))
    const symbol = name.replace(/^_/, '')
    if ((type & typeMask) !== undefinedType) exported.push(symbol)
    else imported.push({ symbol, from: bytes.readUInt8(entry + 7) })
  }
}

const textAt = (bytes, at) => bytes.toString('latin1', at, bytes.indexOf(0, at))
const version = (packed) => `${packed >>> 16}.${(packed >>> 8) & 0xff}`
