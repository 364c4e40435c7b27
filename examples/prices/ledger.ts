// What a strategy has done, in counters that outlive it: whoever is killed finds them when it is started again.
import { Counter } from 'millrace/sync'

export class Ledger {
  /** Prices that it dealt with. */
  readonly seen: Counter
  /** That it was too slow for. */
  readonly missed: Counter
  /** That were published while it was not there. */
  readonly down: Counter

  constructor(strategy: string) {
    const open = (what: string) => Counter.open(`market.${strategy}.${what}`)
    this.seen = open('seen')
    this.missed = open('missed')
    this.down = open('down')
  }

  /** The number of the last price that it knows what became of. */
  get known(): number {
    return Number(this.seen.get() + this.missed.get() + this.down.get())
  }
}
