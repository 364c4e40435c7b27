// A log of 30,000 lines through the pipeline: a source, three workers and a loader, each a process of its own. With `--kill` one of
// the workers is killed ten times a second, and replaced. At the end the output is compared with what one process makes of the log.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEtl } from './etl.ts'
import { writeLog } from './log.ts'
import { BrokenLine, hideClient, recordOf } from './record.ts'

const program = (name: string) => new URL(import.meta.url.replace(/start(\.\w+)$/, `${name}$1`))
const directory = await mkdtemp(join(tmpdir(), 'etl-'))
const [log, output] = [join(directory, 'access.log'), join(directory, 'records.ndjson')]
await writeLog(log, 30_000)

const working = new Set<ChildProcess>()
const children = new Set<ChildProcess>()
let ending = false

function start(name: string, ...args: string[]): ChildProcess {
  const child = fork(program(name), args)
  children.add(child)
  child.once('exit', (code) => {
    children.delete(child)
    if (code !== null && code !== 0) giveUp() // it has said why
  })
  return child
}

function giveUp(): void {
  for (const child of children) child.kill('SIGKILL')
  process.exit(1)
}

function startWorker(): void {
  const worker = start('worker')
  worker.once('message', () => working.add(worker))
  worker.once('exit', () => {
    working.delete(worker)
    if (!ending) startWorker()
  })
}

const etl = openEtl()
const loader = start('loader', output)
for (let i = 0; i < 3; i++) startWorker()
let killed = 0
const killing = setInterval(() => {
  const [oldest] = working
  // Whoever is left goes on until there are others.
  if (process.argv.includes('--kill') && working.size > 1 && oldest!.kill('SIGKILL')) {
    working.delete(oldest!)
    killed++
  }
}, 100)

await once(start('source', log), 'exit')
await etl.idle()

clearInterval(killing)
ending = true
const told = once(loader, 'message')
// The last one to leave removes the pipeline, so this process leaves after the others, of which one may be ended in the middle of its start.
const gone = Promise.all([...children].map((child) => once(child, 'exit')))
for (const child of children) child.kill('SIGTERM')
const [byStatus] = (await told) as [Record<string, number>]
await gone
const dead = etl.dead.peek()
etl.dead.purge()
etl.close()

const expected = await inOneProcess()
const same = (await readFile(output, 'utf8')) === expected.records
// The first column of a line is its number.
const broken = dead.map(({ bytes, error }) => `${bytes.toString().split('\t')[0]!}: ${error!}`)
broken.sort((a, b) => parseInt(a) - parseInt(b))
const sameBroken = broken.join('\n') === expected.broken.join('\n')
await rm(directory, { recursive: true })
console.log(byStatus)
console.log(`broken lines: ${broken.length}, such as ${broken[0]!}`)
console.log(`workers killed: ${killed}`)
console.log(same && sameBroken ? 'as one process makes it' : 'NOT as one process makes it')
process.exitCode = same && sameBroken ? 0 : 1

/** What is to come out: line after line. */
async function inOneProcess(): Promise<{ records: string; broken: string[] }> {
  let records = ''
  const brokenLines: string[] = []
  const lines = (await readFile(log, 'utf8')).split('\n').slice(0, -1)
  for (const [i, text] of lines.entries()) {
    const line = Buffer.from(`${i + 1}\t${text}`)
    hideClient(line)
    try {
      records += `${recordOf(line.toString())}\n`
    } catch (error) {
      if (!(error instanceof BrokenLine)) throw error
      brokenLines.push(`${i + 1}: ${error.message}`)
    }
  }
  return { records, broken: brokenLines }
}
