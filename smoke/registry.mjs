// A registry of our own, on loopback: package managers treat what comes from a registry otherwise than a tarball or a
// folder, and again otherwise when they read it back from a lock file. `npm publish` fills it, so what it tells of a
// package is what a real publication tells; it adds what the real one adds.

import { Buffer } from 'node:buffer'
import { createServer } from 'node:http'
import { mkdirSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { succeed } from './process.mjs'

/** Some package managers take nothing that was published today. */
const published = new Date(Date.now() - 30 * 24 * 3600 * 1000).toISOString()

const installHooks = ['preinstall', 'install', 'postinstall']

/** What the answer for installing has of each version; the real one leaves out scripts, too. */
const abbreviated = [
  ...[
    'name',
    'version',
    'dependencies',
    'optionalDependencies',
    'devDependencies',
    'bundleDependencies',
  ],
  ...[
    'peerDependencies',
    'peerDependenciesMeta',
    'bin',
    'directories',
    'dist',
    'engines',
    'os',
    'cpu',
    'libc',
  ],
  ...['deprecated', 'hasInstallScript', '_hasShrinkwrap', 'funding'],
]

export class Registry {
  #packuments = new Map()
  #tarballs = new Map()
  #server = createServer((request, response) => void this.#answer(request, response))

  /** @param {string} folder of which it may make what it likes */
  static async start(folder) {
    const registry = new Registry()
    registry.#server.listen(0, '127.0.0.1')
    await once(registry.#server, 'listening')
    registry.#server.unref()
    registry.folder = folder
    registry.url = `http://127.0.0.1:${registry.#server.address().port}/`
    registry.configure(folder)
    return registry
  }

  /** Makes `folder` a project whose packages come from here, with a cache of its own. */
  configure(folder, manifest = { private: true, type: 'module' }) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest)}\n`)
    const account = `${this.url.replace('http:', '')}:_authToken=anybody`
    const settings = [`registry=${this.url}`, account, `cache=${join(this.folder, 'cache')}`]
    writeFileSync(join(folder, '.npmrc'), `${settings.join('\n')}\n`)
    writeFileSync(join(folder, 'bunfig.toml'), `[install]\nregistry = "${this.url}"\n`)
  }

  /** Publishes a tarball or a folder. */
  async publish(what) {
    const flags = ['--ignore-scripts', '--provenance=false', '--tag=latest']
    await succeed(['npm', 'publish', ...flags, what], { cwd: this.folder, seconds: 120 })
  }

  close() {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  async #answer(request, response) {
    const path = decodeURIComponent(new URL(request.url, this.url).pathname).slice(1)
    if (request.method === 'PUT') {
      this.#take(JSON.parse(Buffer.concat(await request.toArray()).toString()))
      return void response.writeHead(201).end('{"ok":true}')
    }
    const tarball = this.#tarballs.get(path)
    if (tarball !== undefined) return void response.writeHead(200).end(tarball)
    const packument = this.#packuments.get(path)
    if (packument === undefined) return void response.writeHead(404).end('{"error":"Not found"}')
    const short = (request.headers.accept ?? '').includes('application/vnd.npm.install-v1+json')
    const type = short ? 'application/vnd.npm.install-v1+json' : 'application/json'
    response.writeHead(200, { 'content-type': type })
    response.end(JSON.stringify(short ? shortened(packument) : packument))
  }

  #take({ name, versions, _attachments: attachments, 'dist-tags': tags, ...rest }) {
    const known = this.#packuments.get(name)?.versions
    const marked = Object.entries(versions).map(([version, manifest]) => {
      const hasInstallScript = installHooks.some((hook) => manifest.scripts?.[hook] !== undefined)
      return [version, { ...manifest, ...(hasInstallScript ? { hasInstallScript } : {}) }]
    })
    const all = { ...known, ...Object.fromEntries(marked) }
    const time = Object.fromEntries(
      ['created', 'modified', ...Object.keys(all)].map((key) => [key, published]),
    )
    this.#packuments.set(name, { ...rest, name, 'dist-tags': tags, versions: all, time })
    for (const [file, { data }] of Object.entries(attachments))
      this.#tarballs.set(`${name}/-/${file}`, Buffer.from(data, 'base64'))
  }
}

function shortened({ name, versions, 'dist-tags': tags, time }) {
  const part = (manifest) =>
    Object.fromEntries(Object.entries(manifest).filter(([key]) => abbreviated.includes(key)))
  return {
    name,
    'dist-tags': tags,
    modified: time.modified,
    versions: Object.fromEntries(
      Object.entries(versions).map(([version, manifest]) => [version, part(manifest)]),
    ),
  }
}
