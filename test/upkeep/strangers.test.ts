// Objects of other users, and what others put under our names.

import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
} from 'node:fs'
import { symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { list, sweep, type MillraceError } from 'millrace'
import { actor, type Actor } from '../support/actor.js'
import { everything } from '../support/everything.js'
import { uniqueName } from '../support/names.js'
import { doorbellsOf } from '../support/process.js'
import { within } from '../support/until.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const stranger = 65_534
/** Only root can become somebody else; elsewhere these are reported as skipped. */
const asTwoUsers = process.getuid?.() === 0 ? test.serial : test.serial.skip

/** Another process that has become somebody else for good. */
async function someoneElse(t: ExecutionContext): Promise<Actor> {
  const other = actor(t)
  await other.do((_, user) => {
    process.setgroups!([])
    process.setgid!(user)
    process.setuid!(user)
  }, stranger)
  return other
}

/** A name under which `put` has put something, with all that is left of it removed in the end. */
function planted(t: ExecutionContext, file: (name: string) => string, put: (path: string) => void) {
  const name = uniqueName(t, { mayLeave: true })
  const path = file(name)
  put(path)
  t.teardown(() => {
    rmSync(path, { recursive: true, force: true })
  })
  return { name, path }
}

for (const umask of [0o000, 0o777]) {
  test.serial(
    `promise: strangers – everything is 0600 with a umask of ${umask.toString(8)}`,
    async (t) => {
      const name = uniqueName(t)
      const other = actor(t)
      const queue = await other.do(
        (
          { SpscQueue, FrameWriter, SharedMemory, Cell, Counter, Mutex, own, ...rest },
          name,
          umask,
        ) => {
          process.umask(umask)
          own['all'] = [
            SpscQueue.producer(name),
            FrameWriter.create(name, { slotBytes: 64 }),
            SharedMemory.create(name, 64),
            Cell.writer(name, { maxBytes: 64 }),
            Counter.open(name),
            Mutex.open(name),
            rest.RwLock.open(name),
            rest.SharedEvent.open(name),
            rest.Barrier.open(name, { parties: 2 }),
            rest.Topics.open(name, { messages: 16 }),
            rest.WorkQueue.open(name, { jobs: 10 }),
            rest.SharedRateLimiter.open(name, { rate: 1 }),
            rest.SharedBreaker.open(name),
          ]
          own.semaphore = rest.Semaphore.create(name, 1)
          return process.pid
        },
        name,
        umask,
      )
      const files = [...everything.map(({ file }) => file(name)), `/dev/shm/millrace.m.${name}`]
      const doorbells = doorbellsOf(queue)
      t.is(doorbells.length, 1)
      for (const file of [...files, ...doorbells]) t.is(statSync(file).mode & 0o7777, 0o600, file)
      await other.do(({ own }) => {
        own.semaphore.unlink()
      })
      await other.leave()
    },
  )
}

const inTheWay: Readonly<Record<string, (path: string) => void>> = {
  'a symbolic link': (path) => {
    symlinkSync('/etc/hostname', path)
  },
  'a FIFO': (path) => {
    execFileSync('mkfifo', ['-m', '600', path])
  },
  'a directory': (path) => {
    mkdirSync(path)
  },
  "somebody's file": (path) => {
    writeFileSync(path, 'dear diary'.repeat(1000), { mode: 0o600 })
  },
}

for (const { kind, file, create, open } of everything) {
  for (const [what, put] of Object.entries(inTheWay)) {
    test.serial(
      `promise: strangers – ${what} under the name of a ${kind} is refused and stays`,
      async (t) => {
        const { name, path } = planted(t, file, put)
        const before = lstatSync(path)
        // Memory is open to any program, so a file with bytes in it is memory; and who creates it finds it there.
        const mayOpen = kind === 'memory' && what === "somebody's file"
        for (const enter of [create, open]) {
          const entering = Promise.resolve(name).then(enter)
          if (mayOpen && enter === open) {
            ;(await entering).close()
            continue
          }
          const error = await within(5000, t.throwsAsync<MillraceError>(entering))
          t.regex(error.code, /^ERR_MILLRACE_(NOT_OURS|CORRUPT|LAYOUT|EXISTS)$/, error.message)
        }
        sweep({ prefix: name, kept: true, semaphores: true })
        t.is(lstatSync(path).ino, before.ino)
      },
    )
  }

  test.serial(
    `promise: strangers – a ${kind} with wider rights than asked for is refused`,
    async (t) => {
      const name = uniqueName(t, { mayLeave: true })
      const first = create(name)
      for (const mode of [0o660, 0o604, 0o666]) {
        chmodSync(file(name), mode)
        const error = await t.throwsAsync<MillraceError>(Promise.resolve(name).then(open))
        t.is(error.code, 'ERR_MILLRACE_NOT_OURS', error.message)
        t.regex(error.message, /has mode 06.., wider than the expected 0600/)
      }
      first.close()
    },
  )
}

asTwoUsers(
  'promise: strangers – what another user made first is refused, and it says whose it is',
  async (t) => {
    const other = await someoneElse(t)
    for (const { kind, file, create, open } of everything) {
      for (const mode of [0o600, 0o666]) {
        const { name, path } = planted(t, file, () => undefined)
        await other.do(
          (_, path, mode) => {
            const { chmodSync, writeFileSync } = process.getBuiltinModule('node:fs')
            writeFileSync(path, new Uint8Array(64))
            chmodSync(path, mode)
          },
          path,
          mode,
        )
        for (const enter of [create, open]) {
          const error = await t.throwsAsync<MillraceError>(Promise.resolve(name).then(enter))
          t.is(error.code, 'ERR_MILLRACE_NOT_OURS', `${kind}: ${error.message}`)
          t.regex(error.message, new RegExp(`belongs to user ${stranger}, not to 0`))
        }
        // What is no segment and no semaphore is nothing to us.
        t.is(list({ prefix: name })[0]?.state, kind === 'memory' ? undefined : 'foreign')
        t.deepEqual(sweep({ prefix: name, kept: true, semaphores: true }).removed, [])
        t.true(existsSync(path))
        rmSync(path)
      }
    }
    await other.kill()
  },
)

asTwoUsers('promise: strangers – who may not even open it is told whose it is', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  for (const { file } of everything) writeFileSync(file(name), new Uint8Array(64), { mode: 0o600 })
  const other = await someoneElse(t)
  const refused = await other.do(async (stage, name) => {
    const { SpscQueue, FrameWriter, FrameReader, SharedMemory, Cell, Semaphore } = stage
    const ways: Record<string, () => unknown> = {
      producer: () => SpscQueue.producer(name),
      consumer: () => SpscQueue.consumer(name),
      writer: () => FrameWriter.create(name, { slotBytes: 64 }),
      reader: () => FrameReader.open(name, { timeout: 0 }),
      owner: () => SharedMemory.create(name, 64),
      opener: () => SharedMemory.open(name),
      cellWriter: () => Cell.writer(name, { maxBytes: 64 }),
      cellReader: () => Cell.reader(name, { timeout: 0 }),
      semaphore: () => Semaphore.create(name, 1),
      semaphoreToo: () => Semaphore.open(name),
      semaphoreEither: () => Semaphore.openOrCreate(name, 1),
      counter: () => stage.Counter.open(name),
      mutex: () => stage.Mutex.open(name),
      rwlock: () => stage.RwLock.open(name),
      event: () => stage.SharedEvent.open(name),
      barrier: () => stage.Barrier.open(name, { parties: 2 }),
      work: () => stage.WorkQueue.open(name, { jobs: 10 }),
      limiter: () => stage.SharedRateLimiter.open(name, { rate: 1 }),
      breaker: () => stage.SharedBreaker.open(name),
    }
    const answers: string[] = []
    for (const [who, enter] of Object.entries(ways)) {
      try {
        await enter()
        answers.push(`${who}: let in`)
      } catch (error) {
        answers.push(`${(error as { code: string }).code}: ${(error as Error).message}`)
      }
    }
    return answers
  }, name)
  t.is(refused.length, 19)
  const answer = new RegExp(`^ERR_MILLRACE_NOT_OURS: .*belongs to user 0, not to ${stranger}`)
  for (const error of refused) t.regex(error, answer)
  await other.kill()
})

