// A channel over bytes that somebody else might have sent: frames, damaged ones, and cut in any way.

import { Duplex } from 'node:stream'
import { connect, registerTransport } from 'millrace/net'

const scheme = `pieces-${String(process.pid)}`
/** What the other side says, until it is connected to. */
let said: readonly Buffer[] = []

registerTransport({
  scheme,
  traits: { zeroCopy: false, reliable: true, ordered: true, death: 'exact', directions: 'both' },
  check: () => undefined,
  connect: () => {
    const pieces = [...said]
    const stream = new Duplex({
      read() {
        this.push(pieces.shift() ?? null)
      },
      write(_chunk, _encoding, done) {
        done()
      },
    })
    return Promise.resolve({ stream, peer: {} })
  },
  listen: () => Promise.reject(new Error('nobody listens')),
})

export function hello(): Buffer {
  const bytes = Buffer.alloc(24)
  bytes.write('MLRC')
  bytes[4] = bytes[5] = 1
  bytes.writeUInt32LE(65_536, 8)
  bytes[16] = 1
  return bytes
}

export function frame(kind: number, length: number, body = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(((kind << 28) | length) >>> 0)
  return Buffer.concat([head, body])
}

export interface Heard {
  readonly messages: Buffer[]
  /** Of the error, if it did not end in good order. */
  readonly code: string | undefined
}

/** What a channel makes of it. Whatever is not ours is thrown. */
export async function heard(pieces: readonly Buffer[], maxBytes: number): Promise<Heard> {
  const messages: Buffer[] = []
  try {
    said = pieces
    const channel = await connect(`${scheme}://it`, { maxBytes, heartbeat: 0 })
    try {
      for await (const one of channel) messages.push(one)
    } finally {
      channel.destroy()
    }
    return { messages, code: undefined }
  } catch (error) {
    const { code } = error as { readonly code?: string }
    if (code !== 'ERR_MILLRACE_PROTOCOL' && code !== 'ERR_MILLRACE_PEER_GONE') throw error
    return { messages, code }
  }
}
