// The package as users get it: which binaries belong into it, and reading what pack.mjs packed.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, statSync } from 'node:fs'
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
