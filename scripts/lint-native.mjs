// clang-format, then clang-tidy, over every C++ file of native/, examples/ and test/; both fail on the
// first class of complaint they have. Usage: node scripts/lint-native.mjs [--fix-format]
//
// Headers are checked by clang-tidy through the source files that include them.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { buildDirectory, configure, jobs, root, run, variants } from './native-build.mjs'

const files = ['native', 'examples', 'test']
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((file) => join(folder, file)),
  )
  .filter((file) => /\.(cpp|hpp|h)$/.test(file) && !file.includes('node_modules'))
  .sort()
// C, which clang-tidy's configuration is not for.
const formatted = [
  ...files,
  'native/arm64/count.c',
  'test/engines/fixtures/kafka-mock.c',
  'smoke/refuse-buffers.c',
  ...readdirSync(join(root, 'smoke/musl')).map((file) => join('smoke/musl', file)),
  ...readdirSync(join(root, 'test/capi'))
    .filter((file) => file.endsWith('.c'))
    .map((file) => join('test/capi', file)),
  'test/interop/matrix/peers/peer.c',
]

if (process.argv.includes('--fix-format')) {
  await run('clang-format', ['-i', ...formatted])
} else {
  await run('clang-format', ['--dry-run', '--Werror', ...formatted])
  await tidy()
}

/** Everything that CMake compiles, as it compiles it: several files at a time, so the headers once. */
async function tidy() {
  const [plain] = variants
  await configure(plain)

  const database = JSON.parse(readFileSync(join(buildDirectory(plain), 'compile_commands.json')))
  const queue = database.map(({ file }) => file)
  const failures = []
  const worker = async () => {
    for (let source = queue.shift(); source !== undefined; source = queue.shift()) {
      await run('clang-tidy', [
        '--quiet',
        ...checks(source),
        '-p',
        buildDirectory(plain),
        source,
      ]).catch((error) => failures.push(error))
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker))

  for (const failure of failures) console.error(failure.message)
  if (failures.length > 0) process.exitCode = 1
}

/** What CMake joined lies in its build directory, out of reach of the settings beside the tests. */
function checks(source) {
  if (!source.includes('/Unity/')) return []
  const joined = ['--checks=-bugprone-suspicious-include']
  return /\/millrace_(core|crash)_test\.dir\//.test(source)
    ? ['--config-file=native/test/.clang-tidy', ...joined]
    : joined
}
