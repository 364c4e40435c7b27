// Turns a report of the suite into charts, docs/benchmarks.md and the README's part:
//   npm run bench:report -- FILE [--out docs/charts] [--only-charts]

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { root } from '../suite/programs.js'
import type { Report } from '../suite/row.js'
import { charts } from './charts.js'
import { machineLine, methodLines } from './notes.js'
import { page } from './page.js'
import { readmePart, withPart } from './readme.js'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string', default: join(root, 'docs', 'charts') },
    'only-charts': { type: 'boolean', default: false },
  },
})
const [file] = positionals
if (file === undefined) throw new Error('name a file that npm run bench -- --json wrote')
const report = JSON.parse(await readFile(file, 'utf8')) as Report

const pictures = charts(report, [...methodLines(report), machineLine(report)])
await mkdir(options.out, { recursive: true })
for (const { file: name, svg } of pictures) await writeFile(join(options.out, name), svg)

if (!options['only-charts']) {
  await writeFile(join(root, 'docs', 'benchmarks.md'), page(report, pictures))
  const readme = join(root, 'README.md')
  const part = readmePart(report, pictures)
  await writeFile(readme, withPart(await readFile(readme, 'utf8'), part))
}
console.log(`wrote ${pictures.map((picture) => picture.file).join(', ')} to ${options.out}`)
