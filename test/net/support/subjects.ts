// The transports that are put through the suite, each with what it takes.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { registerTransport } from 'millrace/net'
import { conformance, type ConformanceFinding } from 'millrace/net/conformance'

import { webSockets } from '../../../examples/transport/websocket.js'
import { selfSigned } from '../../support/certificate.js'
import { registerMessages } from './message-transport.js'

type Report = readonly ConformanceFinding[]

/** One column of the table. */
export interface Subject {
  readonly name: string
  /** Is it here? */
  readonly isHere: boolean
  judge(): Promise<Report>
}

const isLinux = process.platform === 'linux'
const own = `conformance-${String(process.pid)}`
let count = 0
const fresh = (): string => `${own}-${String(++count)}`

/** Sockets that each judgement has at most: two for each behaviour. */
const most = 2 * conformance('').cases.length

registerMessages('letters', { halfCloses: true })
registerMessages('postcards', { halfCloses: false })
registerTransport(webSockets)

export const subjects: readonly Subject[] = [
  {
    name: 'shm://',
    isHere: isLinux,
    judge: () => conformance(() => `shm://test-${fresh()}`).run(),
  },
  {
    name: 'unix:///path',
    isHere: true,
    judge: () => inFolder((folder) => conformance(() => `unix://${join(folder, fresh())}`).run()),
  },
  {
    name: 'unix://@name',
    isHere: isLinux,
    judge: () => conformance(() => `unix://@${fresh()}`).run(),
  },
  {
    name: 'tcp:// (IPv4)',
    isHere: true,
    judge: () => conformance('tcp://127.0.0.1:0').run(),
  },
  {
    name: 'tcp:// (IPv6)',
    isHere: Object.values(networkInterfaces()).some((all) =>
      all?.some(({ address }) => address === '::1'),
    ),
    judge: () => conformance('tcp://[::1]:0').run(),
  },
  {
    name: 'tls://',
    isHere: true,
    judge: () => {
      const { key, cert } = selfSigned()
      return conformance('tls://127.0.0.1:0', {
        listening: { tls: { key, cert } },
        connecting: { tls: { ca: cert } },
      }).run()
    },
  },
  {
    name: 'pipe://',
    isHere: true,
    judge: () => inFolder((folder) => conformance(() => `pipe://${join(folder, fresh())}`).run()),
  },
  {
    name: 'file://',
    isHere: true,
    judge: () => inFolder((folder) => conformance(() => `file://${join(folder, fresh())}`).run()),
  },
  { name: 'fd:// (listening)', isHere: true, judge: () => inFolder(judgeListening) },
  { name: 'fd:// (connected)', isHere: true, judge: () => inFolder(judgeConnected) },
  {
    name: 'a link',
    isHere: true,
    judge: () => conformance(() => `letters://${fresh()}`).run(),
  },
  {
    name: 'a link without `end`',
    isHere: true,
    judge: () => conformance(() => `postcards://${fresh()}`).run(),
  },
  {
    name: 'ws:// (the example)',
    isHere: true,
    judge: () =>
      conformance('ws://127.0.0.1:0/live', {
        wrong: ['ws://', 'ws://127.0.0.1', 'ws://127.0.0.1:70000/', 'ws://example.org:80/'],
      }).run(),
  },
]

async function inFolder(judge: (folder: string) => Promise<Report>): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), `millrace-${own}-`))
  try {
    return await judge(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function judgeListening(folder: string): Promise<Report> {
  const servers: Server[] = []
  const paths: string[] = []
  for (let i = 0; i < most; i++) {
    const path = join(folder, String(i))
    const server = createServer()
    await once(server.listen(`${path}.first`), 'listening')
    // Whoever closes a server removes its path; what is called otherwise stays.
    renameSync(`${path}.first`, path)
    servers.push(server)
    paths.push(path)
  }
  return judgeElsewhere(servers, ['listening', ...paths], (server) => server.close())
}

async function judgeConnected(folder: string): Promise<Report> {
  const ends: Socket[] = []
  const server = createServer({ pauseOnConnect: true })
  const path = join(folder, 'pairs')
  await once(server.listen(path), 'listening')
  for (let i = 0; i < most; i++) {
    const arrival = once(server, 'connection') as Promise<[Socket]>
    const near = connect({ path, allowHalfOpen: true }).pause()
    const [[far]] = await Promise.all([arrival, once(near, 'connect')])
    ends.push(near, far)
  }
  server.close()
  return judgeElsewhere(ends, ['pairs'], (socket) => socket.destroy())
}

/** In a process that has these sockets alone. */
async function judgeElsewhere<S extends Server | Socket>(
  sockets: readonly S[],
  args: readonly string[],
  letGo: (socket: S) => unknown,
): Promise<Report> {
  const program = fileURLToPath(new URL('fd-conformance.js', import.meta.url))
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit', ...sockets.map(descriptorOf)],
  })
  const alarm = setTimeout(() => child.kill('SIGKILL'), 90_000)
  try {
    for (const socket of sockets) letGo(socket)
    const [printed] = await Promise.all([text(child.stdout!), once(child, 'exit')])
    return JSON.parse(printed) as Report
  } finally {
    clearTimeout(alarm)
  }
}

const descriptorOf = (socket: Server | Socket): number =>
  (socket as unknown as { readonly _handle: { readonly fd: number } })._handle.fd
