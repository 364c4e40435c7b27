#!/usr/bin/env node
// The command `millrace`. A gateway is a service, which gets signals as soon as its process is there: they are held before anything else of it is
// loaded, so this file imports nothing that imports more.

import { holdSignals } from './early-signals.js'

if (process.argv[2] === 'gateway') holdSignals()

const { runNamed } = await import('./commands.js')
await runNamed()
