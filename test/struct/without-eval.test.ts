// The same values where code from strings is forbidden.

import '../support/without-eval.js'
import './values.test.js'

import { execFileSync } from 'node:child_process'
import test from 'ava'

test('code from strings is forbidden here', (t) => {
  // eslint-disable-next-line @typescript-eslint/no-implied-eval
  t.throws(() => new Function('return 1'), { instanceOf: EvalError })
})

test('node --disallow-code-generation-from-strings is no obstacle', (t) => {
  const program = `
    import { struct, f64, array } from 'millrace/struct'
    const Any = struct({ a: f64, b: array(f64, 2) })
    const view = Any.view(new ArrayBuffer(Any.size))
    view.a = 1
    view.b.set(1, 2)
    console.log(JSON.stringify(view))`
  const flags = ['--disallow-code-generation-from-strings', '--input-type=module', '-e']
  const printed = execFileSync(process.execPath, [...flags, program], { encoding: 'utf8' })
  t.is(printed, '{"a":1,"b":[0,2]}\n')
})
