// Every sample of TypeScript in the README, the guides and the doc comments is code that compiles against the package: calls, options and
// members are called what they are called there.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import ts from 'typescript'

import { fileOf, root, samplesOf } from '../support/documented.js'

const pages = [
  'README.md',
  'examples/cpp/README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

const sources = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => `lib/${name}`)

/** A fragment uses names that the page has given a meaning elsewhere; and what they stand for is anybody's guess. */
const unknownName = new Set([2304, 2552, 18004, 7005, 7006, 7034])

/** What the compiler has against `text`, as a module of this package. */
function complaintsAbout(texts: ReadonlyMap<string, string>): string[] {
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.NodeNext,
    moduleDetection: ts.ModuleDetectionKind.Force,
    types: ['node'],
    skipLibCheck: true,
  }
  const disk = ts.createCompilerHost(options)
  const host: ts.CompilerHost = {
    ...disk,
    fileExists: (file) => texts.has(file) || disk.fileExists(file),
    readFile: (file) => texts.get(file) ?? disk.readFile(file),
    getSourceFile: (file, version, ...rest) => {
      const text = texts.get(file)
      return text === undefined
        ? disk.getSourceFile(file, version, ...rest)
        : ts.createSourceFile(file, text, version)
    },
  }
  const program = ts.createProgram([...texts.keys()], options, host)
  return [...texts.keys()].flatMap((file) => {
    const source = program.getSourceFile(file)
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
      .filter(({ code }) => !unknownName.has(code))
      .map(({ code, start = 0, messageText }) => {
        const { line } = source!.getLineAndCharacterOfPosition(start)
        const said = ts.flattenDiagnosticMessageText(messageText, ' ')
        return `${file.slice(root.length)}, line ${line + 1}: ${said} (${code})`
      })
  })
}

/** In a place where the package finds itself by its name. */
const at = (page: string, line: number) => join(root, `${page.replaceAll('/', '-')}.${line}.ts`)

test('a sample that calls what there is not is noticed', (t) => {
  const wrong = new Map([
    [at('wrong.md', 1), "import { SpscQueue } from 'millrace'\nSpscQueue.producer('x').pushh('y')"],
    [
      at('wrong.md', 9),
      "import { FrameReader } from 'millrace'\nFrameReader.open('x', { polcy: 1 })",
    ],
  ])
  t.is(complaintsAbout(wrong).length, 2)
})

test('every sample compiles against the package', (t) => {
  const texts = new Map(
    [...pages, ...sources].flatMap((page) =>
      samplesOf(page)
        .filter(({ language }) => language === 'ts')
        .map(({ text, line }): [string, string] => [at(page, line), text]),
    ),
  )
  t.true(texts.size > 60, `${texts.size} samples`)
  t.deepEqual(complaintsAbout(texts), [])
})

/** What is wrong with a program that its page calls JavaScript, for the oldest Node that the package supports. */
function complaintsAsJavaScript(file: string, text: string): string[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true, ts.ScriptKind.TS)
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    const isUsing = ts.isVariableDeclarationList(node) && (node.flags & ts.NodeFlags.Using) !== 0
    const isType =
      (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) ||
      ts.isTypeOnlyImportOrExportDeclaration(node) ||
      ts.isNonNullExpression(node) ||
      ts.isInterfaceDeclaration(node)
    if (isUsing || isType) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart())
      found.push(`${file}, line ${line + 1}: ${isUsing ? 'using' : 'a type'}`)
    } else ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

test('what is no JavaScript of Node 20 is noticed', (t) => {
  const programs = [
    "using a = b('x')",
    "await using a = b('x')",
    'for await (using a of b) c(a)',
    'const a: number = 1',
    'a!.b()',
    "import { type A } from 'a'",
    'for (const a of b) c(a)\nconst d = await e()',
  ]
  t.deepEqual(
    programs.map((text) => complaintsAsJavaScript('a.mjs', text).length),
    [1, 1, 1, 1, 1, 1, 0],
  )
})

test('a program whose file name is one of JavaScript is run by Node 20 as it is', (t) => {
  const programs = pages.flatMap((page) =>
    samplesOf(page)
      .filter(({ language }) => ['js', 'ts'].includes(language))
      .filter((sample) => /\.[cm]?js$/.test(fileOf(sample) ?? ''))
      .map(({ text, line }) => complaintsAsJavaScript(`${page}:${line}`, text)),
  )
  t.true(programs.length > 3, `${programs.length} programs`)
  t.deepEqual(programs.flat(), [])
})
