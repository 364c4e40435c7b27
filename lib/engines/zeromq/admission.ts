// Who may come in, by keys of CURVE. ZeroMQ lets in any key unless somebody answers at `inproc://zeromq.zap.01`: so there is one who does
// before the first socket with keys is bound, and what nobody has allowed is refused.
//
// There is one for all sockets of this thread, for a context has room for one; the domain of a question says of which socket it is.

import { zmqContext, zmqLibrary, type Frames, type ZmqNative } from './library.js'
import { Pump } from './pump.js'
import { encodeKey } from './keys.js'

/** As https://rfc.zeromq.org/spec/27 has it. */
const endpoint = 'inproc://zeromq.zap.01'

interface Admitting {
  readonly socket: ZmqNative
  readonly pump: Pump
  readonly ready: Promise<void>
}

interface Domain {
  readonly allowed: ReadonlySet<string>
  refused: number
  isHeld: boolean
}

let admitting: Admitting | undefined
let last = 0
let wake: (() => void) | undefined
const domains = new Map<string, Domain>()

/** What a socket that is bound has of it, until it is closed. */
export interface Admission {
  readonly domain: string
  /** How many came with a key that is not allowed. */
  readonly refused: number
  hold(alive: boolean): void
  close(): void
}

/** Resolves when whoever comes is asked for a key that is allowed. */
export async function admit(allowed: readonly string[]): Promise<Admission> {
  const domain = `millrace-${String(++last)}`
  const its: Domain = { allowed: new Set(allowed), refused: 0, isHeld: true }
  domains.set(domain, its)
  wake?.()
  admitting ??= begin()
  admitting.pump.hold(true)
  await admitting.ready
  return {
    domain,
    get refused() {
      return its.refused
    },
    hold: (alive) => {
      its.isHeld = alive
      holdAll()
    },
    close: () => {
      domains.delete(domain)
      holdAll()
    },
  }
}

function holdAll(): void {
  admitting?.pump.hold([...domains.values()].some(({ isHeld }) => isHeld))
}

function begin(): Admitting {
  const socket = new (zmqLibrary().Router)({
    context: zmqContext(),
    linger: 0,
    sendTimeout: 0,
    receiveTimeout: 100,
  })
  const pump = new Pump(socket)
  const ready = socket.bind(endpoint)
  // Where nobody answers nobody comes in, and who has asked for it is told.
  ready.then(
    () => answerAll(socket, pump),
    () => undefined,
  )
  return { socket, pump, ready }
}

async function answerAll(socket: ZmqNative, pump: Pump): Promise<void> {
  for (;;) {
    while (domains.size === 0) await asksSomebody()
    const asked = await pump.receive(() => domains.size === 0)
    if (asked === undefined) continue
    const answer = answerTo(asked)
    if (answer !== undefined) await socket.send(answer).catch(() => undefined) // who asked is gone
  }
}

/** When there is a socket that somebody could come to. */
function asksSomebody(): Promise<void> {
  return new Promise((resolve) => {
    wake = resolve
  })
}

/** [who asks, '', version, request, domain, address, identity, mechanism, key] → [who asks, '', version, request, status, text, user, metadata] */
function answerTo(asked: Frames): (Uint8Array | string)[] | undefined {
  const [from, empty, version, request, domain, , , mechanism, key] = asked
  if (from === undefined || empty === undefined || version === undefined || request === undefined) {
    return undefined
  }
  const its = domains.get(textOf(domain))
  const isIn =
    textOf(version) === '1.0' &&
    textOf(mechanism) === 'CURVE' &&
    key?.length === 32 &&
    its?.allowed.has(encodeKey(key)) === true
  if (!isIn && its !== undefined) its.refused++
  const said = isIn ? ['200', 'OK', 'millrace', ''] : ['400', 'this key is not allowed', '', '']
  return [from, empty, version, request, ...said]
}

function textOf(frame: Uint8Array | undefined): string {
  return frame === undefined ? '' : Buffer.from(frame).toString()
}
