// Builds a binary for the machine at hand, for platforms that the package brings none for: npm run prebuild:host [-- --out FOLDER]
//
// By prebuildify: node-gyp with this machine's own compiler, named as node-gyp-build looks for it. It asks for this
// machine's C library, or a newer one, and for libstdc++; so it takes the place of none of those that ship, which
// prebuild.mjs makes.
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import process from 'node:process'
import { parseArgs, promisify } from 'node:util'
import prebuildify from 'prebuildify'
import { prebuilds, root } from './tarball.mjs'

const { values } = parseArgs({ options: { out: { type: 'string', default: root } } })
const out = resolve(values.out)
const scratch = join(root, 'build-native', 'prebuild-host')

/** The C library of this Node; other systems than Linux have but one. */
const libc = () =>
  process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'

/** Node's headers, where they came with Node: then there is nothing to download. */
function useInstalledHeaders() {
  const prefix = dirname(dirname(process.execPath))
  if (existsSync(join(prefix, 'include/node/node_api.h'))) process.env.npm_config_nodedir ??= prefix
}

async function build() {
  useInstalledHeaders()
  await promisify(prebuildify)({
    // Not where npm run build:native puts what the tests load: prebuildify moves the file away.
    cwd: join(root, 'native'),
    nodeGyp: join(root, 'node_modules/.bin/node-gyp'),
    out: scratch,
    name: 'millrace',
    napi: true,
    targets: [process.version],
    strip: true,
    tagLibc: process.platform === 'linux' ? libc() : false,
    tagArmv: process.arch === 'arm',
  })
}

/** Those that ship run on older systems than this one. */
function assertNotShipped() {
  if (out !== resolve(root)) return
  const folder = `prebuilds/${process.platform}-${process.arch}/`
  const fitting = process.platform === 'linux' ? `.${libc()}.node` : '.node'
  const file = prebuilds.find((name) => name.startsWith(folder) && name.endsWith(fitting))
  if (file === undefined) return
  throw new Error(
    `${file} ships, and npm run prebuild makes it for older systems than this one, too; ` +
      'to have that of this machine elsewhere: npm run prebuild:host -- --out FOLDER',
  )
}

try {
  assertNotShipped()
  await build()
  const [made] = readdirSync(scratch, { recursive: true }).filter((name) => name.endsWith('.node'))
  const file = join(out, made)
  mkdirSync(dirname(file), { recursive: true })
  copyFileSync(join(scratch, made), file)
  console.log(relative(process.cwd(), file))
} catch (error) {
  console.error(`prebuild: ${error.message}`)
  process.exitCode = 1
} finally {
  for (const folder of [scratch, join(root, 'native/build')])
    rmSync(folder, { recursive: true, force: true })
}
