// A wheel, as scripts/wheels.mjs makes it of this machine's library: installed and used in a new environment.

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { SpscQueue } from 'millrace'

import { uniqueName } from '../support/names.js'
import { within } from '../support/until.js'
import { patience } from './peer.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const execute = promisify(execFile)
const targets = {
  'linux x64': 'linux-x64-glibc',
  'linux arm64': 'linux-arm64-glibc',
  'darwin x64': 'darwin-x64',
  'darwin arm64': 'darwin-arm64',
}

test('a wheel is the same each time, and works where it is installed', async (t) => {
  t.timeout(300_000)
  const name = uniqueName(t)
  const folder = await mkdtemp(join(tmpdir(), `wheel-${process.pid}-`))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const target = targets[`${process.platform} ${process.arch}` as keyof typeof targets]
  const make = (to: string): Promise<unknown> =>
    execute(process.execPath, [
      join(root, 'scripts/wheels.mjs'),
      ...['--from', join(root, 'build-capi/lib'), '--to', to, target],
    ])
  const [one, two] = [join(folder, 'one'), join(folder, 'two')]
  await make(one)
  await make(two)
  const [wheel, ...others] = await readdir(one)
  t.deepEqual(others, [])
  t.regex(wheel!, /^millrace-\d+\.\d+\.\d+-py3-none-(manylinux_2_17|macosx_11_0)_\w+\.whl$/)
  t.deepEqual(await readFile(join(one, wheel!)), await readFile(join(two, wheel!)))

  const judge = (...args: string[]): Promise<{ stdout: string }> =>
    execute(process.execPath, [join(root, 'scripts/check-wheels.mjs'), '--any-library', ...args])
  t.regex((await judge(join(one, wheel!))).stdout, /^1 wheels of .* are as they should be$/m)
  await t.throwsAsync(judge('--complete', join(one, wheel!)), { message: /\.whl is missing/ })
  const content = await readFile(join(one, wheel!))
  const spoiled = join(folder, wheel!)
  for (const [what, said] of [
    ['Version: ', /METADATA is damaged/],
    ['PK\x05\x06', /no zip archive/],
    [target.includes('darwin') ? '__TEXT' : '\x7fELF', /libmillrace\.\w+ is damaged/],
  ] as const) {
    const other = Buffer.from(content)
    other[other.indexOf(what, 0, 'latin1')]! ^= 1
    await writeFile(spoiled, other)
    await t.throwsAsync(judge(spoiled), { message: said })
  }
  await writeFile(join(folder, 'millrace-9.9.9-py3-none-any.whl'), content)
  await t.throwsAsync(judge(join(folder, 'millrace-9.9.9-py3-none-any.whl')), {
    message: /it is called millrace-9\.9\.9/,
  })

  const python = process.env['PYTHON'] ?? 'python3'
  const environment = { ...process.env, PYTHONPATH: '' }
  const place = join(folder, 'environment')
  await execute(python, ['-m', 'venv', '--without-pip', place], { env: environment })
  const inside = join(place, 'bin/python')
  // Without scripts and other platforms' folders to install is to unpack.
  const { stdout: packages } = await execute(inside, [
    '-c',
    'import sysconfig; print(sysconfig.get_path("platlib"), end="")',
  ])
  await execute(inside, ['-m', 'zipfile', '-e', join(one, wheel!), packages])
  const { stdout: listed } = await execute(
    inside,
    [
      '-c',
      'import millrace, importlib.metadata as m; print(millrace.library_path, m.version("millrace"), millrace.version)',
    ],
    { env: environment, cwd: folder },
  )
  const [path, version, same] = listed.trim().split(' ')
  t.true(path!.startsWith(place), path)
  t.is(version, same)
  const hash = (content: Buffer): string => createHash('sha256').update(content).digest('hex')
  const built = (await readdir(join(root, 'build-capi/lib'))).find((file) =>
    /^libmillrace\.(so|dylib)$/.test(file),
  )!
  t.is(hash(await readFile(path!)), hash(await readFile(join(root, 'build-capi/lib', built))))

  const consumer = SpscQueue.consumer(name)
  const program =
    'import millrace, sys\nwith millrace.QueueProducer(sys.argv[1]) as queue: queue.push("from a wheel")'
  const [message] = await within(
    patience,
    Promise.all([
      consumer.pop(),
      execute(inside, ['-c', program, name], { env: environment, cwd: folder }),
    ]),
  )
  t.is(message?.toString(), 'from a wheel')
  consumer.close()
})
