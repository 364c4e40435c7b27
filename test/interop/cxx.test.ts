// The support for C++ programs in tests: compiled once, started cheaply, killed like any other peer.

import test from 'ava'

import { uniqueName } from '../support/names.js'
import { compileCxx, runCxx } from '../support/cxx.js'
import { openProducer } from '../support/queues.js'

const holder = 'test/interop/fixtures/holder.cpp'

test.serial('a program is compiled once', async (t) => {
  const [program, again] = await Promise.all([compileCxx(holder), compileCxx(holder)])
  t.is(program, again)
  t.not(await compileCxx(holder, ['-O0']), program, 'other flags make another program')
})

test.serial('what the compiler says is the reason of the failure', async (t) => {
  const error = await t.throwsAsync(compileCxx(holder, ['-D', 'main=no such type main']))
  t.regex(error.message, /holder\.cpp/)
  t.regex(error.message, /error/)
})

test.serial('a C++ program takes a role, is killed, and the role is free', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name)
  for (let round = 0; round < 20; round++) {
    const victim = await runCxx(t, holder, [name])
    await victim.printed('ready')
    t.is(producer.peer, 'attached')
    t.is(producer.peerPid, victim.pid)
    t.is((await victim.kill()).signal, 'SIGKILL')
    t.is(producer.peer, 'gone')
  }
})

test.serial('a program that ends without the line it should print is no riddle', async (t) => {
  const failing = await runCxx(t, holder, ['no/such name'])
  const error = await t.throwsAsync(failing.printed('ready'))
  t.regex(error.message, /ended \(1\) without printing 'ready'/)
  t.regex(error.message, /contains a character other than/)
})
