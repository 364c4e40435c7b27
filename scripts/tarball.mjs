// The package as users get it: which binaries belong into it, packing it, and reading what was packed.
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

/** One for each platform; a release without one of them is refused. */
export const prebuilds = [
  'prebuilds/linux-x64/millrace.glibc.node',
  'prebuilds/linux-x64/millrace.musl.node',
  'prebuilds/linux-arm64/millrace.glibc.node',
  'prebuilds/linux-arm64/millrace.musl.node',
  'prebuilds/linux-arm/millrace.armv7.glibc.node',
  'prebuilds/darwin-x64/millrace.node',
  'prebuilds/darwin-arm64/millrace.node',
]

/**
 * Packs what is built in `directory`; nothing is built or run. npm itself writes no times, owners or directory order
 * into a tarball, so the same files give the same bytes.
 */
export function pack(directory, destination) {
  mkdirSync(destination, { recursive: true })
  // Linkers make them executable; what comes out of another job's artifact is not.
  for (const file of prebuilds.map((name) => join(directory, name))) {
    if (existsSync(file)) chmodSync(file, 0o644)
  }
  const options = ['--ignore-scripts', '--json', '--pack-destination', destination]
  const printed = execFileSync('npm', ['pack', ...options], {
    cwd: directory,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  // An array in npm 11, an object keyed by name in npm 12.
  const [{ filename }] = Object.values(JSON.parse(printed))
  return join(destination, filename)
}

/** Unpacks `tarball` into `destination` and names its files. */
export function unpack(tarball, destination) {
  mkdirSync(destination, { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '-C', destination])
  const folder = join(destination, 'package')
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      const { size, mode } = statSync(path)
      return { name: path.slice(folder.length + 1), path, size, mode, isFile: entry.isFile() }
    })
  return { folder, files: files.sort((a, b) => (a.name < b.name ? -1 : 1)) }
}
