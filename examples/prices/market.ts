// What all processes of the example agree on: the bus, its subjects, and what is published there.
import { f64, struct, u32 } from 'millrace/struct'
import { topics, Topics } from 'millrace/topics'

/** `number` is 1, 2, 3, … for each kind: who gets all of a kind can tell what it did not get. */
export const Price = struct({ value: f64, number: u32 }, { name: 'Price' })

/** How many prices there were. */
export const Close = struct({ currencies: u32, metals: u32 }, { name: 'Close' })

export const kinds = {
  currencies: ['EURUSD', 'EURGBP', 'USDJPY'],
  metals: ['GOLD', 'SILVER'],
} as const
export type Kind = keyof typeof kinds

export function openMarket() {
  const subjects = { 'price.currencies.*': Price, 'price.metals.*': Price, close: Close }
  return topics(Topics.open('market'), { subjects })
}
