// Bundles the demonstration, with what it takes from others and their licences.

import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { build } from 'esbuild'

import { common, dist, root } from './modules.mjs'

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
  const licences = packagesIn(Object.keys(metafile.inputs)).map((name) => {
    const folder = `${root}node_modules/${name}`
    const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
    return `${name} ${version}, ${license}\n\n${readFileSync(`${folder}/${file}`, 'utf8').trim()}\n`
  })
  writeFileSync(`${dist}/demo/LICENSES.txt`, licences.join('\n\n'))
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

/** The packages whose files were bundled. */
function packagesIn(files) {
  const names = files.map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1])
  return [...new Set(names.filter((name) => name !== undefined))].sort()
}
