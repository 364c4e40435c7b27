// Certificates and keys, by the paths of their files: read, and judged whether they are what they are to be, and belong together.

import type { KeyObject, X509Certificate } from 'node:crypto'
import type { TlsOptions } from 'node:tls'

import type { Keys, Reading, ReadMap } from './reading.js'
import type { YamlNode } from './yaml.js'

/** What is read of each file: certificates and keys are smaller. */
const mostBytes = 2 ** 20

/** Files that are named relatively are looked for where the file of configuration is. */
export function readTls(
  reading: Reading,
  node: YamlNode | null,
  what: string,
  folder: string,
): TlsOptions | undefined {
  const file = {
    read: (one: YamlNode | null, name: string) => readFile(reading, one, name, folder),
  }
  const text = { read: (one: YamlNode | null, name: string) => reading.text(one, name) }
  const keys: Keys = {
    ca: file,
    cert: file,
    key: file,
    passphrase: text,
    servername: text,
    requestCert: { read: (one, name) => reading.flag(one, name) },
  }
  const found = reading.map(node, what, keys)
  if (found === undefined) return undefined
  judge(reading, found)
  return found.values
}

function readFile(
  reading: Reading,
  node: YamlNode | null,
  what: string,
  folder: string,
): string | undefined {
  const given = reading.text(node, what, 'the path of a file')
  if (given === undefined) return undefined
  const { readFileSync, statSync } = process.getBuiltinModule('node:fs')
  const path = process.getBuiltinModule('node:path').resolve(folder, given)
  try {
    const facts = statSync(path)
    if (!facts.isFile() || facts.size > mostBytes) {
      reading.findings.add(node, `${what}: '${path}' is no file of certificates or keys`)
      return undefined
    }
    return readFileSync(path, 'latin1')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EACCES'
          ? 'this user may not read it'
          : message
    reading.findings.add(node, `${what}: '${path}' cannot be read: ${why}`)
    return undefined
  }
}

function judge(reading: Reading, { node, values, spots }: ReadMap): void {
  const given = values as Readonly<Record<string, string | undefined>>
  const add = (key: string, message: string): void => {
    reading.findings.add(spots[key] ?? node, message)
  }
  for (const one of ['cert', 'key'] as const) {
    const other = one === 'cert' ? 'key' : 'cert'
    if (one in spots && !(other in spots)) add(one, `${one} needs ${other} beside it`)
  }
  const authority = given['ca'] === undefined ? undefined : certificate(given['ca'])
  if (typeof authority === 'string') add('ca', `ca: the file has no certificate: ${authority}`)
  const own = given['cert'] === undefined ? undefined : certificate(given['cert'])
  if (typeof own === 'string') add('cert', `cert: the file has no certificate: ${own}`)
  else if (own !== undefined) {
    const dates = outOfDate(own)
    if (dates !== undefined) add('cert', `cert: the certificate ${dates}: renew it`)
  }
  const key = given['key'] === undefined ? undefined : privateKey(given['key'], given['passphrase'])
  if (typeof key === 'string') add('key', `key: the file has no key that can be read: ${key}`)
  else if (key !== undefined && typeof own === 'object' && !own.checkPrivateKey(key)) {
    add('key', 'key: it is not that of the certificate')
  }
}

/** The first one; or why there is none. */
function certificate(pem: string): X509Certificate | string {
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  try {
    return new X509Certificate(pem)
  } catch (error) {
    return (error as Error).message
  }
}

function privateKey(pem: string, passphrase: string | undefined): KeyObject | string {
  const { createPrivateKey } = process.getBuiltinModule('node:crypto')
  try {
    return createPrivateKey(passphrase === undefined ? pem : { key: pem, passphrase })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return code === 'ERR_MISSING_PASSPHRASE' ? "it is encrypted: say 'passphrase'" : message
  }
}

function outOfDate({ validFrom, validTo }: X509Certificate): string | undefined {
  const at = new Date()
  if (at > new Date(validTo)) return `has expired on ${validTo}`
  return at < new Date(validFrom) ? `is valid from ${validFrom} only` : undefined
}
