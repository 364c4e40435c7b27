// The suite finds what is broken: of each behaviour there is a transport that does not keep it, and each is a sound one with one fault.

import test from 'ava'
import { MillraceError, selectable } from 'millrace'
import { connect, listen, type Channel, type Listener } from 'millrace/net'
import { conformance, type ConformanceOptions } from 'millrace/net/conformance'

type Changes<T> = { readonly [K in keyof T]?: T[K] }
type Fault = (channel: Channel, side: 'near' | 'far') => Changes<Channel>

/** As it is, but for these. */
function changed<T extends Channel | Listener>(sound: T, changes: Changes<T>): T {
  const all = changes as Readonly<Record<string | symbol, unknown>>
  const proxy: T = new Proxy(sound, {
    get: (target, key) => {
      if (key in all) return all[key]
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        const result: unknown = Reflect.apply(value, target, args)
        return result === target ? proxy : result
      }
    },
  })
  return proxy
}

/** What is broken may not be destroyed by whoever judges it. */
const made = new Set<Channel>()
test.after.always(() => {
  for (const channel of made) channel.destroy()
})

/** Channels that have a fault, over a sound transport. */
function withFault(fault: Fault): ConformanceOptions {
  const wrapped = (channel: Channel, side: 'near' | 'far') => {
    made.add(channel)
    return changed(channel, fault(channel, side))
  }
  return {
    connect: async (...from) => wrapped(await connect(...from), 'near'),
    listen: async (...from) => {
      const listener = await listen(...from)
      return changed(listener, {
        accept: async (options) => {
          const channel = await listener.accept(options)
          return channel === undefined ? undefined : wrapped(channel, 'far')
        },
      })
    },
  }
}

const withListener = (fault: (listener: Listener) => Changes<Listener>): ConformanceOptions => ({
  listen: async (...from) => {
    const listener = await listen(...from)
    return changed(listener, fault(listener))
  },
})

const never = <T>(): Promise<T> => new Promise<T>(() => undefined)
const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code
const bytesOf = (message: unknown): Buffer => Buffer.from(message as Uint8Array)

/** What a transport is found by: what is said of it. */
interface Found {
  readonly options: ConformanceOptions
  readonly says: RegExp
  /** Is that, that it has been waited for long enough? Milliseconds; else there is time enough for everything. */
  readonly patience: number
}

const says = (text: RegExp, options: ConformanceOptions): Found => ({
  options,
  says: text,
  patience: 60_000,
})

/** Something is waited for, for ever. */
const waits = (what: RegExp, options: ConformanceOptions): Found => ({
  options,
  says: new RegExp(`^still waiting after .*${what.source}`),
  patience: 1000,
})

