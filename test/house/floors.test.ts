// The checker of floors bites: an arrow that points upwards, sideways or in a circle is an error that names the arrow.

import { execFile } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import { ownDirectory } from '../support/directory.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))

/** What the checker says of a tree with these files; empty if it finds nothing wrong. */
async function complaints(
  t: ExecutionContext,
  files: Readonly<Record<string, string>>,
): Promise<string> {
  const directory = ownDirectory(t)
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(directory, 'tsconfig.json'), '{ "compilerOptions": { "module": "nodenext" } }')
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), text)
  }
  const command = [
    join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs'),
    ...['--config', join(root, '.dependency-cruiser.mjs'), '--output-type', 'err', 'lib'],
  ]
  return await new Promise((resolve, reject) => {
    execFile(process.execPath, command, { cwd: directory }, (error, stdout, stderr) => {
      if (error === null) resolve('')
      else if (stdout.includes('error ')) resolve(stdout)
      else reject(new Error(`the checker failed: ${stdout}${stderr}`))
    })
  })
}

const good = {
  'lib/errors.ts': 'export const error = 1\n',
  'lib/addon/native.ts': "import { error } from '../errors.js'\nexport const native = error\n",
  'lib/base/wait.ts': "import { native } from '../addon/native.js'\nexport const wait = native\n",
  'lib/queue/queue.ts': "import { wait } from '../base/wait.js'\nexport type Queue = typeof wait\n",
  'lib/work/work.ts': "import type { Queue } from '../queue/queue.js'\nexport type Work = Queue\n",
  'lib/index.ts': "export type { Queue } from './queue/queue.js'\n",
}

test('a tree in which all arrows point down is right', async (t) => {
  t.is(await complaints(t, good), '')
})

test('an arrow that points upwards is named, of types as well', async (t) => {
  const said = await complaints(t, {
    ...good,
    'lib/base/wrong.ts':
      "import type { Queue } from '../queue/queue.js'\nexport type Wrong = Queue\n",
  })
  t.regex(said, /base → a floor above: lib\/base\/wrong\.ts → lib\/queue\/queue\.ts/)
})

test('an arrow between rooms of one floor is named', async (t) => {
  const said = await complaints(t, {
    ...good,
    'lib/cell/wrong.ts':
      "import type { Queue } from '../queue/queue.js'\nexport type Wrong = Queue\n",
  })
  t.regex(said, /cell → a room beside it: lib\/cell\/wrong\.ts → lib\/queue\/queue\.ts/)
})

test('a circle within a room is named, of types as well', async (t) => {
  const said = await complaints(t, {
    ...good,
    'lib/queue/a.ts': "import type { B } from './b.js'\nexport type A = B | 1\n",
    'lib/queue/b.ts': "import type { A } from './a.js'\nexport interface B { a: A }\n",
  })
  t.regex(said, /a circle: lib\/queue\/[ab]\.ts/)
})

test('a room that has no floor is named, and so is what lib takes from outside', async (t) => {
  const said = await complaints(t, {
    ...good,
    'test/thing.ts': 'export const thing = 1\n',
    'lib/helpers/wrong.ts': "import { error } from '../errors.js'\nexport const wrong = error\n",
    'lib/errors.ts': "import { thing } from '../test/thing.js'\nexport const error = thing\n",
  })
  t.regex(said, /no floor: lib\/helpers\/wrong\.ts/)
  t.regex(said, /lib → outside: lib\/errors\.ts → test\/thing\.ts/)
})
