// What is not allowed is said, with the flag that allows it; and what npm was told about installing decides nothing.

import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const here = `${process.platform}-${process.arch}`
const permission = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission'

/** A project whose millrace has one binary, in prebuilds/, as a user has it. */
function project(t: ExecutionContext) {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'millrace-project-'))
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  const installed = join(folder, 'node_modules/millrace')
  for (const part of ['dist', 'package.json'])
    cpSync(join(root, part), join(installed, part), { recursive: true })
  cpSync(join(root, 'node_modules/node-gyp-build'), join(folder, 'node_modules/node-gyp-build'), {
    recursive: true,
  })
  mkdirSync(join(installed, 'prebuilds', here), { recursive: true })
  const binary = join(installed, 'prebuilds', here, 'millrace.node')
  cpSync(join(root, 'build/Release/millrace.node'), binary)
  return { folder, installed, binary }
}

/** How loading it there goes: 'loaded', or the error's code and message; then whatever `after` prints. */
async function load(
  folder: string,
  {
    flags = [],
    env = {},
    before = '',
    after = '',
  }: { flags?: string[]; env?: Record<string, string>; before?: string; after?: string } = {},
): Promise<string> {
  const program = `
    const require = process.getBuiltinModule('node:module').createRequire('${folder}/program.js')
    ${before}
    try { require('millrace'); console.log('loaded') }
    catch (error) { console.log(error.code + ': ' + error.message) }
    ${after}`
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, '--eval', program], {
    cwd: folder,
    env: { PATH: process.env['PATH'], ...env },
  })
  return stdout.trim()
}

test('addons and the project are all that the permission model has to allow', async (t) => {
  const { folder } = project(t)
  const flags = [permission, '--allow-addons', `--allow-fs-read=${folder}/*`]
  t.is(await load(folder, { flags }), 'loaded')
})

test('where addons are not allowed, the message names the flag and asks for no compiler', async (t) => {
  const { folder } = project(t)
  const model = await load(folder, { flags: [permission, '--allow-fs-read=*'] })
  t.regex(model, /^ERR_MILLRACE_PERMISSION: .*start Node with --allow-addons$/)
  const none = await load(folder, { flags: ['--no-addons'] })
  t.regex(none, /^ERR_MILLRACE_PERMISSION: .*--no-addons.*start Node without it$/)
})

test('what may not be read is named, with the flag', async (t) => {
  const { folder, installed } = project(t)
  const narrow = (...parts: string[]) => ({
    flags: [permission, '--allow-addons', ...parts.map((part) => `--allow-fs-read=${part}`)],
  })
  const searcher = `${folder}/node_modules/node-gyp-build/*`
  const withoutBinary = narrow(`${installed}/dist/*`, `${installed}/package.json`, searcher)
  const refused = await load(folder, withoutBinary)
  t.true(refused.startsWith('ERR_MILLRACE_PERMISSION: '), refused)
  t.true(refused.endsWith(`--allow-fs-read=${installed}/prebuilds/*`), refused)

  const withoutSearcher = await load(folder, narrow(`${installed}/*`))
  t.true(withoutSearcher.startsWith('ERR_MILLRACE_PERMISSION: '), withoutSearcher)
  t.regex(withoutSearcher, /--allow-fs-read=\S*\/node_modules\/node-gyp-build\/\*$/)
})

test('what npm was told of the machines it installs for decides nothing', async (t) => {
  const { folder } = project(t)
  const env = {
    npm_config_arch: process.arch === 'arm64' ? 'x64' : 'arm64',
    npm_config_platform: 'win32',
    npm_config_build_from_source: 'true',
    ARM_VERSION: '5',
    LIBC: 'musl',
  }
  const names = Object.keys(env)
  const after = `console.log(JSON.stringify([${names.map((name) => `process.env.${name}`).join()}]))`
  t.is(await load(folder, { env, after }), `loaded\n${JSON.stringify(Object.values(env))}`)
})

test('a node-gyp-build that somebody loaded before decides nothing, and stays theirs', async (t) => {
  const { folder } = project(t)
  const env = { npm_config_platform: 'win32' }
  const before = `const theirs = require('node-gyp-build')`
  const after = `
    console.log(require('node-gyp-build') === theirs)
    try { theirs.resolve('${folder}/node_modules/millrace') } catch (error) { console.log(error.message) }`
  t.regex(await load(folder, { env, before, after }), /^loaded\ntrue\nNo native build.*win32/)
})

test('without a binary for this machine, the message says how to build one', async (t) => {
  const { folder, installed, binary } = project(t)
  rmSync(binary)
  const none = await load(folder)
  t.regex(none, /^ERR_MILLRACE_UNSUPPORTED_PLATFORM: .*no working binary.*npx millrace build/)
  rmSync(join(installed, 'prebuilds'), { recursive: true })
  t.regex(await load(folder), /'prebuilds' is missing: install millrace again, or/)
  const env = { npm_config_build_from_source: 'millrace' }
  t.regex(
    await load(folder, { env }),
    /npm_config_build_from_source=millrace asks for .* or unset it/,
  )
})

test('of a binary that does not load, the message says which and why', async (t) => {
  const { folder, installed, binary } = project(t)
  writeFileSync(binary, 'cut off')
  const broken = await load(folder)
  t.regex(broken, /^ERR_MILLRACE_UNSUPPORTED_PLATFORM: .*install millrace again/)
  t.true(broken.includes(binary), broken)

  mkdirSync(join(installed, 'build/Release'), { recursive: true })
  writeFileSync(join(installed, 'build/Release/millrace.node'), 'made elsewhere')
  const foreign = await load(folder)
  t.regex(foreign, /the binary that was built here does not load/)
  t.true(foreign.includes(`remove '${installed}/build'`), foreign)
})

test('without node-gyp-build it is said that a package is missing, not a compiler', async (t) => {
  const { folder } = project(t)
  rmSync(join(folder, 'node_modules/node-gyp-build'), { recursive: true })
  const said = await load(folder)
  t.regex(said, /'node-gyp-build'.* is not there; install millrace again/)
  t.notRegex(said, /compiler/)
})
