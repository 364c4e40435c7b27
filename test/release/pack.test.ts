// The tarball: the one way to it, and what makes installing it silent.

import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const { prebuilds, unpack } = (await import(
  new URL('scripts/tarball.mjs', `file://${root}`).href
)) as {
  prebuilds: string[]
  unpack: (tarball: string, destination: string) => { folder: string; files: { name: string }[] }
}

/** Runs a command in the repository; what it printed, and whether it failed. */
async function run(command: string, ...args: string[]) {
  const environment = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name))
  try {
    const { stdout, stderr } = await promisify(execFile)(command, args, {
      cwd: root,
      env: Object.fromEntries(environment),
      timeout: 120_000,
    })
    return { failed: false, said: stdout + stderr }
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    return { failed: true, said: stdout + stderr }
  }
}

for (const command of ['pack', 'publish']) {
  test(`npm ${command} in the repository is refused, and says what to run`, async (t) => {
    const { failed, said } = await run('npm', command, '--dry-run')
    t.true(failed)
    t.regex(said, /npm run tarball/)
  })
}

test('the tarball has nothing that a package manager would run, or ask about', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-pack-test-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const complete = prebuilds.every((file) => existsSync(join(root, file)))
  const plain = await run(process.execPath, 'scripts/pack.mjs', '--destination', directory)
  t.is(plain.failed, !complete, plain.said)
  if (!complete) t.regex(plain.said, /binaries are missing .*npm run prebuild.*--incomplete/)

  const options = ['--destination', directory, '--incomplete']
  const packed = await run(process.execPath, 'scripts/pack.mjs', ...options)
  t.false(packed.failed, packed.said)
  const [tarball = ''] = readdirSync(directory)
  const { folder, files } = unpack(join(directory, tarball), join(directory, 'unpacked'))
  const names = new Set(files.map(({ name }) => name))
  t.false(names.has('binding.gyp'))
  t.true(names.has('native/binding.gyp'))
  t.true(names.has('sbom.cdx.json'))

  const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
  const ours = read(join(root, 'package.json'))
  const theirs = read(join(folder, 'package.json'))
  const left = new Set(['scripts', 'devDependencies', 'imports', 'gypfile'])
  t.deepEqual(
    theirs,
    Object.fromEntries(Object.entries(ours).filter(([key]) => !left.has(key))),
    'all else is as in the repository',
  )
})
