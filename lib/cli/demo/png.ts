// A PNG encoder for 8-bit RGBA: signature, header, one deflated stream of rows, end.
// Format: https://www.w3.org/TR/png/

import { deflateSync } from 'node:zlib'

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const eightBits = 8
const trueColourWithAlpha = 6
const filterUp = 2

/** `rgba`: width × height pixels of 4 bytes, row by row. */
export function encodePng(width: number, height: number, rgba: Uint8Array): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([eightBits, trueColourWithAlpha, 0, 0, 0], 8)
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(filterRows(width * 4, height, rgba), { level: 6 })),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/** Each row as the difference to the row above: skies and surfaces become zeros. */
function filterRows(rowBytes: number, height: number, rgba: Uint8Array): Buffer {
  const out = Buffer.alloc((rowBytes + 1) * height)
  for (let y = 0; y < height; y++) {
    const to = y * (rowBytes + 1)
    const from = y * rowBytes
    out[to] = filterUp
    for (let x = 0; x < rowBytes; x++) {
      const above = y === 0 ? 0 : rgba[from - rowBytes + x]!
      out[to + 1 + x] = rgba[from + x]! - above
    }
  }
  return out
}

function chunk(type: string, data: Buffer): Buffer {
  const out = Buffer.alloc(data.length + 12)
  out.writeUInt32BE(data.length, 0)
  out.write(type, 4, 'latin1')
  data.copy(out, 8)
  out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length)
  return out
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  return crc
})

// zlib.crc32 came with Node 20.15 on one line only, and 22; a table of our own runs everywhere.
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = crcTable[(crc ^ byte) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}
