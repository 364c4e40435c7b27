// Somebody else's program at the socket that NOTIFY_SOCKET names: a socket of datagrams in Python, in the place of systemd.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { ExecutionContext } from 'ava'

import { until } from './until.js'

const program = `
import json, socket, sys
path = sys.argv[1]
server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind("\\0" + path[1:] if path.startswith("@") else path)
print("[]", flush=True)
while True:
    print(json.dumps(server.recv(65536).decode().split("\\n")), flush=True)
`

/** Whoever reads at the socket, with the messages so far, each by its lines. */
export async function notifyReader(t: ExecutionContext, socket: string) {
  const child = spawn('python3', ['-c', program, socket], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const messages = (): readonly (readonly string[])[] =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as string[])
      .slice(1)
  await until(() => text.includes('\n'), 60_000)
  /** Resolves with the message that has such a line, when it has come so often. */
  const got = async (line: string, times = 1): Promise<readonly string[]> => {
    const found = () => messages().filter((lines) => lines.includes(line))[times - 1]
    await until(() => found() !== undefined, 60_000)
    return found()!
  }
  return { child, messages, got }
}
