// What processes are called, so that people know them: the script that node runs, or the program. Of arguments, which may be secrets,
// nothing is told.

/** Names by process ids, each looked up once for as long as it is on a channel. */
export class ProcessNames {
  readonly #names = new Map<number, string>()

  /** Those of these processes; the others are forgotten. */
  of(pids: ReadonlySet<number>): ReadonlyMap<number, string> {
    for (const pid of this.#names.keys()) if (!pids.has(pid)) this.#names.delete(pid)
    for (const pid of pids) if (!this.#names.has(pid)) this.#names.set(pid, nameOf(pid))
    return this.#names
  }
}

const runtimes = /^(?:node|nodejs|bun|deno|python[\d.]*)$/
const longest = 40

/** Empty: it is gone, or the system does not say. */
function nameOf(pid: number): string {
  const { readFileSync } = process.getBuiltinModule('node:fs')
  const path = process.getBuiltinModule('node:path')
  try {
    const [program = '', ...args] = readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').split('\0')
    const runtime = path.basename(program)
    // What follows an option may be its value, as code after -e.
    const at = args.findIndex((arg) => !arg.startsWith('-'))
    const script = at > 0 && !args[at - 1]!.includes('=') ? undefined : args[at]
    const isScript = script !== undefined && /^[\w@./+ -]+\.\w{1,4}$/.test(script)
    const name = runtimes.test(runtime) && isScript ? path.basename(script) : runtime
    return name.length > longest ? `${name.slice(0, longest - 1)}…` : name
  } catch {
    return ''
  }
}
