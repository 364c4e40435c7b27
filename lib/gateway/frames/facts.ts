// What goes along with a frame: when its content was taken, what its writer said of it, and the hosts that it has passed.
//
//    0  16 B  the boot of the machine whose monotonic clock gave the timestamp
//   16  u64   the timestamp, in nanoseconds of that clock
//   24  f64   the same instant in milliseconds since 1970, as that host knew it
//   32  64 B  the user's own facts: the header of the frame
//   96  hosts that it has passed, the first one in front, with commas between them

import { now } from '../../base/time.js'
import { clock } from '../../engines/clock.js'

const bootBytes = 16
const headerBytes = 64
const hopsAt = 96

export interface FrameFacts {
  readonly boot: string
  readonly timestamp: bigint
  readonly wall: number
  readonly header: Uint8Array
  readonly hops: readonly string[]
}

export function writeFacts(
  timestamp: bigint,
  header: Uint8Array,
  hops: readonly string[],
): Uint8Array {
  const text = Buffer.from(hops.join(','))
  const facts = Buffer.alloc(hopsAt + text.length)
  facts.write(bootOfHere(), 0, 'hex')
  facts.writeBigUInt64LE(timestamp, 16)
  facts.writeDoubleLE(wallOf(timestamp), 24)
  facts.set(header, 32)
  facts.set(text, hopsAt)
  return facts
}

/** Undefined: they are none. The header is a copy. */
export function readFacts(facts: Buffer): FrameFacts | undefined {
  if (facts.length < hopsAt) return undefined
  const hops = facts.toString('latin1', hopsAt)
  if (!/^[\w.,-]*$/.test(hops)) return undefined
  return {
    boot: facts.toString('hex', 0, bootBytes),
    timestamp: facts.readBigUInt64LE(16),
    wall: facts.readDoubleLE(24),
    header: new Uint8Array(facts.subarray(32, 32 + headerBytes)),
    hops: hops === '' ? [] : hops.split(','),
  }
}

/**
 * The timestamp on the monotonic clock of this machine: of a frame that was taken on it, the same one; of another host's the same instant, as
 * far as the clocks of the day agree.
 */
export function timestampHere({ boot, timestamp, wall }: FrameFacts): bigint {
  if (boot === bootOfHere() || !Number.isFinite(wall)) return timestamp
  const nanoseconds = (now() - (clock() - wall)) * 1e6
  return BigInt(Math.max(0, Math.round(nanoseconds)))
}

/** Milliseconds since 1970 at an instant of the monotonic clock. */
function wallOf(timestamp: bigint): number {
  return clock() - (now() - Number(timestamp) / 1e6)
}

let boot: string | undefined

/** Tells one monotonic clock from another: that of each boot is one. Where nobody says which boot this is, each process has its own. */
function bootOfHere(): string {
  return (boot ??= readBoot())
}

function readBoot(): string {
  const { readFileSync } = process.getBuiltinModule('node:fs')
  try {
    const text = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1')
    const found = text.replaceAll(/[^0-9a-f]/g, '')
    if (found.length === 2 * bootBytes) return found
  } catch {
    // Another system than Linux, or a container that hides it.
  }
  return process.getBuiltinModule('node:crypto').randomBytes(bootBytes).toString('hex')
}
