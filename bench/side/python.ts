// Python processes of a measurement: bench/python/side.py in a role, with the package of python/ and the library of build-capi/.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import type { Measured } from './measured.js'
import type { Parameters } from './parameters.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** The interpreter: the one that `PYTHON` names, or python3. */
export const pythonPath = () => process.env['PYTHON'] ?? 'python3'

export const pythonEnvironment = () => ({
  ...process.env,
  PYTHONPATH: join(root, 'python', 'src'),
  PYTHONDONTWRITEBYTECODE: '1',
})

function started(role: string, parameters: Parameters, stdout: 'inherit' | 'pipe'): ChildProcess {
  const program = join(root, 'bench', 'python', 'side.py')
  const child = spawn(pythonPath(), [program, role, JSON.stringify(parameters)], {
    stdio: ['ignore', stdout, 'inherit'],
    env: pythonEnvironment(),
  })
  child.once('exit', (code, signal) => {
    if (code === 0) return
    console.error(`${role}: Python ended with ${String(code ?? signal)}`)
    process.exit(1)
  })
  // Whoever ends this process because it is late ends that one too.
  process.send?.({ follower: child.pid })
  return child
}

/** Python follows: it echoes or answers what `lead` sends. */
export async function followedByPython(
  role: string,
  parameters: Parameters,
  lead: (parameters: Parameters, follower: ChildProcess) => Promise<Measured>,
): Promise<Measured> {
  const child = started(role, parameters, 'inherit')
  const ended = once(child, 'exit')
  const measured = await lead(parameters, child)
  await ended
  return measured
}

/** Python leads, and says what it has measured. */
export async function measuredByPython(role: string, parameters: Parameters): Promise<Measured> {
  const child = started(role, parameters, 'pipe')
  const [printed] = await Promise.all([text(child.stdout!), once(child, 'exit')])
  return JSON.parse(printed) as Measured
}
