// Which binary is loaded, and from where.

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import test from 'ava'
import { libc, libcIn, libcOf } from '#lib/addon/binary.js'

const run = promisify(execFile)
const root = new URL('../../../', import.meta.url)
const map = (file: string) => `7f00-7f01 r-xp 00000000 00:1a 1234                      ${file}\n`

test('musl is known by its loader, on every system that has it', (t) => {
  for (const file of [
    '/lib/ld-musl-x86_64.so.1',
    '/usr/lib/ld-musl-armhf.so.1',
    '/usr/lib/libc.so',
    '/lib/libc.musl-aarch64.so.1',
  ]) {
    t.is(libcIn(map('/usr/bin/node') + map(file) + map('[stack]')), 'musl', file)
  }
})

test('all else is glibc', (t) => {
  for (const file of [
    '/lib/x86_64-linux-gnu/libc.so.6',
    '/usr/lib64/libc-2.17.so',
    '/lib64/ld-linux-x86-64.so.2',
    '/opt/ld-musl-tools/readme',
    '/home/me/libc.so/index.js',
  ]) {
    t.is(libcIn(map(file)), 'glibc', file)
  }
})

test('a program says which loader it asks for', (t) => {
  const program = (loader: string) => `\x7fELF\x02\x01\0\0${loader}\0\0GNU\0`
  t.is(libcOf(program('/lib64/ld-linux-x86-64.so.2')), 'glibc')
  t.is(libcOf(program('/nix/store/abc-glibc-2.38/lib/ld-linux-aarch64.so.1')), 'glibc')
  t.is(libcOf(program('/lib/ld-linux.so.2')), 'glibc')
  t.is(libcOf(program('/lib/ld-musl-x86_64.so.1')), 'musl')
  // Then the maps tell: a program that is given to its loader, one that is linked in another way.
  t.is(libcOf(program('')), undefined)
  t.is(libcOf(program('/opt/ld-musl-tools/readme')), undefined)
})

test('the C library of this process is that which Node reports', (t) => {
  const { header } = process.report.getReport() as { header: Record<string, unknown> }
  t.is(libc(), header['glibcVersionRuntime'] === undefined ? 'musl' : 'glibc')
})

// A copy whose own folder has no binary is started with what would let it find another.
const program = `
  const { findAddon } = await import(process.argv[1])
  try { findAddon(process.argv[2]); console.log('loaded') } catch (error) { console.log(error.message) }`
async function find(folder: string, env: Record<string, string>): Promise<string> {
  const module = new URL('dist/addon/binary.js', root).href
  const args = ['--input-type=module', '--eval', program, module, folder]
  const { stdout } = await run(process.execPath, args, { env: { ...process.env, ...env } })
  return stdout.trim()
}

test('a project that builds other packages from source gets the binary that is there', async (t) => {
  for (const value of ['true', 'other', '']) {
    t.regex(await find('/nowhere', { npm_config_build_from_source: value }), /No native build/)
  }
  const said = await find('/nowhere', { npm_config_build_from_source: 'millrace' })
  t.regex(said, /nowhere\/build\/Release\/millrace\.node/)
  const own = { npm_config_build_from_source: 'millrace' }
  t.is(await find(new URL('.', root).pathname, own), 'loaded')
})

test('PREBUILDS_ONLY leaves out what was compiled here', async (t) => {
  t.is(await find(new URL('.', root).pathname, {}), 'loaded')
  t.regex(await find('/nowhere', { PREBUILDS_ONLY: '1' }), /No native build/)
})

test('the environment cannot lead it out of the package', async (t) => {
  const elsewhere = new URL('build/Release', root).pathname
  t.regex(
    await find('/nowhere', { MILLRACE_PREBUILD: elsewhere }),
    /not found|No native build|not part/,
  )
})

test('the one translation unit has all parts of the addon', (t) => {
  const parts = readdirSync(new URL('native/addon', root)).filter((file) => file.endsWith('.cpp'))
  const unit = readFileSync(new URL('native/addon.cpp', root), 'utf8')
  const included = [...unit.matchAll(/^#include "addon\/(.*)"$/gmu)].map((match) => match[1])
  t.deepEqual(included.toSorted(), parts.toSorted())
})
