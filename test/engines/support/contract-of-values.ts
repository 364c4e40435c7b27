// What calls of many values call.

import { contract, duplex, stream, upload, type Handlers } from 'millrace/rpc'

export const values = contract('values', {
  count: stream<number, number>(),
  endless: stream<number, string>(),
  breaks: stream<number, number>(),
  sum: upload<number, number>(),
  first: upload<string, string>(),
  double: duplex<number, number>(),
})
export type Values = typeof values

/** What the handlers have done. */
export interface SeenValues {
  /** Of endless(). */
  sent: number
  returned: boolean
  /** Of first() and sum(). */
  taken: number
  ended: boolean
}

export function valueHandlers(seen: SeenValues): Handlers<Values> {
  return {
    async *count(n) {
      for (let i = 0; i < n; i++) yield await Promise.resolve(i)
    },
    async *endless(length) {
      try {
        for (;;) {
          await Promise.resolve()
          yield 'x'.repeat(length)
          seen.sent++
        }
      } finally {
        seen.returned = true
      }
    },
    async *breaks(n) {
      for (let i = 0; i < n; i++) yield await Promise.resolve(i)
      throw Object.assign(new RangeError('in the middle'), { code: 'E_MINE' })
    },
    async sum(items) {
      let sum = 0
      try {
        for await (const item of items) {
          sum += item
          seen.taken++
        }
      } finally {
        seen.ended = true
      }
      return sum
    },
    async first(items) {
      for await (const item of items) {
        seen.taken++
        return item
      }
      return 'none'
    },
    async *double(items) {
      for await (const item of items) yield item * 2
    },
  }
}
