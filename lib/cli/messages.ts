// How messages that were seen are written: a head for people and the payload as text, hexadecimal digits, JSON or the values of a
// struct; or all of it as a line of JSON.

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import type { WatchedMessage } from '../telemetry.js'
import { formatBytes } from './quantities.js'
import { UsageError } from './usage.js'

export const formats = ['text', 'hex', 'json', 'struct'] as const
export type Format = (typeof formats)[number]

/** What is used of a `struct()`. */
export interface PayloadStruct {
  readonly size: number
  read(bytes: Uint8Array): unknown
}

/** Turns a payload into what is written of it. */
export interface Payload {
  /** Undefined: text where it is that, else hexadecimal digits. */
  readonly format: Format | undefined
  readonly struct: PayloadStruct | undefined
  /** Are digits of all of it wanted? Of a frame they would fill a thousand screens. */
  readonly isWhole: boolean
}

/** Sixteen lines of digits. */
const dumpBytes = 256

/** `--format`, `--struct`, and whether `--bytes` was given. */
export async function payloadOf(
  format: string | undefined,
  struct: string | undefined,
  isWhole: boolean,
): Promise<Payload> {
  const known = formats.find((one) => one === format)
  if (format !== undefined && known === undefined)
    throw new UsageError(`--format must be one of ${formats.join(', ')}, not '${format}'`)
  if (struct === undefined) {
    if (known === 'struct') throw new UsageError('--format struct wants --struct FILE#EXPORT')
    return { format: known, struct: undefined, isWhole }
  }
  if (known !== undefined && known !== 'struct')
    throw new UsageError(`--struct goes with --format struct, not with --format ${known}`)
  return { format: 'struct', struct: await importedStruct(struct), isWhole }
}

/** `FILE`, or `FILE#EXPORT` if it has several. */
async function importedStruct(given: string): Promise<PayloadStruct> {
  const at = given.lastIndexOf('#')
  const [file, wanted] = at > 0 ? [given.slice(0, at), given.slice(at + 1)] : [given, undefined]
  let module: Readonly<Record<string, unknown>>
  try {
    module = (await import(pathToFileURL(resolve(file)).href)) as typeof module
  } catch (error) {
    throw new UsageError(`--struct '${file}' cannot be loaded: ${(error as Error).message}`)
  }
  const found = Object.entries(module).filter(
    ([name, value]) => isStruct(value) && (wanted === undefined || name === wanted),
  )
  const [only, ...others] = found
  if (only !== undefined && others.length === 0) return only[1] as PayloadStruct
  throw new UsageError(
    only === undefined
      ? `--struct '${file}' exports no struct()${wanted === undefined ? '' : ` '${wanted}'`}`
      : `--struct '${file}' has several: name one, as '${file}#NAME', of ${found.map(([name]) => name).join(', ')}`,
  )
}

function isStruct(given: unknown): given is PayloadStruct {
  if (typeof given !== 'object' || given === null) return false
  const { size, read } = given as Partial<PayloadStruct>
  return Number.isSafeInteger(size) && typeof read === 'function' && 'fingerprint' in given
}

/** Of a message, with its last newline. `columns`: what a line of text is cut to; Infinity where nobody's screen is narrow. */
export function formatMessage(
  message: WatchedMessage,
  payload: Payload,
  columns: number,
  dim: (text: string) => string,
): string {
  const head = headOf(message)
  const { format = isText(message.bytes) ? 'text' : 'hex' } = payload
  if (format === 'hex') {
    const { bytes, length } = message
    const shown = payload.isWhole ? bytes : bytes.subarray(0, dumpBytes)
    const left = length - shown.length
    // With --bytes the head says that it is cut.
    const more =
      shown.length === bytes.length
        ? ''
        : `${dim(`${formatBytes(left)} more: --bytes ${String(length)}`)}\n`
    return `${dim(fitting(head, columns))}\n${hexDump(shown)}${more}`
  }
  const text = visible(
    format === 'text' ? message.bytes.toString('utf8') : shownValue(message, payload),
  )
  const rest = fitting(`${head}  ${text}`, columns)
  return `${dim(rest.slice(0, head.length))}${rest.slice(head.length)}\n`
}

