// The help texts, and how arguments are read: what is not understood is named and ends with exit code 2.

import { parseArgs } from 'node:util'

/**
 * A subcommand: its arguments, and a signal that is aborted when the user wants it to end. It may resolve to an exit code of its own, for
 * which being told to end is no failure.
 */
export type Command = (args: readonly string[], signal: AbortSignal) => Promise<unknown>

/** The command line was wrong. */
export class UsageError extends Error {}

/** What all commands take that run for long. */
export const logOptions = ['log-level', 'log-format'] as const
export type LogValues = Partial<Record<(typeof logOptions)[number], string>>

const records = `
Records of what happens, in the place of sentences on standard error:
  --log-level WORD   debug, info, warn or error: nothing that is less important (default: info)
  --log-format WORD  json, an object a line, or text (default: text on a terminal)
`

export const help = {
  global: `Usage: millrace COMMAND [OPTIONS]

Shared-memory IPC for Node.js, from the command line.

Commands:
  demo [FILE]     stream a file and video frames between processes, and measure it
  send NAME       send standard input to 'millrace recv NAME'; a NAME, or an address
  recv NAME       write what 'millrace send NAME' sends to standard output
  ls [PREFIX]     list all objects, and who is on them
  stat NAME       all that is seen of a channel: what went through, what waits, who is on it
  ps [PREFIX]     which process holds what
  tail NAME       the messages of a channel as they come; takes none away
  peek NAME       the messages that are there now, dead letters first; takes none away
  hz NAME...      how often messages come, and how evenly
  bw NAME...      how many bytes messages bring
  top [PREFIX]    what goes through channels, again and again
  dashboard       a live page of that in a browser
  export          the metrics of all channels, for Prometheus
  sweep [PREFIX]  remove what no living process holds
  work COMMAND    work queues, pipelines: push, take, peek at jobs; send dead letters round again
  pub ADDRESS SUBJECT    publish to a bus, by a name or an address
  sub ADDRESS FILTER...  write what is published to it
  call ADDRESS METHOD    call a function that is served there
  gateway CONFIG  join addresses: jobs, messages, calls and frames go from one to the other
  record NAME...  what goes through channels, into a file
  replay FILE...  what was recorded, into channels
  build           compile the native part, where the package brings none for this machine
  help [COMMAND]  this text, or that of a command

Options:
  -h, --help    this text; after a command, that command's
  --version     the version

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 143 terminated.
`,
  send: `Usage: millrace send NAME [OPTIONS] < FILE

Sends standard input through shared memory to 'millrace recv NAME'. Either may start first. Waits until
everything is received. Fails if the receiver leaves or dies before that.

NAME may be an address, like 'unix:///tmp/backup.sock' or 'tcp://127.0.0.1:7000': the receiver listens there.

Options:
  --capacity BYTES  size of the ring, e.g. 64K or 4M (default: what the queue has, or 1M for a new one);
                    of an address: what may wait on this side
  --timeout MS      fail if no receiver appears within so many milliseconds (default: wait for ever)
  -h, --help        this text
${records}`,
  recv: `Usage: millrace recv NAME [OPTIONS] > FILE

Writes what 'millrace send NAME', or any other producer, sends to standard output. Either may start
first. Ends when the sender closes; fails if it dies or is interrupted, after writing what it sent.

NAME may be an address, like 'unix:///tmp/backup.sock' or 'tcp://127.0.0.1:7000': it listens there, for one sender.

Options:
  --capacity BYTES  size of the ring, e.g. 64K or 4M (default: what the queue has, or 1M for a new one);
                    of an address: what may wait on this side
  --timeout MS      fail if no sender appears within so many milliseconds (default: wait for ever)
  -h, --help        this text
${records}`,
  ls: `Usage: millrace ls [PREFIX] [OPTIONS]

Lists the objects that can be found by a name: queues, work queues, pipelines, topics, frame channels, shared memory,
cells, locks and the like, semaphores, listeners, doorbells; all, or those whose names start with PREFIX. Disturbs nobody.

States:
  in use        a living process holds it
  abandoned     whoever held it is dead            half created  its creator died over it
  kept          waits for whoever comes next       corrupt       damaged, and nobody holds it
  foreign       another user's, or not made by millrace

Options:
  --json        what list() returns, as JSON
  -h, --help    this text
`,
  stat: `Usage: millrace stat NAME [OPTIONS]

All that is seen of the channels of that name, while they are at work or after their users have died: what went through,
what waits, who is on them, and how far each reader is behind. Takes no part in anything, and nobody notices.

Options:
  --json        what observe() returns, as JSON
  -h, --help    this text

Exit code: 1 if there is none.
`,
  ps: `Usage: millrace ps [PREFIX] [OPTIONS]

Which process holds what: its id, whether it is alive, its roles on channels, and its command where the system tells it. All,
or those on objects whose names start with PREFIX. A dead one holds nothing: it has left something behind.

Options:
  --json        an array of processes, each with its channels
  -h, --help    this text
`,
  tail: `Usage: millrace tail NAME [OPTIONS]

Writes the messages of a channel as they come: of a queue, a work queue or pipeline, a bus, calls, frames, a cell. Takes
none away, takes no part in anything, and nobody waits for it: what is too quick goes by, and is counted on standard error.

Options:
  --format WORD       text, hex, json or struct (default: text where it is that, else hex)
  --struct FILE       what payloads are: a module that exports a struct(), or FILE#EXPORT
  --from WORD         oldest: first what is still there. newest (default): what comes, and the newest frame or value
  --max N             end after so many messages
  --bytes SIZE        so much of each payload at most, e.g. 64 or 4K (default: all; of hexadecimal digits 256)
  --kind WORD         queue, work, pipeline, topics, calls, frames or cell, where a name stands for several
  --interval MS       between two looks while nothing comes (default: 10)
  --json              an object a line, with the payload as text, hex or value
  --no-color          nothing pale, also on a terminal; so does NO_COLOR
  -h, --help          this text
${records}`,
  peek: `Usage: millrace peek NAME [OPTIONS]

The messages of a channel that are there now, dead letters first: one screen of them. Of a queue those that nobody has read.
Takes none away, has none in hand, and nobody notices.

Options:
  --max N             so many at most (default: those that a screen has, else 20)
  --format, --struct, --bytes, --kind, --json, --no-color    as those of tail
  -h, --help          this text
`,
  hz: `Usage: millrace hz NAME... [OPTIONS]

How often messages come on channels, and how evenly: messages a second, and of the time between two of them the least, the
greatest and the standard deviation. By when they were published where the channel keeps it, else by when they were seen, every
2 ms. Takes no part in anything. Ends with Ctrl-C, and a summary.

Options:
  --interval MS   between two tables (default: 1000)
  --window N      the last so many gaps (default: 10000)
  --count N       end after so many tables
  --kind WORD     queue, work, pipeline, topics, calls, frames or cell, where a name stands for several
  --json          an object a line for each channel and table
  -h, --help      this text
`,
  bw: `Usage: millrace bw NAME... [OPTIONS]

How many bytes messages bring: bytes of payloads a second, and of their sizes the least, the mean and the greatest. What went by
unseen is not among the bytes. Takes no part in anything. Ends with Ctrl-C, and a summary.

Options:
  --interval MS   between two tables (default: 1000)
  --window N      the sizes of the last so many messages (default: 10000)
  --count N       end after so many tables
  --kind WORD     queue, work, pipeline, topics, calls, frames or cell, where a name stands for several
  --json          an object a line for each channel and table
  -h, --help      this text
`,
  top: `Usage: millrace top [PREFIX] [OPTIONS]

What goes through channels, again and again: all, or those whose names start with PREFIX. On a terminal it fills the
screen, and keys say what is shown; elsewhere it is table after table. Takes no part in anything, and nobody notices.

  IN/S, OUT/S   messages, frames, jobs or calls a second     DROPS/S  what somebody did not get
  DEPTH         what waits, for who is farthest behind       HAND     what somebody has in hand
  OLDEST        how long the oldest of that has waited       PEERS    who is on it; dead ones as +1†

Keys:
  /                filter: words that are found in kind, name, state or process ids; Enter keeps it, Esc shows all
  1 to 8, ← →      sort by that column, from NAME to PEERS; the same key again, or r, reverses the order
  ↑ ↓, page keys   scroll
  space            stand still, and go on
  q                quit

Options:
  --once           one table, over one interval
  --interval MS    between two looks (default: 1000, or more where looks would take over a twentieth of a core)
  --sort COLUMN    name, in, out, depth, oldest, hand, drops or peers (default: in)
  --reverse        the other way round
  --filter WORDS   only channels that all of these are found in, as by the key /
  --limit N        so many rows at most (default: those that a screen has, else all)
  --json           an array of rows for each look, one a line
  -h, --help       this text
`,
  dashboard: `Usage: millrace dashboard [PREFIX] [OPTIONS]

A live page of what goes through channels, all or those whose names start with PREFIX: rates, what waits, who is on them,
who writes to whom. Prints its address, and serves it until it is told to end. The address has a token in it: who has it
sees the page. Takes no part in anything, and looks only while a page is open.

Options:
  --port N         where it listens (default: any that is free)
  --payload        also what is in messages, and pictures of frames
  --open           open it in the browser
  --interval MS    between two looks, 100 to 5000 (default: 1000)
  --host HOST      another address of this machine (default: 127.0.0.1)
  --allow-remote   one that other machines reach; the token and all that is shown go over the network as plain text
  --json           print {"url", "port"}
  -h, --help       this text
${records}
Exit codes: 0 also if it was told to end.
`,
  export: `Usage: millrace export [PREFIX] (--once | --http HOST:PORT | --file PATH) [OPTIONS]

The metrics of all channels of this user, or of those whose names start with PREFIX, as Prometheus reads them; also of
those whose processes have died. No process is asked for them.

Options:
  --once             to standard output
  --http HOST:PORT   as a page /metrics; of a port alone, 127.0.0.1
  --file PATH        into a file that is whole whenever it is read, for node_exporter's textfile collector
  --interval MS      between two of these (default: 15000)
  --max-channels N   so many have a name among the labels, the others are 'other' (default: 1000)
  --histograms       how waits are spread, not their number and sum alone: 19 lines more for each side
  -h, --help         this text
${records}
Exit codes: 0 also if it was told to end.
`,
  sweep: `Usage: millrace sweep [PREFIX] [OPTIONS]

Removes the objects of this user that no living process holds (abandoned, half created, corrupt): all, or
those whose names start with PREFIX. May run at any time. Says what it removed, and what it left and why.

Options:
  --kept        also what is kept for whoever comes next: unread messages, values asked to be kept
  --semaphores  also semaphores that nobody has open, whoever made them; better with a PREFIX
  --dry-run     remove nothing, say what would be removed
  --json        what sweep() returns, as JSON
  -h, --help    this text

Exit code: 1 if something could not be removed.
`,
  work: `Usage: millrace work COMMAND [OPTIONS]

Work queues and pipelines, as programs open them by 'millrace/work'. Of push and take NAME may be an address, like
'tcp://127.0.0.1:7000', where a program shares a queue; the others look at the memory of this machine.

Commands:
  ls [PREFIX]         the queues there are, and how many jobs each has; pipelines with their stages
  push NAME [TEXT]    push TEXT, or standard input, as a job; makes a queue if there is none
  take NAME           wait for a job, write its payload and a newline; complete once written: in a
                      pipeline it goes on to the next stage then, and ends after the last
  peek NAME           the jobs that come next; has them in hand for a moment
  dead NAME           the dead letters, and why they are dead
  redrive NAME        send dead letters round again

Options of push:
  --priority N   0 to 31, the higher ones first (default: 0)
  --delay MS     nobody gets it for so many milliseconds
  --ttl MS       nobody gets it after so many milliseconds
  --id ID        a second one within the queue's window is a duplicate
  --group KEY    of those with the same key one at a time is worked on
  --lines        each line of standard input is a job

Options of others:
  --limit N      so many at most (default: take 1, peek 10, else all)
  --timeout MS   take, push: fail after so many milliseconds, also without a connection (default: wait for ever)
  --stage NAME   of a pipeline. take, peek: from that stage (must be said); dead, redrive: only its own
  --reason WORD  redrive: only those dead for it: rejected, attempts, died, expired
  --json         as JSON
  -h, --help     this text
${records}`,
  pub: `Usage: millrace pub ADDRESS SUBJECT [TEXT] [OPTIONS]

Publishes TEXT, or standard input, to the bus at ADDRESS: a name, or 'tcp://HOST:PORT' and the like, where a
program shares one. Says how many subscribers it was for.

Options:
  --lines        each line of standard input is a message
  --timeout MS   fail after so many milliseconds without room, or without a connection (default: wait for ever)
  -h, --help     this text
${records}`,
  sub: `Usage: millrace sub ADDRESS FILTER... [OPTIONS]

Writes what is published to the bus at ADDRESS under a subject that matches: the subject, a tab, the text. '*' is
one token, '>' all that follow.

Options:
  --limit N        end after so many messages
  --replay last|N  first the newest of each subject, or so many of before
  --policy WORD    wait (default): publishers wait for this one; overwrite-oldest: it misses some instead
  --timeout MS     fail after so many milliseconds without a message, or without a connection (default: wait for
                   ever)
  --json           as JSON, one object a line
  -h, --help       this text
${records}`,
  call: `Usage: millrace call ADDRESS [METHOD [JSON]] [OPTIONS]

Calls METHOD of whoever serves at ADDRESS, with JSON as its argument, and writes the result as JSON; of a stream, an
item a line. Where METHOD takes many values, each line of standard input is one. Without METHOD: what there is.

Options:
  --contract FILE  a module that exports the contract, or FILE#EXPORT. Needed for shared memory, which does not say
                   what is served there, and for values by a codec or a struct of the contract's own
  --wait MS        wait so long for a server (default: fail at once)
  --timeout MS     give the call up after so many milliseconds (default: wait for ever); without --wait, who does not
                   answer, too
  -h, --help       this text
${records}`,
  gateway: `Usage: millrace gateway CONFIG [OPTIONS]

Joins addresses, as CONFIG says, a file of YAML or JSON: jobs, messages, calls and frames that come at one go to the
other. Needs 'npm install yaml', and the packages of the engines that are named. Writes what becomes of the routes and of
channels to standard error.

  SIGHUP            reads CONFIG again; what has not changed goes on, and a wrong one is refused
  SIGTERM, SIGINT   lets arrive what is on its way, and ends with 0; the second one ends it at once

Options:
  --check           only judge CONFIG: all that is wrong, by line and column
  --http HOST:PORT  where /livez, /readyz, /status and /metrics are; of a port alone, 127.0.0.1 (default: as CONFIG
                    says, or nowhere)
  --log-level WORD  debug, info, warn or error: nothing that is less important (default: info)
  --log-format WORD json, an object a line, or text (default: text on a terminal)
  -h, --help        this text

Exit codes: 2 also if CONFIG is wrong.
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
  record: `Usage: millrace record NAME... -o FILE [OPTIONS]

Writes what goes through these channels into FILE, in the open format MCAP: messages of queues, jobs, what is published,
calls, frames, values of cells, with their own times. Takes no part in anything, and nobody notices. What went by unseen
is counted, told, and in the file. SIGINT ends it.

Options:
  -o, --output FILE  the file
  --max-size BYTES   begin the next file before one is larger, e.g. 500M or 4G: FILE-0001, FILE-0002 and so on
  --max-time TIME    begin the next file after so long, e.g. 60s, 10min or 2h
  --last TIME        write nothing, but keep the last 60s, say, in memory until SIGUSR1 comes: each writes a file
  --last-size BYTES  that takes no more memory than so much (default: 256M)
  --overwrite        write anew what is there already
  --take-part        of frames: be a reader, and write them from where they lie in shared memory, copied by nobody. The
                     writer does not wait for it, but has a slot less while a frame is written
  --from WORD        newest (default), or oldest: first all that is still there
  --kind KIND        queue, work, topics, calls, frames or cell, where there are several of a name (default: all)
  --interval TIME    between two looks at channels without anything new (default: 5ms)
  --json             what became of it, as JSON
  -h, --help         this text
${records}
Exit codes: 0 also if it was told to end, 1 also if the disk is full: what was written before is kept.
`,
  replay: `Usage: millrace replay FILE... [OPTIONS]

Sends what was recorded when it was sent then, from its first message on: into the channels it came from, or others.
Channels that are not there are made as they were. FILE is one of 'millrace record', or another in the format MCAP;
several are one that was split. On a terminal, space stands still and goes on. SIGINT ends it.

Options:
  --rate N           so many times as fast, e.g. 2 or 0.5; max: as fast as the channels take it (default: 1)
  --start TIME       begin so long after the first message, e.g. 90s or 5min
  --end TIME         end so long after the first message
  --topics A,B       only these channels
  --to NAME=OTHER    into OTHER what was recorded of NAME; several with commas between, or --to again
  --loop             begin again at the end
  --paused           stand still at first
  --json             what became of it, as JSON
  -h, --help         this text
${records}
Exit codes: 0 also if it was told to end.
`,
  build: `Usage: millrace build [OPTIONS]

Compiles the native part of the installed package, and puts it where it is looked for first. Needed only on
a machine that the package brings no binary for, and again after each installation. Takes a C++20 compiler
(GCC 11, Clang 14, Xcode 14 or newer), make, Python 3 and node-gyp, which comes with npm.

Options:
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
  if (first === 'help') return parseHelp(rest, commands)
  if (first === '--version') return { name: 'version', rest }
  if (commands.includes(first)) return { name: first, rest }
  throw new UsageError(`unknown ${first.startsWith('-') ? 'option' : 'command'} '${first}'`)
}

