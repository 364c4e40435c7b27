// tls://: each side knows the other by its certificate, and by nothing else. Certificates are made by openssl, for each run anew.

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TlsOptions } from 'node:tls'
import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { connect, listen, type Channel } from 'millrace/net'
import { call, connect as connectCalls, contract, serve } from 'millrace/rpc'

import { ownDirectory } from '../support/directory.js'
import { until, within } from '../support/until.js'

const patience = 20_000

interface Pair {
  readonly key: string
  readonly cert: string
}

/** Authorities, and certificates of theirs. */
class Makes {
  readonly #directory: string
  #serial = 1

  constructor(t: ExecutionContext) {
    this.#directory = ownDirectory(t)
  }

  authority(name: string): Pair {
    this.#openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
    )(
      ...['-nodes', '-days', '2', '-subj', `/CN=${name}`],
      ...['-keyout', this.#path(`${name}.key`), '-out', this.#path(`${name}.crt`)],
    )
    return this.#pair(name)
  }

  /** Of `localhost` and 127.0.0.1, unless `names` says otherwise. */
  certificate(
    authority: string,
    name: string,
    { names = 'DNS:localhost,IP:127.0.0.1', expired = false } = {},
  ): Pair {
    const request = this.#path(`${name}.csr`)
    this.#openssl(
      'req',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
    )(...['-nodes', '-subj', `/CN=${name}`, '-keyout', this.#path(`${name}.key`), '-out', request])
    writeFileSync(this.#path(`${name}.ext`), `subjectAltName=${names}\n`)
    this.#openssl(
      'x509',
      '-req',
      '-in',
      request,
    )(
      ...['-CA', this.#path(`${authority}.crt`), '-CAkey', this.#path(`${authority}.key`)],
      ...['-set_serial', String(this.#serial++), '-days', expired ? '-1' : '2'],
      ...['-extfile', this.#path(`${name}.ext`), '-out', this.#path(`${name}.crt`)],
    )
    return this.#pair(name)
  }

  #openssl(...first: readonly string[]) {
    return (...rest: readonly string[]): void => {
      try {
        execFileSync('openssl', [...first, ...rest], { stdio: 'pipe' })
      } catch (error) {
        const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
        throw missing ? new Error('these tests need the command openssl: install it') : error
      }
    }
  }
  #path(file: string): string {
    return join(this.#directory, file)
  }
  #pair(name: string): Pair {
    const text = (end: string) => readFileSync(this.#path(`${name}.${end}`), 'utf8')
    return { key: text('key'), cert: text('crt') }
  }
}

async function listenTls(t: ExecutionContext, tls: TlsOptions) {
  const listener = await listen('tls://127.0.0.1:0', { tls, helloTimeout: 2000 })
  t.teardown(() => listener.close())
  const port = /\d+$/.exec(listener.address)![0]
  return { listener, address: `tls://localhost:${port}`, port }
}

async function talk(near: Channel, far: Channel): Promise<string> {
  await near.send('hello')
  const message = await within(patience, far.receive())
  await Promise.all([near.close(), far.close()])
  return String(message)
}

test('the certificate of who listens is verified, by its name and its address', async (t) => {
  const makes = new Makes(t)
  const { cert: ca } = makes.authority('authority')
  const { listener, address, port } = await listenTls(t, makes.certificate('authority', 'server'))
  for (const at of [address, `tls://127.0.0.1:${port}`]) {
    const [near, far] = await within(
      patience,
      Promise.all([connect(at, { tls: { ca } }), listener.accept()]),
    )
    t.is(near.peer.certificate?.commonName, 'server')
    t.is(near.peer.certificate?.alternativeNames, 'DNS:localhost, IP Address:127.0.0.1')
    t.regex(near.peer.certificate!.fingerprint, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
    t.is(far!.peer.certificate, undefined)
    t.is(near.peer.protocol, undefined)
    t.is(await talk(near, far!), 'hello')
  }
})

test('who is not vouched for, is called otherwise, or is too old is not talked to', async (t) => {
  const makes = new Makes(t)
  const { cert: ca } = makes.authority('authority')
  makes.authority('stranger')
  const wrong: [string, Pair, RegExp][] = [
    ['another authority', makes.certificate('stranger', 'one'), /certificate|issuer/i],
    [
      'another name',
      makes.certificate('authority', 'two', { names: 'DNS:elsewhere.example' }),
      /altnames|Host/i,
    ],
    ['expired', makes.certificate('authority', 'three', { expired: true }), /expired/i],
  ]
  for (const [what, pair, message] of wrong) {
    const { listener, address } = await listenTls(t, pair)
    await t.throwsAsync(
      within(patience, connect(address, { tls: { ca } })),
      {
        code: 'ERR_MILLRACE_UNREACHABLE',
        message: new RegExp(
          `was not taken \\(.*(${message.source}).*\\): give that of its authority as tls.ca`,
          'i',
        ),
      },
      what,
    )
    await t.throwsAsync(within(patience, connect(address)), { code: 'ERR_MILLRACE_UNREACHABLE' })
    t.is(await listener.accept({ timeout: 0 }).catch(() => undefined), undefined, what)
    await until(() => listener.connections === 0)
  }
  // Nobody can ask for less.
  await t.throwsAsync(connect('tls://127.0.0.1:1', { tls: { rejectUnauthorized: false } }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
})

test('what is no certificate is an argument, and what speaks no TLS has ended the connection', async (t) => {
  const pair = { key: 'no key', cert: 'no certificate' }
  const wrong = {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /what tls gives for 'tls:.*cannot be used .*: give key, cert and ca as node:tls/,
  }
  await t.throwsAsync(listen('tls://127.0.0.1:0', { tls: pair }), wrong)
  await t.throwsAsync(connect('tls://127.0.0.1:1', { tls: pair }), wrong)
  const plain = await listen('tcp://127.0.0.1:0')
  t.teardown(() => plain.close())
  await t.throwsAsync(within(patience, connect(plain.address.replace('tcp', 'tls'))), {
    code: 'ERR_MILLRACE_UNREACHABLE',
    message: /ended the connection before it stood \(.*\): see that it is tls:\/\/ at both sides/,
  })
})

test('a client needs a certificate where one is wanted', async (t) => {
  const makes = new Makes(t)
  const { cert: ca } = makes.authority('authority')
  makes.authority('stranger')
  const server = makes.certificate('authority', 'server')
  const { listener, address } = await listenTls(t, { ...server, ca, requestCert: true })
  const refused = async (tls: TlsOptions): Promise<void> => {
    const before = listener.refused
    // With TLS 1.3 the client has connected before it is turned away.
    const error = await t.throwsAsync<NodeJS.ErrnoException>(
      within(patience, connect(address, { tls })),
    )
    t.true(
      ['ERR_MILLRACE_PEER_GONE', 'ERR_MILLRACE_UNREACHABLE'].includes(String(error.code)),
      String(error),
    )
    await until(() => listener.refused === before + 1)
  }
  await refused({ ca })
  await refused({ ca, ...makes.certificate('stranger', 'impostor') })
  await refused({ ca, ...makes.certificate('authority', 'late', { expired: true }) })
  const client = makes.certificate('authority', 'client', { names: 'DNS:client.example' })
  const [near, far] = await within(
    patience,
    Promise.all([connect(address, { tls: { ca, ...client } }), listener.accept()]),
  )
  t.is(far!.peer.certificate?.commonName, 'client')
  t.is(far!.peer.certificate?.alternativeNames, 'DNS:client.example')
  t.is(await talk(near, far!), 'hello')
  await until(() => listener.connections === 0)
})

test('a protocol is agreed on, and none in common is none', async (t) => {
  const makes = new Makes(t)
  const { cert: ca } = makes.authority('authority')
  const server = makes.certificate('authority', 'server')
  const { listener, address } = await listenTls(t, { ...server, ALPNProtocols: ['new', 'old'] })
  const [near, far] = await within(
    patience,
    Promise.all([connect(address, { tls: { ca, ALPNProtocols: ['old'] } }), listener.accept()]),
  )
  t.is(near.peer.protocol, 'old')
  t.is(far!.peer.protocol, 'old')
  t.is(await talk(near, far!), 'hello')
  const error = await t.throwsAsync<NodeJS.ErrnoException>(
    within(patience, connect(address, { tls: { ca, ALPNProtocols: ['other'] } })),
  )
  t.true(
    ['ERR_MILLRACE_PEER_GONE', 'ERR_MILLRACE_UNREACHABLE'].includes(String(error.code)),
    String(error),
  )
  await until(() => listener.connections === 0)
})

test('calls go over tls://, with certificates of both sides', async (t) => {
  const makes = new Makes(t)
  const { cert: ca } = makes.authority('authority')
  const calc = contract('calc', { double: call<number, number>() })
  const tls = { ca, ...makes.certificate('authority', 'server'), requestCert: true }
  const handlers = { double: (n: number) => n * 2 }
  const server = await serve('tls://127.0.0.1:0', calc, handlers, { connection: { tls } })
  t.teardown(() => server[Symbol.asyncDispose]())
  const client = { ca, ...makes.certificate('authority', 'client') }
  using known = await connectCalls(server.name, calc, { connection: { tls: client } })
  t.is(await within(patience, known.double(21)), 42)
  using unknown = await connectCalls(server.name, calc, { connection: { tls: { ca } } })
  const error = await t.throwsAsync<MillraceError>(within(patience, unknown.double(21)))
  t.is(error.code, 'ERR_MILLRACE_NO_RESPONDER')
  t.is(error.executed, 'no')
})
