// A value that changes all the time, watched by one that hurries and one that does not.

import { Cell } from 'millrace'

import { none, patience, pause, same, some, type Counts, type Load, type Shift } from '../load.js'

export const cell: Load = {
  parts: { left: write, right: watch(0), visitors: watch(20) },
  judge: ({ left, right, visitors }) => [
    ...some('versions written', left?.['written']),
    ...same('last version written and seen', left?.['written'], right?.['last']),
    ...same('last version written and seen by the slow one', left?.['written'], visitors?.['last']),
    ...none('values that were not whole', right?.['torn']),
    ...none('values that were not whole, for the slow one', visitors?.['torn']),
  ],
}

const maxBytes = 4000

async function write({ name, over }: Shift): Promise<Counts> {
  using ready = Cell.writer(name('c'), { maxBytes })
  let written = 0
  const value = Buffer.alloc(maxBytes)
  while (!over()) {
    for (let i = 0; i < 10; i++) {
      written++
      if (written % 2 === 0) {
        written = ready.write(value.fill(written & 0xff).subarray(0, 8 + (written % 3000)))
      } else {
        written = ready.update((bytes) => bytes.fill(written & 0xff).length)
      }
    }
    await pause(1)
  }
  return { written }
}

function watch(restMs: number) {
  return async ({ name }: Shift): Promise<Counts> => {
    using reader = await Cell.reader(name('c'), patience)
    let last = 0
    let torn = 0
    for await (const { bytes, version } of reader.changes()) {
      const wanted = version & 0xff
      if (version <= last || bytes[0] !== wanted || bytes.at(-1) !== wanted) torn++
      last = version
      if (restMs > 0) await pause(restMs)
    }
    return { last, torn }
  }
}
