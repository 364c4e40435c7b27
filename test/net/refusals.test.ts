// What the system refuses at an address: each refusal has the code of its cause, and says what to do about it.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { MillraceError } from 'millrace'
import { connect, listen, registerTransport } from 'millrace/net'

import { uniqueName } from '../support/names.js'
import { within } from '../support/until.js'
import type { Refused, Tries } from './fixtures/refused.js'

const patience = 30_000
const isLinux = process.platform === 'linux'
const isRoot = process.geteuid?.() === 0
const schemes = ['unix', 'pipe', 'file'] as const

type Doing = 'connect' | 'listen'

function ownFolder(t: ExecutionContext): string {
  const path = join(tmpdir(), `millrace-${uniqueName(t)}`)
  mkdirSync(path)
  t.teardown(() => {
    rmSync(path, { recursive: true, force: true })
  })
  return path
}

async function refused(
  t: ExecutionContext,
  doing: Doing,
  address: string,
  code: string,
  message: RegExp,
): Promise<void> {
  const what = `${doing} ${address}`
  const trying: Promise<unknown> = { connect, listen }[doing](address)
  const error = await t.throwsAsync<MillraceError>(
    within(patience, trying),
    { instanceOf: MillraceError, code: `ERR_MILLRACE_${code}`, message },
    what,
  )
  t.true(error.message.replaceAll('"', "'").includes(`'${address}'`), error.message)
}

// What is at a path

test('where there is no folder', async (t) => {
  const path = `${ownFolder(t)}/not-there/x`
  const cure = /the folder that '.*' is to be in is not there: make it \(mkdir -p '.*\/not-there'\)/
  for (const scheme of schemes) {
    await refused(t, 'listen', `${scheme}://${path}`, 'NOT_FOUND', cure)
  }
  await refused(t, 'connect', `file://${path}`, 'NOT_FOUND', cure)
  const log = `file://${path}?from=start`
  await refused(t, 'connect', log, 'NOT_FOUND', /no log.*start who appends/)
  for (const scheme of ['unix', 'pipe']) {
    await refused(t, 'connect', `${scheme}://${path}`, 'UNREACHABLE', /nobody listens.*start the/)
  }
})

test('a path below a file', async (t) => {
  const path = `${ownFolder(t)}/file`
  writeFileSync(path, '')
  const cure = /leads through something that is no folder: see that the path is right/
  for (const scheme of schemes) {
    const address = `${scheme}://${path}/below`
    await refused(t, 'listen', address, 'NOT_FOUND', cure)
    const code = scheme === 'file' ? 'NOT_FOUND' : 'UNREACHABLE'
    await refused(t, 'connect', address, code, cure)
  }
  await refused(t, 'connect', `file://${path}/below?from=end`, 'NOT_FOUND', cure)
})

test('symbolic links in a circle', async (t) => {
  const folder = ownFolder(t)
  symlinkSync(`${folder}/there`, `${folder}/here`)
  symlinkSync(`${folder}/here`, `${folder}/there`)
  const cure = /symbolic links.*circle: mend them/
  for (const scheme of schemes) {
    const address = `${scheme}://${folder}/here/x`
    await refused(t, 'listen', address, 'NOT_FOUND', cure)
    const code = scheme === 'file' ? 'NOT_FOUND' : 'UNREACHABLE'
    await refused(t, 'connect', address, code, cure)
  }
})

// Before the others, which stop this thread while they run programs: here it has to answer itself in time.
test.serial('a path that is one byte too long for a socket', async (t) => {
  const most = isLinux ? 107 : 103
  const folder = ownFolder(t)
  const longest = `${folder}/${'x'.repeat(most - folder.length - 1)}`
  const listener = await listen(`unix://${longest}`)
  const channel = await connect(`unix://${longest}`)
  channel.destroy()
  await listener.close()
  for (const doing of ['connect', 'listen'] as const) {
    const cure = new RegExp(`has ${String(most + 1)} bytes.* takes ${String(most)} .*shorter one`)
    await refused(t, doing, `unix://${longest}x`, 'INVALID_ARGUMENT', cure)
  }
})

test('a path with a name that is too long', async (t) => {
  const path = `${ownFolder(t)}/${'x'.repeat(256)}`
  for (const doing of ['connect', 'listen'] as const) {
    for (const scheme of ['pipe', 'file']) {
      await refused(t, doing, `${scheme}://${path}`, 'NAME_TOO_LONG', /take a shorter one: .*255/)
    }
  }
})

