// Further processes of a measurement, for cases that need more than a leading and a following one: each runs `follow` of a case.

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

import type { Parameters } from './parameters.js'

const side = fileURLToPath(new URL('main.js', import.meta.url))

/** The descriptor on which a member of a crew writes its ledger: what it has written stays when it is killed. */
export const ledgerDescriptor = 4

export interface Member {
  readonly process: ChildProcess
  readonly ledger: Readable
}

/** Resolves when the process has said something, which is that it is ready. It ends with this one. */
export async function member(caseName: string, parameters: Parameters): Promise<Member> {
  const child = fork(side, [caseName, 'follow', JSON.stringify(parameters)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'],
  })
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`${caseName}: a process ended with ${String(code ?? signal)}`)
  })
  await Promise.race([once(child, 'message'), ended])
  ended.catch(() => undefined)
  return { process: child, ledger: child.stdio[ledgerDescriptor] as Readable }
}
