// How channels come to be: addresses, listeners, and what is known of the other side.

import type { Channel } from '../net/channel.js'
import {
  assert,
  claims,
  hushed,
  isLog,
  looked,
  numbered,
  numberOf,
  pause,
  rejects,
  same,
  taken,
  until,
  waysOf,
  type Scene,
} from './scene.js'
import type { Asked } from './suite.js'

export const connecting: readonly Asked<Scene>[] = [
  {
    name: 'connect and listen',
    async judge(scene: Scene): Promise<void> {
      const { near, far, listener } = await scene.open()
      same(near.closed, false)
      same(far.closed, false)
      for (const { from, to } of waysOf({ near, far })) {
        await from.send('hello')
        same((await taken(to)).toString(), 'hello')
      }
      if (listener === undefined) return
      same(listener.closed, false)
      same(listener.connections, 1)
    },
  },
  {
    name: 'port 0 becomes a port',
    async judge(scene: Scene): Promise<void> {
      const address = await scene.making.address()
      claims(/^[^/]*:\/\/[^/?]+:0(?:[/?].*)?$/.test(address), 'its addresses have no port')
      const listener = await scene.listen()
      assert.match(listener.address, /^[^/]*:\/\/[^/?]+:[1-9]\d*(?:[/?].*)?$/)
      await scene.join(listener)
    },
  },
  {
    name: 'traits and peers are told, and agree',
    async judge(scene: Scene): Promise<void> {
      const { near, far, listener } = await scene.open()
      for (const { traits, peer, address } of [near, far]) {
        assert.ok(address.length > 0, 'an address')
        for (const key of ['zeroCopy', 'reliable', 'ordered'] as const)
          same(typeof traits[key], 'boolean', key)
        assert.ok(Number.isInteger(traits.maxBytes) && traits.maxBytes > 0, 'maxBytes')
        assert.ok(['exact', 'timeout', 'none'].includes(traits.death), 'death')
        assert.ok(['both', 'send', 'receive'].includes(traits.directions), 'directions')
        assert.ok([undefined, 'one', 'many'].includes(traits.connections), 'connections')
        // Both sides are here; of pairs somebody else may have made the sockets.
        if (listener === undefined) continue
        if (peer.pid !== undefined) same(peer.pid, process.pid)
        if (peer.uid !== undefined) same(peer.uid, process.getuid?.())
        if (peer.gid !== undefined) same(peer.gid, process.getgid?.())
      }
      const mirrored = { both: 'both', send: 'receive', receive: 'send' } as const
      same(far.traits.reliable, near.traits.reliable)
      same(far.traits.ordered, near.traits.ordered)
      same(far.traits.directions, mirrored[near.traits.directions])
      same(isLog(far), isLog(near))
      same(far.traits.connections, near.traits.connections)
    },
  },
  {
    name: 'one listener has many channels',
    async judge(scene: Scene): Promise<void> {
      const listener = await scene.listen()
      const count = 16
      const first = await scene.connect(listener.address)
      claims(!isAlone(first), 'one may be connected at a time')
      const others = Array.from({ length: count - 1 }, () => scene.connect(listener.address))
      const nears = [first, ...(await Promise.all(others))]
      const fars: Channel[] = []
      while (fars.length < count) {
        const far = await listener.accept()
        assert.ok(far !== undefined, 'not so: far !== undefined')
        fars.push(far)
      }
      same(listener.connections, count)
      if (nears[0]!.traits.directions !== 'receive') {
        await Promise.all(nears.map((near, number) => near.send(numbered(number))))
        const got = await Promise.all(fars.map(async (far) => numberOf(await taken(far))))
        assert.deepEqual(
          got.toSorted((a, b) => a - b),
          Array.from(nears, (_, number) => number),
          'each has what its own other side sent',
        )
      }
      for (const channel of [...nears, ...fars]) channel.destroy()
      await until(() => listener.connections === 0, 'connections goes down to 0')
    },
  },
  {
    name: 'one is connected at a time',
    async judge(scene: Scene): Promise<void> {
      const listener = await scene.listen()
      const { near, far } = await scene.join(listener)
      claims(isAlone(near), 'any number may be connected')
      await rejects(scene.connect(listener.address), 'ERR_MILLRACE_ROLE_TAKEN')
      await near.close()
      if (!isLog(near)) await far.close()
      const next = await scene.connectNext(listener.address)
      await next.send('of the next one')
      const to = isLog(near) ? far : await listener.accept()
      assert.ok(to !== undefined, 'not so: to !== undefined')
      same((await taken(to)).toString(), 'of the next one')
    },
  },
  {
    name: 'what was sent outlives who sent it',
    async judge(scene: Scene): Promise<void> {
      const listener = await scene.listen()
      const { near } = await scene.join(listener)
      claims(isLog(near), 'it is no log')
      for (let i = 0; i < 3; i++) await near.send(numbered(i))
      await near.close()
      await listener.close()
      const later = await scene.listenAt(listener.address)
      const reader = await later.accept()
      assert.ok(reader !== undefined, 'not so: reader !== undefined')
      for (let i = 0; i < 3; i++) same(numberOf(await taken(reader)), i)
    },
  },
  {
    name: 'a closed listener leaves its channels open',
    async judge(scene: Scene): Promise<void> {
      const listener = await scene.listen()
      const ends = await scene.join(listener)
      const unasked = isAlone(ends.near) ? undefined : await scene.connect(listener.address)
      const pending = hushed(
        (async () => {
          if (unasked !== undefined) (await listener.accept())?.destroy()
          return await listener.accept()
        })(),
      )
      await until(() => listener.connections <= 1, 'an accepted channel that is destroyed is gone')
      await pause()
      await Promise.all([listener.close(), listener.close()])
      same(await pending, undefined, 'who waits hears that there are no more')
      same(await listener.accept(), undefined)
      same(listener.closed, true)
      for await (const channel of listener) assert.fail(channel.address)
      unasked?.destroy()
      for (const { from, to } of waysOf(ends)) {
        await from.send('still')
        same((await taken(to)).toString(), 'still')
      }
    },
  },
  {
    name: 'nobody listens: connecting is refused',
    async judge(scene: Scene): Promise<void> {
      const listener = await scene.listen()
      const { address } = listener
      const { near, far } = await scene.join(listener)
      claims(!isLog(near), 'a log needs nobody who listens')
      for (const channel of [near, far]) channel.destroy()
      await listener.close()
      await assert.rejects(scene.connect(address), (error: { code?: unknown }) => {
        assert.ok(
          error.code === 'ERR_MILLRACE_NOT_FOUND' || error.code === 'ERR_MILLRACE_UNREACHABLE',
          String(error.code),
        )
        return true
      })
    },
  },
  {
    name: 'an address is taken once',
    async judge(scene: Scene): Promise<void> {
      const listener = await scene.listen()
      const { listen, listening } = scene.making
      claims(!listener.address.startsWith('fd://'), 'its addresses are sockets already')
      claims(!isLog(await scene.connect(listener.address)), 'any number may read a log')
      const another = listen(listener.address, listening)
      another.then((one) => one.close()).catch(() => undefined)
      await rejects(another, 'ERR_MILLRACE_EXISTS')
    },
  },
  {
    name: 'a wrong address is INVALID_ARGUMENT',
    async judge(scene: Scene): Promise<void> {
      const { making } = scene
      claims(making.pair === undefined, 'its ends are made in pairs')
      const scheme = /^[^:]*/.exec(await making.address())![0]
      for (const address of making.wrong ?? [`${scheme}://`]) {
        // Of a name it is said as of every name.
        const code = /^ERR_MILLRACE_INVALID_(?:ARGUMENT|NAME)$/
        await assert.rejects(making.connect(address, making.connecting), { code })
        await assert.rejects(making.listen(address, making.listening), { code })
      }
    },
  },
  {
    name: 'connecting ends with its signal',
    async judge(scene: Scene): Promise<void> {
      const listener = await scene.listen()
      const aborted = AbortSignal.abort()
      await rejects(scene.connect(listener.address, { signal: aborted }), 'ERR_MILLRACE_ABORTED')
      const control = new AbortController()
      const connecting = scene.connect(listener.address, { signal: control.signal })
      control.abort()
      await rejects(connecting, 'ERR_MILLRACE_ABORTED')
      // Whoever was given up may have come to the listener before.
      const near = await scene.connectNext(listener.address)
      const far = await listener.accept()
      assert.ok(far !== undefined, 'not so: far !== undefined')
      same(near.closed, false)
    },
  },
  {
    name: 'accepting ends with its signal and its time',
    async judge(scene: Scene): Promise<void> {
      await claimsToWait(scene)
      const listener = await scene.listen()
      await rejects(listener.accept({ timeout: 20 }), 'ERR_MILLRACE_TIMEOUT')
      const control = new AbortController()
      const aborted = listener.accept({ signal: control.signal })
      const next = listener.accept()
      control.abort()
      await rejects(aborted, 'ERR_MILLRACE_ABORTED')
      await scene.connect(listener.address)
      const far = await next
      assert.ok(far !== undefined, 'who waits behind is served')
    },
  },
  {
    name: 'select waits for connections',
    async judge(scene: Scene): Promise<void> {
      await claimsToWait(scene)
      const listener = await scene.listen()
      same(looked(listener), undefined)
      const told = scene.selected(listener)
      await scene.connect(listener.address)
      same(await told, 'ready')
      assert.ok(
        (await listener.accept()) !== undefined,
        'not so: (await listener.accept()) !== undefined',
      )
      const ended = scene.selected(listener)
      await listener.close()
      same(await ended, 'ended')
    },
  },
]

const isAlone = ({ traits }: Channel): boolean => traits.connections === 'one'

/** Of a log there is a channel at once, whoever comes. */
async function claimsToWait(scene: Scene): Promise<void> {
  claims(scene.making.pair === undefined, 'its ends are made in pairs')
  const { near } = await scene.open()
  claims(!isLog(near), 'a log needs nobody who connects')
}
