// Reads and writes CHANGELOG.md (https://common-changelog.org, with what is not released yet on top).
//
//   node scripts/changelog.mjs                  judges its form
//   node scripts/changelog.mjs release          makes "Unreleased" the version of package.json, of today; a hook of
//                                               npm version
//   node scripts/changelog.mjs notes [VERSION]  prints what a version brought
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import { root } from './tarball.mjs'

const groups = ['Changed', 'Added', 'Removed', 'Fixed']
const unreleased = '## [Unreleased]'
const released = /^## \[(\d+\.\d+\.\d+(?:-[0-9a-z.-]+)?)\] - (\d{4}-\d{2}-\d{2})$/

/** The title and introduction, then one section for each `##`, newest first, then the links. */
function parse(text) {
  const [head, ...rest] = text.split(/^(?=## )/m)
  const links = /(?:^\[[^\]]+\]: \S+\n?)+$/m.exec(rest.at(-1) ?? '')?.[0] ?? ''
  const sections = rest.map((section) => {
    const [heading] = section.split('\n', 1)
    const [, version, date] = released.exec(heading) ?? []
    const body = section.slice(heading.length).replace(links === '' ? /$^/ : links, '')
    return { heading, version, date, body: body.trim() }
  })
  return { head, sections, links }
}

/** What is wrong with it, in sentences. */
export function problems(text) {
  const { sections } = parse(text)
  const found = []
  for (const [index, { heading, version, body }] of sections.entries()) {
    if (version === undefined && !(index === 0 && heading === unreleased))
      found.push(`'${heading}' is neither ${unreleased} on top nor "## [VERSION] - YYYY-MM-DD"`)
    const named = [...body.matchAll(/^### (.+)$/gm)].map(([, name]) => name)
    for (const name of named) {
      if (!groups.includes(name))
        found.push(`'${name}' in '${heading}' is none of ${groups.join(', ')}`)
    }
    const sorted = named.toSorted((a, b) => groups.indexOf(a) - groups.indexOf(b))
    if (named.join() !== sorted.join())
      found.push(`the groups of '${heading}' go ${groups.join(', ')}`)
    if (version !== undefined && body === '') found.push(`'${heading}' says nothing`)
  }
  return found
}

export function hasUnreleased(text) {
  const [newest] = parse(text).sections
  return newest?.heading === unreleased && newest.body !== ''
}

/** `address`: of the repository, for a link to the release; may be undefined. */
export function release(text, version, date, address) {
  if (!hasUnreleased(text)) throw new Error(`CHANGELOG.md has nothing under ${unreleased}`)
  const { head, sections, links } = parse(text)
  if (sections.some((section) => section.version === version))
    throw new Error(`CHANGELOG.md has ${version} already`)
  const [newest, ...older] = sections
  const link = address === undefined ? '' : `[${version}]: ${address}/releases/tag/v${version}\n`
  return [
    `${head}${unreleased}\n`,
    `## [${version}] - ${date}\n\n${newest.body}\n`,
    ...older.map(({ heading, body }) => `${heading}\n\n${body}\n`),
    ...(link + links === '' ? [] : [link + links]),
  ].join('\n')
}

export function notes(text, version) {
  const section = parse(text).sections.find((candidate) => candidate.version === version)
  if (section === undefined) throw new Error(`CHANGELOG.md has no ${version}`)
  return section.body
}

/** The public address that package.json names, as a web page. */
export function webAddress(manifest) {
  return manifest.repository?.url.replace(/^git\+/, '').replace(/\.git$/, '')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const file = join(root, 'CHANGELOG.md')
  const text = readFileSync(file, 'utf8')
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const [what, version = manifest.version] = process.argv.slice(2)
  if (what === 'release') {
    const today = new Date().toISOString().slice(0, 10)
    writeFileSync(file, release(text, version, today, webAddress(manifest)))
  } else if (what === 'notes') {
    console.log(notes(text, version))
  } else {
    const found = problems(text)
    for (const problem of found) console.error(`changelog: ${problem}`)
    if (found.length > 0) process.exitCode = 1
  }
}
