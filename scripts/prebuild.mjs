// Builds the binaries that the packages bring, for all platforms on any of them: npm run prebuild [-- [--zig <path>] [--addon] target...]
//
// Those of the addon, into prebuilds/, which the npm package brings; then the libraries of the C interface, into build-capi/, and the wheels
// of the Python package that bring them, into wheels/, unless --addon asks for the addon alone.
//
// One cross compiler for all, even for the machine it runs on: what a distribution's compiler links needs that
// distribution's glibc or a newer one, and its libstdc++. These need glibc 2.17, or any musl, and no C++ library.
// Node-API is the whole interface, so one binary per target serves every Node, Bun and Deno. The same sources
// and the same compiler (native/prebuild/package-lock.json) give the same bytes, wherever they are built.
import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { describeBinary } from './binary-format.mjs'
import { makeRepeatable } from './mach-o-repeatable.mjs'
import { root } from './native-build.mjs'
import { findZig } from './zig.mjs'

/**
 * The most bytes of a binary. What looks at messages from outside knows the bytes of every kind of channel, and takes 5 % of it; what counts
 * the times of jobs, calls and messages takes 3 %, for it stands beside what does not count, so that the latter executes nothing more.
 */
const limit = 680_000

/** musl's CMSG_NXTHDR compares a signed number with an unsigned one. */
const muslFlags = ['-Wno-sign-compare']

/** Zig's driver drops -mthumb; with it the code is a quarter smaller. Every ARMv7 has it. */
const thumbFlags = ['-Xclang', '-target-feature', '-Xclang', '+thumb-mode']

/** The names of files are those that node-gyp-build looks for. */
export const targets = [
  { name: 'linux-x64-glibc', zig: 'x86_64-linux-gnu.2.17', file: 'linux-x64/millrace.glibc.node' },
  {
    name: 'linux-x64-musl',
    zig: 'x86_64-linux-musl',
    file: 'linux-x64/millrace.musl.node',
    flags: muslFlags,
  },
  {
    name: 'linux-arm64-glibc',
    zig: 'aarch64-linux-gnu.2.17',
    file: 'linux-arm64/millrace.glibc.node',
  },
  {
    name: 'linux-arm64-musl',
    zig: 'aarch64-linux-musl',
    file: 'linux-arm64/millrace.musl.node',
    flags: muslFlags,
  },
  {
    name: 'linux-arm-glibc',
    zig: 'arm-linux-gnueabihf.2.17',
    file: 'linux-arm/millrace.armv7.glibc.node',
    flags: thumbFlags,
  },
  { name: 'darwin-x64', zig: 'x86_64-macos.11.0', file: 'darwin-x64/millrace.node' },
  { name: 'darwin-arm64', zig: 'aarch64-macos.11.0', file: 'darwin-arm64/millrace.node' },
]

/** What a binary may need of the system: C libraries. */
const allowedLibraries =
  /^(lib(c|m|dl|rt|pthread)\.so(\.\d+)?|ld-linux[-\w]*\.so\.\d|\/usr\/lib\/libSystem\.B\.dylib)$/

/** How everything is compiled that ships, the addon or the library of the C interface. */
export const shippedFlags = [
  ...['-std=c++20', '-fno-exceptions', '-fno-rtti', '-pthread', '-fPIC', '-shared'],
  // The smallest code (-Oz, which Zig's own driver takes for -Os). Calls from JavaScript cost ten times what is in
  // them.
  ...['-Os', '-Xclang', '-Oz', '-fomit-frame-pointer'],
  ...['-ffunction-sections', '-fdata-sections'],
  ...['-fno-unwind-tables', '-fno-asynchronous-unwind-tables'],
  ...['-fvisibility=hidden', '-fvisibility-inlines-hidden'],
  '-fvisibility-global-new-delete=force-hidden',
  ...['-Wall', '-Wextra', '-Werror', '-D_FILE_OFFSET_BITS=64', '-DNDEBUG', '-s'],
  '-Inative/include',
]
const flags = [
  ...shippedFlags,
  // As in binding.gyp.
  ...['-DNAPI_VERSION=8', '-DNODE_GYP_MODULE_NAME=millrace', '-DBUILDING_NODE_EXTENSION'],
  ...['-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS', '-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'],
  ...['-isystem', 'node_modules/node-api-headers/include'],
  ...['-isystem', 'node_modules/node-addon-api'],
]
const linkFlags = {
  // nodelete: a thread of the addon may outlive the worker that loaded it.
  elf: ['-flto', '-Wl,--gc-sections', '-Wl,-z,nodelete', '-ldl', '-lrt'],
  // Node supplies the symbols of Node-API when it loads the addon.
  'mach-o': [
    // Without link-time optimisation, which the linker for this format does not have, code is a tenth larger.
    ...['-mllvm', '-enable-machine-outliner=always'],
    '-Wl,-install_name,@rpath/millrace.node',
    '-Wl,-dead_strip',
    '-Wl,-x',
    '-Wl,-undefined,dynamic_lookup',
  ],
}

