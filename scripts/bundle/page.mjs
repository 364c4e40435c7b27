// Bundles the live page: what its server sends to browsers.

import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { build } from 'esbuild'

import { common, dist, root } from './modules.mjs'
import { licencesOf } from './licences.mjs'

const source = `${root}lib/dashboard/page`

export async function bundlePage() {
  const { metafile } = await build({
    ...common,
    platform: 'browser',
    target: ['chrome111', 'firefox113', 'safari16.4'],
    packages: 'bundle',
    format: 'iife',
    sourcemap: false,
    minify: true,
    legalComments: 'none',
    entryPoints: [{ in: `${source}/main.ts`, out: 'page' }, `${source}/page.css`],
    outdir: 'dist/page',
  })
  mkdirSync(`${dist}/page`, { recursive: true })
  for (const file of readdirSync(source)) {
    if (/\.(?:html|svg)$/.test(file)) copyFileSync(`${source}/${file}`, `${dist}/page/${file}`)
  }
  writeFileSync(`${dist}/page/LICENSES.txt`, licencesOf(metafile))
}
