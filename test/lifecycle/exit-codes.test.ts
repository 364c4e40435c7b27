// Who ends without having closed: with the exit code 0 it had nothing more to say; with another one, or killed, nobody is to
// take what it sent for the whole.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { FrameReader, MillraceError, SpscQueue } from 'millrace'

import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { within } from '../support/until.js'

const leavesOpen = new URL('./fixtures/leaves-open.js', import.meta.url)
const soon = { timeout: 15_000 }

/** How a wait ended. */
async function ending(wait: Promise<unknown>): Promise<string> {
  try {
    return (await wait) === undefined ? 'closed' : 'something'
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    const { code, cause } = error
    return cause instanceof Error ? `${code}: ${cause.message}` : code
  }
}

const failed = (where: string, code: number) =>
  `ERR_MILLRACE_PEER_FAILED: ${where} ended with exit code ${String(code)}`
const died = 'ERR_MILLRACE_PEER_GONE'
const closed = 'closed'
const byItself = 'ERR_MILLRACE_PEER_FAILED: by its own will'

for (const [how, code, told] of [
  ['throw', 1, undefined],
  ['reject', 1, undefined],
  ['exit 3', 3, undefined],
  ['exitCode 4', 4, undefined],
  ['exitCode 5, set in a listener', 5, undefined],
  ['exit 0', 0, closed],
  ['dry', 0, closed],
  ['abort, then exit 3', 3, byItself],
  ['close, then throw', 1, closed],
  ['killed', null, died],
  ['terminated', 1, closed],
] as const) {
  for (const where of ['process', 'worker'] as const) {
    if ((how === 'killed' && where === 'worker') || (how === 'terminated' && where === 'process')) {
      continue
    }
    const expected = told ?? failed(where, code)
    test.serial(`a ${where} that ends (${how}): ${expected}`, async (t) => {
      const name = uniqueName(t)
      using consumer = SpscQueue.consumer(`${name}.out`)
      using producer = SpscQueue.producer(`${name}.in`)
      const way = how === 'killed' || how === 'terminated' ? 'stay' : how
      let end: () => Promise<unknown>
      let reader: FrameReader
      if (where === 'process') {
        const child = run(t, leavesOpen, [name, way])
        reader = await FrameReader.open(name, soon)
        t.like(await child.next(), { open: true })
        end = async () => {
          child.send('end')
          if (how === 'killed') await child.kill()
          else t.deepEqual(await child.ended(), { code, signal: null }, child.stderr)
        }
      } else {
        const worker = new Worker(leavesOpen, { workerData: [name, way], stderr: true })
        const exited = once(worker, 'exit').catch(() => [1]) // its error comes before
        reader = await FrameReader.open(name, soon)
        await within(20_000, once(worker, 'message'))
        worker.on('error', () => undefined)
        end = async () => {
          if (how === 'terminated') await worker.terminate()
          else worker.postMessage('end')
          await within(20_000, exited)
        }
      }
      t.is((await consumer.pop(soon))?.toString(), 'message')
      ;(await reader.receive(soon))!.release()
      producer.tryPush('never read')
      // Both as waits that sleep and as looks that come later.
      const waits = [consumer.pop(soon), reader.receive(soon), producer.end(soon)]
      const endings = waits.map(ending)
      await end()
      t.deepEqual(await Promise.all(endings.slice(0, 2)), [expected, expected])
      t.is(
        await endings[2],
        expected === closed ? 'ERR_MILLRACE_CLOSED' : expected,
        'a consumer likewise',
      )
      t.is(await ending(consumer.pop(soon)), expected)
      t.is(await ending(reader.receive(soon)), expected)
      reader.close()
      producer.close({ discard: true })
    })
  }
}
