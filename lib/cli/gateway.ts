// `millrace gateway CONFIG`: addresses joined, as a service of the system.

import { httpPlace, judgeFile, runService, type ServiceConfig } from '../gateway.js'
import { formatColumns } from './columns.js'
import { heed } from './early-signals.js'
import { logger, logLife } from './logging.js'
import { logOptions, parseCommand, UsageError } from './usage.js'

/** As for a wrong command line: what was said is wrong, and nothing was done. */
const wrongConfig = 2

export async function gateway(
  args: readonly string[],
  signal: AbortSignal,
): Promise<number | undefined> {
  const parsed = parseCommand('gateway', args, ['http', ...logOptions], ['check'])
  if (parsed === undefined) return undefined
  const { values, positionals } = parsed
  const [file, extra] = positionals
  if (file === undefined) throw new UsageError('gateway wants a file of configuration')
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`)
  const http = values.http === undefined ? undefined : placeOf(values.http)
  const log = logger(values)
  const { findings, config } = judgeFile(file)
  if (config === undefined) {
    for (const finding of findings) process.stderr.write(`${finding}\n`)
    return wrongConfig
  }
  if (values.check === true) {
    process.stdout.write(overview(config))
    return 0
  }
  logLife(log, values)
  const onHangUp = (listener: () => void): void => {
    heed('SIGHUP', listener)
  }
  return (await runService({ file, config, http, log, signal, onHangUp })) ? 0 : 1
}

function placeOf(text: string): ReturnType<typeof httpPlace> {
  const place = httpPlace(text)
  if (place !== undefined) return place
  throw new UsageError(`--http must be HOST:PORT, as in 127.0.0.1:9464, or a port, not '${text}'`)
}

function overview({ gateway: { routes } }: ServiceConfig): string {
  const rows = routes.map(({ kind, name, from, to }) => [kind, shown(from), shown(to), name ?? '-'])
  return formatColumns([['KIND', 'FROM', 'TO', 'NAME'], ...rows])
}

function shown(address: string): string {
  return address.replace(/\/\/[^/?]*@/, '//…@')
}