test.serial(
  'promise: strangers – no environment variable makes a process load somebody else’s addon',
  (t) => {
    // A package that has no binary of its own, and one that somebody else prepared.
    const directory = mkdtempSync(join(tmpdir(), 'millrace-'))
    t.teardown(() => {
      rmSync(directory, { recursive: true })
    })
    const copy = join(directory, 'millrace')
    for (const part of ['dist', 'package.json', 'node_modules/node-gyp-build']) {
      cpSync(join(root, part), join(copy, part), { recursive: true })
    }
    const evil = join(directory, 'evil', 'prebuilds', `${process.platform}-${process.arch}`)
    mkdirSync(evil, { recursive: true })
    cpSync(join(root, 'build/Release/millrace.node'), join(evil, 'node.napi.node'))
    const load = (environment: NodeJS.ProcessEnv) =>
      execFileSync(
        process.execPath,
        [
          '-e',
          `try{require(${JSON.stringify(copy)});console.log('loaded')}catch(e){console.log(e.code,e.cause?.message)}`,
        ],
        { env: { ...process.env, ...environment }, encoding: 'utf8' },
      )
    const refused = load({ MILLRACE_PREBUILD: join(directory, 'evil') })
    t.regex(
      refused,
      /^ERR_MILLRACE_UNSUPPORTED_PLATFORM .*not part of this package.*MILLRACE_PREBUILD/,
    )
    // The same file is welcome where the package has its own.
    cpSync(join(directory, 'evil', 'prebuilds'), join(copy, 'prebuilds'), { recursive: true })
    t.is(load({}), 'loaded\n')
    t.is(load({ PREBUILDS_ONLY: '1' }), 'loaded\n')
  },
)