const broken: Readonly<Record<string, Readonly<Record<string, Found>>>> = {
  'connect and listen': {
    'nobody comes to who listens': waits(
      /accept\(\)/,
      withListener(() => ({ accept: () => never() })),
    ),
    'is closed from the start': says(
      /true instead of false/,
      withFault(() => ({ closed: true })),
    ),
  },
  'port 0 becomes a port': {
    'tells the address as it was given': says(
      /did not match/,
      withListener(() => ({ address: 'tcp://127.0.0.1:0' })),
    ),
  },
  'traits and peers are told, and agree': {
    'names another process': says(
      /^\d+ instead of \d+$/,
      withFault(({ peer }) => ({ peer: { ...peer, pid: process.ppid } })),
    ),
    'claims another thing at each side': says(
      /false instead of true/,
      withFault(({ traits }, side) => ({
        traits: { ...traits, reliable: side === 'near' },
      })),
    ),
  },
  'one listener has many channels': {
    'counts none': says(
      /1 instead of 16/,
      withListener(() => ({ connections: 1 })),
    ),
  },
  'one is connected at a time': {
    'takes another one': says(
      /no error instead of ERR_MILLRACE_ROLE_TAKEN/,
      withFault(({ traits }) => ({ traits: { ...traits, connections: 'one' } })),
    ),
  },
  'what was sent outlives who sent it': {
    'forgets it': waits(
      /accept\(\)/,
      withFault(({ traits }) => ({ traits: { ...traits, death: 'none' } })),
    ),
  },
  'a closed listener leaves its channels open': {
    'closes them': says(
      /is closed/,
      (() => {
        const open = new Set<Channel>()
        return withListener((listener) => ({
          accept: async (options) => {
            const channel = await listener.accept(options)
            if (channel !== undefined) open.add(channel)
            return channel
          },
          close: () => {
            for (const channel of open) channel.destroy()
            return listener.close()
          },
        }))
      })(),
    ),
  },
  'nobody listens: connecting is refused': {
    'waits for somebody': waits(/for connect\(\)/, {
      connect: (...from) =>
        connect(...from).catch((error: unknown) => {
          if (codeOf(error) === 'ERR_MILLRACE_UNREACHABLE') return never<Channel>()
          throw error
        }),
    }),
  },
  'an address is taken once': {
    'listens elsewhere': says(/no error instead of ERR_MILLRACE_EXISTS/, {
      listen: (address, options) =>
        listen(address, options).catch(() => listen('tcp://127.0.0.1:0', options)),
    }),
  },
  'a wrong address is INVALID_ARGUMENT': {
    'throws whatever it likes': says(/ERR_MILLRACE_INVALID_/, {
      connect: (...from) =>
        connect(...from).catch(() => {
          throw new TypeError('wrong')
        }),
    }),
  },
  'connecting ends with its signal': {
    'looks at no signal': says(/no error instead of ERR_MILLRACE_ABORTED/, {
      connect: (address, { signal: _, ...options }) => connect(address, options),
    }),
  },
  'accepting ends with its signal and its time': {
    'looks at neither': waits(
      /accept\(\)/,
      withListener((listener) => ({ accept: () => listener.accept() })),
    ),
  },
  'select waits for connections': {
    'tells nothing': waits(
      /for select\(\)/,
      withListener(() => ({
        [selectable]: () => ({ look: () => undefined, watch: () => () => undefined }),
      })),
    ),
  },
  'messages arrive in order': {
    'drops one': says(
      /none is missing: 100 instead of 99/,
      withFault((channel) => {
        let count = 0
        return {
          send: (...from) => (++count === 100 ? Promise.resolve() : channel.send(...from)),
        }
      }),
    ),
    'changes places': says(
      /none is missing: 100 instead of 99/,
      withFault((channel) => {
        let held: Buffer | undefined
        let count = 0
        return {
          send: async (message, options) => {
            count++
            if (count === 100) held = bytesOf(message)
            else await channel.send(message, options)
            if (count === 101) await channel.send(held!)
          },
        }
      }),
    ),
  },
  'messages of every length arrive whole': {
    'cuts long ones': says(
      /65535 instead of 65536/,
      withFault((channel) => ({
        send: (message, options) =>
          channel.send(
            typeof message === 'string' ? message : bytesOf(message).subarray(0, 65_535),
            options,
          ),
      })),
    ),
    'has no empty ones': says(
      /1 instead of 0/,
      withFault((channel) => ({
        send: (message, options) =>
          bytesOf(message).length === 0 ? Promise.resolve() : channel.send(message, options),
      })),
    ),
  },
  'a message that is too long is TOO_LARGE': {
    'drops it': says(
      /no error instead of ERR_MILLRACE_TOO_LARGE/,
      withFault((channel) => ({
        send: (...from) =>
          channel.send(...from).catch((error: unknown) => {
            if (codeOf(error) !== 'ERR_MILLRACE_TOO_LARGE') throw error
          }),
      })),
    ),
  },
  'bytes are the sender’s again when they were sent': {
    'reads them later': says(
      /send: as it was sent/,
      withFault((channel) => ({
        send: (message, options) => {
          setImmediate(() => void channel.send(message, options).catch(() => undefined))
          return Promise.resolve()
        },
      })),
    ),
  },
  'many tasks send and receive at once': {
    'mixes them up': says(
      /each message arrives once/,
      withFault((channel) => {
        const shared = Buffer.alloc(65_536)
        return {
          send: async (message, options) => {
            const bytes = message as Buffer
            bytes.copy(shared)
            await Promise.resolve()
            await channel.send(shared.subarray(0, bytes.length), options)
          },
        }
      }),
    ),
    'sends some twice': says(
      /and none twice/,
      withFault((channel) => {
        let count = 0
        return {
          send: async (message, options) => {
            if (++count % 100 === 50) await channel.send(message, options)
            await channel.send(message, options)
          },
        }
      }),
    ),
  },
  'a receiver that stands still holds the sender up': {
    'takes whatever comes': says(
      /back-pressure/,
      withFault(() => ({
        trySend: () => true,
        send: () => Promise.resolve(),
      })),
    ),
    'drops what has no room': says(
      /send\(\) waits/,
      withFault((channel) => ({
        send: (message) => {
          channel.trySend(message)
          return Promise.resolve()
        },
      })),
    ),
  },
  'sending ends with its signal and its time': {
    'looks at no signal': waits(
      /send\(\)/,
      withFault((channel) => ({
        send: (message, { signal: _, ...options } = {}) => channel.send(message, options),
      })),
    ),
    'sends it nevertheless': says(
      /what was given up was not sent/,
      withFault((channel) => ({
        send: async (message, options) => {
          if (options?.signal === undefined) {
            await channel.send(message, options)
            return
          }
          if (options.signal.aborted) throw new MillraceError('ERR_MILLRACE_ABORTED', 'aborted')
          channel.send(message).catch(() => undefined)
          await channel.send(message, options)
        },
      })),
    ),
  },
  'receiving ends with its signal and its time, and takes nothing': {
    'looks at neither': waits(
      /receive\(\)/,
      withFault((channel) => ({ receive: () => channel.receive() })),
    ),
    'takes one': waits(
      /receive\(\)/,
      withFault((channel) => ({
        receive: async (options) => {
          if (options?.signal === undefined) return await channel.receive(options)
          const { signal, ...rest } = options
          const aborted = new Promise<never>((_, reject) => {
            const refuse = () => {
              reject(new MillraceError('ERR_MILLRACE_ABORTED', 'aborted'))
            }
            if (signal.aborted) refuse()
            else signal.addEventListener('abort', refuse)
          })
          const taken = channel.receive(rest)
          taken.catch(() => undefined)
          return await Promise.race([aborted, taken])
        },
      })),
    ),
  },
  'receiveInto writes where it is told': {
    'cuts what does not fit': says(
      /no error instead of ERR_MILLRACE_TOO_LARGE/,
      withFault((channel) => ({
        receiveInto: async (target, options) => {
          const message = await channel.receive(options)
          if (message === undefined) return undefined
          const room = typeof target === 'function' ? target(message.length) : target
          return message.copy(room as Uint8Array)
        },
      })),
    ),
  },
  'tryReceive takes what is there': {
    'finds nothing': waits(
      /for no call/,
      withFault(() => ({ tryReceive: () => undefined })),
    ),
  },
  'leaving a loop closes nothing': {
    'closes it': says(
      /deep-equal/,
      withFault((channel) => ({
        [Symbol.asyncIterator]: () => {
          const messages = channel.messages()
          return changed(
            messages as never,
            {
              return: () => {
                channel.destroy()
                return Promise.resolve({ done: true, value: undefined })
              },
            } as never,
          )
        },
      })),
    ),
  },
  'select waits for messages and for the end': {
    'tells nothing': waits(
      /for select\(\)/,
      withFault(() => ({
        [selectable]: () => ({ look: () => undefined, watch: () => () => undefined }),
      })),
    ),
  },
  'a wrong argument is INVALID_ARGUMENT': {
    'takes anything': says(
      /no error instead of ERR_MILLRACE_INVALID_ARGUMENT/,
      withFault((channel) => ({
        send: (message, options) => channel.send(((message as unknown) ?? '') as string, options),
      })),
    ),
  },
  'the way that there is not is UNSUPPORTED': {
    'is there nevertheless': says(
      /no error instead of ERR_MILLRACE_UNSUPPORTED/,
      withFault(({ traits }, side) => ({
        traits: { ...traits, directions: side === 'near' ? 'send' : 'receive' },
      })),
    ),
  },
  'end() closes one way, after all that was sent': {
    'tells nobody': says(
      /no error instead of ERR_MILLRACE_CLOSED/,
      withFault(() => ({ end: () => Promise.resolve() })),
    ),
    'closes both': says(
      /nobody receives what is sent/,
      withFault((channel) => ({ end: (options) => channel.close(options) })),
    ),
  },
  'close() loses nothing that was sent': {
    'drops what is on its way': says(
      /is gone/,
      withFault((channel) => ({
        close: () => {
          channel.destroy()
          return Promise.resolve()
        },
        send: (...from) => channel.send(...from).catch(() => undefined),
      })),
    ),
  },
  'an orderly end is undefined, and then nobody takes anything': {
    'never ends': waits(
      /receive\(\)/,
      withFault((channel) => ({
        receive: async (options) => (await channel.receive(options)) ?? (await never()),
      })),
    ),
    'is a death': says(
      /is gone/,
      withFault((channel) => ({
        close: () => {
          channel.destroy()
          return Promise.resolve()
        },
      })),
    ),
    'sends to nobody': waits(
      /for no call/,
      withFault((channel) => ({
        send: (...from) => channel.send(...from).catch(() => undefined),
      })),
    ),
  },
  'destroy() is PEER_GONE to the other side': {
    'is an end': says(
      /no error instead of ERR_MILLRACE_PEER_GONE/,
      withFault((channel) => ({
        receive: () => channel.receive().catch(() => undefined),
      })),
    ),
    'is heard of by nobody': waits(
      /receive\(\)/,
      withFault(() => ({ destroy: () => undefined })),
    ),
  },
  'after close() all is CLOSED': {
    'says that it sends': says(
      /no error instead of ERR_MILLRACE_CLOSED/,
      withFault((channel) => ({
        send: async (...from) => {
          if (!channel.closed) await channel.send(...from)
        },
      })),
    ),
  },
  'closed twice is closed': {
    'refuses the second time': says(
      /^closed$/,
      withFault((channel) => ({
        close: (options) =>
          channel.closed ? Promise.reject(new Error('closed')) : channel.close(options),
      })),
    ),
  },
  'who waits to receive hears CLOSED': {
    'waits for ever': waits(
      /receive\(\)/,
      withFault((channel) => ({
        receive: () => channel.receive().catch(() => never()),
      })),
    ),
    'hears of an end': says(
      /no error instead of ERR_MILLRACE_CLOSED/,
      withFault((channel) => ({
        receive: () => channel.receive().catch(() => undefined),
      })),
    ),
  },
  'who waits to send hears why it was destroyed': {
    'hears something else': says(
      /enough/,
      withFault((channel) => ({
        destroy: () => {
          channel.destroy()
        },
      })),
    ),
  },
  'close() does not wait for ever': {
    'waits for ever': waits(
      /close\(\)/,
      withFault((channel) => ({
        close: () => channel.close({ timeout: Infinity }),
      })),
    ),
  },
  'ref and unref change nothing else': {
    'gives nothing back': says(
      /undefined instead of Channel/,
      withFault((channel) => ({
        unref: () => {
          channel.unref()
          return undefined as never
        },
      })),
    ),
  },
}

