// What a route may have, by its kind, and how each of it is read.

import type { RouteConfig } from '../config.js'
import { framePolicies, partRange } from '../judge-frames.js'
import { readTls } from './certificates.js'
import type { Key, Keys, Reading } from './reading.js'
import type { YamlNode } from './yaml.js'

export const kinds = ['work', 'topics', 'calls', 'frames'] as const
export const longestMs = 2 ** 31 - 1
const mostInFlight = 65_536
const mostJobs = 2 ** 20
const mostBytes = 2 ** 40
const mostSlots = 4096
/** 100 days. */
const longestWindowMs = 8_640_000_000

export function keysOf(kind: RouteConfig['kind'], reading: Reading, folder: string): Keys {
  const count: Key = { read: (one, what) => reading.whole(one, what, [1, mostInFlight]) }
  const connection: Key = { read: (one, what) => readConnection(reading, one, what, folder) }
  const such = "a name, or an address like 'tcp://127.0.0.1:7000'"
  const address: Key = { read: (one, what) => reading.text(one, what, such), needed: such }
  const base = {
    kind: { read: (one, what) => reading.word(one, what, kinds) },
    name: { read: (one, what) => readName(reading, one, what) },
    from: address,
    to: address,
    fromConnection: connection,
    toConnection: connection,
  } satisfies Keys
  if (kind === 'topics') {
    const subjects: Key = {
      read: (one, what) =>
        reading.list(one, what, {
          of: 'subjects',
          most: 1024,
          each: (each, name) => readSubject(reading, each, name),
        })?.values,
    }
    return { ...base, subjects, depth: count }
  }
  if (kind === 'calls') return { ...base, inFlight: count }
  if (kind === 'work') {
    const queue: Key = { read: (one, what) => readQueue(reading, one, what) }
    const flag: Key = { read: (one, what) => reading.flag(one, what) }
    return { ...base, inFlight: count, fromQueue: queue, toQueue: queue, alone: flag }
  }
  return {
    ...base,
    inFlight: count,
    partBytes: { read: (one, what) => reading.whole(one, what, partRange) },
    subject: { read: (one, what) => readFrameSubject(reading, one, what) },
    listen: { read: (one, what) => reading.flag(one, what) },
    fromChannel: { read: (one, what) => readFromChannel(reading, one, what) },
    toChannel: { read: (one, what) => readToChannel(reading, one, what) },
  }
}

function readName(reading: Reading, node: YamlNode | null, what: string): string | undefined {
  const name = reading.text(node, what)
  // eslint-disable-next-line no-control-regex
  if (name === undefined || (name.length <= 128 && !/[\u0000-\u001f\u007f]/.test(name))) return name
  reading.findings.add(node, `${what} must have at most 128 characters in one line`)
  return undefined
}

function readSubject(reading: Reading, node: YamlNode | null, what: string): string | undefined {
  const subject = reading.text(node, what)
  if (subject === undefined) return undefined
  const tokens = subject.split('.')
  const isRight = tokens.every(
    (token, at) =>
      token === '*' || (token === '>' ? at === tokens.length - 1 : /^[^\s*>]+$/.test(token)),
  )
  if (isRight) return subject
  reading.findings.add(
    node,
    `${what} must be tokens with dots between them, * for one and > for all that follow, not '${subject}'`,
  )
  return undefined
}

/** What frames are called at a bus: no filter. */
function readFrameSubject(
  reading: Reading,
  node: YamlNode | null,
  what: string,
): string | undefined {
  const subject = reading.text(node, what)
  if (subject === undefined || /^[^\s.*>]+(?:\.[^\s.*>]+)*$/.test(subject)) return subject
  reading.findings.add(node, `${what} must be tokens with dots between them, not '${subject}'`)
  return undefined
}

function readFromChannel(
  reading: Reading,
  node: YamlNode | null,
  what: string,
): object | undefined {
  return reading.map(node, what, {
    policy: { read: (one, name) => reading.word(one, name, framePolicies) },
    depth: { read: (one, name) => reading.whole(one, name, [1, mostSlots]) },
  })?.values
}

/** What a channel of frames is to have, whose writer the gateway is. */
function readToChannel(reading: Reading, node: YamlNode | null, what: string): object | undefined {
  const whole = (range: readonly [number, number]): Key => ({
    read: (one, name) => reading.whole(one, name, range),
  })
  const flag: Key = { read: (one, name) => reading.flag(one, name) }
  return reading.map(node, what, {
    slotBytes: { ...whole([1, mostBytes]), needed: 'bytes of the largest frame' },
    slots: whole([2, mostSlots]),
    maxReaders: whole([1, 62]),
    history: whole([0, mostSlots - 2]),
    keep: flag,
    replace: flag,
  })?.values
}

