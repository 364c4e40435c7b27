// Chunks that others have compressed.

import { loadPeer } from '../../engines/peer.js'
import { MillraceError } from '../../errors.js'
import { damaged } from './record-view.js'

type Decompress = (bytes: Uint8Array, size: number) => Uint8Array

/** What `fzstd` and `lz4js` have of it. */
interface Peer {
  decompress(bytes: Uint8Array, sized?: Uint8Array | number): Uint8Array
}

/**
 * What was compressed, as long as it is to be. zstd is Node's own where it has it (22.15); otherwise it takes packages that are optional peers.
 *
 * @throws MillraceError `MISSING_PEER`, `UNSUPPORTED` (another compression), `CORRUPT`
 */
export function decompress(
  path: string,
  compression: string,
  bytes: Uint8Array,
  size: number,
): Uint8Array {
  const by = decompressors[compression]
  if (by === undefined) {
    throw new MillraceError(
      'ERR_MILLRACE_UNSUPPORTED',
      `'${path}' is compressed by '${compression}', which is not known here: write it anew with zstd, lz4 or no compression`,
      { path },
    )
  }
  const run = by()
  let plain: Uint8Array
  try {
    plain = run(bytes, size)
  } catch {
    throw damaged(path, `a chunk cannot be decompressed by ${compression}`)
  }
  if (plain.length === size) return plain
  throw damaged(
    path,
    `a chunk has ${String(plain.length)} bytes, and says that it has ${String(size)}`,
  )
}

const decompressors: Readonly<Record<string, (() => Decompress) | undefined>> = {
  zstd() {
    const own = zstdOfNode()
    if (own !== undefined) return own
    const peer = loadPeer('fzstd', 'recordings that are compressed by zstd') as Peer
    return (bytes) => peer.decompress(bytes)
  },
  lz4() {
    const peer = loadPeer('lz4js', 'recordings that are compressed by lz4') as Peer
    return (bytes, size) => peer.decompress(bytes, size)
  },
}

/** A chunk that is longer than it says is not worth the memory. */
function zstdOfNode(): Decompress | undefined {
  const { zstdDecompressSync } = process.getBuiltinModule('node:zlib') as {
    readonly zstdDecompressSync?: (
      bytes: Uint8Array,
      options: { readonly maxOutputLength: number },
    ) => Buffer
  }
  if (zstdDecompressSync === undefined) return undefined
  return (bytes, size) => zstdDecompressSync(bytes, { maxOutputLength: Math.max(size, 1) })
}
