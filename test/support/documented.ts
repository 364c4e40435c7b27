// What the pages of the documentation show, taken from them as it stands there.

import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import { transform } from 'esbuild'

import { Run } from './process.js'

export const root = fileURLToPath(new URL('../../../', import.meta.url))

export interface Sample {
  readonly language: string
  readonly text: string
  /** Of its first line in the page. */
  readonly line: number
}

/** The samples of a page, by the page's path in the repository; of a source file, those of its doc comments. */
export function samplesOf(page: string): Sample[] {
  const file = readFileSync(join(root, page), 'utf8')
  const text = page.endsWith('.md') ? file : file.replace(/^ +\* ?/gm, '')
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map((found) => ({
    language: found[1]!,
    text: found[2]!,
    line: text.slice(0, found.index).split('\n').length + 1,
  }))
}

/** The names of programs: what the first line of a sample says, in a comment. */
export const fileOf = ({ text }: Sample) => /^(?:\/\/|\/\*|#) ([\w.-]+\.\w+)/.exec(text)?.[1]

/**
 * Writes the program that a page (of docs/, unless its path begins with ./) shows under that file name to a directory of this test's own. What the program
 * calls `names` gets names that are this test's own, too.
 */
export function programOf(
  t: ExecutionContext,
  page: string,
  file: string,
  names: Readonly<Record<string, string>>,
): string {
  const found = samplesOf(page.startsWith('./') ? page : `docs/${page}`).filter(
    (sample) => fileOf(sample) === file,
  )
  if (found.length !== 1) throw new Error(`${page} shows ${file} ${found.length} times`)
  // Within the package, so that it finds itself by its name.
  const directory = join(root, 'out', `documented-${process.pid}`)
  mkdirSync(directory, { recursive: true })
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  let program = found[0]!.text
  for (const [name, own] of Object.entries(names)) {
    const quoted = new RegExp(`(['"\`/])${name}(?=['"\`.])`, 'g')
    if (!quoted.test(program)) throw new Error(`${file} of ${page} names no '${name}'`)
    program = program.replace(quoted, (_, mark: string) => `${mark}${own}`)
  }
  const path = join(directory, file)
  writeFileSync(path, program)
  return path
}

/** Makes JavaScript of a program in TypeScript, beside it: Node 20 knows neither types nor `using`. */
export async function compileProgram(program: string): Promise<string> {
  const { code } = await transform(readFileSync(program, 'utf8'), {
    loader: 'ts',
    target: 'node20',
  })
  const path = program.replace(/\.ts$/, '.mjs')
  writeFileSync(path, code)
  return path
}

/** Starts a program in TypeScript. */
export async function startNode(
  t: ExecutionContext,
  program: string,
  args: readonly string[] = [],
  input: 'ignore' | Readable = 'ignore',
  env: NodeJS.ProcessEnv = {},
): Promise<Run> {
  const running = new Run(
    spawn(process.execPath, [await compileProgram(program), ...args], {
      stdio: [input, 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    }),
  )
  t.teardown(() => running.end())
  return running
}
