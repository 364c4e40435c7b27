// file:///var/lib/app/log: a log. Who connects appends, one at a time; any number read it, from its start or from its end.
//
//   connect('file:///log')                 appends; ?durable: `send` resolves when the disk has it
//   connect('file:///log?from=start')      reads all that is there, and what comes; ?from=end: only what comes; &follow=0: not what comes
//   listen('file:///log')                  one channel that reads, likewise; makes the file if there is none

import { invalidArgument, MillraceError } from '../../errors.js'
import type { Address } from '../../place/address.js'
import { filePath } from '../address.js'
import { Appender, call, writeAt, type LogFile } from '../file/appender.js'
import { Follower } from '../file/follower.js'
import { fileHead, findEnd } from '../file/records.js'
import { Holding } from '../holding.js'
import type { GivenConnection } from '../options.js'
import type { Connection, Transport } from '../transport.js'
import { assertKnown, assertOwner, fs, takeWriting } from './files.js'

export const file: Transport = {
  scheme: 'file',
  traits: {
    zeroCopy: false,
    reliable: true,
    ordered: true,
    death: 'none',
    directions: 'send',
    connections: 'one',
  },

  check(address, given) {
    filePath(address)
    const isListening = 'maxPending' in given
    assertKnown(address, isListening ? ['from', 'follow'] : ['from', 'follow', 'durable'])
    const { reads, durable } = wishOf(address)
    if (reads && durable) {
      throw invalidArgument(
        `the address '${address.text}' says durable, which is for who appends, and from or follow, which are for who reads`,
      )
    }
  },

  async connect(address, given, signal) {
    const { reads } = wishOf(address)
    const { O_RDONLY, O_RDWR, O_CREAT } = fs().constants
    const log = openLog(address, given, reads ? O_RDONLY : O_RDWR | O_CREAT, 0o600)
    return await (reads
      ? reading(log, address, given, signal)
      : appending(log, address, given, signal))
  },

  async listen(address, given, arrivals) {
    const { O_RDONLY, O_CREAT } = fs().constants
    const log = openLog(address, given, O_RDONLY | O_CREAT, given.mode)
    arrivals.arrived(await reading(log, address, given, new AbortController().signal))
    const holding = new Holding()
    holding.hold(true)
    return {
      address: address.text,
      hold: (alive) => {
        holding.hold(alive)
      },
      close: () => {
        holding.hold(false)
        return Promise.resolve()
      },
    }
  },
}

/** What stands behind the path. */
interface Wish {
  readonly reads: boolean
  readonly fromEnd: boolean
  readonly follow: boolean
  readonly durable: boolean
}

/** @throws MillraceError `INVALID_ARGUMENT` */
function wishOf({ text, query }: Address): Wish {
  const from = query.get('from')
  if (from !== undefined && from !== 'start' && from !== 'end') {
    throw invalidArgument(`the address '${text}' must say from=start or from=end`)
  }
  const flag = (key: string, otherwise: boolean): boolean => {
    const value = query.get(key)
    if (value === undefined) return otherwise
    if (['', '1', 'true'].includes(value)) return true
    if (['0', 'false'].includes(value)) return false
    throw invalidArgument(`the address '${text}' must say ${key}, ${key}=1 or ${key}=0`)
  }
  return {
    reads: from !== undefined || query.has('follow'),
    fromEnd: from === 'end',
    follow: flag('follow', true),
    durable: flag('durable', false),
  }
}

/** @throws MillraceError; errors of Node */
function openLog(
  address: Address,
  { allow }: GivenConnection,
  flags: number,
  mode: number,
): LogFile {
  const path = filePath(address)
  const before = fs().statSync(path, { throwIfNoEntry: false })
  if (before !== undefined && !before.isFile()) throw noFile(address.text, path)
  // Should somebody have put a FIFO there meanwhile, nobody waits for its other side.
  const fd = fs().openSync(path, flags | fs().constants.O_NONBLOCK, mode)
  try {
    const stats = fs().fstatSync(fd)
    if (!stats.isFile()) throw noFile(address.text, path)
    assertOwner(stats, allow, address.text)
    return { fd, path, address: address.text }
  } catch (error) {
    fs().closeSync(fd)
    throw error
  }
}

function noFile(address: string, path: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_EXISTS',
    `at '${address}' is something that is no regular file: remove it, or take another path`,
    { path },
  )
}

async function reading(
  log: LogFile,
  address: Address,
  { maxBytes }: GivenConnection,
  signal: AbortSignal,
): Promise<Connection> {
  const { fromEnd, follow } = wishOf(address)
  try {
    const offset = fromEnd ? await findEnd(log.fd, log.address, signal) : 0
    const follower = new Follower(log, offset, { follow, maxBytes })
    return {
      stream: follower.stream,
      peer: {},
      directions: 'receive',
      why: () => follower.reason,
    }
  } catch (error) {
    fs().closeSync(log.fd)
    throw error
  }
}

async function appending(
  log: LogFile,
  address: Address,
  { maxBytes }: GivenConnection,
  signal: AbortSignal,
): Promise<Connection> {
  const { fd } = log
  const { durable } = wishOf(address)
  try {
    if (!takeWriting(fd)) {
      throw new MillraceError(
        'ERR_MILLRACE_ROLE_TAKEN',
        `another one appends to '${log.address}', and a log takes one at a time: connect again when it has closed`,
        { path: log.path },
      )
    }
    let end = await findEnd(fd, log.address, signal)
    // What a writer that died has left half done.
    if (end < fs().fstatSync(fd).size)
      await call((done) => {
        fs().ftruncate(fd, end, done)
      })
    if (end === 0) {
      await writeAt(fd, fileHead, 0)
      end = fileHead.length
    }
    if (durable)
      await call((done) => {
        fs().fsync(fd, done)
      })
    const appender = new Appender(log, end, { durable, maxBytes })
    return { stream: appender.stream, peer: {}, directions: 'send', confirms: durable }
  } catch (error) {
    fs().closeSync(fd)
    throw error
  }
}
