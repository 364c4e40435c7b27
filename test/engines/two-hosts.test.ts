// The example of two hosts over a server of NATS; over tcp:// it is run with the other examples.

import test from 'ava'

import { example, objects, start } from '../cli/run.js'

test('two hosts joined over NATS: every order has one receipt, though a gateway is killed', async (t) => {
  const { code, out, err } = await start(example('two-hosts/start'), ['nats']).ended
  t.is(code, 0, err)
  t.regex(out.toString(), /^over nats: 400 orders, 400 receipts, 0 of them twice$/m)
  t.deepEqual([...objects('j.shop.'), ...objects('j.works.')], [])
})
