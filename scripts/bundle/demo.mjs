// Bundles the demonstration, with what it takes from others and their licences.

import { writeFileSync } from 'node:fs'
import { build } from 'esbuild'

import { licencesOf } from './licences.mjs'
import { common, dist } from './modules.mjs'

/** What the demonstration takes from others goes into its own files, so that nobody has to install it. */
export async function bundleDemo() {
  const { metafile } = await build({
    ...common,
    packages: 'bundle',
    external: ['millrace'],
    plugins: [fromCommand],
    format: 'esm',
    splitting: true,
    sourcemap: false,
    minifyWhitespace: true,
    lineLimit: 120,
    legalComments: 'none',
    entryPoints: ['demo/command.ts', 'demo/actor.ts'],
    outdir: 'dist/demo',
  })
  writeFileSync(`${dist}/demo/LICENSES.txt`, licencesOf(metafile))
}

/** The demonstration shares the command's words for numbers and usage, where they lie in the package. */
const fromCommand = {
  name: 'from-command',
  setup({ onResolve }) {
    onResolve({ filter: /^#lib\// }, ({ path }) => ({
      path: path.replace('#lib/', '../'),
      external: true,
    }))
  },
}
