// What is said of a route of frames, judged before anything is done.

import { checkOptions, flag, show, wholeNumber } from '../base/options.js'
import { engineOf } from '../engines/known.js'
import { invalidArgument } from '../errors.js'
import { parseAddress } from '../place/address.js'
import { addressElsewhere } from '../place/elsewhere.js'
import { placeOf } from '../place/place.js'
import { checkSubject } from '../topics/subjects.js'
import type { FramesRoute } from './config.js'

export const framePolicies = ['overwrite-oldest', 'drop-newest', 'wait'] as const
export const partRange = [1024, 67_108_864] as const
const mostDepth = 4096

/** @throws MillraceError `INVALID_ARGUMENT` */
export function judgeFrames(route: FramesRoute): void {
  judgeSides(route)
  judgeListening(route)
  wholeNumber(route, 'partBytes', partRange[0], partRange)
  checkSubject(subjectOf(route))
  const { fromChannel, toChannel } = route
  if (fromChannel !== undefined) {
    const { policy } = checkOptions(fromChannel, ['policy', 'depth'])
    wholeNumber(fromChannel, 'depth', 1, [1, mostDepth])
    if (policy !== undefined && !framePolicies.includes(policy)) {
      throw invalidArgument(
        `policy of fromChannel must be one of ${framePolicies.join(', ')}, not ${show(policy)}`,
      )
    }
  }
  if (toChannel !== undefined && typeof (toChannel as unknown) !== 'object') {
    throw invalidArgument(
      `toChannel must be an object with slotBytes and slots, not ${show(toChannel)}`,
    )
  }
}

/** What its parts are called at a bus. */
export function subjectOf({ subject, from, to }: FramesRoute): string {
  if (subject !== undefined) return subject
  return `frames.${placeOf(addressElsewhere(from) === undefined ? from : to) as string}`
}

/** Does this gateway listen at the address, and the other one connect? */
export function listens({ listen, from }: FramesRoute): boolean {
  return listen ?? addressElsewhere(from) !== undefined
}

export function isEngine(address: string): boolean {
  return engineOf(parseAddress(address).scheme) !== undefined
}

function judgeListening(route: FramesRoute): void {
  flag(route, 'listen')
  const { listen, from, to } = route
  const address = addressElsewhere(from) ?? addressElsewhere(to)!
  if (listen === undefined || !isEngine(address)) return
  throw invalidArgument(
    'listen is for unix://, tcp:// and tls://: to an engine every gateway connects; take it away',
  )
}

function judgeSides({ from, to, fromChannel, toChannel }: FramesRoute): void {
  const [isFrom, isTo] = [from, to].map((side) => addressElsewhere(side) === undefined)
  if (isFrom === true && isTo === true) {
    throw invalidArgument(
      `'${from}' and '${to}' are both channels of this machine's memory, which whoever can open one of them can open: one side must be an address`,
    )
  }
  if (isFrom !== true && isTo !== true) {
    throw invalidArgument(
      "from and to are both elsewhere: one side must be a channel of this machine's memory; from engine to engine the parts of frames go by a " +
        'route of topics',
    )
  }
  if (isTo === true && toChannel?.slotBytes === undefined) {
    throw invalidArgument(
      `'${to}' is the channel that this gateway writes: say what it has, as in toChannel: { slotBytes: 8388608, slots: 8 }`,
    )
  }
  const [other, its] = isTo === true ? ['fromChannel', fromChannel] : ['toChannel', toChannel]
  if (its === undefined) return
  throw invalidArgument(
    `${other} is for a channel of this machine's memory, and that side is elsewhere: take it away`,
  )
}
