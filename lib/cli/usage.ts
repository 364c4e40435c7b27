// The help texts, and how arguments are read: what is not understood is named and ends with exit code 2.

import { parseArgs } from 'node:util'

/** A subcommand: its arguments, and a signal that is aborted when the user wants it to end. */
export type Command = (args: readonly string[], signal: AbortSignal) => Promise<void>

/** The command line was wrong. */
export class UsageError extends Error {}

export const help = {
  global: `Usage: millrace COMMAND [OPTIONS]

Shared-memory IPC for Node.js, from the command line.

Commands:
  demo [FILE]   stream a file and video frames between processes, and measure it
  send NAME     send standard input to 'millrace recv NAME'
  recv NAME     write what 'millrace send NAME' sends to standard output

Options:
  -h, --help    this text; after a command, that command's
  --version     the version

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 143 terminated.
`,
  send: `Usage: millrace send NAME [OPTIONS] < FILE

Sends standard input through shared memory to 'millrace recv NAME'. Either may start first. Waits until
everything is received. Fails if the receiver leaves or dies before that.

Options:
  --capacity BYTES  size of the ring, e.g. 64K or 4M (default: what the queue has, or 1M for a new one)
  --timeout MS      fail if no receiver appears within so many milliseconds (default: wait for ever)
  -h, --help        this text
`,
  recv: `Usage: millrace recv NAME [OPTIONS] > FILE

Writes what 'millrace send NAME', or any other producer, sends to standard output. Either may start
first. Ends when the sender closes; fails if it dies or is interrupted, after writing what it sent.

Options:
  --capacity BYTES  size of the ring, e.g. 64K or 4M (default: what the queue has, or 1M for a new one)
  --timeout MS      fail if no sender appears within so many milliseconds (default: wait for ever)
  -h, --help        this text
`,
  demo: `Usage: millrace demo [OPTIONS] [FILE]

Starts processes that stream FILE (default: the node executable) through a queue and video frames
through a frame channel, checks every byte at the far end, writes a picture of what arrived, and
measures the same over a Unix domain socket.

Options:
  --frames N    how many 1920x1080 RGBA frames (default: 600)
  --out PATH    where the picture goes (default: millrace-demo.png)
  -h, --help    this text
`,
} as const

/** The first argument: a command, or one of the options that need none. */
export function parseGlobal(
  args: readonly string[],
  commands: readonly string[],
): { readonly name: string; readonly rest: readonly string[] } {
  const [first, ...rest] = args
  if (first === undefined) throw new UsageError('no command given')
  if (first === '-h' || first === '--help') return { name: 'help', rest }
  if (first === '--version') return { name: 'version', rest }
  if (commands.includes(first)) return { name: first, rest }
  throw new UsageError(`unknown ${first.startsWith('-') ? 'option' : 'command'} '${first}'`)
}

/** Reads a subcommand's arguments; `undefined` if help was asked for and has been printed. */
export function parseCommand<Option extends string>(
  command: 'demo' | 'send' | 'recv',
  args: readonly string[],
  options: readonly Option[],
):
  { readonly values: Partial<Record<Option, string>>; readonly positionals: string[] } | undefined {
  const { values, positionals } = understood(() =>
    parseArgs({
      args: [...args],
      options: {
        ...Object.fromEntries(options.map((option) => [option, { type: 'string' as const }])),
        help: { type: 'boolean', short: 'h' },
      },
      allowPositionals: true,
    }),
  )
  if ('help' in values) {
    process.stdout.write(help[command])
    return undefined
  }
  return { values: values as Partial<Record<Option, string>>, positionals }
}

function understood<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    // The first sentence of node's message names the culprit; the rest explains '--'.
    if (error instanceof TypeError) throw new UsageError(error.message.split('. ')[0])
    throw error
  }
}
