// What a shared library says of itself: which machine it is for, what it needs and what it offers. Just enough
// of ELF (the System V gABI and the GNU symbol versions) and Mach-O (Apple's <mach-o/loader.h>), little-endian.
import { Buffer } from 'node:buffer'

const elfMachines = new Map([
  [40, 'arm'],
  [62, 'x64'],
  [183, 'arm64'],
])
const machMachines = new Map([
  [0x01000007, 'x64'],
  [0x0100000c, 'arm64'],
])

/**
 * @param {Buffer} file
 * @returns {{ format: 'elf' | 'mach-o', arch: string, needs: string[], offers: string[], wants: string[],
 *   glibc?: string, macos?: string }} `needs`: libraries; `offers`, `wants`: symbols; `glibc`, `macos`: the oldest
 *   version it runs on
 */
export function describeBinary(file) {
  if (file.subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'))) return describeElf(file)
  if (file.readUInt32LE(0) === 0xfeedfacf) return describeMachO(file)
  throw new Error('neither ELF nor 64-bit Mach-O')
}

function text(file, offset) {
  return file.toString('latin1', offset, file.indexOf(0, offset))
}

function describeElf(file) {
  const wide = file[4] === 2
  const word = (offset) => (wide ? Number(file.readBigUInt64LE(offset)) : file.readUInt32LE(offset))
  const size = wide ? 8 : 4
  const sectionsAt = word(wide ? 40 : 32)
  const sectionSize = file.readUInt16LE(wide ? 58 : 46)
  const count = file.readUInt16LE(wide ? 60 : 48)
  const sections = Array.from({ length: count }, (_, index) => {
    const at = sectionsAt + index * sectionSize
    return {
      type: file.readUInt32LE(at + 4),
      offset: word(at + 8 + 2 * size),
      size: word(at + 8 + 3 * size),
      link: file.readUInt32LE(at + 8 + 4 * size),
    }
  })
  const entries = ({ offset, size: bytes }, step) =>
    Array.from({ length: Math.floor(bytes / step) }, (_, index) => offset + index * step)
  const named = (section, at) => text(file, sections[section.link].offset + at)

  const needs = []
  const dynamic = sections.find(({ type }) => type === 6)
  for (const at of entries(dynamic, 2 * size)) {
    if (word(at) === 1) needs.push(named(dynamic, word(at + size)))
  }
  const offers = []
  const wants = []
  const symbols = sections.find(({ type }) => type === 11)
  for (const at of entries(symbols, wide ? 24 : 16).slice(1)) {
    const undefinedHere = file.readUInt16LE(at + (wide ? 6 : 14)) === 0
    const name = named(symbols, file.readUInt32LE(at))
    if (name !== '') (undefinedHere ? wants : offers).push(name)
  }
  return {
    format: 'elf',
    arch: elfMachines.get(file.readUInt16LE(18)) ?? 'unknown',
    needs,
    offers,
    wants,
    glibc: newestGlibc(file, sections, named),
  }
}

function newestGlibc(file, sections, named) {
  const versions = []
  const section = sections.find(({ type }) => type === 0x6ffffffe)
  for (let at = section?.offset ?? 0, more = section !== undefined; more;) {
    let auxiliary = at + file.readUInt32LE(at + 8)
    for (let left = file.readUInt16LE(at + 2); left > 0; left--) {
      const found = /^GLIBC_(\d+)\.(\d+)/.exec(named(section, file.readUInt32LE(auxiliary + 8)))
      if (found !== null) versions.push([Number(found[1]), Number(found[2])])
      auxiliary += file.readUInt32LE(auxiliary + 12)
    }
    const step = file.readUInt32LE(at + 12)
    more = step !== 0
    at += step
  }
  versions.sort(([a, b], [c, d]) => a - c || b - d)
  return versions.at(-1)?.join('.')
}

function describeMachO(file) {
  const needs = []
  const offers = []
  const wants = []
  let macos
  let at = 32
  for (let left = file.readUInt32LE(16); left > 0; left--) {
    const command = file.readUInt32LE(at)
    if (command === 0xc || command === 0x80000018)
      needs.push(text(file, at + file.readUInt32LE(at + 8)))
    if (command === 0x32) {
      const version = file.readUInt32LE(at + 12)
      macos = `${version >>> 16}.${(version >>> 8) & 0xff}`
    }
    if (command === 0x2) {
      const symbolsAt = file.readUInt32LE(at + 8)
      const stringsAt = file.readUInt32LE(at + 16)
      for (let index = 0; index < file.readUInt32LE(at + 12); index++) {
        const symbol = symbolsAt + index * 16
        const type = file[symbol + 4]
        if ((type & 0xe0) !== 0 || (type & 1) === 0) continue // for debuggers, or not external
        const name = text(file, stringsAt + file.readUInt32LE(symbol))
        ;((type & 0x0e) === 0 ? wants : offers).push(name)
      }
    }
    at += file.readUInt32LE(at + 4)
  }
  return {
    format: 'mach-o',
    arch: machMachines.get(file.readUInt32LE(4)) ?? 'unknown',
    needs,
    offers,
    wants,
    macos,
  }
}
