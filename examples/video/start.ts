// ffmpeg → camera → analyser, recorder and viewer, each a process of its own. At the end the recording is compared with what the test
// picture is by its rule. Without ffmpeg, or with `--generator`, a few lines make the same bytes.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { draw, ffmpegArguments, pictureBytes, pictures } from './picture.ts'

const program = (name: string) =>
  fileURLToPath(import.meta.url.replace(/start(\.\w+)$/, `${name}$1`))
const directory = await mkdtemp(join(tmpdir(), 'video-'))
const recording = join(directory, 'recording.rgb')

const ffmpeg =
  !process.argv.includes('--generator') && spawnSync('ffmpeg', ['-version']).status === 0
const source = ffmpeg
  ? spawn('ffmpeg', ffmpegArguments, { stdio: ['ignore', 'pipe', 'inherit'] })
  : spawn(process.execPath, [program('generator')], { stdio: ['ignore', 'pipe', 'inherit'] })
console.log(`source: ${ffmpeg ? 'ffmpeg' : 'generator'}`)

const start = (name: string, ...args: string[]): ChildProcess =>
  spawn(process.execPath, [program(name), ...args], { stdio: ['ignore', 'inherit', 'inherit'] })
// The camera has the pipe itself as its input: no byte of it passes through this process.
const camera = spawn(process.execPath, [program('camera')], {
  stdio: [source.stdout, 'inherit', 'inherit'],
})
source.stdout.destroy()
const all: ChildProcess[] = [
  source,
  camera,
  start('analyser'),
  start('recorder', recording),
  start('viewer'),
]

const codes = await Promise.all(
  all.map(async (child) => {
    const [code] = (await once(child, 'exit')) as [number | null]
    // Who fails leaves the others waiting.
    if (code !== 0) for (const other of all) other.kill()
    return code
  }),
)
const same = codes.every((code) => code === 0) && isThePicture(await readFile(recording))
await rm(directory, { recursive: true })
console.log(same ? 'the recording is the picture' : 'the recording is NOT the picture')
process.exitCode = same ? 0 : 1

function isThePicture(bytes: Buffer): boolean {
  if (bytes.length !== pictures * pictureBytes) return false
  for (let n = 0; n < pictures; n++) {
    const one = bytes.subarray(n * pictureBytes, (n + 1) * pictureBytes)
    if (!one.equals(draw(n))) return false
  }
  return true
}