test('a file, or a folder, where something else is looked for', async (t) => {
  const folder = ownFolder(t)
  writeFileSync(`${folder}/file`, '')
  mkdirSync(`${folder}/folder`)
  for (const doing of ['connect', 'listen'] as const) {
    for (const is of ['file', 'folder']) {
      const cure = /no (socket|FIFO): remove it, or take another path/
      await refused(t, doing, `unix://${folder}/${is}`, 'EXISTS', cure)
      await refused(t, doing, `pipe://${folder}/${is}`, 'EXISTS', cure)
    }
    const cure = /no regular file: remove it, or take another path/
    await refused(t, doing, `file://${folder}/folder`, 'EXISTS', cure)
  }
})

test('a socket, and a FIFO, at which nobody listens any more', async (t) => {
  const folder = ownFolder(t)
  // Listens, and ends without a chance to take its socket away.
  spawnSync(process.execPath, [
    '-e',
    `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`,
    `${folder}/sock`,
  ])
  const stale = /nobody listens at '.*': the socket is what a process has left.*: start it again/
  await refused(t, 'connect', `unix://${folder}/sock`, 'UNREACHABLE', stale)
  execFileSync('mkfifo', ['-m', '600', `${folder}/fifo`])
  const unread = /nobody listens at '.*': the FIFO is there, and no process reads it: start the one/
  await refused(t, 'connect', `pipe://${folder}/fifo`, 'UNREACHABLE', unread)
})

test('a socket of datagrams', async (t) => {
  const path = `${ownFolder(t)}/sock`
  const holder = spawn(
    'python3',
    [
      '-c',
      `import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
sys.stdin.read()`,
      path,
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  t.teardown(() => {
    holder.kill('SIGKILL')
  })
  await within(patience, once(holder.stdout, 'data'))
  const cure = /datagrams, and no stream: see what has made it/
  await refused(t, 'connect', `unix://${path}`, 'PROTOCOL', cure)
})

const onLinux = isLinux ? test : test.skip

onLinux('a listener with so many in line that there is no room for more', async (t) => {
  const path = `${ownFolder(t)}/sock`
  const server = createServer().listen({ path, backlog: 1 })
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
  })
  server.on('connection', (socket) => socket.destroy())
  // All of them come before this thread lets anybody in.
  const outcomes = await Promise.allSettled(
    Array.from({ length: 6 }, () => within(patience, connect(`unix://${path}`))),
  )
  const errors = outcomes.flatMap((one) =>
    one.status === 'rejected' ? [one.reason as MillraceError] : [],
  )
  const full = errors.filter(({ message }) =>
    /so many wait .* no room in line: see that .* is not stopped, and connect/.test(message),
  )
  t.true(full.length > 0, errors.map(({ message }) => message).join('\n'))
  for (const { code } of full) t.is(code, 'ERR_MILLRACE_UNREACHABLE')
})

// What takes rights to bring about

/** Another one than root, whom nothing belongs to. */
const nobodysUser = 65_534

type Expected = readonly [doing: Doing, address: string, code: string, message: RegExp]

/**
 * In a process that has mounts and a network of its own, which go with it. Without the right to make them it is said that nothing was
 * looked at.
 */
async function refusedElsewhere(
  t: ExecutionContext,
  prepare: string,
  expected: readonly Expected[],
  user?: number,
): Promise<void> {
  const may = isLinux && isRoot && spawnSync('unshare', ['-mn', 'true']).status === 0
  if (!may) {
    t.log('passed over: it takes Linux, root, and the right to unshare mounts and networks')
    t.pass()
    return
  }
  const tries: Tries = {
    ...(user === undefined ? {} : { user }),
    tries: expected.map(([doing, address]) => [doing, address]),
  }
  const child = spawn(
    'unshare',
    [
      ...['-mn', 'sh', '-ec', `${prepare}\nexec "$0" "$@"`],
      process.execPath,
      fileURLToPath(new URL('fixtures/refused.js', import.meta.url)),
      JSON.stringify(tries),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.teardown(() => {
    child.kill('SIGKILL')
  })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += String(chunk)))
  const [code] = (await within(patience, once(child, 'close'))) as [number | null]
  t.is(code, 0)
  const found = JSON.parse(said) as Refused[]
  t.is(found.length, expected.length)
  for (const [i, [doing, address, code, message]] of expected.entries()) {
    const what = `${doing} ${address}`
    t.is(found[i]!.code, `ERR_MILLRACE_${code}`, `${what}: ${found[i]!.message}`)
    t.regex(found[i]!.message, message, what)
    t.true(found[i]!.message.includes(`'${address}'`), found[i]!.message)
  }
}

