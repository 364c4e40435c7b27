// valgrind's memcheck on a short run of the addon, and on some of the core's tests. Of what it finds in
// Node only that counts which has a frame of ours: V8 is not ours to mend. Whether a value is undefined is
// not asked of Node (--undef-value-errors=no), which would be slow and full of V8's own; of the core it is.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { build, buildDirectory, configure, root, run, variants } from './native-build.mjs'

const log = join(root, 'build-native', 'valgrind.log')

export async function valgrind() {
  await run('valgrind', [
    '--undef-value-errors=no',
    '--leak-check=full',
    '--show-leak-kinds=definite',
    '--num-callers=30',
    `--log-file=${log}`,
    process.execPath,
    '--single-threaded',
    '--jitless',
    '--expose-gc',
    join(root, 'scripts', 'valgrind-story.mjs'),
  ])
  // Reports are separated by lines that hold nothing but the process id.
  const reports = readFileSync(log, 'utf8').split(/^==\d+==\s*$/m)
  const ours = reports.filter((report) => report.includes('millrace.node'))
  if (ours.length > 0) throw new Error(`valgrind found in the addon:\n${ours.join('\n')}`)
  if (!reports.some((report) => report.includes('ERROR SUMMARY')))
    throw new Error(`valgrind did not finish, see ${log}`)

  const plain = variants.find(({ name }) => name === 'plain')
  await configure(plain)
  await build(plain)
  await run('valgrind', [
    '--error-exitcode=1',
    '--leak-check=full',
    '--errors-for-leak-kinds=definite',
    '--child-silent-after-fork=yes',
    '--quiet',
    join(buildDirectory(plain), 'millrace_core_test'),
    '--test-case=promise: lies*',
  ])
}
