// The server and four workers, each a process of its own; a worker that ends is replaced. With `--kill` one of them is killed
// every second, as the kernel does when memory runs out.
import { fork, type ChildProcess } from 'node:child_process'

const program = (name: string) => new URL(import.meta.url.replace(/start(\.\w+)$/, `${name}$1`))
const workers = new Set<ChildProcess>()
let ending = false

function startWorker(): void {
  const worker = fork(program('worker'))
  workers.add(worker)
  worker.once('exit', () => {
    workers.delete(worker)
    if (!ending) startWorker()
  })
}

const server = fork(program('server'))
for (let i = 0; i < 4; i++) startWorker()

let killing: NodeJS.Timeout | undefined
if (process.argv.includes('--kill')) {
  killing = setInterval(() => {
    const all = [...workers]
    all[Math.floor(Math.random() * all.length)]?.kill('SIGKILL')
  }, 1000)
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    ending = true
    for (const child of [server, ...workers]) child.kill('SIGTERM')
    clearInterval(killing)
  })
}
