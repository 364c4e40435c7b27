// What `millrace` can do: finds the subcommand and turns how it ended into an exit code.
//
// Subcommands are loaded when they are asked for: most of them load the addon, and where there is none, `build` makes one.

import { runCommand } from './process-end.js'
import { help, parseGlobal, type Command } from './usage.js'
import { version } from './version.js'

const commands: Record<string, () => Promise<Command>> = {
  demo: loadDemo,
  send: async () => (await import('./send.js')).send,
  recv: async () => (await import('./recv.js')).recv,
  ls: async () => (await import('./ls.js')).ls,
  stat: async () => (await import('./stat.js')).stat,
  ps: async () => (await import('./ps.js')).ps,
  tail: async () => (await import('./tail.js')).tail,
  peek: async () => (await import('./tail.js')).peek,
  hz: async () => (await import('./rates.js')).hz,
  bw: async () => (await import('./rates.js')).bw,
  top: async () => (await import('./top.js')).top,
  dashboard: async () => (await import('./dashboard.js')).dashboard,
  export: async () => (await import('./export.js')).exportMetrics,
  sweep: async () => (await import('./sweep.js')).sweep,
  work: async () => (await import('./work.js')).work,
  pub: async () => (await import('./topics.js')).pub,
  sub: async () => (await import('./topics.js')).sub,
  call: async () => (await import('./call.js')).call,
  gateway: async () => (await import('./gateway.js')).gateway,
  record: async () => (await import('./record.js')).record,
  replay: async () => (await import('./replay.js')).replay,
  build: async () => (await import('./build.js')).build,
}

/** The demonstration is no part of the library: it stands in dist/demo, a user of the library like any other. */
async function loadDemo(): Promise<Command> {
  const { href } = new URL('../demo/command.js', import.meta.url)
  return ((await import(href)) as { readonly demo: Command }).demo
}

export async function runNamed(): Promise<void> {
  await runCommand(async (signal) => {
    const { name, rest } = parseGlobal(process.argv.slice(2), Object.keys(commands))
    if (name === 'help') process.stdout.write(help.global)
    else if (name === 'version') process.stdout.write(`${version()}\n`)
    else return await (await commands[name]?.())?.(rest, signal)
    return undefined
  })
}
