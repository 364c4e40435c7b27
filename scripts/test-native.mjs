// Builds the C++ core's tests three ways (plain, ASan + UBSan, TSan) and runs each with CTest.
// Usage: node scripts/test-native.mjs [plain] [asan-ubsan] [tsan]   (default: all)
//        node scripts/test-native.mjs valgrind   memcheck on the addon and some of the tests; takes a minute
import process from 'node:process'
import { build, buildDirectory, configure, jobs, run, variants } from './native-build.mjs'
import { valgrind } from './valgrind.mjs'

const names = [...variants.map((variant) => variant.name), 'valgrind']
const requested = process.argv.slice(2)
for (const name of requested) {
  if (!names.includes(name))
    throw new Error(`unknown variant ${name}; choose from ${names.join(', ')}`)
}

// The first report ends the run: what follows it is noise.
const sanitizerOptions = {
  ASAN_OPTIONS: 'halt_on_error=1:detect_stack_use_after_return=1',
  UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
  TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1',
}

for (const variant of variants) {
  if (requested.length > 0 && !requested.includes(variant.name)) continue
  console.log(`\n== ${variant.name}`)
  await configure(variant)
  await build(variant)
  await run(
    'ctest',
    [
      ...['--test-dir', buildDirectory(variant), '--parallel', String(jobs)],
      ...['--output-on-failure', '--no-tests=error'],
    ],
    sanitizerOptions,
  )
}

if (requested.includes('valgrind')) {
  console.log('\n== valgrind')
  await valgrind()
}
