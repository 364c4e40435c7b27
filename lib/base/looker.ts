// Who waits in the event loop, as those see it who have many do together what each could do alone.

import { Member } from './linked-list.js'

/** Polls, or is about to park; never both. */
export abstract class Looker extends Member<Looker> {
  /** @internal In a turn of the event loop that it asked for, which began at `time`, and which it shares with so many. */
  abstract look(time: number, lookers: number): void
  /** @internal Says that it is parked (S1). May leave the list it is in, if it finds that there is nothing to wait for. */
  abstract announce(): void
  /** @internal Looks once more (S3), after `announce` and the fence. */
  abstract lookAnnounced(): void
  /** @internal All three steps at once. */
  abstract parkAlone(): void
}