const sound = conformance('tcp://127.0.0.1:0').cases.map(({ name }) => name)

test('of each behaviour there is somebody who does not keep it', (t) => {
  t.deepEqual(Object.keys(broken).toSorted(), sound.toSorted())
})

for (const [behaviour, faults] of Object.entries(broken)) {
  for (const [fault, { options, says, patience }] of Object.entries(faults)) {
    // What is found by waiting waits together; the rest comes before, where nothing else is done.
    const declare = patience > 1000 ? test.serial : test
    declare(`${behaviour}: found in one that ${fault}`, async (t) => {
      const suite = conformance('tcp://127.0.0.1:0', { ...options, patience })
      const judged = suite.cases.find(({ name }) => name === behaviour)!
      await t.throwsAsync(judged.run(), { message: says })
      t.is(suite.report.length, 1)
      t.like(suite.report[0], { behaviour, outcome: 'fails' })
    })
  }
}

test('a transport that goes one way is not asked for the other', async (t) => {
  const oneWay = (does: string) => () => {
    throw new MillraceError('ERR_MILLRACE_UNSUPPORTED', `it only ${does}`)
  }
  const suite = conformance(
    'tcp://127.0.0.1:0',
    withFault(({ traits }, side) =>
      side === 'near'
        ? {
            traits: { ...traits, directions: 'send' },
            receive: () => Promise.resolve().then(oneWay('sends')),
            tryReceive: oneWay('sends'),
          }
        : {
            traits: { ...traits, directions: 'receive' },
            send: () => Promise.resolve().then(oneWay('receives')),
            trySend: oneWay('receives'),
          },
    ),
  )
  const report = await suite.run()
  t.deepEqual(
    report.filter(({ outcome }) => outcome === 'fails'),
    [],
  )
  t.is(
    report.find(({ behaviour }) => behaviour.startsWith('the way that there is not'))!.outcome,
    'holds',
  )
})

test('what is not claimed is said to be so, with the reason', async (t) => {
  const suite = conformance(
    'tcp://127.0.0.1:0',
    withFault(({ traits }) => ({ traits: { ...traits, reliable: false, ordered: false } })),
  )
  const judged = suite.cases.find(({ name }) => name === 'messages arrive in order')!
  t.is(await judged.run(), 'not claimed')
  t.deepEqual(suite.report, [
    { behaviour: judged.name, outcome: 'not claimed', why: 'it is not ordered' },
  ])
})

test('a wrong option is named', (t) => {
  for (const wrong of [
    () => conformance(1 as never),
    () => conformance('', { pateince: 1 } as never),
    () => conformance('', { connect: 'tcp' } as never),
    () => conformance('', { patience: -1 }),
  ]) {
    t.throws(wrong, { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  }
})
