// What the cases run on: the runtimes of smoke/package.json, and the packed package, installed as a user would, into
// fresh folders outside the repository.

import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { succeed } from './process.mjs'

export const here = fileURLToPath(new URL('.', import.meta.url))
export const root = fileURLToPath(new URL('..', import.meta.url))
export const runtimes = join(here, 'node_modules')

/** `npm ci`, unless what the lock file names is there. --force: some are for machines that are emulated. */
export async function installRuntimes() {
  const mark = join(runtimes, '.package-lock.json')
  const lock = join(here, 'package-lock.json')
  if (existsSync(mark) && statSync(mark).mtimeMs > statSync(lock).mtimeMs) return
  console.log('npm ci in smoke/: Node, Bun, Deno, compilers and bundlers (1.4 GB)')
  await succeed(['npm', 'ci', '--ignore-scripts', '--force', '--no-audit', '--no-fund'], {
    cwd: here,
    seconds: 900,
    npm: true,
  })
  writeFileSync(mark, readFileSync(mark)) // newer than the lock, also after a fresh checkout
}

/**
 * A folder with the package in its node_modules, from the registry, and the programs of smoke/programs beside.
 * @param {string} folder
 * @param {import('./registry.mjs').Registry} registry
 */
export async function installInto(folder, registry) {
  registry.configure(folder)
  const flags = ['--ignore-scripts', '--no-save', '--no-audit', '--no-fund']
  await succeed(['npm', 'install', ...flags, 'millrace'], { cwd: folder, seconds: 300, npm: true })
  cpSync(join(here, 'programs'), folder, { recursive: true })
}

/** Another folder like it, from the first: what npm does is the same each time. */
export function copyOf(folder, name) {
  const copy = join(folder, '..', name)
  rmSync(copy, { recursive: true, force: true })
  cpSync(folder, copy, { recursive: true })
  return copy
}

/** Lends a package of smoke/node_modules to a folder. */
export function lend(folder, name) {
  const target = join(folder, 'node_modules', name)
  mkdirSync(join(target, '..'), { recursive: true })
  if (!existsSync(target)) symlinkSync(join(runtimes, name), target)
}

/** The code block of that page that begins with that file's name. */
export function documented(page, file) {
  const blocks = readFileSync(join(root, page), 'utf8').split('```')
  const block = blocks.find(
    (text) => /^(?:js|ts)\n/.test(text) && text.slice(3).startsWith(`// ${file}\n`),
  )
  if (block === undefined) throw new Error(`${page} has no block that begins '// ${file}'`)
  return block.slice(3)
}

export const host = `${process.platform}-${process.arch}`
