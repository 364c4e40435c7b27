// A gateway in a process of its own, which whoever measures starts: node side/gateway.js CONFIG(JSON). It ends with who started it.

import { Gateway, type GatewayConfig, type RouteConfig } from 'millrace/gateway'

import { echoing } from './echoing.js'

/** What is served in memory says nobody: routes of calls have the contract of the cases. */
function known(route: RouteConfig): RouteConfig {
  return route.kind === 'calls' ? { ...route, contract: echoing } : route
}

const given = JSON.parse(process.argv[2] ?? '') as GatewayConfig
const gateway = await Gateway.start({ ...given, routes: given.routes.map(known) })
process.once('disconnect', () => {
  gateway.close()
  process.exit()
})
process.send?.('ready')
