// `millrace pub` and `millrace sub`, as somebody types them: on a name, and on an address where a program shares a bus.

import test from 'ava'
import { Topics } from 'millrace/topics'

import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { command, start } from './run.js'

for (const what of ['a name', 'an address'] as const) {
  test(`published and written, by ${what}`, async (t) => {
    const name = uniqueName(t)
    const bus = Topics.open(name)
    t.teardown(() => {
      bus.close()
    })
    let address = name
    if (what === 'an address') {
      const share = await bus.share('tcp://127.0.0.1:0')
      t.teardown(() => share.close())
      address = share.address
    }
    const subscriber = start(command, ['sub', address, 'line1.>', '--limit', '3', '--json'])
    await until(() => bus.stats().subscriptions === 1)
    const one = await start(command, ['pub', address, 'line1.temp', 'warm']).ended
    t.deepEqual([one.code, one.out.toString()], [0, '1 subscriber\n'], one.err)
    const other = await start(command, ['pub', address, 'line2.temp', 'cold']).ended
    t.is(other.out.toString(), '0 subscribers\n')
    const lines = await start(
      command,
      ['pub', address, 'line1.a.b', '--lines'],
      Buffer.from('x\ny\n'),
    ).ended
    t.is(lines.code, 0, lines.err)
    const { code, out, err } = await subscriber.ended
    t.is(code, 0, err)
    const messages = out
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { readonly subject: string; readonly text: string })
    t.deepEqual(
      messages.map(({ subject, text }) => [subject, text]),
      [
        ['line1.temp', 'warm'],
        ['line1.a.b', 'x'],
        ['line1.a.b', 'y'],
      ],
    )
  })
}

test('what is wrong with the command line is said', async (t) => {
  for (const [args, said] of [
    [['pub'], /address and a subject/],
    [['pub', 'a', 'b', 'c', 'd'], /unexpected argument 'd'/],
    [['sub', 'a'], /address and a filter/],
    [['sub', 'a', '>', '--policy', 'drop'], /wait or overwrite-oldest/],
  ] as const) {
    const { code, err } = await start(command, args).ended
    t.is(code, 2, args.join(' '))
    t.regex(err, said)
  }
})
