// The files of the page, as scripts/bundle makes them of lib/dashboard/page.

import { text, type Answer } from './answers.js'

const types: Readonly<Record<string, string>> = {
  'index.html': 'text/html; charset=utf-8',
  'page.css': 'text/css; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
}

export function isAsset(file: string): boolean {
  return Object.hasOwn(types, file)
}

export function asset(file: string): Answer {
  const { readFileSync } = process.getBuiltinModule('node:fs')
  const paths = process.getBuiltinModule('node:path')
  // In the bundle that is the path of dist/cjs/dashboard.js.
  const path = paths.join(paths.dirname(import.meta.url), '../page', file)
  try {
    return { status: 200, type: types[file]!, body: readFileSync(path) }
  } catch {
    return text(500, `${path} is missing: install the package again, or run npm run build:ts`)
  }
}
