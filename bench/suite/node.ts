// Which Node runs the sides that are measured: the one that runs the suite, or another.

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { root } from './programs.js'

let path = process.execPath

/** The executable of the sides. */
export const nodePath = (): string => path

/** `which`: a path, or a major version, which is installed from the registry beside the sources; nothing: our own. */
export function useNode(which: string | undefined): void {
  if (which === undefined) return
  path = /^\d+$/.test(which) ? installed(which) : which
  if (!existsSync(path)) throw new Error(`there is no Node at ${path}`)
}

function installed(major: string): string {
  const packageName = `node-${process.platform}-${process.arch}`
  const folder = join(root, '.cache', `node-${major}`)
  const executable = join(folder, 'node_modules', packageName, 'bin', 'node')
  if (!existsSync(executable)) {
    const wanted = `${packageName}@${major}`
    execFileSync(
      'npm',
      ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', folder, wanted],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    )
  }
  return executable
}

/** Its versions. */
export function nodeVersions(): { readonly node: string; readonly v8: string } {
  const print = 'JSON.stringify([process.version, process.versions.v8])'
  const [node, v8] = JSON.parse(execFileSync(path, ['-p', print], { encoding: 'utf8' })) as [
    string,
    string,
  ]
  return { node, v8 }
}
