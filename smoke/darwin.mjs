// The macOS binaries cannot be run here. They have to parse, be for the right machine, export what Node looks for, and
// need nothing but Node-API and the libraries of every macOS.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseMachO } from './macho.mjs'

const libraries = ['/usr/lib/libSystem.B.dylib', '/usr/lib/libc++.1.dylib']
const exportedNames = ['napi_register_module_v1', 'node_api_module_get_api_version_v1']
const nodeApi = /^(napi|node_api)_/
// What the linker itself puts there.
const linkers = ['_mh_dylib_header', '_mh_bundle_header', '__dso_handle', '_dso_handle']
// operator new and delete, which the language wants to be one for the whole process: each libc++ that is linked in
// exports them weakly, the first one loaded is taken, and all of them are malloc and free.
const allocation = /^_Z(?:n[wa]|d[la]P)/

export const darwinCases = ['x64', 'arm64'].map((arch) => {
  const binary = `darwin-${arch}/millrace.node`
  return {
    name: `darwin-${arch}/parse`,
    what: 'parsed, not run: machine, exports, imports, libraries',
    binary,
    own: true,
    run({ app }) {
      const file = join(app, 'node_modules/millrace/prebuilds', binary)
      const found = parseMachO(readFileSync(file))
      const faults = [
        ...(found.arch === arch ? [] : [`it is for ${found.arch}`]),
        ...found.libraries
          .filter((library) => !libraries.includes(library))
          .map((library) => `it needs ${library}`),
        ...exportedNames
          .filter((name) => !found.exported.includes(name))
          .map((name) => `it does not export ${name}`),
        ...found.exported
          .filter((name) => ![...exportedNames, ...linkers].includes(name))
          .filter((name) => !allocation.test(name))
          .map((name) => `it exports ${name}`),
        ...found.imported
          // The linker found them in no library of macOS: only Node's own may be left to the process.
          .filter(({ symbol, from }) => from === 'process' && !nodeApi.test(symbol))
          .map(({ symbol }) => `it calls ${symbol}, which no library of macOS has`),
        ...(arch === 'arm64' && !found.signed ? ['it is not signed, so that no Mac loads it'] : []),
      ]
      if (faults.length > 0) throw new Error(faults.join('; '))
      const calls = found.imported.filter(({ from }) => from === 'process').length
      return {
        runtime: `Mach-O ${found.type}, macOS ${found.minimum} or later`,
        platform: `darwin-${arch}`,
        result: `parsed, not run: ${calls} Node-API functions, ${found.imported.length - calls} of the system`,
      }
    },
  }
})
