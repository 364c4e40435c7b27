// Why the addon does not load: the true reason and its cure, each in words of its own. Nothing here is needed, or
// costs anything, where it does load. Nor does it need anything of the library, which is just being loaded.

import type { ErrorCode } from '../errors.js'

const path = process.getBuiltinModule('node:path')

/** What an error says. */
type Reason = readonly [ErrorCode, string]
type IsThere = (file: string) => boolean

/** What @types/node of Node 20 does not know yet. */
interface Permission {
  has(scope: string, reference?: string): boolean
}

export function unsupportedPlatform(here: string): Reason {
  return [
    'ERR_MILLRACE_UNSUPPORTED_PLATFORM',
    `millrace runs on Linux and macOS, not on ${here}; on Windows use it inside WSL 2`,
  ]
}

/** @param here this machine and runtime, in words */
export function loadFailure(cause: unknown, root: string, here: string, isThere: IsThere): Reason {
  return (
    forbidden(cause, root) ?? [
      'ERR_MILLRACE_UNSUPPORTED_PLATFORM',
      unloadable(cause, root, here, isThere),
    ]
  )
}

/** Whoever started this process does not allow it; no other binary would help. */
function forbidden(cause: unknown, root: string): Reason | undefined {
  const { code, name, resource } = cause as { code?: unknown; name?: unknown; resource?: unknown }
  const { permission } = process as { permission?: Permission }
  if (code === 'ERR_DLOPEN_DISABLED') {
    return [
      'ERR_MILLRACE_PERMISSION',
      permission === undefined
        ? 'millrace is a native addon, and --no-addons forbids to load one: start Node without it'
        : "millrace is a native addon, and Node's permission model forbids to load one: start Node with --allow-addons",
    ]
  }
  const unreadable =
    code === 'ERR_ACCESS_DENIED' && typeof resource === 'string'
      ? path.dirname(resource)
      : firstUnreadable(permission, root)
  if (unreadable !== undefined) {
    return [
      'ERR_MILLRACE_PERMISSION',
      `Node's permission model forbids to read '${unreadable}', which loading millrace needs: ` +
        `start Node with --allow-fs-read=${unreadable}/*`,
    ]
  }
  if (name === 'NotCapable' || name === 'PermissionDenied' || denoHides(root)) {
    return [
      'ERR_MILLRACE_PERMISSION',
      "Deno's permissions forbid what loading millrace needs: run it with --allow-ffi --allow-read --allow-env",
    ]
  }
  return undefined
}

/** Deno's question whether something is allowed. */
interface Deno {
  readonly permissions: {
    querySync(about: { readonly name: 'read'; readonly path: string }): { readonly state: string }
  }
}

// node-gyp-build takes folders that it may not read for ones that are not there; so one has to ask.

function denoHides(root: string): boolean {
  const { Deno: deno } = globalThis as { Deno?: Deno }
  const about = { name: 'read', path: path.resolve(root, 'prebuilds') } as const
  return deno !== undefined && deno.permissions.querySync(about).state !== 'granted'
}

function firstUnreadable(permission: Permission | undefined, root: string): string | undefined {
  if (permission === undefined) return undefined
  const folder = path.resolve(root, 'prebuilds')
  return permission.has('fs.read', folder) ? undefined : folder
}

function unloadable(cause: unknown, root: string, here: string, isThere: IsThere): string {
  const build = 'npx millrace build (with a C++20 compiler, make and Python 3)'
  const said = messageOf(cause)
  const compiled = path.resolve(root, 'build/Release/millrace.node')
  if (process.env['npm_config_build_from_source'] === 'millrace' && !isThere(compiled)) {
    return (
      'npm_config_build_from_source=millrace asks for a binary that was built here, and there is none: ' +
      `build one: ${build}, or unset it`
    )
  }
  if ((cause as { code?: unknown }).code === 'ERR_DLOPEN_FAILED') {
    return said.includes(compiled) || isThere(compiled)
      ? `the binary that was built here does not load on ${here} (${said}); remove '${path.dirname(path.dirname(compiled))}' to use ` +
          `the one that the package brings, or build again: ${build}`
      : `millrace has no working binary for ${here} (${said}); install millrace again, or build one: ${build}`
  }
  if (/Cannot find (?:module|package) '?node-gyp-build/u.test(said)) {
    return (
      "the package 'node-gyp-build', which finds millrace's binary, is not there; install millrace again, and " +
      'let bundlers leave both packages outside (docs/bundlers.md)'
    )
  }
  if (!isThere(path.resolve(root, 'prebuilds')) && said.startsWith('No native build')) {
    return (
      `millrace has no working binary for ${here}, as its folder 'prebuilds' is missing: ` +
      `install millrace again, or build one: ${build}`
    )
  }
  return `millrace has no working binary for ${here}; build one: ${build}`
}

/** Of loaders the first line: what follows are stacks of require. */
function messageOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split('\n')[0] ?? ''
}
