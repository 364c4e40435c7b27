// Sockets that a process was started with: by a parent, and as systemd passes them on.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, renameSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { connect } from 'millrace/net'

import { uniqueName } from '../support/names.js'
import { within } from '../support/until.js'

const patience = 15_000

async function listeningSocket(t: ExecutionContext): Promise<[Server, string]> {
  const path = join(tmpdir(), `millrace-${uniqueName(t)}.sock`)
  const server = createServer()
  await once(server.listen(`${path}.first`), 'listening')
  // Whoever closes a server removes its path; what is called otherwise stays.
  renameSync(`${path}.first`, path)
  t.teardown(() => {
    server.close()
    rmSync(path, { force: true })
  })
  return [server, path]
}

/** Answers each message at that address, with descriptor 3 from here. */
async function answering(
  t: ExecutionContext,
  address: string,
  descriptor: number,
  env = '',
): Promise<ChildProcess> {
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `${env}
       const { listen } = await import('millrace/net')
       const listener = await listen(process.argv[1])
       console.log(listener.address)
       for await (const channel of listener) {
         for await (const message of channel) await channel.send(\`\${channel.peer.pid}: \${message}\`)
         await channel.close()
       }`,
      address,
    ],
    { stdio: ['ignore', 'pipe', 'inherit', descriptor] },
  )
  t.teardown(() => {
    child.kill('SIGKILL')
  })
  const [said] = (await within(patience, once(child.stdout!, 'data'))) as [Buffer]
  t.is(String(said).trim(), address)
  return child
}

const fdOf = (server: Server): number =>
  (server as unknown as { readonly _handle: { readonly fd: number } })._handle.fd

for (const [how, address, env] of [
  ['a descriptor by its number', 'fd://3', ''],
  [
    'a socket of systemd by its name',
    'fd://calc',
    `Object.assign(process.env, { LISTEN_PID: String(process.pid), LISTEN_FDS: '1', LISTEN_FDNAMES: 'calc' })`,
  ],
] as const) {
  test(`${how}: whoever listens was given the socket`, async (t) => {
    const [server, path] = await listeningSocket(t)
    await answering(t, address, fdOf(server), env)
    server.close()
    const channel = await connect(`unix://${path}`)
    await channel.send('hello')
    t.is(String(await within(patience, channel.receive())), `${String(process.pid)}: hello`)
    await channel.close()
  })
}

test('what is no socket, not open, or not systemd’s is refused with the reason', async (t) => {
  const file = openSync('/dev/null', 'r')
  t.teardown(() => {
    closeSync(file)
  })
  await t.throwsAsync(connect(`fd://${String(file)}`), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  await t.throwsAsync(connect('fd://999999'), { code: 'ERR_MILLRACE_NOT_FOUND' })
  await t.throwsAsync(connect('fd://calc'), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /LISTEN_FDS is not set/,
  })
  await t.throwsAsync(connect('fd://'), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
})