test('a file system that is mounted read-only', async (t) => {
  const folder = ownFolder(t)
  const cure = /is mounted read-only: mount it for writing, or take a path elsewhere/
  await refusedElsewhere(t, `mount -t tmpfs -o ro none ${folder}`, [
    ...schemes.map((scheme) => ['listen', `${scheme}://${folder}/x`, 'PERMISSION', cure] as const),
    ['connect', `file://${folder}/x`, 'PERMISSION', cure],
    ['connect', `file://${folder}/x?from=end`, 'NOT_FOUND', /there is no log/],
  ])
})

test('a file system that is full', async (t) => {
  const folder = ownFolder(t)
  // One has no bytes left, the other one no files.
  const prepare = `
    mkdir ${folder}/bytes ${folder}/files
    mount -t tmpfs -o size=64k none ${folder}/bytes
    dd if=/dev/zero of=${folder}/bytes/it bs=4096 count=16 status=none
    mount -t tmpfs -o nr_inodes=2 none ${folder}/files
    touch ${folder}/files/it`
  const cure = /is full: make room there \(df, df -i\), or take a path elsewhere/
  await refusedElsewhere(t, prepare, [
    ...schemes.map(
      (scheme) => ['listen', `${scheme}://${folder}/files/x`, 'NO_SPACE', cure] as const,
    ),
    ['connect', `file://${folder}/files/x`, 'NO_SPACE', cure],
    ['connect', `file://${folder}/bytes/x`, 'NO_SPACE', cure],
  ])
})

test('what belongs to another user', async (t) => {
  const folder = ownFolder(t)
  const prepare = `
    mkdir -m 700 ${folder}/closed
    touch ${folder}/file
    mkfifo ${folder}/fifo
    chmod 600 ${folder}/file ${folder}/fifo
    chmod 755 ${folder}`
  const run = (cause: string) => new RegExp(`this process \\(user 65534\\) may not ${cause}`)
  const who = 'run it as the user who '
  const makes = (what: string) => run(`${what}.*: ${who}does, or see whose .* \\(ls -ld\\)`)
  await refusedElsewhere(
    t,
    prepare,
    [
      ['listen', `unix://${folder}/x`, 'PERMISSION', makes('put a socket at')],
      ['listen', `unix://${folder}/closed/x`, 'PERMISSION', makes('put a socket at')],
      ['listen', `pipe://${folder}/x`, 'PERMISSION', makes('make or read the FIFO of')],
      ['listen', `pipe://${folder}/fifo`, 'PERMISSION', makes('make or read the FIFO of')],
      ['listen', `file://${folder}/x`, 'PERMISSION', makes('make or read')],
      ['listen', `file://${folder}/file`, 'PERMISSION', makes('make or read')],
      ['connect', `file://${folder}/x`, 'PERMISSION', makes('append to')],
      ['connect', `file://${folder}/file`, 'PERMISSION', makes('append to')],
      ['connect', `file://${folder}/file?from=end`, 'PERMISSION', makes('read')],
      [
        'connect',
        `pipe://${folder}/fifo`,
        'PERMISSION',
        run(`write to .*: ${who}listens, or give`),
      ],
      [
        'connect',
        `unix://${folder}/closed/x`,
        'PERMISSION',
        run(`connect to .*: ${who}listens, or give it the right: listen\\(\\) takes mode`),
      ],
    ],
    nobodysUser,
  )
})

test('a socket that only another user may write to', async (t) => {
  const folder = ownFolder(t)
  const listener = await listen(`unix://${folder}/sock`)
  t.teardown(() => listener.close())
  await refusedElsewhere(
    t,
    `chmod 755 ${folder}`,
    [
      [
        'connect',
        `unix://${folder}/sock`,
        'PERMISSION',
        /user 65534.*write to the socket: run it as the user who listens, or give it the right/,
      ],
    ],
    nobodysUser,
  )
})

// Hosts and ports

test('a port that is taken, and an address of another machine', async (t) => {
  const listener = await listen('tcp://127.0.0.1:0')
  t.teardown(() => listener.close())
  const cure = /somebody listens at '.*' already: end that, or take another address; port 0/
  await refused(t, 'listen', listener.address, 'EXISTS', cure)
  const elsewhere = /no such address as that of '.*': listen at one that it has \(ip addr\)/
  await refused(t, 'listen', 'tcp://192.0.2.1:0?insecure', 'UNREACHABLE', elsewhere)
})

test('port 0 is for who listens', async (t) => {
  const cure = /port 0, which is any port for who listens .*: take listener\.address/
  for (const address of ['tcp://127.0.0.1:0', 'tls://127.0.0.1:0']) {
    await refused(t, 'connect', address, 'INVALID_ARGUMENT', cure)
  }
})

test('a port below 1024 for another user than root', async (t) => {
  const cure = /user 65534\) may not listen at '.*': take a port from 1024 on, or .*CAP_NET_BIND/
  const address = 'tcp://0.0.0.0:80?insecure'
  await refusedElsewhere(t, '', [['listen', address, 'PERMISSION', cure]], nobodysUser)
})

