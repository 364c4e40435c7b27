// Removes generated directories, so that the output of a deleted source file is never run again.
// Usage: node scripts/clean.mjs [directory...]   (default: all of them)
import { rmSync } from 'node:fs'
import process from 'node:process'

const generated = [
  'build',
  'build-capi',
  'build-native',
  'coverage',
  'dist',
  'out',
  'prebuilds',
  'site',
  'wheels',
]
const requested = process.argv.slice(2)

for (const directory of requested.length > 0 ? requested : generated) {
  if (!generated.includes(directory)) {
    throw new Error(`${directory} is not a generated directory (${generated.join(', ')})`)
  }
  rmSync(new URL(`../${directory}`, import.meta.url), { recursive: true, force: true })
}
