// A subscriber of topic-fanout: looks at the number of each message, and says how far it is when it is asked, or now and then where
// the publisher must not be too far ahead.

import { busOf } from '../side/buses/bus.js'
import { Content } from '../side/content.js'
import type { Parameters } from '../side/parameters.js'

const reportsPerWindow = 4

export async function follow(parameters: Parameters): Promise<void> {
  const { window } = parameters
  const content = new Content(parameters)
  const every = window === undefined ? Infinity : Math.max(1, Math.floor(window / reportsPerWindow))
  let received = 0
  let nextReport = every
  let asked = Infinity
  const report = () => {
    process.send?.(received)
    nextReport = received + every
    if (received >= asked) asked = Infinity
  }
  const subscribed = await busOf(parameters).subscribe(parameters, (message) => {
    content.read(message, received)
    received++
    if (received >= nextReport || received >= asked) report()
  })
  const end = new Promise<void>((resolve) => {
    process.on('message', (message: number | string) => {
      if (typeof message !== 'number') resolve()
      else {
        asked = message
        if (received >= asked) report()
      }
    })
  })
  process.send?.('ready')
  await end
  await subscribed.close()
}
