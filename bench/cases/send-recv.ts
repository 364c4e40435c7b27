// A file through `millrace send` and `millrace recv`, and through `cat | cat`, in turn. From starting the processes until
// both have ended.

import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, createReadStream, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { withFile } from '../side/big-file.js'
import { checked, Stopwatch, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

const cli = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))
const checkedBytes = 10_000_000

export async function lead({ name, bytes, check, count }: Parameters): Promise<Measured> {
  return await withFile(name, check ? checkedBytes : bytes, async (file) => {
    if (check) return await compare(file, name)
    const ours = new Stopwatch()
    const pipes = new Stopwatch()
    for (let i = 0; i < count; i++) {
      await timed(ours, file, (input) => sendAndReceive(input, name, 'ignore'))
      await timed(pipes, file, (input) => [start('sh', ['-c', 'cat | cat'], [input, 'ignore'])])
    }
    return { ...ours.whole(), parts: { pipe: pipes.whole() } }
  })
}

function start(command: string, args: readonly string[], stdio: StdioOptions): ChildProcess {
  return spawn(command, args, { stdio: [...(stdio as []), 'inherit'] })
}

function sendAndReceive(input: number, name: string, output: 'ignore' | 'pipe'): ChildProcess[] {
  return [
    start(process.execPath, [cli, 'send', name], [input, 'ignore']),
    start(process.execPath, [cli, 'recv', name], ['ignore', output]),
  ]
}

async function timed(
  stopwatch: Stopwatch,
  file: string,
  starting: (input: number) => readonly ChildProcess[],
): Promise<void> {
  const input = openSync(file, 'r')
  stopwatch.start()
  await Promise.all(starting(input).map(ended))
  stopwatch.stop()
  closeSync(input)
}

async function ended(child: ChildProcess): Promise<void> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  if (code !== 0) throw new Error(`a process ended with ${String(code ?? signal)}`)
}

async function compare(file: string, name: string): Promise<Measured> {
  const input = openSync(file, 'r')
  const both = sendAndReceive(input, name, 'pipe')
  const [received] = await Promise.all([digest(both[1]!.stdout!), ...both.map(ended)])
  closeSync(input)
  if (received !== (await digest(createReadStream(file)))) throw new Error('another file arrived')
  return checked
}

async function digest(stream: NodeJS.ReadableStream): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of stream) hash.update(piece as Buffer)
  return hash.digest('hex')
}
