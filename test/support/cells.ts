// Cells that are closed with their test, and values that tell whether they are whole.

import type { ExecutionContext } from 'ava'
import {
  Cell,
  type CellReader,
  type CellReaderOptions,
  type CellWriter,
  type CellWriterOptions,
} from 'millrace'

import { bytes } from './queues.js'

export function openWriter(
  t: ExecutionContext,
  name: string,
  options: Partial<CellWriterOptions> = {},
): CellWriter {
  const writer = Cell.writer(name, { maxBytes: 100, ...options })
  t.teardown(() => {
    writer.close()
  })
  return writer
}

export async function openReader(
  t: ExecutionContext,
  name: string,
  options?: CellReaderOptions,
): Promise<CellReader> {
  const reader = await Cell.reader(name, options)
  t.teardown(() => {
    reader.close()
  })
  return reader
}

/** A value of the given version: its length and content follow from it. */
export function valueOf(version: number, maxBytes = 100): Buffer {
  return bytes((version * 37) % (maxBytes + 1), version)
}
