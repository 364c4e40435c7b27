// What every runtime has to do, as two processes: messages, round trips, frames, a cell, a lock and a counter, with
// all contents checked, and in the end one of the two is cut off. It gets the library from whoever runs it, so
// that the same story is told by modules, by require and by bundles.

/**
 * @typedef {typeof import('millrace') & typeof import('millrace/sync') & Pick<typeof import('millrace/struct'),
 *   'struct' | 'f64' | 'u32' | 'char'>} Library
 * @typedef {{ messages: number, roundTrips: number, frames: number, steps: number, digest: number, total: number,
 *   count: string, fingerprint: string, ending?: string }} Account
 */

export const messages = 1500
const roundTrips = 100
export const frames = 60
const steps = 100
export const slotBytes = 16_384
const patience = { timeout: 60_000 }

/** What both accounts must say, whatever the runtime. */
export function expected() {
  let digest = 0
  for (let i = 0; i < messages; i++) digest = fold(digest, content(i, lengthOf(i)))
  for (let i = 0; i < frames; i++) digest = fold(digest, content(-i, slotBytes))
  return { messages, roundTrips, frames, steps, digest, total: 2 * steps, count: `${2 * steps}` }
}

/**
 * Sends; what it says last is followed by its end, which `farewell` brings about.
 * @param {Library} library
 * @param {string} name
 * @param {(account: Account) => void} tell
 * @param {() => Promise<void>} farewell
 */
export async function left(library, name, tell, farewell) {
  const { Cell, FrameWriter, SharedMemory, SpscQueue } = library
  const there = SpscQueue.producer(`${name}.there`, { capacity: 32_768 })
  const back = SpscQueue.consumer(`${name}.back`)

  let digest = 0
  for (let i = 0; i < messages; i++) {
    const message = content(i, lengthOf(i))
    digest = fold(digest, message)
    if (i % 3 === 0) {
      await there.push(message, patience)
    } else if (i % 3 === 1) {
      await there.pushBatch([message], patience)
    } else {
      const reservation = await there.reserveWhenFree(message.length, patience)
      reservation.bytes.set(message)
      reservation.commit()
    }
  }

  for (let i = 0; i < roundTrips; i++) {
    await there.push(`ping ${i}`, patience)
    same(await textFrom(back), `pong ${i}`)
  }

  const writer = FrameWriter.create(`${name}.frames`, { slotBytes, slots: 4 })
  await writer.waitForReaders(1, patience)
  for (let i = 0; i < frames; i++) {
    const bytes = content(-i, slotBytes)
    digest = fold(digest, bytes)
    const frame = await writer.loan(patience)
    if (i % 2 === 0) frame.bytes.set(bytes)
    else frame.write(bytes)
    frame.publish({ header: content(i, 16) })
  }
  same(await textFrom(back), 'frames read')
  writer.close()

  const cell = Cell.writer(`${name}.cell`, { maxBytes: 64 })
  cell.write('newest')
  const memory = SharedMemory.create(`${name}.memory`, 4096)
  await there.push('share', patience)
  const { total, count, fingerprint } = await share(library, name, memory, there, back)
  cell.close()

  tell({ messages, roundTrips, frames, steps, digest, total, count, fingerprint })
  await there.push('last words', patience)
  back.close()
  await farewell()
}

/**
 * @param {Library} library
 * @param {string} name
 * @param {(account: Account) => void} tell
 */
