// The documentation site: what lib/ exports, with the guides. `npm run docs` writes it to site/, `npm run docs:check`
// follows its links. Guides are plain Markdown, without front matter, so that they read the same on a code host:
// titles, groups and order of the navigation are given here.

import { existsSync, readdirSync } from 'node:fs'
import { basename, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { slug } from 'github-slugger'
import { Converter, KindRouter, PageEvent, ReflectionKind } from 'typedoc'

const root = fileURLToPath(new URL('.', import.meta.url))

/** A guide of docs/ that is not named here comes last in "Guides". */
const navigation = {
  Guides: [
    'README',
    'what-it-is-not',
    'install',
    'platforms',
    'bundlers',
    'recipes',
    'errors',
    'faq',
  ],
  Channels: [
    'queue',
    'records',
    'frames',
    'cell',
    'shared-memory',
    'streams',
    'ports',
    'net',
    'after-a-restart',
  ],
  Work: ['work-queue', 'message-queue', 'topics', 'addresses', 'engines', 'gateway', 'many-hosts'],
  Resilience: ['resilience'],
  Primitives: ['counter', 'mutex', 'rw-lock', 'semaphore', 'event', 'barrier', 'struct'],
  Memory: [
    'nameless-segments',
    'mapped-files',
    'memory-options',
    'interoperation',
    'from-c',
    'from-python',
  ],
  Running: [
    'overload',
    'performance',
    'operations',
    'list-and-sweep',
    'observing',
    'dashboard',
    'recording',
    'tracing',
    'logs',
    'supervision',
    'crash-safety',
    'security',
  ],
  Project: [
    '../ARCHITECTURE',
    '../CHANGELOG',
    '../CONTRIBUTING',
    '../SECURITY',
    '../examples/README',
    '../examples/cpp/README',
    '../examples/feed/README',
    '../examples/transport/README',
    '../examples/two-hosts/README',
    '../examples/video/README',
    '../examples/vision/README',
    '../model/README',
    'proofs',
    'benchmarks',
    'smoke',
    'chaos',
    'fuzzing',
  ],
}

const path = (guide) => relative(root, `${root}docs/${guide}.md`)
const named = Object.values(navigation).flat()
for (const file of readdirSync(`${root}docs`)
  .filter((name) => name.endsWith('.md'))
  .sort()) {
  if (!named.includes(basename(file, '.md'))) navigation.Guides.push(basename(file, '.md'))
}

const documents = Object.entries(navigation).flatMap(([group, guides]) =>
  guides
    .map((guide) => ({ group, file: path(guide) }))
    .filter(({ file }) => existsSync(root + file)),
)

const fileOf = (document) => relative(root, document.project.files.getReflectionPath(document))

/** A guide is called what its first heading says. */
function placeGuides(app) {
  app.renderer.defineRouter('guides', GuideRouter)
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, document) => {
    const file = fileOf(document)
    const title = /^# (.+)\n/.exec(document.content[0].text)
    if (title === null) throw new Error(`${file} does not begin with a heading`)
    document.name = title[1].replaceAll('`', '')
    document.frontmatter.group = documents.find((entry) => entry.file === file).group
  })
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    const [first] = project.readme
    first.text = first.text.replace(/^# .+\n+/, '')
  })
  // Links to the README lead to a folder, which only a server answers with a page.
  app.renderer.on(PageEvent.END, (page) => {
    page.contents = page.contents.replace(/href="((?:\.\.\/)+)(?=[#"])/g, 'href="$1index.html')
  })
}

/**
 * Addresses of guides come from their files, not from their titles, so that they outlive a better title. The names of
 * their headings are made as a code host makes them, so that one link serves both.
 */
class GuideRouter extends KindRouter {
  getIdealBaseName(reflection) {
    if (!reflection.kindOf(ReflectionKind.Document)) return super.getIdealBaseName(reflection)
    const file = fileOf(reflection).replace(/\.md$/, '').toLowerCase()
    return `guides/${file.replace(/^docs\//, '').replaceAll('/', '-')}`
  }

  buildPages(project) {
    const pages = super.buildPages(project)
    for (const { model } of pages) {
      if (model === project || model.isDocument?.()) this.getSlugger(model).serialize = slug
    }
    return pages
  }
}

/** TypeDoc takes the text of a heading without what is set as code in it, and half of ours are error texts. */
function countCodeAsText(markdown) {
  markdown.core.ruler.push('code in headings', ({ tokens, Token }) => {
    tokens.forEach((token, at) => {
      if (tokens[at - 1]?.type !== 'heading_open') return
      for (const child of token.children) {
        if (child.type !== 'code_inline') continue
        child.children = [Object.assign(new Token('text', '', 0), { content: child.content })]
      }
    })
  })
}

/** @type {Partial<import('typedoc').TypeDocOptions>} */
export default {
  name: 'millrace',
  entryPoints: [
    'lib/index.ts',
    'lib/dashboard.ts',
    'lib/gateway.ts',
    'lib/net.ts',
    'lib/net-conformance.ts',
    'lib/resilience.ts',
    'lib/rpc.ts',
    'lib/streams.ts',
    'lib/struct.ts',
    'lib/sync.ts',
    'lib/recording.ts',
    'lib/telemetry.ts',
    'lib/topics.ts',
    'lib/work.ts',
  ],
  tsconfig: 'tsconfig.json',
  readme: 'README.md',
  projectDocuments: documents.map(({ file }) => file),
  plugin: [placeGuides],
  router: 'guides',
  out: 'site',
  customCss: 'scripts/site.css',
  favicon: 'scripts/site-icon.svg',
  includeVersion: true,
  hideGenerator: true,
  githubPages: true,

  // What is not for users.
  excludePrivate: true,
  excludeProtected: true,
  excludeInternal: true,
  excludeExternals: true,
  // The sources are in the package, and no host of them is known here.
  disableSources: true,
  disableGit: true,

  sort: ['documents-first', 'kind', 'alphabetical'],
  groupOrder: [...Object.keys(navigation), 'Modules', '*'],
  navigation: { includeGroups: true, includeFolders: false },
  sortEntryPoints: false,
  // A file's name in a sentence is no address.
  markdownItOptions: { html: true, linkify: false },
  markdownItLoader: countCodeAsText,
  searchInDocuments: true,
  searchInComments: true,
  highlightLanguages: [
    'ts',
    'js',
    'html',
    'json',
    'jsonc',
    'sh',
    'c',
    'cpp',
    'python',
    'ini',
    'yaml',
    'docker',
    'cmake',
    'diff',
  ],

  // Details of definitions, for the compiler.
  intentionallyNotExported: ['Of', 'Flat', 'Assignable', 'WithValues', 'Later', 'drop'],
  validation: {
    notExported: true,
    invalidLink: true,
    invalidPath: true,
    rewrittenLink: true,
    notDocumented: true,
    unusedMergeModuleWith: true,
  },
  treatWarningsAsErrors: true,
  treatValidationWarningsAsErrors: true,
}
