// ffmpeg → camera → vision.py → show, each a process of its own. Without ffmpeg, or with `--generator`, a few lines make the same picture;
// with `--forever` it goes on until Ctrl-C, to be looked at with `npx millrace dashboard`.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ffmpegArguments, pictures } from './picture.ts'

const extension = /start(\.\w+)$/.exec(import.meta.url)![1]!
const beside = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const program = (name: string) => beside(`${name}${extension}`)
// In a clone the compiled programs are in out/examples, and the one in Python is not.
const vision = [beside('vision.py'), beside('../../../examples/vision/vision.py')].find(existsSync)!

const forever = process.argv.includes('--forever')
const count = forever ? undefined : pictures
const ffmpeg =
  !process.argv.includes('--generator') && spawnSync('ffmpeg', ['-version']).status === 0
const source = ffmpeg
  ? spawn('ffmpeg', ffmpegArguments(count), { stdio: ['ignore', 'pipe', 'inherit'] })
  : spawn(process.execPath, [program('generator'), ...(forever ? [] : [String(pictures)])], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
console.log(`source: ${ffmpeg ? 'ffmpeg' : 'generator'}`)

// The camera has the pipe itself as its input: no byte of it passes through this process.
const camera = spawn(process.execPath, [program('camera')], {
  stdio: [source.stdout, 'inherit', 'inherit'],
})
source.stdout.destroy()
const start = (command: string, ...args: string[]): ChildProcess =>
  spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
const all: ChildProcess[] = [
  source,
  camera,
  start(process.env['PYTHON'] ?? 'python3', vision),
  start(process.execPath, program('show')),
]
process.on('SIGINT', () => undefined) // the terminal tells all of them

const codes = await Promise.all(
  all.map(async (child) => {
    const [code] = (await once(child, 'exit')) as [number | null]
    // Who fails leaves the others waiting.
    if (code !== 0) for (const other of all) other.kill()
    return code
  }),
)
process.exitCode = codes.every((code) => code === 0) || forever ? 0 : 1
