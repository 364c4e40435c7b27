// The licences of what goes into a bundle.

import { readFileSync, readdirSync } from 'node:fs'

import { root } from './modules.mjs'

/** Of the packages whose files were bundled, one after the other. */
export function licencesOf({ inputs }) {
  const licences = packagesIn(Object.keys(inputs)).map((name) => {
    const folder = `${root}node_modules/${name}`
    const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
    return `${name} ${version}, ${license}\n\n${readFileSync(`${folder}/${file}`, 'utf8').trim()}\n`
  })
  return licences.join('\n\n')
}

function packagesIn(files) {
  const names = files.map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1])
  return [...new Set(names.filter((name) => name !== undefined))].sort()
}
