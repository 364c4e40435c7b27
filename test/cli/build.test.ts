// `millrace build`, with a node-gyp that takes the addon of the repository for what it has compiled: quick, and able to
// fail on request. The smoke test compiles in earnest.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

const root = fileURLToPath(new URL('../../../', import.meta.url))

const nodeGyp = `
const { cpSync, mkdirSync, writeFileSync } = require('node:fs')
writeFileSync(process.env.ASKED, JSON.stringify({ args: process.argv.slice(2), cwd: process.cwd(), env: process.env }))
console.error('gyp ERR! what the compiler said')
if (process.env.FAILS) process.exit(1)
mkdirSync('build/Release', { recursive: true })
if (process.env.SPOILT) writeFileSync('build/Release/millrace.node', 'spoilt')
else cpSync(process.env.MADE, 'build/Release/millrace.node')
`

/** A package without any binary, and what the command does there. */
function installed(t: ExecutionContext) {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'millrace-build-'))
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  const home = join(folder, 'node_modules/millrace')
  for (const part of ['dist', 'package.json', 'native/binding.gyp'])
    cpSync(join(root, part), join(home, part), { recursive: true })
  cpSync(join(root, 'node_modules/node-gyp-build'), join(folder, 'node_modules/node-gyp-build'), {
    recursive: true,
  })
  writeFileSync(join(folder, 'node-gyp.js'), nodeGyp)

  const millrace = async (args: string[], env: Record<string, string> = {}) => {
    const child = spawn(process.execPath, [join(home, 'dist/cli/main.js'), ...args], {
      cwd: folder,
      env: {
        PATH: process.env['PATH'],
        npm_config_node_gyp: join(folder, 'node-gyp.js'),
        ASKED: join(folder, 'asked.json'),
        MADE: join(root, 'build/Release/millrace.node'),
        ...env,
      },
      timeout: 60_000,
      killSignal: 'SIGKILL',
    })
    const said = { out: '', err: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text))
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, ...said }
  }
  const asked = () =>
    JSON.parse(readFileSync(join(folder, 'asked.json'), 'utf8')) as {
      args: string[]
      cwd: string
      env: Record<string, string>
    }
  return { folder, home, made: join(home, 'build/Release/millrace.node'), millrace, asked }
}

test('what was built is found, by a package that could not be loaded before', async (t) => {
  const { home, made, millrace, asked } = installed(t)
  const before = await millrace(['ls', 'nothing'])
  t.is(before.code, 1)
  t.regex(
    before.err,
    /no working binary.*npx millrace build.*\(ERR_MILLRACE_UNSUPPORTED_PLATFORM\)/,
  )

  const { code, out, err } = await millrace(['build'], {
    npm_config_arch: 'mips',
    npm_config_target: '1.2.3',
    npm_config_runtime: 'electron',
    npm_config_build_from_source: 'true',
    npm_config_disturl: 'https://mirror.example',
  })
  t.is(code, 0, err)
  t.is(out, `${made}\n`)
  t.notRegex(err, /gyp ERR/)
  t.is((await millrace(['ls', 'nothing'])).out, 'nothing there\n')

  const { args, cwd, env } = asked()
  t.deepEqual(args.slice(0, 2), ['rebuild', '--release'])
  t.is(cwd, join(home, 'native'))
  t.deepEqual(
    Object.keys(env).filter((name) => name.startsWith('npm_config_')),
    ['npm_config_node_gyp', 'npm_config_disturl'],
    'settings for other machines do not reach the compiler, those of the network do',
  )
  t.deepEqual(readdirSync(join(home, 'native')), ['binding.gyp'], 'what is left over is removed')
})

test('a build that fails shows why, and leaves what was there', async (t) => {
  const { home, made, millrace } = installed(t)
  mkdirSync(join(home, 'build/Release'), { recursive: true })
  writeFileSync(made, 'of before')
  const failed = await millrace(['build'], { FAILS: '1' })
  t.is(failed.code, 1)
  t.regex(failed.err, /gyp ERR! what the compiler said\n[^]*millrace: compiling failed/)
  const spoilt = await millrace(['build'], { SPOILT: '1' })
  t.is(spoilt.code, 1)
  t.regex(spoilt.err, /what was compiled does not load: .*\.node/)
  t.is(readFileSync(made, 'utf8'), 'of before')
  t.deepEqual(readdirSync(join(home, 'build/Release')), ['millrace.node'])
  t.deepEqual(readdirSync(join(home, 'native')), ['binding.gyp'])
})

test('what is missing is named before anything is done', async (t) => {
  const { folder, home, millrace } = installed(t)
  const nothing = join(folder, 'empty')
  mkdirSync(nothing)
  const tools = await millrace(['build'], { PATH: nothing })
  t.is(tools.code, 1)
  t.regex(tools.err, /^millrace: building takes a C\+\+ compiler .*, make, Python 3: \S+/)

  const old = join(folder, 'old-c++')
  writeFileSync(old, '#!/bin/sh\n[ "$1" = --version ]\n', { mode: 0o755 })
  const compiler = await millrace(['build'], { CXX: old })
  t.is(compiler.code, 1)
  t.regex(compiler.err, /a newer C\+\+ compiler than '.*old-c\+\+', which has no C\+\+20/)

  rmSync(join(home, 'native/binding.gyp'))
  t.regex((await millrace(['build'])).err, /no binding\.gyp: install millrace again/)
  t.false(existsSync(join(folder, 'asked.json')))
})