async function build(zig, target, scratch) {
  const made = join(scratch, 'millrace.node')
  const format = target.name.startsWith('darwin') ? 'mach-o' : 'elf'
  await quietly(zig, [
    ...['c++', '-target', target.zig, ...flags, ...(target.flags ?? []), ...linkFlags[format]],
    ...['native/addon.cpp', 'native/prebuild/no_exceptions.cpp', '-o', relative(root, made)],
  ])
  const content = readFileSync(made)
  if (format === 'mach-o') makeRepeatable(content)
  const described = describeBinary(content)
  const faults = judge(target, format, content, described)
  if (faults.length > 0) throw new Error(`${target.name}: ${faults.join('; ')}`)
  const file = join(root, 'prebuilds', target.file)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
  return {
    target: target.name,
    bytes: content.length,
    needs: described.needs.map((path) => path.split('/').at(-1)).join(' '),
    'at least':
      described.glibc === undefined ? (described.macos ?? '') : `glibc ${described.glibc}`,
    sha256: createHash('sha256').update(content).digest('hex').slice(0, 16),
  }
}

/** Shows what the compiler said only if it failed: it tells much about its own libraries. */
export async function quietly(command, args) {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => said.push(chunk))
  const [code, signal] = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (...outcome) => resolve(outcome))
  })
  if (code === 0) return
  process.stderr.write(Buffer.concat(said))
  throw new Error(`${command} ${args.join(' ')}: ${signal ?? `exit code ${code}`}`)
}

function judge(target, format, content, described) {
  const { offers, wants } = described
  const faults = judgeLibrary(target, format, content, described, limit)
  const plain = plainNames(format)
  const entry = ['napi_register_module_v1', 'node_api_module_get_api_version_v1']
  const linkers = ['mh_dylib_header', '_mh_dylib_header', '__dso_handle', '_dso_handle'] // in every library of macOS
  const surplus = plain(offers).filter((name) => ![...entry, ...linkers].includes(name))
  if (surplus.length > 0) faults.push(`it offers ${surplus.join(', ')}`)
  if (!plain(offers).includes(entry[0])) faults.push(`it does not offer ${entry[0]}`)
  // What the runtime itself must have beyond C and Node-API it would not load with.
  const cpp = plain(wants).filter((name) =>
    /^_?_Z|^__cxa_(?!atexit|finalize|thread_atexit)|^_Unwind/.test(name),
  )
  if (cpp.length > 0) faults.push(`it wants ${cpp.join(', ')}`)
  return faults
}

/** Symbols of Mach-O begin with an underscore. */
export const plainNames = (format) => (symbols) =>
  symbols.map((name) => (format === 'mach-o' ? name.slice(1) : name))

/** What is wrong with a library of whatever kind. */
export function judgeLibrary(target, format, content, { format: found, arch, needs }, most) {
  const faults = []
  if (content.length > most) faults.push(`${content.length} bytes; the limit is ${most}`)
  if (found !== format || arch !== target.name.split('-')[1])
    faults.push(`it is ${found} for ${arch}`)
  for (const library of needs) {
    if (!allowedLibraries.test(library)) faults.push(`it needs ${library}`)
  }
  return faults
}

/** The targets of those names; all without any. */
export function chosen(positionals) {
  for (const name of positionals) {
    if (targets.some((target) => target.name === name)) continue
    throw new Error(
      `unknown target ${name}; there are ${targets.map((one) => one.name).join(', ')}`,
    )
  }
  return targets.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
}

async function main() {
  const { values, positionals } = parseArgs({
    options: { zig: { type: 'string' }, addon: { type: 'boolean' } },
    allowPositionals: true,
  })
  const wanted = chosen(positionals)
  const zig = await findZig(values.zig)
  // The same name each time, and relative: macOS binaries hold a digest of what the linker was told.
  const scratch = join(root, 'build-native', 'prebuild')
  mkdirSync(scratch, { recursive: true })
  const rows = []
  try {
    for (const target of wanted) {
      console.log(`${target.name} ...`)
      rows.push(await build(zig, target, scratch))
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
  console.table(rows)
  if (values.addon === true) return
  // Here, for they need what this file has.
  const { prebuildCapi } = await import('./prebuild-capi.mjs')
  const { makeWheels } = await import('./wheels.mjs')
  const { platforms } = await import('./check-wheels.mjs')
  await prebuildCapi(positionals, values.zig)
  const withWheels = wanted.map(({ name }) => name).filter((name) => platforms[name] !== undefined)
  if (withWheels.length > 0) makeWheels(withWheels)
}

// Not awaited: what main() imports imports this module, whose evaluation has to be over by then.
if (process.argv[1] === import.meta.filename) void main()
