// npm run test:python: the Python package against the library of the C interface, and against Node. Needs python3 with pytest and numpy,
// and installs nothing; mypy checks the type hints where it is installed, and the example with OpenCV runs with numpy where there is no
// cv2. Arguments are those of AVA.
//
// PYTHON names another interpreter than python3.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'

import { buildCapi } from './build-capi.mjs'
import { root, run } from './native-build.mjs'

const python = process.env.PYTHON ?? findPython()
const environment = { ...process.env, PYTHON: python, PYTHONPATH: join(root, 'python/src') }

await buildCapi()
if (spawnSync('mypy', ['--version'], { stdio: 'ignore' }).status === 0) {
  await run('mypy', ['--strict', '--cache-dir', join(root, '.cache/mypy'), 'python/src'])
} else console.log('without mypy: the type hints are not checked')
await run(python, ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'python'], environment)
await run(
  process.execPath,
  [
    join(root, 'node_modules/.bin/ava'),
    '--config',
    'ava.python.config.js',
    ...process.argv.slice(2),
  ],
  environment,
)

/** The first Python that has what the tests need. */
function findPython() {
  const found = ['python3', '/usr/bin/python3'].find(
    (name) => spawnSync(name, ['-c', 'import numpy, pytest'], { stdio: 'ignore' }).status === 0,
  )
  if (found !== undefined) return found
  console.error(
    'No python3 has numpy and pytest. On Debian and Ubuntu: apt-get install python3 python3-numpy python3-pytest',
  )
  process.exit(1)
}
