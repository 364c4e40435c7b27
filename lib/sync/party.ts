// What all primitives that many share have in common: each open handle is a party of its own, and it
// waits in the event loop or blocks its thread.

import { block, type BlockingOptions } from '../base/blocking.js'
import type { NativeParty, NativePartyOptions } from '../addon/party.js'
import { Handle } from '../base/handle.js'
import {
  access,
  checkOptions,
  readTuning,
  type AccessOptions,
  type Tuning,
  type TuningOptions,
  accessNames,
  tuningNames,
} from '../base/options.js'
import type { Attempt, TooLate } from '../base/waiter.js'
import { checkPlace } from '../place/place.js'

/** Options of opening a primitive that many share. */
export interface PartyOptions extends AccessOptions, TuningOptions {}

/** The names of {@link PartyOptions}. */
export const partyNames = [...accessNames, ...tuningNames] as const

/** The common part of all options, read before anything is opened. */
export function readPartyOptions(
  place: unknown,
  given: PartyOptions | undefined,
  known: readonly string[] = partyNames,
): { readonly tuning: Tuning; readonly party: NativePartyOptions } {
  const options = checkOptions(given, known as typeof partyNames)
  return {
    tuning: readTuning(options),
    party: { place: checkPlace(place), ...access(options) },
  }
}

export abstract class Party<Native extends NativeParty> extends Handle<Native> {
  /** @internal */
  protected constructor(kind: string, name: string, native: Native, tuning: Tuning) {
    super(name, `${kind} '${name}'`, native, () => native.watch(), tuning)
  }

  /** @internal */
  protected override closeNative(): void {
    this.native.close()
  }

  /** @internal The first result of `attempt`, blocking this thread. */
  protected block<T>(
    late: TooLate,
    options: BlockingOptions,
    attempt: Attempt<T>,
    givenUp?: () => void,
  ): T {
    return block(
      this.waits,
      late,
      options,
      attempt,
      (spin, timeout) => this.native.wait(spin, timeout),
      givenUp,
    )
  }
}
