// TypeScript that is run at once, through tsx: the examples, and the loop of docs/install.md that goes on when producers
// die. tsx is esbuild, which translates `using` in loops wrongly; that is shown, too, so that a version which does not
// anymore is noticed, and the warning taken back.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { newName } from './exchange.mjs'
import { describe, run, succeed } from './process.mjs'
import { leftBehind } from './shared-memory.mjs'
import { copyOf, documented, root, runtimes } from './site.mjs'

const node = join(runtimes, 'node24/bin/node')
const tsx = [node, join(runtimes, 'tsx/dist/cli.mjs')]
const common = { host: 'linux-x64', binary: 'linux-x64/millrace.glibc.node' }
const row = () => {
  const { version } = JSON.parse(readFileSync(join(runtimes, 'tsx/package.json'), 'utf8'))
  return { runtime: `tsx ${version}`, platform: 'linux-x64 glibc' }
}

const examples = [
  {
    channel: 'ticks',
    sides: ['messages/consumer', 'messages/producer'],
    last: (text) => text.endsWith('tick 5\n'),
  },
  {
    channel: 'camera',
    sides: ['frames/analyser', 'frames/camera'],
    last: (text) => text.endsWith('frame 100: 8294400 bytes of 100\n'),
  },
]

/** Sends its number and waits for its end. */
const producer = `
  const { SpscQueue } = await import('millrace')
  const [name, number, last] = process.argv.slice(1)
  const ticks = SpscQueue.producer(name)
  await ticks.push('tick ' + number)
  if (last) await ticks.end()
  else setInterval(() => {}, 1000)
`

const unsafe = `
  class Resource { [Symbol.dispose]() {} }
  for (let round = 1; round <= 3; round++) {
    try {
      using resource = new Resource()
      if (round === 1) throw new Error('first')
    } catch (error) {
      console.log(round, String(error))
    }
  }
`

export const translatedCases = [
  {
    name: 'tsx/examples',
    what: 'the examples, as they are',
    ...common,
    async run({ app }) {
      const folder = copyOf(app, 'tsx-examples')
      for (const { channel, sides, last } of examples) {
        const name = newName()
        for (const side of sides) writeUnderName(folder, side, channel, name)
        const [receiver, sender] = await Promise.all(
          sides.map((side) => run([...tsx, fileOf(side)], { cwd: folder, seconds: 100 })),
        )
        if (sender.code !== 0) throw new Error(`${sides[1]}: ${describe(sender)}`)
        if (receiver.code !== 0 || !last(receiver.stdout))
          throw new Error(`${sides[0]}: ${describe(receiver)}`)
        assertNothingLeft(name)
      }
      return row()
    },
  },
  {
    name: 'tsx/restart',
    what: 'the loop of docs/install.md, over two producers that are killed and one that ends',
    ...common,
    async run({ app }) {
      const folder = copyOf(app, 'tsx-restart')
      const name = newName()
      const program = documented('docs/install.md', 'restart.ts').replaceAll("'ticks'", `'${name}'`)
      writeFileSync(join(folder, 'restart.ts'), program)
      await outliveProducers(folder, name)
      assertNothingLeft(name)
      return row()
    },
  },
  {
    name: 'tsx/loop',
    what: '`using` directly in a loop is as wrong as docs/install.md says',
    ...common,
    async run({ app }) {
      const folder = copyOf(app, 'tsx-loop')
      writeFileSync(join(folder, 'loop.ts'), unsafe)
      const said = await succeed([...tsx, 'loop.ts'], { cwd: folder })
      if (said !== '1 Error: first\n2 Error: first\n3 Error: first\n')
        throw new Error(`it said ${said}: is the warning in docs/install.md still true?`)
      return row()
    },
  },
]

async function outliveProducers(folder, name) {
  const consumer = spawn(tsx[0], [...tsx.slice(1), 'restart.ts'], { cwd: folder })
  const limit = setTimeout(() => consumer.kill('SIGKILL'), 60_000)
  let said = ''
  for (const stream of [consumer.stdout, consumer.stderr])
    stream.setEncoding('utf8').on('data', (text) => (said += text))
  const ended = once(consumer, 'close')
  const killed = []
  for (const number of [1, 2]) {
    const args = ['--input-type=module', '--eval', producer, name, String(number)]
    const sender = spawn(node, args, { cwd: folder, stdio: 'ignore' })
    killed.push(once(sender, 'close'))
    while (!said.includes(`tick ${number}\n`) && consumer.exitCode === null)
      await Promise.race([once(consumer.stdout, 'data'), ended])
    sender.kill('SIGKILL')
    await killed.at(-1)
  }
  await succeed([node, '--input-type=module', '--eval', producer, name, '3', 'last'], {
    cwd: folder,
  })
  const [code] = await ended
  clearTimeout(limit)
  if (code !== 0 || said !== 'tick 1\ntick 2\ntick 3\n')
    throw new Error(`exit code ${code}: ${said}`)
}

/** The examples have names that anybody may use. */
function writeUnderName(folder, side, channel, name) {
  const text = readFileSync(join(root, 'examples', `${side}.ts`), 'utf8')
  writeFileSync(join(folder, fileOf(side)), text.replaceAll(`'${channel}'`, `'${name}'`))
}

const fileOf = (side) => `${side.replace('/', '-')}.ts`

function assertNothingLeft(name) {
  const behind = leftBehind(name)
  if (behind.length > 0) throw new Error(`left in shared memory: ${behind.join(', ')}`)
}
