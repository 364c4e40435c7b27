// A gateway in a process of its own, which whoever measures starts: node side/gateway.js CONFIG(JSON). It ends with who started it.

import { Gateway, type GatewayConfig } from 'millrace/gateway'

const gateway = await Gateway.start(JSON.parse(process.argv[2] ?? '') as GatewayConfig)
process.once('disconnect', () => {
  gateway.close()
  process.exit()
})
process.send?.('ready')
