#!/usr/bin/env node
// The command `millrace`: finds the subcommand and turns how it ended into an exit code.

import { demo } from './demo/command.js'
import { ls } from './ls.js'
import { runCommand } from './process-end.js'
import { recv } from './recv.js'
import { send } from './send.js'
import { sweep } from './sweep.js'
import { help, parseGlobal, type Command } from './usage.js'
import { version } from './version.js'

const commands: Record<string, Command> = { demo, send, recv, ls, sweep }

await runCommand(async (signal) => {
  const { name, rest } = parseGlobal(process.argv.slice(2), Object.keys(commands))
  if (name === 'help') process.stdout.write(help.global)
  else if (name === 'version') process.stdout.write(`${version()}\n`)
  else await commands[name]?.(rest, signal)
})
