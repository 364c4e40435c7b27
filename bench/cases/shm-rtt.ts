// As ring-rtt, between two processes, over memory of shm-typed-array.

import type { ChildProcess } from 'node:child_process'

import type { Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'
import { followProcess, leadProcesses } from '../side/word-rings.js'
import { answer, ask } from './ring-rtt.js'

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  return await leadProcesses(parameters, follower, ask)
}

export async function follow(parameters: Parameters): Promise<void> {
  await followProcess(parameters, answer)
}
