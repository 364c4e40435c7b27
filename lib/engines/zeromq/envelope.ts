// What goes beside a payload, as a frame of JSON after it. Who is somebody else's sends none, or reads none.

/** What a message says of itself; all of it may be missing. */
export interface Beside {
  readonly id?: string
  readonly group?: string
  readonly priority?: number
  /** Milliseconds since 1970. */
  readonly at?: number
  readonly expires?: number
  readonly headers?: Readonly<Record<string, string>>
}

/** Of calls. */
export interface CallBeside {
  readonly contract?: string
  /** Milliseconds. */
  readonly timeout?: number
  /** Values that the caller has room for. */
  readonly room?: number
}

/** Bytes of the frame. */
export const mostBeside = 65_536 - 1024

export type Said = Readonly<Record<string, unknown>>

/** Undefined: there is nothing to say. */
export function besideFrame(said: Beside & CallBeside): Buffer | undefined {
  const text = JSON.stringify(said)
  return text === '{}' ? undefined : Buffer.from(text)
}

/** Without writing it: can the frame be too long to go? */
export function mayBeTooMuch({ id = '', group = '', headers = {} }: Beside): boolean {
  // JSON makes up to six bytes of one character.
  return 6 * (id.length + group.length + charactersOf(headers)) + 256 > mostBeside
}

/** What was asked for last: many jobs of a gateway have the same ones. */
let measured: { readonly headers: object; readonly characters: number } | undefined

function charactersOf(headers: Readonly<Record<string, string>>): number {
  if (measured?.headers === headers) return measured.characters
  let characters = 0
  for (const [name, value] of Object.entries(headers)) characters += name.length + value.length + 6
  measured = { headers, characters }
  return characters
}

/** May the frame go? */
export function isTooMuchBeside(frame: Uint8Array | undefined): boolean {
  return frame !== undefined && frame.length > mostBeside
}

/** What is of the right kind in it. */
export function readBeside(frame: Uint8Array | undefined): Beside & CallBeside {
  return rightOf(saidBeside(frame))
}

/** What is said there, of whatever kind it is. */
export function saidBeside(frame: Uint8Array | undefined): Said {
  if (frame === undefined || frame.length > mostBeside || frame[0] !== 0x7b) return {}
  try {
    const { buffer, byteOffset, byteLength } = frame
    return JSON.parse(Buffer.from(buffer, byteOffset, byteLength).toString()) as Said
  } catch {
    return {}
  }
}

/** What is of the right kind. */
export function rightOf(said: Said): Beside & CallBeside {
  const { id, group, priority, at, expires, headers, contract, timeout, room } = said
  const right: { -readonly [K in keyof (Beside & CallBeside)]: (Beside & CallBeside)[K] } = {}
  if (typeof id === 'string') right.id = id
  if (typeof group === 'string') right.group = group
  if (isCount(priority)) right.priority = priority
  if (isCount(at)) right.at = at
  if (isCount(expires)) right.expires = expires
  if (typeof contract === 'string') right.contract = contract
  if (isCount(timeout)) right.timeout = timeout
  if (isCount(room)) right.room = room
  if (headers !== undefined && isHeaders(headers)) right.headers = headers
  return right
}

export function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
}

export function isHeaders(value: unknown): value is Readonly<Record<string, string>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((one) => typeof one === 'string')
  )
}
