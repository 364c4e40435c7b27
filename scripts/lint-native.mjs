// clang-format, then clang-tidy, over every C++ file of native/, examples/ and test/; both fail on the
// first class of complaint they have. Usage: node scripts/lint-native.mjs [--fix-format]
//
// Headers are checked by clang-tidy through the source files that include them.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { buildDirectory, configure, jobs, root, run, variants } from './native-build.mjs'

const files = ['native', 'examples', 'test']
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((file) => join(folder, file)),
  )
  .filter((file) => /\.(cpp|hpp|h)$/.test(file))
  .sort()

if (process.argv.includes('--fix-format')) {
  await run('clang-format', ['-i', ...files])
} else {
  await run('clang-format', ['--dry-run', '--Werror', ...files])
  await tidy(files.filter((file) => file.endsWith('.cpp')))
}

async function tidy(sources) {
  const [plain] = variants
  await configure(plain)

  const queue = [...sources]
  const failures = []
  const worker = async () => {
    for (let source = queue.shift(); source !== undefined; source = queue.shift()) {
      await run('clang-tidy', ['--quiet', '-p', buildDirectory(plain), source]).catch((error) =>
        failures.push(error),
      )
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker))

  for (const failure of failures) console.error(failure.message)
  if (failures.length > 0) process.exitCode = 1
}
