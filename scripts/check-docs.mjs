// Follows every link of the Markdown files, as a code host does, and of the site that `npm run docs` built. Fails if
// one leads nowhere: to a file that is not there, or to a heading or member that its page does not have. Nothing of
// the site may be loaded from another host. Addresses of other hosts are not asked.

import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import Slugger from 'github-slugger'
import MarkdownIt from 'markdown-it'
import { parse } from 'parse5'

const root = resolve(fileURLToPath(new URL('..', import.meta.url)))
const site = join(root, 'site')
const broken = []
let followed = 0

/** Anchors and links of a page; `loads` are addresses that a browser fetches by itself. */
const pages = new Map()
function pageOf(file) {
  if (!pages.has(file)) pages.set(file, file.endsWith('.md') ? readMarkdown(file) : readHtml(file))
  return pages.get(file)
}

function readMarkdown(file) {
  const page = { anchors: new Set(), links: [], loads: [] }
  const slugger = new Slugger()
  const tokens = new MarkdownIt({ html: true }).parse(readFileSync(file, 'utf8'), {})
  tokens.forEach((token, at) => {
    if (token.type === 'heading_open') {
      page.anchors.add(slugger.slug(textOf(tokens[at + 1])))
    }
    for (const child of token.children ?? []) {
      const address = child.attrGet('href') ?? child.attrGet('src')
      if (address !== null) page.links.push(address)
    }
  })
  return page
}

function textOf({ children }) {
  return children
    .map(({ type, content }) => (/^(text|code_inline)$/.test(type) ? content : ''))
    .join('')
}

function readHtml(file) {
  const page = { anchors: new Set(), links: [], loads: [] }
  const visit = (node) => {
    const attributes = Object.fromEntries(
      (node.attrs ?? []).map(({ name, value }) => [name, value]),
    )
    if (attributes.id !== undefined) page.anchors.add(attributes.id)
    if (node.tagName === 'a') {
      if (attributes.href !== undefined) page.links.push(attributes.href)
    } else {
      // <use href> draws a part of an icon, everything else fetches a file.
      for (const name of ['href', 'src', 'srcset', 'data', 'action']) {
        if (attributes[name] !== undefined) page.loads.push(attributes[name])
      }
    }
    for (const child of node.childNodes ?? []) visit(child)
  }
  visit(parse(readFileSync(file, 'utf8')))
  return page
}

const isElsewhere = (address) => /^([a-z][a-z+.-]*:|\/\/)/i.test(address)

function follow(from, address) {
  if (isElsewhere(address)) return
  followed++
  const [path, anchor = ''] = address.split('#').map(decodeURIComponent)
  const to = path === '' ? from : resolve(dirname(from), path)
  const complain = (why) => broken.push(`${relative(root, from)}: ${address} ${why}`)

  if (to !== root && !to.startsWith(root + sep)) return complain('leads out of the project')
  if (!existsSync(to)) return complain('leads to no file')
  // In the site a folder is no page; a code host lists its files.
  if (statSync(to).isDirectory())
    return from.endsWith('.html') ? complain('is a folder') : undefined
  if (anchor === '' || !/\.(md|html)$/.test(to)) return undefined
  if (!pageOf(to).anchors.has(anchor)) return complain('names no heading there')
  return undefined
}

function checkMarkdown() {
  const files = execFileSync(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '*.md'],
    {
      cwd: root,
      encoding: 'utf8',
    },
  )
  const names = files.split('\0').filter((name) => name !== '' && existsSync(join(root, name)))
  for (const file of names.map((name) => join(root, name))) {
    for (const address of pageOf(file).links) follow(file, address)
  }
  return names.length
}

function checkSite() {
  const files = readdirSync(site, { recursive: true }).map((name) => join(site, name))
  const html = files.filter((file) => file.endsWith('.html'))
  for (const file of html) {
    const { links, loads } = pageOf(file)
    for (const address of [...links, ...loads]) follow(file, address)
    for (const address of loads.filter(isElsewhere)) {
      if (!address.startsWith('data:')) broken.push(`${relative(root, file)} loads ${address}`)
    }
    for (const address of links.filter((link) => /\.md(#|$)/.test(link) && !isElsewhere(link))) {
      broken.push(`${relative(root, file)}: ${address} is no page of the site`)
    }
  }
  // Style sheets fetch, too.
  for (const file of files.filter((name) => name.endsWith('.css'))) {
    for (const [, address] of readFileSync(file, 'utf8').matchAll(
      /(?:url\(|@import)\s*["']?([^"')\s]+)/g,
    )) {
      if (!address.startsWith('data:')) broken.push(`${relative(root, file)} loads ${address}`)
    }
  }
  return html.length
}

if (!existsSync(join(site, 'index.html'))) {
  console.error('there is no site yet: npm run docs')
  process.exit(1)
}
const counts = `${checkMarkdown()} Markdown files, ${checkSite()} pages, ${followed} links`
for (const complaint of new Set(broken)) console.error(complaint)
console.log(`${counts}, ${broken.length} broken`)
if (broken.length > 0) process.exitCode = 1
