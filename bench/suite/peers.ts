// The packages that millrace is measured beside: installed on first use from the lock file of bench/peers.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

import { nodePath } from './node.js'
import { root } from './programs.js'

const folder = join(root, 'bench', 'peers')
const manifest = (name: string) => join(folder, 'node_modules', name, 'package.json')

interface Manifest {
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
}
const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as Manifest

export const peers = Object.keys(read(join(folder, 'package.json')).dependencies)

const npm = (...args: string[]) =>
  spawnSync('npm', [...args, '--prefix', folder, '--no-audit', '--no-fund'], {
    encoding: 'utf8',
    timeout: 300_000,
  })

/** Installs what is missing. If one cannot be built, the others are still wanted. */
export function installPeers(): void {
  if (peers.every((name) => existsSync(manifest(name)))) return
  console.log(`npm ci in bench/peers: ${peers.join(', ')}`)
  if (npm('ci').status === 0) return
  npm('ci', '--ignore-scripts')
  for (const name of peers) npm('rebuild', name)
}

/** Why a peer cannot be measured; `undefined` if it can. */
export function cannotLoad(name: string): string | undefined {
  if (!existsSync(manifest(name))) return `${name} could not be installed`
  // In a process of its own: a peer that takes its process down must not take the suite.
  const program = `require(${JSON.stringify(createRequire(join(folder, 'package.json')).resolve(name))})`
  const tried = spawnSync(nodePath(), ['-e', program], { encoding: 'utf8', timeout: 30_000 })
  if (tried.status === 0) return undefined
  return `${name} does not load: ${reasonOf(tried.stderr)}`
}

/** The lines of an error, without its stack and what stands before. */
function reasonOf(said: string): string {
  const lines = said.split('\n').map((line) => line.trim())
  const from = lines.findIndex((line) => /error/i.test(line))
  if (from < 0) return 'no reason given'
  const length = lines.slice(from).findIndex((line) => line === '' || line.startsWith('at '))
  return lines.slice(from, length < 0 ? undefined : from + length).join(' ')
}

export function peerVersions(): Record<string, string> {
  return Object.fromEntries(
    peers
      .filter((name) => existsSync(manifest(name)))
      .map((name) => [name, read(manifest(name)).version]),
  )
}
