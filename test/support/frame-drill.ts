// Frames from a channel over two gateways into another channel, both of which are killed at random meanwhile. What is shown is whole, in order, once;
// readers never hang; afterwards the channel goes on, every frame is counted, and nothing is left in /dev/shm.

import type { ExecutionContext } from 'ava'
import { MillraceError, sweep, type FrameReader } from 'millrace'
import type { FramesRoute, GatewayConfig, RouteStatus } from 'millrace/gateway'

import { objectsOf, uniqueName } from './names.js'
import { camera, seen, shoot, viewer } from './pictures.js'
import { run, type Run } from './process.js'
import { Random } from './random.js'
import { until, within } from './until.js'

const patience = 90_000
const fixture = new URL('../gateway/fixtures/gateway.js', import.meta.url)
const slotBytes = 2 ** 19
const kills = 3
/** Frames that are counted one by one, when both gateways live. */
const counted = 40

export interface FrameWay {
  /** What the routes of both gateways have beside their channels. */
  readonly out: Pick<FramesRoute, 'to'> & Partial<FramesRoute>
  readonly into: Pick<FramesRoute, 'from'> & Partial<FramesRoute>
}

/** Frames as they are seen by somebody who looks for as long as there is a channel, whoever writes it. */
class Looking {
  readonly numbers: number[] = []
  readonly #t: ExecutionContext
  readonly #reader: FrameReader
  #over = false
  readonly ended: Promise<void>

  constructor(t: ExecutionContext, reader: FrameReader) {
    this.#t = t
    this.#reader = reader
    this.ended = this.#look()
  }

  async end(): Promise<void> {
    this.#over = true
    this.#reader.close()
    await this.ended
  }

  async #look(): Promise<void> {
    while (!this.#over) {
      try {
        using frame = await this.#reader.receive()
        if (frame !== undefined) {
          this.numbers.push(seen(this.#t, frame).number)
          continue
        }
      } catch (error) {
        if (this.#isOver()) return
        if (!(error instanceof MillraceError) || error.code !== 'ERR_MILLRACE_PEER_GONE')
          throw error
      }
      await this.#reader.waitForPeer().catch((error: unknown) => {
        if (!this.#isOver()) throw error
      })
    }
  }

  #isOver(): boolean {
    return this.#over // by now
  }
}

async function gatewayOf(t: ExecutionContext, config: GatewayConfig): Promise<Run> {
  const gateway = run(t, fixture, [JSON.stringify(config)])
  await gateway.next(patience)
  return gateway
}

async function statusOf(gateway: Run): Promise<RouteStatus> {
  gateway.send('status')
  const [status] = (await gateway.next(patience)) as readonly RouteStatus[]
  return status!
}

const isRunning = async (gateway: Run): Promise<boolean> =>
  (await statusOf(gateway)).state === 'running'

export async function killedAtRandom(t: ExecutionContext, way: FrameWay): Promise<void> {
  t.timeout(3 * patience)
  const [near, far] = [uniqueName(t, { mayLeave: true }), uniqueName(t, { mayLeave: true })]
  const writer = camera(t, near, { slotBytes, slots: 6 })
  const parts = { partBytes: 65_536 }
  const configs: readonly GatewayConfig[] = [
    { host: 'here', routes: [{ kind: 'frames', from: near, ...parts, ...way.out }] },
    {
      host: 'there',
      routes: [
        { kind: 'frames', to: far, toChannel: { slotBytes, slots: 6 }, ...parts, ...way.into },
      ],
    },
  ]
  // Somebody must have made the channel before anybody can look.
  const first = await gatewayOf(t, configs[1]!)
  const looking = new Looking(t, await viewer(t, far, { policy: 'overwrite-oldest' }))
  const { numbers } = looking
  await first.end()
  const killed = [0, 0]
  let over = false
  const isOver = (): boolean => over
  const killing = configs.map(async (config, which) => {
    const random = new Random(23 + which)
    while (Math.min(...killed) < kills) {
      const gateway = await gatewayOf(t, config)
      const wanted = numbers.length + 5 + random.below(15)
      await until(() => Math.min(...killed) >= kills || numbers.length >= wanted, patience)
      await gateway.end()
      killed[which]!++
    }
  })
  let number = 0
  const shooting = (async () => {
    while (!isOver()) {
      await shoot(writer, ++number)
      await new Promise((turn) => setImmediate(turn))
    }
  })()
  await Promise.all(killing)
  over = true
  await shooting
  t.true(numbers.length >= 15, String(numbers.length))

  // Others take their places, and the channel goes on.
  const [here, there] = [await gatewayOf(t, configs[0]!), await gatewayOf(t, configs[1]!)]
  await until(async () => (await isRunning(here)) && (await isRunning(there)), patience)
  await until(async () => {
    await shoot(writer, ++number)
    return numbers.at(-1)! > number - 6
  }, patience)
  // What was on its way has arrived, or was counted: from here on it is known how many frames there are.
  const isStill = async (): Promise<boolean> => {
    const { delivered, dropped, inFlight, frames } = await statusOf(here)
    return inFlight === 0 && frames!.taken + frames!.dropped.skipped === delivered + dropped
  }
  await until(async () => numbers.at(-1) === number && (await isStill()), patience)
  const before = await Promise.all([here, there].map(statusOf))
  for (let count = 0; count < counted; count++) await shoot(writer, ++number)
  const made = (statuses: readonly RouteStatus[], which: 0 | 1): number => {
    const [was, is] = [before[which]!, statuses[which]!]
    return is.delivered + is.dropped - was.delivered - was.dropped
  }
  await until(async () => {
    const statuses = await Promise.all([here, there].map(statusOf))
    const arrived = statuses[0]!.delivered - before[0]!.delivered
    return made(statuses, 0) === counted && made(statuses, 1) === arrived
  }, patience)
  await until(() => numbers.at(-1) === number, patience)
  t.true(
    numbers.every((one, at) => at === 0 || one > numbers[at - 1]!),
    numbers.join(),
  )

  await looking.end()
  for (const gateway of [here, there]) {
    gateway.send('drain')
    t.is((await within(patience, gateway.ended(patience))).code, 0)
  }
  writer.close()
  sweep({ prefix: near })
  sweep({ prefix: far })
  t.deepEqual([objectsOf(near), objectsOf(far)], [[], []])
}
