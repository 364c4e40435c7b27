// Calls whose servers or clients die. Every call has one outcome, and it is true: how often each was executed is known outside.

import { setImmediate as turn } from 'node:timers/promises'
import { connect, serve, type CallServer, type Connected } from 'millrace/rpc'

import { codeOf, expect, Ground, peerGone, Pulse, soon } from './arena.js'
import { contentOf, numberIn } from './content.js'
import { chaos, handlersOf, isOnce, Runs, survivors } from './rpc-party.js'

/** Few, so that one that is lost is missed soon. */
const memory = { calls: 32, bytes: 2 ** 16 }
const callers = 4

/** Loops of calls, one after the other each. */
class Calling {
  readonly pulse = new Pulse()
  readonly completed = Array.from({ length: callers }, () => 0)
  gone = 0
  unexecuted = 0

  get least(): number {
    return Math.min(...this.completed)
  }
}

export class RpcArena extends Ground {
  readonly kind = 'rpc'
  readonly sides = ['server', 'client']
  readonly #callings = { server: new Calling(), client: new Calling() }
  readonly #clients: Connected<typeof chaos>[] = []
  readonly #servers: CallServer[] = []
  readonly #runs: Runs[] = []
  #number = 0

  get figures(): Readonly<Record<string, number>> {
    const { gone, unexecuted } = this.#callings.server
    return { 'of which not executed': unexecuted, 'perhaps executed': gone - unexecuted }
  }

  async open(): Promise<void> {
    for (const side of ['server', 'client'] as const) {
      const place = this.place(side)
      const runs = Runs.create(place)
      this.#runs.push(runs)
      this.#servers.push(await serve(place, chaos, handlersOf(runs), memory))
      const client = await connect(place, chaos)
      this.#clients.push(client)
      for (let i = 0; i < callers; i++) {
        this.survive(() => this.#call(client, this.#callings[side], i, runs))
      }
    }
  }

  async #call(client: Connected<typeof chaos>, calling: Calling, which: number, runs: Runs) {
    while (!this.isOver) {
      const number = 1 + (this.#number++ % (survivors - 1))
      runs.clear(number)
      this.traffic.sent++
      try {
        const answer = await client[isOnce(number) ? 'once' : 'again'](contentOf(number))
        expect(numberIn(answer) === number + 1, `call ${number} was answered wrongly`)
        expect(runs.of(number) > 0, `call ${number} was answered, and never executed`)
        this.traffic.received++
      } catch (error) {
        if (codeOf(error) !== peerGone) throw error
        const { executed } = error as { executed?: string }
        expect(isOnce(number), `call ${number} was not given to another server`)
        expect(executed === 'no' || executed === 'unknown', `executed: ${String(executed)}`)
        if (executed === 'no') {
          expect(runs.of(number) === 0, `call ${number} was executed, and is said not to be`)
          calling.unexecuted++
        }
        calling.gone++
        this.traffic.lost++
      }
      if (isOnce(number)) expect(runs.of(number) <= 1, `call ${number} was executed twice`)
      calling.pulse.beat()
      calling.completed[which]!++
      await turn()
    }
  }

  async recover(side: string, death: bigint): Promise<number | undefined> {
    const calling = this.#callings[side as 'server' | 'client']
    const goals = calling.completed.map((count) => count + 2)
    await soon(`a caller beside a ${side} that died`, () => {
      this.assertSound()
      return calling.completed.every((count, which) => count >= goals[which]!)
    })
    return calling.pulse.since(death)
  }

  whileStopped(side: string): () => void {
    const calling = this.#callings[side as 'server' | 'client']
    const { gone } = calling
    return () => {
      this.assertSound()
      expect(calling.gone === gone, `a stopped ${side} was taken for dead`)
    }
  }

  protected leave(): void {
    // Nobody calls any more: what they have under way ends with their clients.
    this.over.abort()
    for (const client of this.#clients) client.close()
    for (const server of this.#servers) server.close()
    for (const runs of this.#runs) runs.close()
  }
}
