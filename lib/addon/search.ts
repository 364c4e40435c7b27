// The search for a binary that is not where it is expected: by node-gyp-build, which follows neither settings of npm nor what
// others have made it believe.

interface NodeGypBuild {
  resolve(root: string): string
}

/** What node-gyp-build believes about the machine, if it is set, before it looks at the machine. */
const misleading = ['npm_config_arch', 'npm_config_platform', 'ARM_VERSION', 'LIBC']

/**
 * The addon below `root`, as a module at the URL `from` would find it.
 *
 * @param libc the C library of this process, where there are several
 */
export function search(root: string, from: string, libc: string | undefined): unknown {
  assertTrusted(root)
  const { createRequire } = process.getBuiltinModule('node:module')
  const require = createRequire(from)
  return require(undisturbed(libc, () => searcher(require).resolve(root))) as unknown
}

/**
 * node-gyp-build follows MILLRACE_PREBUILD anywhere. What is loaded into this process is part of the package, or lies
 * beside the program that runs it.
 */
function assertTrusted(root: string): void {
  const elsewhere = process.env['MILLRACE_PREBUILD']
  if (elsewhere === undefined || elsewhere === '') return
  const path = process.getBuiltinModule('node:path')
  const own = path.resolve(root)
  if (`${path.resolve(elsewhere)}${path.sep}`.startsWith(own + path.sep)) return
  throw new Error(`'${elsewhere}' is not part of this package; unset MILLRACE_PREBUILD`)
}

/**
 * A node-gyp-build of our own. It looks at the environment once, when it is loaded: another package may have loaded it
 * before, and those that come later shall not get what it found under our conditions.
 */
function searcher(require: NodeJS.Require): NodeGypBuild {
  const entry = require.resolve('node-gyp-build')
  const folder = entry.slice(0, entry.lastIndexOf('/') + 1)
  const { cache } = require
  const others = Object.entries(cache).filter(([file]) => file.startsWith(folder))
  const forget = () => {
    for (const file of Object.keys(cache))
      if (file.startsWith(folder)) Reflect.deleteProperty(cache, file)
  }
  forget()
  try {
    return require(entry) as NodeGypBuild
  } finally {
    forget()
    Object.assign(cache, Object.fromEntries(others))
  }
}

/**
 * Searches with the truth in the environment. node-gyp-build takes every system but Alpine for glibc; it believes LIBC,
 * which it reads when it is loaded.
 */
function undisturbed<T>(libc: string | undefined, search: () => T): T {
  const { env } = process
  const before = misleading.map((name) => [name, env[name]] as const)
  for (const [name, value] of before) if (value !== undefined) Reflect.deleteProperty(env, name)
  if (libc !== undefined) env['LIBC'] = libc
  try {
    return search()
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Reflect.deleteProperty(env, name)
      else env[name] = value
    }
  }
}