export async function right(library, name, tell) {
  const { Cell, FrameReader, SharedMemory, SpscQueue } = library
  const there = SpscQueue.consumer(`${name}.there`, { capacity: 32_768 })
  const back = SpscQueue.producer(`${name}.back`)

  let digest = 0
  const target = new Uint8Array(4096)
  for (let i = 0; i < messages;) {
    if (i % 2 === 0) {
      const message = await there.pop(patience)
      if (message === undefined) throw new Error(`the messages end at ${i}`)
      same(message, content(i, lengthOf(i)))
      digest = fold(digest, message)
      i++
      continue
    }
    const length = there.tryPopInto(target)
    if (length < 0) {
      if (!(await there.readable(patience))) throw new Error(`the messages end at ${i}`)
      continue
    }
    same(target.subarray(0, length), content(i, lengthOf(i)))
    digest = fold(digest, target.subarray(0, length))
    i++
  }

  for (let i = 0; i < roundTrips; i++) {
    same(await textFrom(there), `ping ${i}`)
    await back.push(`pong ${i}`, patience)
  }

  const reader = await FrameReader.open(`${name}.frames`, patience)
  for (let i = 0; i < frames; i++) {
    const frame = await reader.receive(patience)
    if (frame === undefined) throw new Error(`the frames end at ${i}`)
    same(frame.sequence, i + 1)
    same(frame.header.subarray(0, 16), content(i, 16))
    const bytes = i % 3 === 0 ? new Uint8Array(slotBytes) : frame.bytes
    if (i % 3 === 0) frame.copyTo(bytes)
    same(bytes, content(-i, slotBytes))
    digest = fold(digest, bytes)
    frame.release()
  }
  await back.push('frames read', patience)
  same(await reader.receive(patience), undefined)
  reader.close()

  same(await textFrom(there), 'share')
  const cell = await Cell.reader(`${name}.cell`, patience)
  same(cell.read()?.bytes.toString(), 'newest')
  cell.close()
  const memory = SharedMemory.open(`${name}.memory`)
  const { total, count, fingerprint } = await share(library, name, memory, back, there)

  same(await textFrom(there), 'last words')
  let ending = 'nothing'
  try {
    if ((await there.pop(patience)) === undefined) ending = 'end'
  } catch (error) {
    ending = error instanceof library.MillraceError ? error.code : String(error)
  }
  back.close()
  there.close()
  tell({ messages, roundTrips, frames, steps, digest, total, count, fingerprint, ending })
}

/**
 * Both sides add to one number that only a lock protects, and to one that needs none.
 * @param {Library} library
 * @param {string} name
 * @param {import('millrace').SharedMemory} memory
 * @param {import('millrace').QueueProducer} to
 * @param {import('millrace').QueueConsumer} from
 */
async function share({ Counter, Mutex, char, f64, struct, u32 }, name, memory, to, from) {
  const mutex = Mutex.open(`${name}.mutex`)
  const counter = Counter.open(`${name}.counter`)
  const words = memory.view(Int32Array)
  for (let i = 0; i < steps; i++) {
    const guard = await mutex.lock(patience)
    const before = words[0] ?? 0
    if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    words[0] = before + 1
    guard.release()
    counter.add()
  }
  await to.push('shared', patience)
  same(await textFrom(from), 'shared')
  const total = words[0] ?? 0
  const count = String(counter.get())
  await to.push('seen', patience)
  same(await textFrom(from), 'seen')
  counter.close()
  mutex.close()
  memory.close()

  const Tick = struct({ price: f64, size: u32, symbol: char(8) })
  const tick = Tick.view(new ArrayBuffer(Tick.size))
  tick.price = 101.5
  tick.symbol = 'ACME'
  same(JSON.stringify(Tick.read(tick)), '{"price":101.5,"size":0,"symbol":"ACME"}')
  return { total, count, fingerprint: String(Tick.fingerprint) }
}

/** @param {import('millrace').QueueConsumer} queue */
async function textFrom(queue) {
  const message = await queue.pop(patience)
  return message?.toString()
}

/** @param {number} i */
export const lengthOf = (i) => (i * 37) % 1500

/**
 * Bytes that follow from a number: xorshift32.
 * @param {number} seed
 * @param {number} length
 */
export function content(seed, length) {
  const bytes = new Uint8Array(length)
  let state = (Math.imul(seed, 0x9e37_79b1) | 1) >>> 0
  for (let i = 0; i < length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state
  }
  return bytes
}

/**
 * FNV-1a.
 * @param {number} digest
 * @param {Uint8Array} bytes
 */
export function fold(digest, bytes) {
  let folded = digest
  for (const byte of bytes) folded = Math.imul(folded ^ byte, 0x0100_0193)
  return folded
}

/**
 * @param {unknown} found
 * @param {unknown} wanted
 */
function same(found, wanted) {
  if (found instanceof Uint8Array && wanted instanceof Uint8Array) {
    const first = found.findIndex((byte, at) => byte !== wanted[at])
    if (found.length === wanted.length && first < 0) return
    throw new Error(`${found.length} bytes instead of ${wanted.length}, other ones from ${first}`)
  }
  if (found !== wanted) throw new Error(`'${String(found)}' instead of '${String(wanted)}'`)
}
