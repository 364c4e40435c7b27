// What servers and clients agree on. Types are enough here; with a schema in their place values would be judged where they arrive.
import { call, contract, stream, upload } from 'millrace/rpc'

export const calculator = contract('calculator', {
  // If its server dies another one does it again: that does no harm.
  divide: call<[number, number], number>({ idempotent: true }),
  // Nobody gets the number that somebody else has got, so this is not done twice.
  ticket: call<undefined, number>(),
  // Many answers, as fast as they are read.
  primes: stream<{ above: number; below?: number }, number>(),
  // Many arguments.
  sum: upload<number, number>(),
})
