// What stands beside the figures: the machine and the versions.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { arch, cpus, loadavg, release, totalmem, type } from 'node:os'
import { join } from 'node:path'

import { nodeVersions } from './node.js'
import { peerVersions } from './peers.js'
import { root } from './programs.js'
import { pythonVersion } from './python.js'
import { serverVersions } from './servers/servers.js'

export const load = () => loadavg().map((value) => Number(value.toFixed(2)))

export function machine(): Record<string, unknown> {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memory: `${String(Math.round(totalmem() / 2 ** 30))} GiB`,
    kernel: `${type()} ${release().replace(/-.*/, '')}`,
    arch: arch(),
    governor: governor(),
    virtual: isVirtual(),
  }
}

export function versions(): Record<string, string> {
  return {
    ...nodeVersions(),
    millrace: millrace(),
    ...peerVersions(),
    ...serverVersions(),
    ...pythonVersion(),
  }
}

function governor(): string {
  try {
    const file = '/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor'
    return readFileSync(file, 'utf8').trim()
  } catch {
    return 'not readable'
  }
}

function isVirtual(): boolean | string {
  try {
    return /^flags.*\bhypervisor\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'))
  } catch {
    return 'not readable'
  }
}

function millrace(): string {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string
  }
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: 'pipe' }).trim()
    const changed = git('status', '--porcelain', '--', 'lib', 'native').length > 0
    return `${version}, ${git('rev-parse', '--short', 'HEAD')}${changed ? ', changed' : ''}`
  } catch {
    return version
  }
}
