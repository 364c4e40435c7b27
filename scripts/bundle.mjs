// Joins the compiled modules of the library into dist/index.js: Node needs about a millisecond for each
// module it loads, and a program that wants one queue should not pay for thirty.
// The type declarations stay as they are; dist/binary.js stays for its test.
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const entries = ['dist/index.js', 'dist/binary.js']

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: entries,
  outdir: 'dist',
  allowOverwrite: true,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  packages: 'external',
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
  logLevel: 'warning',
})

for (const module of Object.keys(metafile.inputs)) {
  if (entries.includes(module)) continue
  rmSync(`${root}${module}`)
  rmSync(`${root}${module}.map`)
}
