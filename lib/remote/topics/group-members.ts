// Members of queue groups at the other side of connections, where the bus is. For each there is a member here: what the client has in
// hand is a job in this process's hands.
//
//   joined ──connection closed──► left
//      │ ▲
//      ▼ └──comes back──┐
//      broke ───────────┴──lingerMs──► left
//
// Jobs go back at once, however the connection ended. The member itself stays for a while when the connection broke: if it is the only
// one, what is published meanwhile is kept for it.

import { startTimer, stopTimer, type Timer } from '../../base/time.js'
import { invalidArgument } from '../../errors.js'
import type { Handlers } from '../../rpc/contract.js'
import type { FrameChannel } from '../../rpc/streams/channel.js'
import type { StreamServer } from '../../rpc/streams/server.js'
import type { GroupSubscription } from '../../topics/group.js'
import type { Topics } from '../../topics/topics.js'
import { nothing } from '../headed.js'
import { WorkClient } from '../work/serve.js'
import { groupContract, type JoinFacts } from './group-contract.js'

/** Milliseconds: twice what a client waits at most between two attempts, if nobody said otherwise. */
const lingerMs = 10_000
/** Of more, the one whose connection broke first has left. */
const mostLingering = 16

interface Lingering {
  readonly group: GroupSubscription
  readonly timer: Timer
}

/** All of one share. */
export class GroupMembers {
  readonly #bus: Topics
  readonly #lingering = new Map<string, Lingering>()

  constructor(bus: Topics) {
    this.#bus = bus
  }

  /**
   * Serves one member over one channel.
   *
   * @throws MillraceError `INVALID_ARGUMENT`
   */
  serve(channel: FrameChannel): StreamServer {
    const { serveOver } = require('../../rpc/over.js') as typeof import('../../rpc/over.js')
    let joined: { readonly group: GroupSubscription; readonly member: string } | undefined
    let isAsked = false
    let isOver = false
    const client = new WorkClient(() => {
      if (joined === undefined) throw invalidArgument('a member joins its group first')
      return joined.group.queue
    })
    const handlers: Handlers<typeof groupContract> = {
      ...client.handlers,
      join: async ({ facts }) => {
        const { member } = facts
        if (isAsked || typeof member !== 'string') {
          throw invalidArgument('a member joins one group, once, and has a name')
        }
        isAsked = true
        joined = { group: await this.#join(facts), member }
        if (isOver) joined.group.close()
        return { facts: {}, bytes: nothing }
      },
    }
    const server = serveOver(channel, groupContract, handlers)
    void server.ended.then((broke) => {
      isOver = true
      client.leave()
      if (joined === undefined) return
      if (broke === undefined) joined.group.close()
      else this.#linger(joined.member, joined.group)
    })
    return server
  }

  /** Nobody comes back. */
  close(): void {
    for (const member of this.#lingering.keys()) this.#leave(member)
  }

  async #join({ group, member, ...facts }: JoinFacts): Promise<GroupSubscription> {
    const { filters, policy, replay, depth } = facts
    const back = this.#lingering.get(member)
    if (back?.group.group === group && !back.group.closed) {
      stopTimer(back.timer)
      this.#lingering.delete(member)
      return back.group
    }
    // A client may ask for all there is without knowing how much that is.
    const most = typeof replay === 'number' ? Math.min(replay, this.#bus.messages) : replay
    return await this.#bus.subscribe(filters, { queue: group, policy, replay: most, depth })
  }

  #linger(member: string, group: GroupSubscription): void {
    this.#leave(member)
    if (group.closed) return
    for (const oldest of this.#lingering.keys()) {
      if (this.#lingering.size < mostLingering) break
      this.#leave(oldest)
    }
    const timer = startTimer(lingerMs, () => {
      this.#leave(member)
    })
    this.#lingering.set(member, { group, timer })
  }

  #leave(member: string): void {
    const lingering = this.#lingering.get(member)
    if (lingering === undefined) return
    this.#lingering.delete(member)
    stopTimer(lingering.timer)
    lingering.group.close()
  }
}
