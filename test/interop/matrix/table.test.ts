// The table of docs/interoperation.md says what these tests do: its channels are theirs, and every language has a program that plays
// every part.

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { channels, languages, tour } from './roles.js'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const read = (file: string): Promise<string> => readFile(root + file, 'utf8')

test('the table has all channels and languages', async (t) => {
  const page = await read('docs/interoperation.md')
  const rows = page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').map((text) => text.trim()))
  const [head, , ...body] = rows.slice(rows.findIndex((row) => row[1] === 'channel'))
  t.deepEqual(head!.slice(2, 2 + languages.length), [...languages])
  const named = body.map((row) => /^\[(.*)\]/.exec(row[1]!)?.[1])
  t.deepEqual(named, Object.keys(channels))
  t.true(body.every((row) => languages.every((_, at) => row[2 + at] === 'yes')))
})

test('every language plays every part', async (t) => {
  const roles = Object.values(channels).flatMap((parts) => Object.keys(parts))
  const peers = 'test/interop/matrix/peers'
  const there: Readonly<Record<(typeof languages)[number], readonly (string | undefined)[]>> = {
    TypeScript: partsOf(await read(`${peers}/peer.ts`), /^ {2}'?([a-z-]+)'?(?::|,$)/gm),
    Python: partsOf(await read(`${peers}/peer.py`), /^def (\w+)\(name: str/gm),
    C: partsOf(await read(`${peers}/peer.c`), /^ {4}\{"([a-z-]+)", \w+\},/gm),
    'C++': partsOf(await read(`${peers}/peer.cpp`), /^ {4}\{"([a-z-]+)", \w+\},/gm),
  }
  for (const language of languages) {
    const missing = roles.filter((role) => !there[language].includes(role))
    t.deepEqual(missing, [], language)
  }
})

const partsOf = (text: string, pattern: RegExp): (string | undefined)[] =>
  [...text.matchAll(pattern)].map(([, name]) => name?.replaceAll('_', '-'))

test('the tour leads from each language to each other one', (t) => {
  const steps = tour.slice(1).map((to, at) => `${String(tour[at])} ${String(to)}`)
  t.is(new Set(steps).size, languages.length * (languages.length - 1))
  t.is(steps.length, languages.length * (languages.length - 1))
  t.true(tour.every((at, i) => i === 0 || at !== tour[i - 1]))
})