test('a network that is not there', async (t) => {
  const cure = /no way to the network of '.*': see that its interface is up .* route there/
  await refusedElsewhere(t, '', [
    ['connect', 'tcp://192.0.2.1:7000?insecure', 'UNREACHABLE', cure],
    ['connect', 'tls://192.0.2.1:7000', 'UNREACHABLE', cure],
  ])
})

test('a host to which there is no way, and one to which it is forbidden', async (t) => {
  if (spawnSync('ip', ['-V']).status !== 0) {
    t.log('passed over: there is no ip (iproute2)')
    t.pass()
    return
  }
  const prepare = `
    ip link set lo up
    ip route add unreachable 192.0.2.1
    ip route add prohibit 192.0.2.2`
  const cure = /no way to the host of '.*', or it does not answer: see that it is up, .*firewall/
  const rule = /user 0\) may not connect to '.*': a rule of this machine.*: see its firewall/
  await refusedElsewhere(t, prepare, [
    ['connect', 'tcp://192.0.2.1:7000?insecure', 'UNREACHABLE', cure],
    ['connect', 'tcp://192.0.2.2:7000?insecure', 'PERMISSION', rule],
  ])
})

/** Where names are looked up, in the mounts of the process alone. */
const lookUp = (folder: string, nsswitch: string): string => `
  echo '${nsswitch}' > ${folder}/nsswitch
  echo 'nameserver 127.0.0.1' > ${folder}/resolv
  mount --bind ${folder}/nsswitch /etc/nsswitch.conf
  mount --bind ${folder}/resolv /etc/resolv.conf`

test('a name that nobody knows', async (t) => {
  const cure = /no host of the name in '.*', as far .*: see that the name is right, .*\/etc\/hosts/
  await refusedElsewhere(t, lookUp(ownFolder(t), 'hosts: files'), [
    ['connect', 'tcp://millrace.invalid:7000?insecure', 'UNREACHABLE', cure],
    ['listen', 'tcp://millrace.invalid:7000?insecure', 'UNREACHABLE', cure],
  ])
})

test('a name server that does not answer', async (t) => {
  const cure = /no name server has answered .*'.*' is: see that .*resolv\.conf.*try again/
  await refusedElsewhere(t, lookUp(ownFolder(t), 'hosts: dns'), [
    ['connect', 'tcp://millrace.invalid:7000?insecure', 'UNREACHABLE', cure],
    ['listen', 'tcp://millrace.invalid:7000?insecure', 'UNREACHABLE', cure],
  ])
})

test('what a transport of a program rejects with is taken by its code', async (t) => {
  const given: { code?: string } = {}
  const reject = (): Promise<never> =>
    Promise.reject(Object.assign(new Error('its own words'), given))
  registerTransport({
    scheme: 'refuses',
    traits: { host: 'any', death: 'eventually', order: true, halfClose: true } as never,
    check: () => undefined,
    connect: reject,
    listen: reject,
  })
  for (const [doing, system, code, message] of [
    ['connect', 'ENOENT', 'UNREACHABLE', /nobody listens at 'refuses:\/\/x': start/],
    ['connect', 'ECONNREFUSED', 'UNREACHABLE', /nobody listens at 'refuses:\/\/x': start/],
    ['connect', 'EACCES', 'PERMISSION', /may not connect to 'refuses:\/\/x': see what its/],
    ['connect', 'EMFILE', 'SYSTEM', /no descriptor left for 'refuses:\/\/x'/],
    ['connect', 'EOTHER', 'UNREACHABLE', /no way to 'refuses:\/\/x' \(its own words\)/],
    ['listen', 'EADDRINUSE', 'EXISTS', /somebody listens at 'refuses:\/\/x' already/],
    ['listen', 'EPERM', 'PERMISSION', /may not listen at 'refuses:\/\/x': see what its/],
    ['listen', 'EOTHER', 'UNREACHABLE', /nobody can listen at 'refuses:\/\/x' \(its own words\)/],
  ] as const) {
    given.code = system
    const asked = doing === 'connect' ? connect('refuses://x') : listen('refuses://x')
    const error = await t.throwsAsync<MillraceError>(asked, {
      code: `ERR_MILLRACE_${code}`,
      message,
    })
    t.is((error.cause as Error).message, 'its own words')
  }
  const unknown = await t.throwsAsync(connect('what://x'), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
  const listed: readonly string[] = unknown.message.match(/[a-z]+:\/\/(?=[,;])/g) ?? []
  t.is(new Set(listed).size, listed.length, unknown.message)
  t.true(listed.includes('refuses://'), unknown.message)
})
