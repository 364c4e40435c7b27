// A feed in C++, a strategy in TypeScript, analytics in Python: three processes, one structure. Writes its definitions, compiles the feed,
// runs all three, and compares what the strategy says with what the analytics say.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { writeDefinitions } from './tick.ts'

const extension = /start(\.\w+)$/.exec(import.meta.url)![1]!
// In a clone the compiled programs are in out/examples, and those of other languages are not.
const source = (name: string) =>
  [`./${name}`, `../../../examples/feed/${name}`]
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find(existsSync)!
const [count = '1000000'] = process.argv.slice(2)

const folder = await mkdtemp(join(tmpdir(), 'feed-'))
writeDefinitions(folder)
// The headers come with the package.
const headers = join(
  dirname(createRequire(import.meta.url).resolve('millrace/package.json')),
  'native/include',
)
const libraries = process.platform === 'linux' ? ['-lrt'] : []
execFileSync(process.env['CXX'] ?? 'c++', [
  ...['-std=c++20', '-O2', '-pthread', '-I', headers, '-I', folder],
  ...[source('feed.cpp'), '-o', join(folder, 'feed'), ...libraries],
])

const start = (command: string, ...args: string[]) => {
  const PYTHONPATH = [folder, process.env['PYTHONPATH']].filter(Boolean).join(':')
  return spawn(command, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PYTHONPATH, PYTHONDONTWRITEBYTECODE: '1' },
  })
}
const strategy = fileURLToPath(new URL(`./strategy${extension}`, import.meta.url))
const all = [
  start(join(folder, 'feed'), count),
  start(process.execPath, strategy),
  start(process.env['PYTHON'] ?? 'python3', source('analytics.py')),
]
const ended = async (child: ChildProcess): Promise<boolean> => {
  const [code] = (await once(child, 'exit')) as [number | null]
  // Who fails leaves the others waiting.
  if (code !== 0) for (const other of all) other.kill()
  return code === 0
}
const [texts, ends] = await Promise.all([
  Promise.all(all.map(({ stdout }) => text(stdout))),
  Promise.all(all.map(ended)),
])
await rm(folder, { recursive: true })
process.stdout.write(texts.join(''))
const turnovers = texts.slice(1).map((said) => /turnover (\S+)/.exec(said)?.[1])
const same = ends.every(Boolean) && turnovers[0] !== undefined && turnovers[0] === turnovers[1]
console.log(same ? 'both have the same turnover' : 'the turnovers are NOT the same')
process.exitCode = same ? 0 : 1
