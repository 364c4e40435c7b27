// Run by a process of its own, which was started with sockets: the suite over them, whose report is printed.
//
//   argv: 'listening' PATH…   descriptor 3 + n listens at the nth path
//         'pairs' COUNT       descriptors 3 + 2n and 4 + 2n are the ends of a connection

import { connect } from 'millrace/net'
import { conformance } from 'millrace/net/conformance'

const first = 3
const [how, ...rest] = process.argv.slice(2)

let used = 0
const suite =
  how === 'listening'
    ? conformance(() => `fd://${String(first + used++)}`, {
        // The path of each is known; a wrong address is refused as it is.
        connect: (address, options) => {
          const path = rest[Number(address.slice('fd://'.length)) - first]
          return connect(address === 'fd://' ? address : `unix://${path!}`, options)
        },
      })
    : conformance('fd://3', {
        pair: async (options) => {
          const at = first + 2 * used++
          const ends = [at, at + 1].map((fd) => connect(`fd://${String(fd)}`, options))
          const [near, far] = await Promise.all(ends)
          return { near: near!, far: far! }
        },
      })

const report = await suite.run()
process.stdout.write(JSON.stringify(report), () => {
  process.exit()
})
