// `millrace dashboard`: a live page of what goes through channels.

import { spawn } from 'node:child_process'

import { serveDashboard } from '../dashboard.js'
import { nameHere } from './here.js'
import { written } from './output.js'
import { parseCount } from './quantities.js'
import { logAsAsked, tell, tellLog } from './telling.js'
import { logOptions, onePrefix, parseCommand } from './usage.js'

/** Being told to end is how it ends. */
export async function dashboard(
  args: readonly string[],
  signal: AbortSignal,
): Promise<number | undefined> {
  const flags = ['allow-remote', 'payload', 'open', 'json'] as const
  const parsed = parseCommand('dashboard', args, ['port', 'host', 'interval', ...logOptions], flags)
  if (parsed === undefined) return undefined
  const { values, positionals } = parsed
  await logAsAsked(values)
  const prefix = nameHere('dashboard', onePrefix(positionals))
  const count = (option: 'port' | 'interval', least: number, most: number): number | undefined =>
    values[option] === undefined
      ? undefined
      : parseCount(`--${option}`, values[option], least, most)
  const { host, 'allow-remote': allowRemote, payload } = values
  using served = await serveDashboard({
    port: count('port', 0, 65_535),
    interval: count('interval', 100, 5000),
    host,
    allowRemote,
    payload,
    prefix,
  })
  if (allowRemote === true) {
    tell(
      'warn',
      { event: 'open-to-others', host },
      'other machines are let in: whoever listens on the way reads the token and all that is shown',
    )
  }
  const { url, port } = served
  // Whoever reads the log is not to have the token.
  tellLog('info', { event: 'listening', port }, `the page is served at port ${String(port)}`)
  await written(values.json === true ? `${JSON.stringify({ url, port })}\n` : `${url}\n`)
  if (values.open === true) open(url)
  await aborted(signal)
  return 0
}

/** In whatever the system has for addresses; where it has nothing, the address stands in the terminal. */
function open(url: string): void {
  const opener = process.platform === 'darwin' ? 'open' : 'xdg-open'
  const child = spawn(opener, [url], { stdio: 'ignore', detached: true })
  child.on('error', () => {
    const event = 'no-browser'
    tell('warn', { event }, `there is no ${opener} here: open the address yourself`)
  })
  child.unref()
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done()
    signal.addEventListener('abort', () => {
      done()
    })
  })
}
