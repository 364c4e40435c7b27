// Addresses of ZeroMQ of a test's own, the library as a program without this package uses it, and Python's.

import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

import { Run } from '../../support/process.js'
import { freePort } from './server.js'

export interface ForeignSocket {
  readonly closed: boolean
  readonly readable: boolean
  linger: number
  bind(address: string): Promise<void>
  connect(address: string): void
  send(message: string | Uint8Array | readonly (string | Uint8Array)[]): Promise<void>
  receive(): Promise<Buffer[]>
  subscribe(...prefixes: string[]): void
  close(): void
}

export interface KeyPair {
  readonly publicKey: string
  readonly secretKey: string
}

type Kind = 'Push' | 'Pull' | 'Publisher' | 'Subscriber' | 'Request' | 'Reply' | 'Dealer' | 'Router'

export const library = createRequire(import.meta.url)('zeromq') as Readonly<
  Record<Kind, new (options: object) => ForeignSocket>
> & { curveKeyPair(): KeyPair }

/** Closed at the end of the test. */
export function foreign(t: ExecutionContext, kind: Kind, options: object = {}): ForeignSocket {
  const waits = kind === 'Push' || kind === 'Publisher' ? {} : { receiveTimeout: 5000 }
  const socket = new library[kind]({ linger: 0, ...waits, ...options })
  t.teardown(() => {
    socket.close()
  })
  return socket
}

export interface ZmqAddress {
  /** As the library takes it. */
  readonly endpoint: string
  /** As this package takes it, with more behind the question mark, or a name. */
  at(more?: string): string
}

export async function tcpAddress(): Promise<ZmqAddress> {
  const endpoint = `tcp://127.0.0.1:${String(await freePort())}`
  return { endpoint, at: (more = '') => `zmq+${endpoint}${more}` }
}

let last = 0

export function ipcAddress(): ZmqAddress {
  const path = join(tmpdir(), `millrace-zmq-${String(process.pid)}-${String(++last)}.sock`)
  return { endpoint: `ipc://${path}`, at: (more = '') => `zmq+ipc://${path}${more}` }
}

/** A program for Debian's Python, which knows `zmq`, `context` and its arguments as `args`. */
export function python(t: ExecutionContext, program: string, args: readonly string[]): Run {
  const head = 'import sys, zmq\nargs = sys.argv[1:]\ncontext = zmq.Context()\n'
  const child = spawn('/usr/bin/python3', ['-u', '-c', head + program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const running = new Run(child)
  t.teardown(() => running.end())
  return running
}