/** `help` alone, or `help COMMAND`, which is `COMMAND --help`. */
function parseHelp(
  [command, extra]: readonly string[],
  commands: readonly string[],
): { readonly name: string; readonly rest: readonly string[] } {
  if (command === undefined) return { name: 'help', rest: [] }
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`)
  if (!commands.includes(command)) throw new UsageError(`unknown command '${command}'`)
  return { name: command, rest: ['--help'] }
}

function optionOf(option: string): {
  readonly type: 'string'
  readonly short?: string
  readonly multiple?: boolean
} {
  if (lists.has(option)) return { type: 'string', multiple: true }
  return option === 'output' ? { type: 'string', short: 'o' } : { type: 'string' }
}

/** Who gives one of these again has more of it, as if there were a comma; of others the last one counts. */
const lists: ReadonlySet<string> = new Set(['to', 'topics'])

/** Reads a subcommand's arguments; `undefined` if help was asked for and has been printed. */
export function parseCommand<Option extends string, Flag extends string = never>(
  command: Exclude<keyof typeof help, 'global'>,
  args: readonly string[],
  options: readonly Option[],
  flags: readonly Flag[] = [],
):
  | {
      readonly values: Partial<Record<Option, string> & Record<Flag, boolean>>
      readonly positionals: string[]
    }
  | undefined {
  const { values, positionals } = understood(() =>
    parseArgs({
      args: [...args],
      options: {
        ...Object.fromEntries(options.map((option) => [option, optionOf(option)])),
        ...Object.fromEntries(flags.map((flag) => [flag, { type: 'boolean' as const }])),
        help: { type: 'boolean', short: 'h' },
      },
      allowPositionals: true,
    }),
  )
  if ('help' in values) {
    process.stdout.write(help[command])
    return undefined
  }
  const joined = Object.entries(values).map(([option, value]) => [
    option,
    Array.isArray(value) ? value.join(',') : value,
  ])
  return {
    values: Object.fromEntries(joined) as Partial<Record<Option, string> & Record<Flag, boolean>>,
    positionals,
  }
}

/** What `ls` and `sweep` take beside their options. */
export function onePrefix([prefix = '', extra]: readonly string[]): string {
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`)
  return prefix
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
