// What goes over a FIFO: the stream of framing.ts, in packets that the system writes whole or not at all.
//
//   packet  u16 how many bytes follow the head · u16 flags · u32 whose it is, a random number of each writer · so many bytes
//
//   first   the writer begins: its hello follows
//   last    the writer has closed
//
// A FIFO tells its reader neither where one writer ended and the next one began, nor that one of two has died. So there is one writer at
// a time, and its packets carry its number: a message that was cut off by a death is followed by a packet of another one, never
// by bytes that would be taken for its rest.

/** PIPE_BUF: what is written whole or not at all. POSIX promises 512. */
export const packetBytes = process.platform === 'linux' ? 4096 : 512
export const headBytes = 8
export const mostPayload = packetBytes - headBytes

export const Flag = { first: 1, last: 2 } as const
const allFlags = Flag.first | Flag.last

export interface Packet {
  readonly flags: number
  readonly writer: number
  readonly payload: Buffer
}

export function writeHead(packet: Buffer, length: number, flags: number, writer: number): void {
  packet.writeUInt16LE(length, 0)
  packet.writeUInt16LE(flags, 2)
  packet.writeUInt32LE(writer, 4)
}

/** Takes what was read apart. Undefined: that is nothing that this package writes. */
export class Packets {
  #rest: Buffer | undefined

  get isPartial(): boolean {
    return this.#rest !== undefined
  }

  forget(): void {
    this.#rest = undefined
  }

  take(chunk: Buffer): Packet[] | undefined {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = undefined
    const packets: Packet[] = []
    let at = 0
    while (bytes.length - at >= headBytes) {
      const end = at + headBytes + bytes.readUInt16LE(at)
      const flags = bytes.readUInt16LE(at + 2)
      const writer = bytes.readUInt32LE(at + 4)
      if (flags > allFlags || writer === 0) return undefined
      if (end > bytes.length) break
      packets.push({ flags, writer, payload: bytes.subarray(at + headBytes, end) })
      at = end
    }
    if (at < bytes.length) this.#rest = bytes.subarray(at)
    return packets
  }
}
