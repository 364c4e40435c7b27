// How channels come to be: addresses, listeners, and what is known of the other side.

import type { Channel } from '../net/channel.js'
import type { Behaviour } from './behaviour.js'
import {
  assert,
  claims,
  hushed,
  looked,
  numbered,
  numberOf,
  pause,
  rejects,
  same,
  selected,
  taken,
  until,
  waysOf,
  type Scene,
} from './scene.js'

export const connecting: readonly Behaviour[] = [
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
        assert.ok(['exact', 'timeout'].includes(traits.death), 'death')
        assert.ok(['both', 'send', 'receive'].includes(traits.directions), 'directions')
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
    },
  },
  {
    name: 'one listener has many channels',
    async judge(scene: Scene): Promise<void> {
      const listener = await scene.listen()
      const count = 16
      const nears = await Promise.all(
        Array.from({ length: count }, () => scene.connect(listener.address)),
      )
      const fars: Channel[] = []
      while (fars.length < count) {
        const far = await listener.accept()
        assert.ok(far !== undefined)
        fars.push(scene.track(far))
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
    name: 'a closed listener leaves its channels open',
    async judge(scene: Scene): Promise<void> {
      const listener = await scene.listen()
      const ends = await scene.join(listener)
      const unasked = await scene.connect(listener.address)
      const pending = hushed(
        (async () => {
          const first = await listener.accept()
          first?.destroy()
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
      unasked.destroy()
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
      const near = await scene.connect(listener.address)
      const far = await listener.accept()
      assert.ok(far !== undefined)
      scene.track(far)
      same(near.closed, false)
    },
  },
  {
    name: 'accepting ends with its signal and its time',
    async judge(scene: Scene): Promise<void> {
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
      scene.track(far)
    },
  },
  {
    name: 'select waits for connections',
    async judge(scene: Scene): Promise<void> {
      const listener = await scene.listen()
      same(looked(listener), undefined)
      const told = selected(listener)
      await scene.connect(listener.address)
      same(await told, 'ready')
      const far = await listener.accept()
      assert.ok(far !== undefined)
      scene.track(far)
      const ended = selected(listener)
      await listener.close()
      same(await ended, 'ended')
    },
  },
]
