// The suite finds what is broken: of each behaviour there is a transport that does not keep it, and each is a sound one with one fault.

import { setTimeout as sleep } from 'node:timers/promises'
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

const broken: Readonly<Record<string, Readonly<Record<string, ConformanceOptions>>>> = {
  'connect and listen': {
    'nobody comes to who listens': withListener(() => ({ accept: () => never() })),
    'is closed from the start': withFault(() => ({ closed: true })),
  },
  'port 0 becomes a port': {
    'tells the address as it was given': withListener(() => ({ address: 'tcp://127.0.0.1:0' })),
  },
  'traits and peers are told, and agree': {
    'names another process': withFault(({ peer }) => ({ peer: { ...peer, pid: process.ppid } })),
    'claims another thing at each side': withFault(({ traits }, side) => ({
      traits: { ...traits, reliable: side === 'near' },
    })),
  },
  'one listener has many channels': {
    'counts none': withListener(() => ({ connections: 1 })),
  },
  'a closed listener leaves its channels open': {
    'closes them': (() => {
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
  },
  'nobody listens: connecting is refused': {
    'waits for somebody': {
      connect: (...from) =>
        connect(...from).catch((error: unknown) => {
          if (codeOf(error) === 'ERR_MILLRACE_UNREACHABLE') return never<Channel>()
          throw error
        }),
    },
  },
  'an address is taken once': {
    'listens elsewhere': {
      listen: (address, options) =>
        listen(address, options).catch(() => listen('tcp://127.0.0.1:0', options)),
    },
  },
  'a wrong address is INVALID_ARGUMENT': {
    'throws whatever it likes': {
      connect: (...from) =>
        connect(...from).catch(() => {
          throw new TypeError('wrong')
        }),
    },
  },
  'connecting ends with its signal': {
    'looks at no signal': {
      connect: (address, { signal: _, ...options }) => connect(address, options),
    },
  },
  'accepting ends with its signal and its time': {
    'looks at neither': withListener((listener) => ({ accept: () => listener.accept() })),
  },
  'select waits for connections': {
    'tells nothing': withListener(() => ({
      [selectable]: () => ({ look: () => undefined, watch: () => () => undefined }),
    })),
  },
  'messages arrive in order': {
    'drops one': withFault((channel) => {
      let count = 0
      return {
        send: (...from) => (++count === 100 ? Promise.resolve() : channel.send(...from)),
      }
    }),
    'changes places': withFault((channel) => {
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
  },
  'messages of every length arrive whole': {
    'cuts long ones': withFault((channel) => ({
      send: (message, options) =>
        channel.send(
          typeof message === 'string' ? message : bytesOf(message).subarray(0, 65_535),
          options,
        ),
    })),
    'has no empty ones': withFault((channel) => ({
      send: (message, options) =>
        bytesOf(message).length === 0 ? Promise.resolve() : channel.send(message, options),
    })),
  },
  'a message that is too long is TOO_LARGE': {
    'drops it': withFault((channel) => ({
      send: (...from) =>
        channel.send(...from).catch((error: unknown) => {
          if (codeOf(error) !== 'ERR_MILLRACE_TOO_LARGE') throw error
        }),
    })),
  },
  'bytes are the sender’s again when they were sent': {
    'reads them later': withFault((channel) => ({
      send: (message, options) => {
        setImmediate(() => void channel.send(message, options).catch(() => undefined))
        return Promise.resolve()
      },
    })),
  },
  'many tasks send and receive at once': {
    'mixes them up': withFault((channel) => {
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
    'sends some twice': withFault((channel) => {
      let count = 0
      return {
        send: async (message, options) => {
          if (++count % 100 === 50) await channel.send(message, options)
          await channel.send(message, options)
        },
      }
    }),
  },
  'a receiver that stands still holds the sender up': {
    'takes whatever comes': withFault(() => ({
      trySend: () => true,
      send: () => Promise.resolve(),
    })),
    'drops what has no room': withFault((channel) => ({
      send: async (message) => {
        if (!channel.trySend(message)) await sleep(0)
      },
    })),
  },
  'sending ends with its signal and its time': {
    'looks at no signal': withFault((channel) => ({
      send: (message, { signal: _, ...options } = {}) => channel.send(message, options),
    })),
    'sends it nevertheless': withFault((channel) => ({
      send: async (message, options) => {
        if (options?.signal === undefined) {
          await channel.send(message, options)
          return
        }
        options.signal.throwIfAborted()
        channel.send(message).catch(() => undefined)
        await channel.send(message, options)
      },
    })),
  },
  'receiving ends with its signal and its time, and takes nothing': {
    'looks at neither': withFault((channel) => ({ receive: () => channel.receive() })),
    'takes one': withFault((channel) => ({
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
  },
  'receiveInto writes where it is told': {
    'cuts what does not fit': withFault((channel) => ({
      receiveInto: async (target, options) => {
        const message = await channel.receive(options)
        if (message === undefined) return undefined
        const room = typeof target === 'function' ? target(message.length) : target
        return message.copy(room as Uint8Array)
      },
    })),
  },
  'tryReceive takes what is there': {
    'finds nothing': withFault(() => ({ tryReceive: () => undefined })),
  },
  'leaving a loop closes nothing': {
    'closes it': withFault((channel) => ({
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
  },
  'select waits for messages and for the end': {
    'tells nothing': withFault(() => ({
      [selectable]: () => ({ look: () => undefined, watch: () => () => undefined }),
    })),
  },
  'a wrong argument is INVALID_ARGUMENT': {
    'takes anything': withFault((channel) => ({
      send: (message, options) => channel.send(((message as unknown) ?? '') as string, options),
    })),
  },
  'the way that there is not is UNSUPPORTED': {
    'is there nevertheless': withFault(({ traits }, side) => ({
      traits: { ...traits, directions: side === 'near' ? 'send' : 'receive' },
    })),
  },
  'end() closes one way, after all that was sent': {
    'tells nobody': withFault(() => ({ end: () => Promise.resolve() })),
    'closes both': withFault((channel) => ({ end: (options) => channel.close(options) })),
  },
  'close() loses nothing that was sent': {
    'drops what is on its way': withFault((channel) => ({
      close: () => {
        channel.destroy()
        return Promise.resolve()
      },
      send: (...from) => channel.send(...from).catch(() => undefined),
    })),
  },
  'an orderly end is undefined, and then nobody takes anything': {
    'never ends': withFault((channel) => ({
      receive: async (options) => (await channel.receive(options)) ?? (await never()),
    })),
    'is a death': withFault((channel) => ({
      close: () => {
        channel.destroy()
        return Promise.resolve()
      },
    })),
    'sends to nobody': withFault((channel) => ({
      send: (...from) => channel.send(...from).catch(() => undefined),
    })),
  },
  'destroy() is PEER_GONE to the other side': {
    'is an end': withFault((channel) => ({
      receive: () => channel.receive().catch(() => undefined),
    })),
    'is heard of by nobody': withFault(() => ({ destroy: () => undefined })),
  },
  'after close() all is CLOSED': {
    'says that it sends': withFault((channel) => ({
      send: async (...from) => {
        if (!channel.closed) await channel.send(...from)
      },
    })),
  },
  'closed twice is closed': {
    'refuses the second time': withFault((channel) => ({
      close: (options) =>
        channel.closed ? Promise.reject(new Error('closed')) : channel.close(options),
    })),
  },
  'who waits to receive hears CLOSED': {
    'waits for ever': withFault((channel) => ({
      receive: () => channel.receive().catch(() => never()),
    })),
    'hears of an end': withFault((channel) => ({
      receive: () => channel.receive().catch(() => undefined),
    })),
  },
  'who waits to send hears why it was destroyed': {
    'hears something else': withFault((channel) => ({
      destroy: () => {
        channel.destroy()
      },
    })),
  },
  'close() does not wait for ever': {
    'waits for ever': withFault((channel) => ({
      close: () => channel.close({ timeout: Infinity }),
    })),
  },
  'ref and unref change nothing else': {
    'gives nothing back': withFault((channel) => ({
      unref: () => {
        channel.unref()
        return undefined as never
      },
    })),
  },
}

const sound = conformance('tcp://127.0.0.1:0').cases.map(({ name }) => name)

test('of each behaviour there is somebody who does not keep it', (t) => {
  t.deepEqual(Object.keys(broken).toSorted(), sound.toSorted())
})

for (const [behaviour, faults] of Object.entries(broken)) {
  for (const [fault, options] of Object.entries(faults)) {
    test(`${behaviour}: found in one that ${fault}`, async (t) => {
      // Who waits for ever is not waited for as long.
      const suite = conformance('tcp://127.0.0.1:0', { ...options, patience: 1000 })
      const judged = suite.cases.find(({ name }) => name === behaviour)!
      await t.throwsAsync(judged.run())
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
