// The C programs of test/capi against libmillrace, in three ways. Usage: node scripts/test-capi.mjs [plain] [sanitized] [valgrind]
//
// plain: as npm test runs them. sanitized: library and programs under AddressSanitizer (leaks too) and UndefinedBehaviorSanitizer.
// valgrind: memcheck on the plain library. Without an argument all three.
import { mkdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import process from 'node:process'
import { buildCapi } from './build-capi.mjs'
import { writeLies } from './capi-lies.mjs'
import { root, run } from './native-build.mjs'

const ways = ['plain', 'sanitized', 'valgrind']
const programs = ['first', 'families', 'lies', 'threads', 'header']
const requested = process.argv.slice(2)
for (const way of requested) {
  if (!ways.includes(way)) throw new Error(`unknown way ${way}; choose from ${ways.join(', ')}`)
}

// The first report ends the program.
const sanitizerOptions = {
  ASAN_OPTIONS: 'halt_on_error=1:detect_stack_use_after_return=1:detect_leaks=1',
  UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
}
const memcheck = [
  ...['--quiet', '--error-exitcode=1', '--leak-check=full', '--errors-for-leak-kinds=definite'],
  '--child-silent-after-fork=yes',
]

for (const way of ways) {
  if (requested.length > 0 && !requested.includes(way)) continue
  console.log(`\n== ${way}`)
  const sanitized = way === 'sanitized'
  const built = await buildCapi({ sanitized })
  const folder = join(built, 'programs')
  mkdirSync(folder, { recursive: true })
  writeLies(join(folder, 'lies.inc'))
  for (const name of programs) {
    const program = join(folder, name)
    await run(process.env.CC ?? 'cc', [
      ...['-std=c99', '-pedantic', '-Wall', '-Wextra', '-Werror', '-D_XOPEN_SOURCE=700'],
      ...['-g', '-O1', '-pthread', '-I', join(built, 'include'), '-I', folder],
      ...(sanitized ? ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'] : []),
      ...[`test/capi/${name}.c`, '-o', relative(root, program)],
      ...['-L', join(built, 'lib'), '-lmillrace', `-Wl,-rpath,${join(built, 'lib')}`],
    ])
    console.log(name)
    const [command, ...args] = way === 'valgrind' ? ['valgrind', ...memcheck, program] : [program]
    await run(command, args, sanitized ? sanitizerOptions : {})
  }
}