function readConnection(
  reading: Reading,
  node: YamlNode | null,
  what: string,
  folder: string,
): object | undefined {
  const whole = (range: readonly [number, number]): Key => ({
    read: (one, name) => reading.whole(one, name, range),
  })
  const found = reading.map(node, what, {
    tls: { read: (one, name) => readTls(reading, one, name, folder) },
    curve: { read: (one, name) => readCurve(reading, one, name) },
    insecure: { read: (one, name) => reading.flag(one, name) },
    maxBytes: whole([1, 268_435_455]),
    highWaterMark: whole([1024, 2 ** 30]),
    heartbeat: whole([0, longestMs]),
    helloTimeout: whole([0, longestMs]),
    maxRate: whole([1, 2 ** 31]),
    allow: { read: (one, name) => readAllow(reading, one, name) },
    reconnect: { read: (one, name) => readReconnect(reading, one, name) },
  })
  // Without keys that were meant to be there the address would be judged as if it had none.
  const isWhole = found === undefined || 'curve' in found.spots === 'curve' in found.values
  return isWhole ? found?.values : undefined
}

/** Keys of ZeroMQ. What they must be like, and which ones a side needs, is judged with its address. */
function readCurve(reading: Reading, node: YamlNode | null, what: string): object | undefined {
  const key: Key = { read: (one, name) => reading.text(one, name, 'a key') }
  const allowed: Key = {
    read: (one, name) =>
      reading.list(one, name, {
        of: 'keys',
        most: 65_536,
        each: (each, which) => reading.text(each, which, 'a key'),
      })?.values,
  }
  const found = reading.map(node, what, {
    publicKey: key,
    secretKey: { ...key, needed: "this side's own, as in ${ZMQ_SECRET_KEY}" },
    serverKey: key,
    allowed,
  })
  return found?.values['secretKey'] === undefined ? undefined : found.values
}

/** What a queue is to have, if the gateway is the first to open it. */
function readQueue(reading: Reading, node: YamlNode | null, what: string): object | undefined {
  const whole = (range: readonly [number, number]): Key => ({
    read: (one, name) => reading.whole(one, name, range),
  })
  const dead = { jobs: whole([0, mostJobs - 1]), bytes: whole([0, mostBytes]) }
  return reading.map(node, what, {
    jobs: whole([1, mostJobs]),
    bytes: whole([0, mostBytes]),
    priorities: whole([1, 32]),
    seats: whole([1, 2048]),
    maxAttempts: whole([1, 255]),
    deadLetters: { read: (one, name) => reading.map(one, name, dead)?.values },
    dedupWindow: whole([0, longestWindowMs]),
    dedupIds: whole([1, 2 ** 24]),
    groups: whole([0, mostJobs]),
    leaseTimeout: whole([0, longestWindowMs]),
    durability: { read: (one, name) => reading.word(one, name, ['memory', 'file', 'disk']) },
    keep: { read: (one, name) => reading.flag(one, name) },
  })?.values
}

function readAllow(reading: Reading, node: YamlNode | null, what: string): object | undefined {
  const ids: Key = {
    read: (one, name) =>
      reading.list(one, name, {
        of: 'numbers',
        most: 1024,
        each: (each, id) => reading.whole(each, id, [0, 0xffff_ffff]),
      })?.values,
  }
  return reading.map(node, what, { uids: ids, gids: ids, pids: ids })?.values
}

function readReconnect(
  reading: Reading,
  node: YamlNode | null,
  what: string,
): boolean | object | undefined {
  if (reading.isFlag(node)) return reading.flag(node, what)
  const ms: Key = { read: (one, name) => reading.whole(one, name, [1, longestMs]) }
  const found = reading.map(node, what, { base: ms, cap: ms })
  const { base = 50, cap = base } = (found?.values ?? {}) as { base?: number; cap?: number }
  if (found === undefined || base <= cap) return found?.values
  const is = `${String(base)} ms is more than ${String(cap)} ms`
  reading.findings.add(
    found.spots['base'] ?? found.spots['cap'] ?? null,
    `base must be at most cap, and ${is}`,
  )
  return undefined
}
