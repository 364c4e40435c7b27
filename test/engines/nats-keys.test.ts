// A server of NATS to which one comes by a key, or by a key and the token of an account.

import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { nkeys } from '@nats-io/transport-node'
import type { MillraceError } from 'millrace'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

import { until } from '../support/until.js'
import { natsServer } from './support/nats.js'

type KeyPair = ReturnType<typeof nkeys.createUser>

const patience = { timeout: 15_000 }
const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString()
const publicOf = (pair: KeyPair) => pair.getPublicKey()
const seedOf = (pair: KeyPair) => textOf(pair.getSeed())

function fileOf(t: ExecutionContext, content: string, name = 'key'): string {
  const folder = mkdtempSync(join(tmpdir(), `millrace-${String(process.pid)}-`))
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  const file = join(folder, name)
  writeFileSync(file, content, { mode: 0o600 })
  return file
}

/** As nsc makes them: of a token and who signs it. */
function token(signer: KeyPair, subject: string, name: string, nats: object, expires?: number) {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const iat = Math.floor(Date.now() / 1000)
  const claims = {
    ...{ jti: randomUUID(), iat, iss: publicOf(signer), name, sub: subject },
    ...(expires === undefined ? {} : { exp: iat + expires }),
    nats: { ...nats, version: 2 },
  }
  const signed = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part(claims)}`
  return `${signed}.${Buffer.from(signer.sign(Buffer.from(signed))).toString('base64url')}`
}

function credentials(account: KeyPair, user: KeyPair, expires?: number): string {
  const jwt = token(
    account,
    publicOf(user),
    'user',
    { type: 'user', subs: -1, data: -1, payload: -1 },
    expires,
  )
  return (
    `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n` +
    `-----BEGIN USER NKEY SEED-----\n${seedOf(user)}\n------END USER NKEY SEED------\n`
  )
}

/** A server of an operator with one account. */
async function operated(t: ExecutionContext) {
  const [operator, account] = [nkeys.createOperator(), nkeys.createAccount()]
  const all = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, conn: -1, leaf: -1 }
  const limits = { ...all, wildcards: true }
  const its = token(operator, publicOf(account), 'account', { type: 'account', limits })
  const config =
    `operator: ${token(operator, publicOf(operator), 'operator', { type: 'operator' })}\n` +
    `resolver: MEMORY\nresolver_preload: { ${publicOf(account)}: ${its} }\n`
  const server = await natsServer(t, { jetstream: false, config })
  return { server, account }
}

function openBus(t: ExecutionContext, address: string): Topics {
  const bus = Topics.open(address, { connection: { reconnect: { base: 10, cap: 100 } } })
  t.teardown(() => {
    bus.close()
  })
  return bus
}

async function roundTrip(bus: Topics): Promise<string> {
  const all = await bus.subscribe('>', patience)
  await bus.publish('a', 'b')
  using message = await all.receive(patience)
  return message.text()
}

async function refusal(t: ExecutionContext, bus: Topics): Promise<MillraceError> {
  await until(() => bus.connection?.lastError !== undefined)
  const error = bus.connection!.lastError as MillraceError
  t.is(error.code, 'ERR_MILLRACE_PERMISSION')
  return error
}

test('who has the key comes in, who has another one does not', async (t) => {
  const [user, stranger] = [nkeys.createUser(), nkeys.createUser()]
  const config = `authorization: { users: [{ nkey: ${publicOf(user)} }] }\n`
  const server = await natsServer(t, { config })
  const file = fileOf(t, `${seedOf(user)}\n`)
  const queue = WorkQueue.open(`${server.address('jobs')}?nkey=${file}`)
  t.teardown(() => {
    queue.close()
  })
  await queue.push('cat', patience)
  t.is(textOf((await queue.takeOne(patience)).bytes), 'cat')
  const { message } = await refusal(
    t,
    openBus(t, `${server.address('plant')}?nkey=${fileOf(t, seedOf(stranger))}`),
  )
  t.regex(message, /nkey/)
  t.false(message.includes(seedOf(stranger)))
  await refusal(t, openBus(t, server.address('plant')))
})

test('who has the token of an account comes in, for as long as it is valid, and with a new one again', async (t) => {
  const { server, account } = await operated(t)
  const user = nkeys.createUser()
  const file = fileOf(t, credentials(account, user), 'user.creds')
  const address = `${server.address('plant')}?creds=${file}`
  const bus = openBus(t, address)
  t.is(await roundTrip(bus), 'b')
  // The next connection reads what is there then.
  writeFileSync(file, credentials(account, nkeys.createUser()))
  await server.end()
  await server.start()
  t.is(await roundTrip(bus), 'b')

  const of = (content: string) => `${server.address('plant')}?creds=${fileOf(t, content)}`
  await refusal(t, openBus(t, of(credentials(nkeys.createAccount(), user))))
  await refusal(t, openBus(t, of(credentials(account, user, -60))))
})

test('what cannot be a key is refused before anything is done', (t) => {
  const at = 'nats://127.0.0.1:1/plant'
  const key = fileOf(t, seedOf(nkeys.createUser()))
  const refused = (address: string, message: RegExp): void => {
    t.throws(() => Topics.open(address), { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message })
  }
  refused(`${at}?nkey=${key}-gone`, /-gone' cannot be read .*ENOENT/)
  refused(
    `${at}?nkey=${fileOf(t, seedOf(nkeys.createAccount()))}`,
    /user's key, which begins with SU/,
  )
  refused(`${at}?creds=${key}`, /must hold a token and a key/)
  refused(`${at}?creds=${key}&nkey=${key}`, /creds or nkey, not both/)
  refused(
    `nats://u:p@127.0.0.1:1/plant?nkey=${key}`,
    /'nats:\/\/…@.* may say nkey, or something before the @/,
  )
})
