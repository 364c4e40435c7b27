// Who comes to a server of NATS without a password: a key (NKEY), or a key and what an operator's account says of it (JWT), in a file as nsc
// and nk write them. The file is read for each connection, so that a new one can take its place.

import { invalidArgument, MillraceError } from '../../errors.js'
import type { NatsLibrary } from './library.js'

export interface NatsCredentials {
  /** `creds`: a token and its key; `nkey`: a key. */
  readonly kind: 'creds' | 'nkey'
  readonly file: string
}

const shapes: Readonly<Record<NatsCredentials['kind'], readonly [RegExp, string]>> = {
  creds: [
    /BEGIN NATS USER JWT[\s\S]*BEGIN USER NKEY SEED/,
    'a token and a key, as nsc writes them (nsc generate creds)',
  ],
  nkey: [/^\s*SU[A-Z2-7]{56}\s*$/, "a user's key, which begins with SU (nk -gen user)"],
}

/**
 * What stands behind the question mark; undefined: nothing of the kind.
 * @throws MillraceError `INVALID_ARGUMENT` (both, no such file, not one of that kind)
 */
export function credentialsOf(
  query: ReadonlyMap<string, string>,
  shown: string,
): NatsCredentials | undefined {
  const kinds = (['creds', 'nkey'] as const).filter((kind) => query.has(kind))
  const [kind] = kinds
  if (kind === undefined) return undefined
  if (kinds.length > 1) throw invalidArgument(`'${shown}' may have creds or nkey, not both`)
  const credentials = { kind, file: query.get(kind)! }
  try {
    contentOf(credentials)
  } catch (cause) {
    throw invalidArgument(`${kind} of '${shown}': ${(cause as Error).message}`, cause)
  }
  return credentials
}

/**
 * For the library.
 * @throws MillraceError `UNREACHABLE` (the file has gone, or is another one)
 */
export function authenticatorOf(
  library: NatsLibrary,
  credentials: NatsCredentials,
  shown: string,
): unknown {
  let content: string
  try {
    content = contentOf(credentials)
  } catch (cause) {
    throw new MillraceError(
      'ERR_MILLRACE_UNREACHABLE',
      `nobody can come to '${shown}': ${(cause as Error).message}`,
      { cause, executed: 'no' },
    )
  }
  const bytes = new TextEncoder().encode(content)
  return credentials.kind === 'creds'
    ? library.credsAuthenticator(bytes)
    : library.nkeyAuthenticator(bytes)
}

function contentOf({ kind, file }: NatsCredentials): string {
  const { readFileSync } = process.getBuiltinModule('node:fs')
  const [shape, what] = shapes[kind]
  let content: string
  try {
    content = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new Error(`'${file}' cannot be read (${(cause as Error).message})`, { cause })
  }
  if (!shape.test(content)) throw new Error(`'${file}' must hold ${what}`)
  return kind === 'nkey' ? content.trim() : content
}
