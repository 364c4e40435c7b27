// The file of configuration of a gateway: read, and judged as a whole before anything is done. YAML, or JSON, which is YAML.

import { MillraceError } from '../../errors.js'
import type { GatewayConfig } from '../config.js'
import { judge } from '../judge.js'
import { Findings } from './findings.js'
import { hostAndPort, type HttpPlace } from '../../telemetry/http-place.js'
import { Reading } from './reading.js'
import { longestMs } from './route-keys.js'
import { readRoutes } from './routes.js'
import { yaml, type YamlNode } from './yaml.js'

/** @internal What a service is told: its gateway, and where it tells how it is. */
export interface ServiceConfig {
  readonly gateway: GatewayConfig
  /** Undefined: nowhere. */
  readonly http: HttpPlace | undefined
}

/** @internal What is wrong with it, line by line; none: it is right. */
export type Judged =
  | { readonly findings: readonly []; readonly config: ServiceConfig }
  | { readonly findings: readonly [string, ...string[]]; readonly config?: undefined }

const mostBytes = 2 ** 20

/**
 * Reads a file of configuration, of YAML or JSON: routes, with the values of `${NAME}` out of the environment, and certificates out of files.
 * Nothing is opened or connected. `docs/gateway.md` has all keys.
 *
 * @throws MillraceError `INVALID_ARGUMENT` (all that is wrong, each in a line of the message: file, line, column, and what may be there),
 *   `MISSING_PEER` (the package yaml is not installed)
 */
export function readGatewayConfig(file: string): GatewayConfig {
  const { findings, config } = judgeFile(file)
  if (config !== undefined) return config.gateway
  throw new MillraceError('ERR_MILLRACE_INVALID_ARGUMENT', findings.join('\n'))
}

/**
 * @internal
 * @throws MillraceError `MISSING_PEER`
 */
export function judgeFile(file: string): Judged {
  const { readFileSync, statSync } = process.getBuiltinModule('node:fs')
  const path = process.getBuiltinModule('node:path')
  let text: string
  try {
    const { size } = statSync(file)
    if (size > mostBytes) {
      return { findings: [`${file}: it has ${String(size)} bytes, which no configuration has`] }
    }
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'there is no such file' : message
    return { findings: [`${file}: it cannot be read: ${why}`] }
  }
  return judgeText(text, { file, folder: path.dirname(path.resolve(file)) })
}

function judgeText(
  text: string,
  { file, folder }: { readonly file: string; readonly folder: string },
): Judged {
  const library = yaml()
  const lines = new library.LineCounter()
  const document = library.parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false, // said better below
  })
  const findings = new Findings(file, lines)
  for (const { code, message, pos } of [...document.errors, ...document.warnings]) {
    const several = code === 'MULTIPLE_DOCS'
    findings.add(pos[0], several ? 'there is a second document: a file has one' : message)
  }
  if (!findings.isEmpty()) return wrong(findings)
  const reading = new Reading(findings, { yaml: library, document, environment: process.env })
  const config = readService(reading, document.contents, folder)
  return config === undefined || !findings.isEmpty() ? wrong(findings) : { findings: [], config }
}

function wrong(findings: Findings): Judged {
  return { findings: findings.all() as [string, ...string[]] }
}

function readService(
  reading: Reading,
  node: YamlNode | null,
  folder: string,
): ServiceConfig | undefined {
  const found = reading.map(node, 'the configuration', {
    host: { read: (one, what) => readHost(reading, one, what) },
    routes: {
      read: (one, what) => readRoutes(reading, one, what, folder),
      needed:
        'a list of what is joined with what, as in { kind: work, from: jobs, to: nats://127.0.0.1:4222/jobs }',
    },
    drainTimeout: { read: (one, what) => readMs(reading, one, what) },
    http: { read: (one, what) => readHttp(reading, one, what) },
  })
  if (found === undefined || !reading.findings.isEmpty()) return undefined
  const { http, ...rest } = found.values
  const gateway = rest as unknown as GatewayConfig
  judgeAsWhole(reading, gateway, found.spots['routes'] ?? null)
  return { gateway, http: http as HttpPlace | undefined }
}

/** What the gateway itself has against it, such as routes in a circle; where that is of one route, in its line. */
function judgeAsWhole(reading: Reading, gateway: GatewayConfig, routes: YamlNode | null): void {
  try {
    judge(gateway)
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    const found = /^routes\[(\d+)\](?:: |\.)/.exec(error.message)
    const route = found === null ? undefined : reading.item(routes, Number(found[1]))
    reading.findings.add(route ?? routes, error.message.slice(found?.[0].length ?? 0))
  }
}

function readHost(reading: Reading, node: YamlNode | null, what: string): string | undefined {
  const host = reading.text(node, what, 'what this host is called')
  if (host === undefined || /^[\w.-]{1,64}$/.test(host)) return host
  reading.findings.add(
    node,
    `${what} must have 1 to 64 letters, digits, '.', '_' and '-', not '${host}'`,
  )
  return undefined
}

function readHttp(reading: Reading, node: YamlNode | null, what: string): HttpPlace | undefined {
  const port = reading.isNumber(node) ? reading.whole(node, what, [0, 65_535], 'a port') : undefined
  if (reading.isNumber(node)) {
    return port === undefined ? undefined : { host: '127.0.0.1', port }
  }
  const such = 'HOST:PORT, as in 127.0.0.1:9464, or a port of this machine'
  const text = reading.text(node, what, such)
  const place = text === undefined ? undefined : hostAndPort(text)
  if (text !== undefined && place === undefined) {
    reading.findings.add(node, `${what} must be ${such}, not '${text}'`)
  }
  return place
}

function readMs(reading: Reading, node: YamlNode | null, what: string): number | undefined {
  return reading.whole(node, what, [0, longestMs], 'whole milliseconds')
}
