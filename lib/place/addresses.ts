// The addresses of names, as the environment or a file has them. Loaded when there are some.

import { show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { parseAddress, type Resolve, type Resolver } from './address.js'

const variable = 'MILLRACE_ADDRESSES'

/** The text of the variable that was read last, and what it says. */
let read: { readonly text: string; readonly entries: ReadonlyMap<string, string> } | undefined

/**
 * Where the name is, if `own` or `text`, which the environment has, says so.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function find(
  name: string,
  own: Resolver | undefined,
  text: string | undefined,
): string | undefined {
  const found: unknown = own?.(name)
  if (found !== undefined) return judged(found, `resolve('${name}')`)
  if (text === undefined || text === '') return undefined
  if (read?.text !== text) read = { text, entries: fromText(text) }
  return read.entries.get(name)
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function resolverOf(resolve: Resolve | string): Resolver {
  const entries =
    typeof resolve === 'string'
      ? fromFile(resolve)
      : typeof resolve === 'object' && (resolve as unknown) !== null
        ? fromObject(resolve, 'resolve')
        : undefined
  if (entries !== undefined) return (name) => entries.get(name)
  throw invalidArgument(
    `resolve must be a function, an object of addresses by names, or the path of a JSON file, not ${show(resolve)}`,
  )
}

/** `name=address,name=address`, or `@path` of a JSON file. */
function fromText(text: string): ReadonlyMap<string, string> {
  if (text.startsWith('@')) return fromFile(text.slice(1))
  const entries = new Map<string, string>()
  for (const part of text.split(',')) {
    if (part.trim() === '') continue
    const at = part.indexOf('=')
    const name = part.slice(0, Math.max(at, 0)).trim()
    if (name === '') {
      throw invalidArgument(
        `${variable}: '${part}' must be name=address, as in thumbnails=tcp://127.0.0.1:7000; several are parted by commas`,
      )
    }
    entries.set(name, judged(part.slice(at + 1).trim(), `${variable}: '${name}'`))
  }
  return entries
}

function fromFile(path: string): ReadonlyMap<string, string> {
  const { readFileSync } = process.getBuiltinModule('node:fs')
  let found: unknown
  try {
    found = JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw invalidArgument(
      `the file of addresses '${path}' cannot be read as JSON: ${(cause as Error).message}`,
      cause,
    )
  }
  if (typeof found !== 'object' || found === null || Array.isArray(found)) {
    throw invalidArgument(
      `the file of addresses '${path}' must have an object of addresses by names`,
    )
  }
  return fromObject(found as Record<string, unknown>, path)
}

function fromObject(
  given: Readonly<Record<string, unknown>>,
  where: string,
): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(given).map(([name, address]) => [name, judged(address, `${where}: '${name}'`)]),
  )
}

function judged(address: unknown, where: string): string {
  try {
    return parseAddress(address).text
  } catch (error) {
    throw invalidArgument(`${where}: ${(error as Error).message}`, error)
  }
}
