// What is called at the beginning of a request.

import { call, contract } from 'millrace/rpc'

export const shop = contract('shop', { order: call<string, string>() })
