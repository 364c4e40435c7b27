// Programs in C against libmillrace, which is built first.

import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { tool } from '../support/cxx.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const built = join(root, 'build-capi')
const programs = join(built, 'tests')

/** As a program of a user is compiled: by C99, and by a C++ compiler as well. */
const languages = {
  c: [process.env['CC'] ?? 'cc', '-std=c99', '-pedantic'],
  cxx: [process.env['CXX'] ?? 'c++', '-std=c++17', '-x', 'c++'],
} as const

/** How a program is compiled. */
export type Language = keyof typeof languages

/** Builds the library if it is not as its sources are. Minutes, where nothing was built before. */
export async function buildLibrary(): Promise<void> {
  await tool(process.execPath, [join(root, 'scripts/build-capi.mjs')], '')
}

/** The path of the program that a file becomes: one of test/capi, or any by its whole path. */
export async function program(source: string, language: Language = 'c'): Promise<string> {
  const [compiler, ...flags] = languages[language]
  await mkdir(programs, { recursive: true })
  const to = join(programs, `${basename(source, '.c')}-${language}-${String(process.pid)}`)
  await tool(
    compiler,
    [
      ...flags,
      ...['-O1', '-Wall', '-Wextra', '-Werror', '-D_XOPEN_SOURCE=700', '-pthread'],
      ...['-I', join(built, 'include'), resolve(root, 'test/capi', source), '-o', to],
      ...['-L', join(built, 'lib'), '-x', 'none', '-lmillrace'],
      `-Wl,-rpath,${join(built, 'lib')}`,
    ],
    'install gcc or clang, or set CC and CXX',
  )
  return to
}

/** The names that the library offers others. */
export async function exportedSymbols(): Promise<string[]> {
  const { stdout } = await promisify(execFile)('nm', [
    ...['-D', '--defined-only', '--extern-only'],
    join(built, 'lib/libmillrace.so'),
  ])
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.split(' ').at(-1)!)
}
