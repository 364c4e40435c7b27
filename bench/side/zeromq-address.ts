// Where zeromq sockets of a measurement meet.

import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'

import type { Parameters } from './parameters.js'

const path = ({ name }: Parameters) => `${tmpdir()}/${name}.zmq`

export const zeromqAddress = (parameters: Parameters): string => `ipc://${path(parameters)}`

/** A socket is closed in a thread that may not come to removing its file before the process ends. */
export function removeZeromqSocket(parameters: Parameters): void {
  rmSync(path(parameters), { force: true })
}
