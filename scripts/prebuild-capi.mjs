// Builds libmillrace for all platforms on any of them: npm run cross:capi [-- [--zig <path>] target...]
//
// With the cross compiler, the targets and the flags of the addon's binaries (prebuild.mjs), into build-capi/TARGET/lib, with the
// header in build-capi/TARGET/include: what other languages pack. Each is held to a size, to the C library as all that it needs, and
// to the functions of millrace.h as all that it offers.
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { describeBinary } from './binary-format.mjs'
import { capiDefines, capiSources, soname } from './build-capi.mjs'
import { makeRepeatable } from './mach-o-repeatable.mjs'
import { root } from './native-build.mjs'
import { chosen, judgeLibrary, plainNames, quietly, shippedFlags, targets } from './prebuild.mjs'
import { findZig } from './zig.mjs'

/** The most bytes of a library. */
const limit = 600_000

const linkFlags = {
  elf: [
    ...['-flto', '-Wl,--gc-sections', '-Wl,-z,nodelete', `-Wl,-soname,${soname}`],
    ...['-Wl,--version-script=native/capi/millrace.map', '-ldl', '-lrt'],
  ],
  'mach-o': [
    ...['-mllvm', '-enable-machine-outliner=always'],
    ...['-Wl,-install_name,@rpath/libmillrace.dylib', '-Wl,-dead_strip', '-Wl,-x'],
  ],
}

const header = readFileSync(join(root, 'native/capi/millrace.h'), 'utf8')
const declared = new Set([...header.matchAll(/\b(millrace_\w+)\(/g)].map(([, name]) => name))

async function build(zig, target) {
  const format = target.name.startsWith('darwin') ? 'mach-o' : 'elf'
  const to = join(root, 'build-capi', target.name)
  const file = join(to, 'lib', format === 'elf' ? 'libmillrace.so' : 'libmillrace.dylib')
  rmSync(to, { recursive: true, force: true })
  mkdirSync(join(to, 'lib'), { recursive: true })
  mkdirSync(join(to, 'include'), { recursive: true })
  await quietly(zig, [
    ...['c++', '-target', target.zig, ...shippedFlags, ...(target.flags ?? [])],
    ...[...capiDefines, '-Inative/capi', ...linkFlags[format]],
    ...[...capiSources, 'native/prebuild/no_exceptions.cpp', '-o', relative(root, file)],
  ])
  const content = readFileSync(file)
  if (format === 'mach-o') {
    makeRepeatable(content)
    writeFileSync(file, content)
  }
  const described = describeBinary(content)
  const faults = judgeCapi(target.name, content)
  if (faults.length > 0) throw new Error(`${target.name}: ${faults.join('; ')}`)
  copyFileSync(join(root, 'native/capi/millrace.h'), join(to, 'include/millrace.h'))
  if (format === 'elf') symlinkSync('libmillrace.so', join(to, 'lib', soname))
  return {
    target: target.name,
    bytes: content.length,
    needs: described.needs.map((path) => path.split('/').at(-1)).join(' '),
    'at least':
      described.glibc === undefined ? (described.macos ?? '') : `glibc ${described.glibc}`,
  }
}

/** What is wrong with a library of that target. `anyLibrary`: of this machine's compiler; it may be larger and need more. */
export function judgeCapi(name, content, { anyLibrary = false } = {}) {
  const target = targets.find((one) => one.name === name)
  const format = name.startsWith('darwin') ? 'mach-o' : 'elf'
  const described = describeBinary(content)
  const needs = anyLibrary ? [] : described.needs
  const most = anyLibrary ? Infinity : limit
  const faults = judgeLibrary(target, format, content, { ...described, needs }, most)
  // "libc.so.6" is that of glibc, "libc.so" that of musl.
  const c = { glibc: 'libc.so.6', musl: 'libc.so' }[name.split('-')[2]]
  if (c !== undefined && !described.needs.includes(c)) faults.push(`it does not need ${c}`)
  if (described.macos !== undefined && Number.parseFloat(described.macos) > 11)
    faults.push(`it needs macOS ${described.macos}; wheels say 11`)
  const [, minor = 0] = (described.glibc ?? '').split('.').map(Number)
  if (!anyLibrary && minor > 17) faults.push(`it needs glibc ${described.glibc}; wheels say 2.17`)
  const offers = new Set(
    plainNames(format)(described.offers).filter((name) => name.startsWith('millrace_')),
  )
  for (const name of declared) {
    if (!offers.has(name)) faults.push(`it does not offer ${name}`)
  }
  const surplus = plainNames(format)(described.offers).filter(
    (name) => !declared.has(name) && !/^MILLRACE_|^_?_?(mh_dylib|dso_handle)/.test(name),
  )
  if (surplus.length > 0) faults.push(`it offers ${surplus.join(', ')}`)
  return faults
}

/** Builds those of the targets, all without any, and shows what came of it. */
export async function prebuildCapi(names, givenZig) {
  const wanted = chosen(names)
  const zig = await findZig(givenZig)
  const rows = []
  for (const target of wanted) {
    console.log(`libmillrace of ${target.name} ...`)
    rows.push(await build(zig, target))
  }
  console.table(rows)
}

if (process.argv[1] === import.meta.filename) {
  const { values, positionals } = parseArgs({
    options: { zig: { type: 'string' } },
    allowPositionals: true,
  })
  await prebuildCapi(positionals, values.zig)
}
