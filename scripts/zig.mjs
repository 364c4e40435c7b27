// The cross compiler: Zig's, from npm for the machines that releases are built on, or one that is given.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { root, run } from './native-build.mjs'

const folder = join(root, 'native', 'prebuild')

/** The path of the compiler. The one that native/prebuild/ pins is installed first if it is not there. */
export async function findZig(given) {
  if (given !== undefined) return given
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      'the pinned cross compiler runs on Linux x64; elsewhere pass --zig <path> (Zig 0.16)',
    )
  }
  const zig = join(folder, 'node_modules', '@zigc', 'linux-x64', 'bin', 'zig')
  if (!existsSync(zig)) {
    console.log('installing the cross compiler into native/prebuild/node_modules ...')
    await run('npm', ['ci', '--prefix', folder, '--no-audit', '--no-fund'])
  }
  // Besides the compiler itself, its headers and the sources of the C libraries.
  process.env.ZIG_LIB_DIR ??= join(folder, 'node_modules', '@zigc', 'lib')
  return zig
}
