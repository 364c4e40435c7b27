// Frames in listeners for the end of the process: the library has left its channels by then, and says so.

import { spawnSync } from 'node:child_process'
import test from 'ava'
import { objectsOf, uniqueName } from '../support/names.js'

const program = `
  const { FrameReader, FrameWriter } = require('millrace')
  const { writeSync } = require('node:fs')
  async function main(name, how) {
    const writer = FrameWriter.create(name, { slotBytes: 8, slots: 4 })
    const reader = await FrameReader.open(name)
    writer.tryLoan().publish()
    const frame = reader.tryReceive()
    const loan = writer.tryLoan()
    const ahead = FrameWriter.create(name + '.2', { slotBytes: 8 })
    ahead.tryLoan().publish() // has loaned the next slot already
    const uses = {
      'loan.bytes': () => loan.bytes,
      'loan.header': () => loan.header,
      'loan.view': () => loan.view(Uint8Array),
      'loan.write': () => loan.write(new Uint8Array(1)),
      'loan.publish': () => loan.publish(),
      'writer.tryLoan': () => writer.tryLoan(),
      'a loan made ahead': () => ahead.tryLoan(),
      'frame.bytes': () => frame.bytes,
      'frame.header': () => frame.header,
      'frame.view': () => frame.view(Uint8Array),
      'frame.copyTo': () => frame.copyTo(new Uint8Array(1)),
      'reader.tryReceive': () => reader.tryReceive(),
      'reader.latest': () => reader.latest(),
    }
    process.on('exit', () => {
      const told = {}
      for (const [what, use] of Object.entries(uses)) {
        try {
          use()
          told[what] = 'done'
        } catch (error) {
          told[what] = error.code
        }
      }
      loan.discard()
      frame.release()
      writer.close()
      writeSync(1, JSON.stringify(told))
    })
    if (how === 'exit') process.exit()
  }
  main(...process.argv.slice(1))
`

for (const how of ['exit', 'dry']) {
  test(`in an exit listener every use of a frame is refused (${how})`, (t) => {
    const name = uniqueName(t)
    const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', program, name, how], {
      timeout: 20_000,
    })
    t.is(status, 0, stderr.toString())
    const told = JSON.parse(stdout.toString()) as Record<string, string>
    t.is(Object.keys(told).length, 13)
    for (const [what, code] of Object.entries(told)) t.is(code, 'ERR_MILLRACE_CLOSED', what)
    t.deepEqual([...objectsOf(name), ...objectsOf(`${name}.2`)], [])
  })
}
