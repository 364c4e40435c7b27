// What lies beside an offered path, or in its place, belongs to somebody else until it is proven to be ours.

import { createServer } from 'node:net'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { NamelessSegment, offerSegments, receiveSegments } from 'millrace'
import { actor } from '../support/actor.js'
import { ownDirectory } from '../support/directory.js'

const place = (t: ExecutionContext) => join(ownDirectory(t), 'yarn')

/** An offer by a process that is killed: a socket and its lock stay. */
async function leaveOffer(t: ExecutionContext, path: string): Promise<void> {
  const other = actor(t)
  await other.do(async ({ NamelessSegment, offerSegments, own }, at) => {
    own['offer'] = await offerSegments(at, { segment: NamelessSegment.create() })
  }, path)
  await other.kill()
  t.true(existsSync(path) && existsSync(`${path}.lock`))
}

const neighbours: Record<string, (lock: string) => void> = {
  'with content': (lock) => {
    writeFileSync(lock, '# somebody needs this', { mode: 0o644 })
  },
  'with content, as private as ours': (lock) => {
    writeFileSync(lock, '# somebody needs this', { mode: 0o600 })
  },
  'empty, as private as ours': (lock) => {
    writeFileSync(lock, '', { mode: 0o600 })
  },
  'that begins like ours': (lock) => {
    writeFileSync(lock, 'millrace offer\nand what somebody noted there', { mode: 0o600 })
  },
  'that nobody may write to': (lock) => {
    writeFileSync(lock, 'read only', { mode: 0o400 })
  },
  'that is a link': (lock) => {
    writeFileSync(`${lock}.target`, 'precious', { mode: 0o600 })
    symlinkSync(`${lock}.target`, lock)
  },
  'that is a directory': (lock) => {
    mkdirSync(lock)
  },
}

for (const [what, make] of Object.entries(neighbours)) {
  test.serial(
    `promise: strangers – a file beside an offer ${what} is refused and stays`,
    async (t) => {
      const path = place(t)
      make(`${path}.lock`)
      const before = readdirSync(join(path, '..'))
      const { ino } = statSync(`${path}.lock`)
      using segment = NamelessSegment.create()
      await t.throwsAsync(offerSegments(path, { segment }), {
        code: 'ERR_MILLRACE_NOT_OURS',
        message: /choose another path/,
      })
      t.deepEqual(readdirSync(join(path, '..')), before)
      t.is(statSync(`${path}.lock`).ino, ino)
    },
  )
}

test.serial(
  'promise: strangers – what replaced the socket and its lock meanwhile stays',
  async (t) => {
    const path = place(t)
    using segment = NamelessSegment.create()
    const offer = await offerSegments(path, { segment })
    for (const file of [path, `${path}.lock`]) {
      renameSync(file, `${file}.old`)
      writeFileSync(file, 'precious', { mode: 0o600 })
    }
    offer.close()
    t.is(readFileSync(path, 'utf8'), 'precious')
    t.is(readFileSync(`${path}.lock`, 'utf8'), 'precious')
  },
)

test.serial(
  'promise: strangers – a lock that somebody wrote to is not ours any more',
  async (t) => {
    const path = place(t)
    using segment = NamelessSegment.create()
    const offer = await offerSegments(path, { segment })
    writeFileSync(`${path}.lock`, 'precious')
    offer.close()
    t.deepEqual(readdirSync(join(path, '..')), ['yarn.lock'])
    t.is(readFileSync(`${path}.lock`, 'utf8'), 'precious')
  },
)

test.serial('promise: strangers – a socket of another program is no leftover', async (t) => {
  const path = place(t)
  using segment = NamelessSegment.create()
  const server = createServer().listen(path)
  await once(server, 'listening')
  await t.throwsAsync(offerSegments(path, { segment }), { code: 'ERR_MILLRACE_EXISTS' })
  t.deepEqual(readdirSync(join(path, '..')), ['yarn'])
  // Nor is it beside the lock that an offer of ours has left.
  server.close()
  await leaveOffer(t, path)
  rmSync(path)
  const later = createServer().listen(path)
  await once(later, 'listening')
  await t.throwsAsync(offerSegments(path, { segment }), { code: 'ERR_MILLRACE_EXISTS' })
  t.true(existsSync(path))
  later.close()
})

test.serial('what a dead offer left is replaced, whatever links there are to it', async (t) => {
  const path = place(t)
  await leaveOffer(t, path)
  linkSync(`${path}.lock`, `${path}.backup`)
  chmodSync(path, 0o600)
  using segment = NamelessSegment.create()
  {
    using offer = await offerSegments(path, { segment })
    t.is((await receiveSegments(path))['segment']?.name, segment.name)
    t.false(offer.closed)
  }
  t.deepEqual(readdirSync(join(path, '..')), ['yarn.backup'])
})

// The working directory is the whole process's: another one changes its own.
test.serial(
  'promise: strangers – an offer is closed where it was made, wherever the process is by then',
  async (t) => {
    const there = ownDirectory(t)
    const elsewhere = ownDirectory(t)
    for (const file of ['yarn', 'yarn.lock']) writeFileSync(join(elsewhere, file), 'precious')
    const other = actor(t, { cwd: there })
    await other.do(async ({ NamelessSegment, offerSegments }, elsewhere) => {
      const offer = await offerSegments('yarn', { segment: NamelessSegment.create() })
      process.chdir(elsewhere)
      offer.close()
    }, elsewhere)
    t.deepEqual(readdirSync(there), [])
    t.deepEqual(readdirSync(elsewhere), ['yarn', 'yarn.lock'])
    await other.leave()
  },
)
