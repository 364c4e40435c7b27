// What the patterns are put through the suite over, each with what it takes.

import { mkdtempSync, rmSync } from 'node:fs'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { registerTransport } from 'millrace/net'
import {
  patternConformance,
  type Conformance,
  type PatternConformanceOptions,
} from 'millrace/net/conformance'

import { webSockets } from '../../../examples/transport/websocket.js'
import { selfSigned } from '../../support/certificate.js'
import { registerMessages } from './message-transport.js'

/** One column of the table. */
export interface PatternSubject {
  readonly name: string
  /** Is it here? */
  readonly isHere: boolean
  readonly suite: Conformance
}

const isLinux = process.platform === 'linux'
const own = `patterns-${String(process.pid)}`
let count = 0
const fresh = (): string => `${own}-${String(++count)}`
const folder = mkdtempSync(join(tmpdir(), `millrace-${own}-`))
const hasIPv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
)
const { key, cert } = selfSigned()

registerMessages('letters', { halfCloses: true })
registerTransport(webSockets)

/** Once all are judged. */
export function removeFolder(): void {
  rmSync(folder, { recursive: true })
}

function subject(
  name: string,
  address: Parameters<typeof patternConformance>[0],
  { isHere = true, ...options }: PatternConformanceOptions & { readonly isHere?: boolean } = {},
): PatternSubject {
  return { name, isHere, suite: patternConformance(address, options) }
}

export const patternSubjects: readonly PatternSubject[] = [
  subject('this memory', undefined),
  subject('shm:// as a connection', () => `shm://test-${fresh()}`, { isHere: isLinux }),
  subject('unix:///path', () => `unix://${join(folder, fresh())}`),
  subject('unix://@name', () => `unix://@${fresh()}`, { isHere: isLinux }),
  subject('tcp:// (IPv4)', 'tcp://127.0.0.1:0'),
  subject('tcp:// (IPv6)', 'tcp://[::1]:0', { isHere: hasIPv6 }),
  subject('tls://', 'tls://127.0.0.1:0', {
    listening: { tls: { key, cert } },
    connecting: { tls: { ca: cert } },
  }),
  subject('a link', () => `letters://${fresh()}`),
  subject('ws:// (the example)', 'ws://127.0.0.1:0/live'),
]
