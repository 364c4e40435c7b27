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

interface PackedLinks {
  deadLinks: (text: string, file: string, packed: ReadonlySet<string>) => string[]
  withLiveLinks: (
    text: string,
    file: string,
    packed: ReadonlySet<string>,
    where: { repository: string | undefined; version: string },
  ) => string
}
const { deadLinks, withLiveLinks } = (await import(
  new URL('scripts/packed-links.mjs', `file://${root}`).href
)) as PackedLinks

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

const page = [
  '[here](cell.md#errors), [there](../ARCHITECTURE.md#door), [`code`](chaos.md) and [all of',
  'it](../examples/) or [web](https://example.org/) ![chart](charts/a.svg)',
  'but not `[this](x.md)`',
  '```ts',
  'call[0](nothing.md)',
  '```',
].join('\n')
const packedPages = new Set(['docs/page.md', 'docs/cell.md', 'examples/a.ts'])

test('links to what is not packed lead to the repository', (t) => {
  const where = { repository: 'https://host/millrace', version: '1.2.3' }
  const live = withLiveLinks(page, 'docs/page.md', packedPages, where)
  const blob = 'https://host/millrace/blob/v1.2.3'
  const expected = page
    .replace('(../ARCHITECTURE.md#door)', `(${blob}/ARCHITECTURE.md#door)`)
    .replace('(chaos.md)', `(${blob}/docs/chaos.md)`)
    .replace('(charts/a.svg)', '(https://host/millrace/raw/v1.2.3/docs/charts/a.svg)')
  t.is(live, expected)
  t.deepEqual(deadLinks(live, 'docs/page.md', packedPages), [])
})

test('where nobody knows the repository, their text is left', (t) => {
  t.deepEqual(deadLinks(page, 'docs/page.md', packedPages), [
    '../ARCHITECTURE.md#door',
    'chaos.md',
    'charts/a.svg',
  ])
  const where = { repository: undefined, version: '1.2.3' }
  const live = withLiveLinks(page, 'docs/page.md', packedPages, where)
  const expected = page
    .replace('[there](../ARCHITECTURE.md#door)', 'there')
    .replace('[`code`](chaos.md)', '`code`')
    .replace('![chart](charts/a.svg)', '')
  t.is(live, expected)
})

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
  for (const { name } of files.filter((file) => file.name.endsWith('.md'))) {
    t.deepEqual(deadLinks(readFileSync(join(folder, name), 'utf8'), name, names), [], name)
  }

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
