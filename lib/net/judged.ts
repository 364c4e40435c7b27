// An address and the options of its connection, judged as `connect` and `listen` judge them, before anything is done.

import type { Address } from '../place/address.js'
import { readConnect, readListen, type ConnectOptions, type ListenOptions } from './options.js'
import { transportOf, type Transport } from './transport.js'

export { readConnect } from './options.js'

/**
 * `others`: as `transportOf` takes them.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function judgeWay(
  address: Address,
  how: 'connect' | 'listen',
  options: ConnectOptions | ListenOptions | undefined,
  others?: readonly string[],
): Transport {
  const transport = transportOf(address, others)
  transport.check(address, how === 'listen' ? readListen(options) : readConnect(options))
  return transport
}
