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
}

const most = 65_536 - 1024

/** Undefined: there is nothing to say. */
export function besideFrame(said: Beside & CallBeside): Buffer | undefined {
  const entries = Object.entries(said).filter(([, value]) => value !== undefined)
  if (entries.length === 0) return undefined
  return Buffer.from(JSON.stringify(Object.fromEntries(entries)))
}

/** May the frame go? */
export function isTooMuchBeside(frame: Uint8Array | undefined): boolean {
  return frame !== undefined && frame.length > most
}

/** What is of the right kind in it. */
export function readBeside(frame: Uint8Array | undefined): Beside & CallBeside {
  if (frame === undefined || frame.length > most || frame[0] !== 0x7b) return {}
  let said: Readonly<Record<string, unknown>>
  try {
    said = JSON.parse(Buffer.from(frame).toString()) as typeof said
  } catch {
    return {}
  }
  const { id, group, priority, at, expires, headers, contract, timeout } = said
  return {
    ...(typeof id === 'string' ? { id } : {}),
    ...(typeof group === 'string' ? { group } : {}),
    ...(isCount(priority) ? { priority } : {}),
    ...(isCount(at) ? { at } : {}),
    ...(isCount(expires) ? { expires } : {}),
    ...(typeof contract === 'string' ? { contract } : {}),
    ...(isCount(timeout) ? { timeout } : {}),
    ...(isHeaders(headers) ? { headers } : {}),
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
}

function isHeaders(value: unknown): value is Readonly<Record<string, string>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((one) => typeof one === 'string')
  )
}
