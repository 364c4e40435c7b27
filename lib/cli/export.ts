// `millrace export`: the metrics of all channels for Prometheus, at once, as a page, or in a file.

import { renameSync, writeFileSync } from 'node:fs'

import { MillraceError } from '../index.js'
import {
  familiesOf,
  httpPlace,
  observe,
  prometheusText,
  prometheusType,
  servePages,
  type HttpPlace,
} from '../telemetry.js'
import { nameHere } from './here.js'
import { written } from './output.js'
import { parseCount } from './quantities.js'
import { logAsAsked, tellLog, tellsRecords } from './telling.js'
import { logOptions, onePrefix, parseCommand, UsageError } from './usage.js'

const usualIntervalMs = 15_000
const usualChannels = 1000

/** Being told to end is how a page, or a file that is kept, ends. */
export async function exportMetrics(
  args: readonly string[],
  signal: AbortSignal,
): Promise<number | undefined> {
  const options = ['http', 'file', 'interval', 'max-channels', ...logOptions] as const
  const parsed = parseCommand('export', args, options, ['once', 'histograms'])
  if (parsed === undefined) return undefined
  const { values, positionals } = parsed
  const prefix = nameHere('export', onePrefix(positionals))
  const ways = [values.http, values.file, values.once].filter((way) => way !== undefined)
  if (ways.length !== 1) throw new UsageError('export wants one of --once, --http and --file')
  await logAsAsked(values)
  const maxChannels =
    values['max-channels'] === undefined
      ? usualChannels
      : parseCount('--max-channels', values['max-channels'], 0, 1_000_000)
  const histograms = values.histograms === true
  const text = (): string =>
    prometheusText(familiesOf(observe({ prefix }), { maxChannels, histograms }))
  if (values.http !== undefined) await serve(placeOf(values.http), text, signal)
  else if (values.file !== undefined) {
    const interval =
      values.interval === undefined
        ? usualIntervalMs
        : parseCount('--interval', values.interval, 100, 3_600_000)
    await keep(values.file, interval, text, signal)
  } else {
    await written(text())
    return undefined
  }
  return 0
}

function placeOf(given: string): HttpPlace {
  const place = httpPlace(given)
  if (place !== undefined) return place
  throw new UsageError(`--http must be HOST:PORT, as in 127.0.0.1:9465, or a port, not '${given}'`)
}

async function serve(place: HttpPlace, text: () => string, signal: AbortSignal): Promise<void> {
  const server = await servePages(place, {
    '/metrics': () => ({ status: 200, type: prometheusType, body: text() }),
  })
  const url = `${server.url}/metrics`
  if (tellsRecords()) tellLog('info', { event: 'listening', url }, `metrics are at ${url}`)
  else process.stderr.write(`${url}\n`)
  await aborted(signal)
  server.close()
}

/** A file that is whole whenever somebody reads it, as node_exporter's textfile collector wants it. */
async function keep(
  file: string,
  interval: number,
  text: () => string,
  signal: AbortSignal,
): Promise<void> {
  const fresh = `${file}.${String(process.pid)}.tmp`
  const write = (): void => {
    try {
      writeFileSync(fresh, text())
      renameSync(fresh, file)
      tellLog('debug', { event: 'written', file }, `metrics are written to '${file}'`)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      throw new MillraceError(
        code === 'EACCES' || code === 'EPERM' ? 'ERR_MILLRACE_PERMISSION' : 'ERR_MILLRACE_SYSTEM',
        `--file ${file}: ${message}`,
        { cause: error },
      )
    }
  }
  write()
  while (await passed(interval, signal)) write()
}

/** False: it was aborted before. */
function passed(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds, true)
    void aborted(signal).then(() => {
      clearTimeout(timer)
      done(false)
    })
  })
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done()
    signal.addEventListener('abort', () => {
      done()
    })
  })
}