/** All of it, as one line of JSON. */
export function jsonOfMessage(message: WatchedMessage, payload: Payload): string {
  const { bytes, ...facts } = message
  const { format = isText(bytes) ? 'text' : 'hex' } = payload
  const shown =
    format === 'text'
      ? { text: bytes.toString('utf8') }
      : format === 'hex'
        ? { hex: bytes.toString('hex') }
        : valueOrError(message, payload)
  return `${JSON.stringify({ ...facts, ...shown }, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))}\n`
}

/** `12:00:01.123  17  line1.temp  waiting  12 B` */
function headOf(message: WatchedMessage): string {
  const {
    op,
    sequence,
    publishedAt,
    seenAt,
    subject,
    id,
    state,
    priority,
    attempts,
    method,
    stage,
    group,
    reason,
    length,
    cut,
  } = message
  const facts = [
    timeOf(publishedAt ?? seenAt),
    String(sequence),
    ...(op === 'request' || op === 'answer' ? [`${op} ${id ?? ''} method ${method ?? '-'}`] : []),
    ...(subject === undefined ? [] : [subject]),
    ...(op === 'job' ? [state === 'dead' ? `dead: ${reason ?? '-'}` : (state ?? 'over')] : []),
    ...(op === 'job' && id !== undefined ? [`id ${id}`] : []),
    ...(stage === undefined ? [] : [`stage ${stage}`]),
    ...(group === undefined ? [] : [`group ${group}`]),
    ...(priority === undefined || priority === 0 ? [] : [`priority ${String(priority)}`]),
    ...(attempts === undefined || attempts === 0 ? [] : [`attempt ${String(attempts)}`]),
    `${formatBytes(length)}${cut ? ' (cut)' : ''}`,
  ]
  return visible(facts.join('  '))
}

function timeOf(nanoseconds: bigint): string {
  const date = new Date(Number(nanoseconds / 1_000_000n))
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`
}

function shownValue(message: WatchedMessage, payload: Payload): string {
  const { value, error } = valueOrError(message, payload)
  return error === undefined ? JSON.stringify(value, readable) : `(${error})`
}

interface ValueOrError {
  readonly value?: unknown
  readonly error?: string
}

function valueOrError({ bytes, cut }: WatchedMessage, { struct }: Payload): ValueOrError {
  if (cut) return { error: 'cut' }
  try {
    if (struct === undefined) return { value: JSON.parse(bytes.toString('utf8')) as unknown }
    if (bytes.length < struct.size)
      return { error: `${String(bytes.length)} bytes, and the struct has ${String(struct.size)}` }
    return { value: struct.read(bytes) }
  } catch (error) {
    return { error: (error as Error).message }
  }
}

function readable(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

/** Whole UTF-8 without control characters, but for the white space of lines. */
function isText(bytes: Buffer): boolean {
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  return !/[\u0000-\u0008\u000e-\u001f\u007f\ufffd]/.test(bytes.toString('utf8'))
}

/** Nothing in it is a control sequence to a terminal, nor ends the line. */
export function visible(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (found) =>
    found === '\n'
      ? '\\n'
      : found === '\t'
        ? '\\t'
        : `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`,
  )
}

function fitting(line: string, columns: number): string {
  return line.length <= columns ? line : `${line.slice(0, Math.max(columns - 1, 0))}…`
}

/** Sixteen bytes a line: 77 columns. */
export function hexDump(bytes: Buffer): string {
  let dump = ''
  for (let at = 0; at < bytes.length; at += 16) {
    const line = bytes.subarray(at, at + 16)
    const digits = Array.from(line, (byte) => byte.toString(16).padStart(2, '0'))
    const left = digits.slice(0, 8).join(' ').padEnd(23)
    const right = digits.slice(8).join(' ').padEnd(23)
    const text = Array.from(line, (byte) =>
      byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.',
    ).join('')
    dump += `${at.toString(16).padStart(8, '0')}  ${left}  ${right}  ${text}\n`
  }
  return dump
}
