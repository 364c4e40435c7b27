// The contract of a gateway: that of whoever serves, of which the gateway knows the names, and no values. What travels goes through as it
// is.

import { bytesCodec } from '../../codec/bytes.js'
import type { Codec } from '../../codec/types.js'
import type { Contract } from '../../rpc/contract.js'

/** The same contract to both sides, by whose codecs nothing is encoded or decoded here. */
export function carriedContract(contract: Contract): Contract {
  const plans = contract.plans.map((plan) => ({
    ...plan,
    input: { codec: carried(plan.input.codec), check: undefined },
    output: { codec: carried(plan.output.codec), check: undefined },
  }))
  return Object.freeze({ ...contract, plans, isCarried: true })
}

/** What others call it, and bytes. Nobody here transfers what comes, so it need not have memory to itself. */
function carried({ name }: Codec): Codec {
  return { ...bytesCodec, name, decode: (bytes) => Buffer.from(bytes) }
}
