// TypeScript: the published declarations under every kind of module resolution, in both kinds of modules, and by two
// generations of the compiler; then what the compiler wrote is run.

import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { newName } from './exchange.mjs'
import { describe, run, succeed } from './process.mjs'
import { leftBehind } from './shared-memory.mjs'
import { copyOf, lend, runtimes } from './site.mjs'

const node = join(runtimes, 'node22/bin/node')
const compilers = ['typescript6', 'typescript7']

/** `files`: typed.ts is an ES module in the folder's package.json, typed.cts is CommonJS. */
const configurations = [
  { name: 'node16', options: { module: 'node16', moduleResolution: 'node16' }, both: true },
  { name: 'nodenext', options: { module: 'nodenext', moduleResolution: 'nodenext' }, both: true },
  { name: 'bundler', options: { module: 'esnext', moduleResolution: 'bundler' }, both: false },
]

export const typeCases = compilers.flatMap((compiler) =>
  configurations.map(({ name, options, both }) => ({
    name: `${compiler}/${name}`,
    what: `types, moduleResolution ${name}${both ? ' (ESM and CommonJS)' : ''}; then run`,
    host: 'linux-x64',
    binary: 'linux-x64/millrace.glibc.node',
    async run({ app }) {
      const folder = copyOf(app, `${compiler}-${name}`)
      lend(folder, '@types/node')
      lend(folder, 'undici-types')
      const files = both ? ['typed.ts', 'typed.cts'] : ['typed.ts']
      if (both) cpSync(join(folder, 'typed.ts'), join(folder, 'typed.cts'))
      const story = ['story.mjs', 'play.mjs', 'main.mjs']
      writeFileSync(
        join(folder, 'tsconfig.json'),
        JSON.stringify({
          compilerOptions: {
            ...options,
            ...{ target: 'es2022', lib: ['es2023', 'esnext.disposable'], types: ['node'] },
            // What users may have set: the declarations themselves are checked as well.
            ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
            ...{ skipLibCheck: false, allowJs: true, checkJs: true, outDir: 'out' },
          },
          files: [...files, ...(both ? story : [])],
        }),
      )
      const manifest = join(runtimes, compiler, 'package.json')
      const { version, bin } = JSON.parse(readFileSync(manifest, 'utf8'))
      await succeed([node, join(runtimes, compiler, bin.tsc)], { cwd: folder, seconds: 300 })
      rmSync(join(folder, 'typed.ts'))
      for (const file of files) {
        const written = join('out', file.replace(/ts$/, 'js'))
        await typedExchange([node, written], { cwd: folder })
      }
      return { runtime: `TypeScript ${version}`, platform: 'linux-x64 glibc' }
    },
  })),
)

/** The two sides of programs/typed.ts. */
export async function typedExchange(command, { cwd, env }) {
  const name = newName()
  const sides = await Promise.all(
    ['left', 'right'].map((role) => run([...command, role, name], { cwd, env })),
  )
  const behind = leftBehind(name)
  const wanted = [
    { role: 'left', abandoned: false },
    { role: 'right', sum: 1237.5, halves: 4, code: 'ERR_MILLRACE_CLOSED' },
  ]
  for (const [i, side] of sides.entries()) {
    if (side.code === 0 && side.stdout.trim() === JSON.stringify(wanted[i])) continue
    throw new Error(`${wanted[i].role}: ${describe(side)}`)
  }
  if (behind.length > 0) throw new Error(`left in shared memory: ${behind.join(', ')}`)
}
