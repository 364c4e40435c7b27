// Builds libmillrace, the shared library of the C interface, with this machine's compiler: npm run build:capi
//
// build-capi/ then has include/millrace.h and lib/libmillrace.so (.dylib). With --sanitize it is the library under AddressSanitizer and
// UndefinedBehaviorSanitizer, in build-capi/sanitized. All seven targets: npm run cross:capi.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { jobs, root, run } from './native-build.mjs'

/** The version of the library is that of the package. */
export const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** What a program that was linked with it asks for: another one when functions change or go. */
export const soname = `libmillrace.so.0`

export const capiDefines = [`-DMILLRACE_VERSION="${version}"`]

/** Where the library of this machine is put; `sanitized` under `sanitized`. */
export const capiDirectory = (sanitized = false) =>
  join(root, 'build-capi', ...(sanitized ? ['sanitized'] : []))

export const capiSources = readdirSync(join(root, 'native/capi'))
  .filter((file) => file.endsWith('.cpp'))
  .sort()
  .map((file) => `native/capi/${file}`)

const flags = [
  ...['-std=c++20', '-fPIC', '-pthread', '-fno-exceptions', '-fno-rtti'],
  ...['-fvisibility=hidden', '-fvisibility-inlines-hidden'],
  ...['-Wall', '-Wextra', '-Werror', '-Wno-unknown-warning-option', '-Wno-restrict'],
  ...capiDefines,
  ...['-Inative/include', '-Inative/capi'],
]

const changedAt = (file) => statSync(join(root, file), { throwIfNoEntry: false })?.mtimeMs ?? 0

/** When what all sources depend on was changed last: headers, and this file and the version. */
function newestHeader() {
  const headers = ['native/include', 'native/capi'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .filter((file) => /\.(hpp|h)$/.test(file))
      .map((file) => join(folder, file)),
  )
  return Math.max(...[...headers, 'scripts/build-capi.mjs', 'package.json'].map(changedAt))
}

/** Builds it, and returns the folder that has include/ and lib/. */
export async function buildCapi({ sanitized = false } = {}) {
  const to = capiDirectory(sanitized)
  const at = (...parts) => relative(root, join(to, ...parts))
  for (const folder of ['lib', 'include', 'objects']) {
    mkdirSync(join(to, folder), { recursive: true })
  }
  copyFileSync(join(root, 'native/capi/millrace.h'), join(to, 'include/millrace.h'))
  const darwin = process.platform === 'darwin'
  const compiler = process.env.CXX ?? 'c++'
  const how = sanitized
    ? ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']
    : ['-O2', '-DNDEBUG', '-g1']
  const queue = capiSources.map((source) => [
    source,
    at('objects', `${source.split('/').at(-1)}.o`),
  ])
  const objects = queue.map(([, object]) => object)
  const newest = newestHeader()
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const made = changedAt(next[1])
      if (made > newest && made > changedAt(next[0])) continue
      await run(compiler, [...flags, ...how, '-c', next[0], '-o', next[1]])
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker))
  const library = at('lib', darwin ? 'libmillrace.dylib' : 'libmillrace.so')
  const parts = [...objects, 'native/capi/millrace.map']
  if (parts.every((part) => changedAt(part) < changedAt(library))) return to
  await run(compiler, [
    ...['-shared', '-pthread', ...how, ...objects],
    ...['-o', library],
    ...(darwin
      ? ['-Wl,-install_name,@rpath/libmillrace.dylib']
      : [
          ...[`-Wl,-soname,${soname}`, '-Wl,--version-script,native/capi/millrace.map'],
          ...['-Wl,-z,nodelete', '-ldl', '-lrt'],
        ]),
  ])
  if (!darwin) {
    const link = join(to, 'lib', soname)
    if (existsSync(link)) rmSync(link)
    symlinkSync('libmillrace.so', link)
  }
  return to
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { sanitize: { type: 'boolean' } } })
  console.log(relative(root, await buildCapi({ sanitized: values.sanitize === true })))
}
