// What a member of a queue group asks of the process that has the bus. One connection is one member: first it joins, and from then on the
// connection is one to the work queue of the group.

import { contract } from '../../rpc/contract.js'
import { call } from '../../rpc/methods.js'
import type { CallOptions } from '../../rpc/options.js'
import type { Policy } from '../../topics/options.js'
import { headed, type Headed } from '../headed.js'
import { workMethods, type WorkLine } from '../work/contract.js'

/** What a member joins with. */
export interface JoinFacts {
  readonly group: string
  readonly filters: readonly string[]
  readonly policy: Policy
  readonly replay: number
  /** Left out: as much as the bus keeps. */
  readonly depth?: number | undefined
  /** Nobody else knows it: a member that lost its connection is known by it when it comes back. */
  readonly member: string
}

/** The functions of the process that has the bus. */
export const groupContract = contract(
  'millrace.group.1',
  {
    ...workMethods,
    /** Joins the group; nothing else is answered before. */
    join: call<Headed<JoinFacts>, Headed<Readonly<Record<string, never>>>>(),
  },
  { codec: headed },
)

/** One connection, as its client sees it. */
export interface GroupLine extends WorkLine {
  join(input: Headed<JoinFacts>, options?: CallOptions): Promise<unknown>
}
