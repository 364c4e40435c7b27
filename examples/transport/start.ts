// The thermometer and the gateway, each a process of its own. Open the address that is printed in a browser.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const program = (name: string) =>
  fileURLToPath(import.meta.url.replace(/start(\.\w+)$/, `${name}$1`))
const all = ['feed', 'gateway'].map((name) =>
  spawn(process.execPath, [program(name)], { stdio: ['ignore', 'inherit', 'inherit'] }),
)
let stopping = false
const stop = (): void => {
  if (stopping) return
  stopping = true
  for (const child of all) child.kill('SIGTERM')
}
process.on('SIGTERM', stop)
process.on('SIGINT', stop)

const codes = await Promise.all(
  all.map(async (child) => {
    const [code] = (await once(child, 'exit')) as [number | null]
    stop()
    return code
  }),
)
process.exitCode = codes.every((code) => code === 0) ? 0 : 1
