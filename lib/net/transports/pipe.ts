// pipe:///run/app/pipe: a FIFO. Who listens receives, who connects sends; one writer at a time, one listener.

import { MillraceError } from '../../errors.js'
import { filePath } from '../address.js'
import { makePipe, noPipe, openPipe, PipeInlet, type OpenPipe } from '../pipe/inlet.js'
import { PipeWriter } from '../pipe/writer.js'
import type { GivenListen } from '../options.js'
import type { Transport } from '../transport.js'
import { assertKnown, assertOwner, fs, leadsTo, takeListening, takeWriting } from './files.js'

export const pipe: Transport = {
  scheme: 'pipe',
  traits: {
    zeroCopy: false,
    reliable: true,
    ordered: true,
    death: 'exact',
    directions: 'send',
    connections: 'one',
  },

  check(address) {
    filePath(address)
    assertKnown(address, [])
  },

  connect(address, { allow }) {
    const path = filePath(address)
    const { O_WRONLY, O_NONBLOCK } = fs().constants
    for (;;) {
      if (!fs().statSync(path).isFIFO()) throw noPipe(path, address.text)
      // With nobody who listens that is ENXIO, and never a wait.
      const fd = fs().openSync(path, O_WRONLY | O_NONBLOCK)
      let writer: PipeWriter | undefined
      try {
        const stats = fs().fstatSync(fd)
        if (!stats.isFIFO()) throw noPipe(path, address.text)
        assertOwner(stats, allow, address.text)
        if (!takeWriting(fd)) throw taken(address.text, path)
        // Who listens may have put another one there meanwhile.
        if (leadsTo(path, stats)) {
          writer = new PipeWriter(fd)
          return Promise.resolve({ stream: writer.stream, peer: {} })
        }
      } finally {
        if (writer === undefined) fs().closeSync(fd)
      }
    }
  },

  listen(address, given, arrivals) {
    const path = filePath(address)
    const where = { address: address.text, path, mode: given.mode }
    return Promise.resolve(new PipeInlet(where, opened(path, address.text, given), arrivals))
  },
}

/** There, and this process listens: nobody else does. */
function opened(
  path: string,
  address: string,
  { mode, allow }: GivenListen,
): { readonly pipe: OpenPipe; readonly made: boolean } {
  for (;;) {
    const made = makePipe(path, mode)
    if (!made && !fs().statSync(path).isFIFO()) throw noPipe(path, address)
    const found = openPipe(path, address)
    let isOurs = false
    try {
      assertOwner(found.stats, allow, address)
      if (!takeListening(found.fd)) {
        throw new MillraceError(
          'ERR_MILLRACE_EXISTS',
          `somebody listens at '${address}' already: end that, or take another path`,
          { path },
        )
      }
      isOurs = leadsTo(path, found.stats)
      if (isOurs) return { pipe: found, made }
    } finally {
      if (!isOurs) fs().closeSync(found.fd)
    }
  }
}

function taken(address: string, path: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_ROLE_TAKEN',
    `another one writes to '${address}', and a FIFO takes one writer at a time: connect again when it has closed, or take unix://`,
    { path },
  )
}
