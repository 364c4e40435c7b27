// Small stories of one process each, about waiting, ending and letting go: `lifecycle.mjs STORY NAME`. What each has to
// print, and its exit code, stand in smoke/lifecycle.mjs.

import {
  Cell,
  FrameReader,
  FrameWriter,
  MappedFile,
  NamelessSegment,
  offerSegments,
  receiveSegments,
  SharedMemory,
  SpscQueue,
} from 'millrace'
import { Barrier, RwLock, Semaphore, SharedEvent } from 'millrace/sync'
import { readFileSync } from 'node:fs'
import { TextDecoder } from 'node:util'

const [story, name] = process.argv.slice(2)
const patience = { timeout: 5000 }
const soon = (action) => setTimeout(action, 20)
const codeOf = (promise) =>
  promise.then(
    () => 'nothing',
    ({ code }) => code,
  )

const ends = {
  uncaughtException() {
    setTimeout(() => {
      throw new Error('meant to be uncaught')
    })
  },
  unhandledRejection() {
    void Promise.reject(new Error('meant to be unhandled'))
  },
  exit() {
    process.exit(1)
  },
  exitCode() {
    process.exitCode = 1
  },
}

const stories = {
  // Open channels do not keep a process alive; waits do, unless they are told not to.
  openEnds() {
    SpscQueue.consumer(name)
    FrameWriter.create(name, { slotBytes: 64 })
    return 'open'
  },
  unreferencedEnds() {
    void SpscQueue.consumer(name).unref().pop()
    return 'waiting'
  },
  exitWhileWaiting() {
    void SpscQueue.consumer(name).pop()
    soon(() => process.exit(3))
    return 'waiting'
  },
  async uncaughtError() {
    SpscQueue.consumer(name)
    await new Promise(soon)
    throw new Error('meant to be uncaught')
  },
  // Told in two processes, of which either may start first. How it ends is in the environment.
  async failsAfterSending() {
    await SpscQueue.producer(name).push('message')
    await new Promise(soon)
    ends[process.env.END]()
  },
  // Who holds a message and is killed has not received it.
  async isKilledAtWork() {
    const consumer = SpscQueue.consumer(name, { keep: true })
    await consumer.take(patience)
    process.kill(process.pid, 'SIGKILL')
  },
  async worksAfterIt() {
    const producer = SpscQueue.producer(name, { keep: true })
    await producer.push('a job')
    while (producer.peer !== 'gone') await new Promise(soon)
    const consumer = SpscQueue.consumer(name)
    const job = await consumer.take(patience)
    const said = new TextDecoder().decode(job.bytes)
    job.release()
    return said
  },
  async hearsOfFailure() {
    const consumer = SpscQueue.consumer(name)
    const message = await consumer.pop({ timeout: 60_000 })
    const end = await codeOf(consumer.pop({ timeout: 60_000 }))
    return `${message} ${end}`
  },
  async timeout() {
    return await codeOf(SpscQueue.consumer(name).pop({ timeout: 20 }))
  },
  async abort() {
    const controller = new AbortController()
    soon(() => controller.abort())
    return await codeOf(SpscQueue.consumer(name).pop({ signal: controller.signal }))
  },
  async otherSideCloses() {
    const writer = FrameWriter.create(name, { slotBytes: 64 })
    const reader = await FrameReader.open(name)
    soon(() => writer.close())
    return String(await reader.receive(patience))
  },
  closedViewsAreEmpty() {
    const memory = SharedMemory.create(name, 4096)
    const view = memory.view(Uint8Array)
    memory.close()
    return `${view.length} ${view[0]}`
  },
  async closedFramesAreEmpty() {
    const writer = FrameWriter.create(name, { slotBytes: 64 })
    const reader = await FrameReader.open(name)
    const loan = await writer.loan(patience)
    loan.publish()
    const { bytes } = await reader.receive(patience)
    const before = bytes.length
    reader.close()
    return `${before} ${bytes.length}`
  },
  async mapsAreReleased() {
    for (let i = 0; i < 200; i++) {
      const memory = SharedMemory.create(`${name}.${i}`, 4096)
      memory.view(Uint8Array)[0] = 1
      memory.close()
    }
    await new Promise(soon)
    const maps = readFileSync('/proc/self/maps', 'utf8')
    return String(maps.split('\n').filter((line) => line.includes(`${name}.`)).length)
  },
  async blockingCalls() {
    const producer = SpscQueue.producer(name)
    const consumer = SpscQueue.consumer(name)
    producer.pushSync('message')
    const message = consumer.popSync(patience).toString()
    return `${message} ${await codeOf(Promise.resolve().then(() => consumer.popSync({ timeout: 5 })))}`
  },
  async semaphore() {
    const semaphore = Semaphore.create(name, 0)
    soon(() => semaphore.post())
    await semaphore.acquire(patience)
    semaphore.close()
    return String(Semaphore.unlink(name))
  },
  async event() {
    const [waits, sets] = [SharedEvent.open(name), SharedEvent.open(name)]
    soon(() => sets.set())
    await waits.wait(patience)
    return 'set'
  },
  async barrier() {
    const parties = [Barrier.open(name, { parties: 2 }), Barrier.open(name, { parties: 2 })]
    const answers = await Promise.all(parties.map((party) => party.wait(patience)))
    return String(answers.filter(({ serial }) => serial).length)
  },
  async readersAndWriter() {
    const [one, other, third] = [RwLock.open(name), RwLock.open(name), RwLock.open(name)]
    const readers = [await one.readLock(patience), await other.readLock(patience)]
    soon(() => readers.forEach((guard) => guard.release()))
    const guard = await third.writeLock(patience)
    guard.release()
    return 'written'
  },
  async cellChanges() {
    const writer = Cell.writer(name, { maxBytes: 8 })
    const reader = await Cell.reader(name)
    soon(() => writer.write('new'))
    await reader.changed(patience)
    return reader.read().bytes.toString()
  },
  async namelessSegment() {
    const path = `/tmp/${name}.socket`
    const offered = NamelessSegment.create()
    const offer = await offerSegments(path, { offered })
    const received = (await receiveSegments(path, patience)).offered
    offer.close()
    const producer = SpscQueue.producer(offered)
    const consumer = SpscQueue.consumer(received)
    await producer.push('handed over')
    return (await consumer.pop(patience)).toString()
  },
  async mappedFile() {
    const file = new MappedFile(`/tmp/${name}.bin`)
    const memory = SharedMemory.create(file, 4096)
    memory.view(Uint8Array)[4095] = 5
    await memory.flush()
    const last = readFileSync(file.path)[4095]
    file.unlink()
    return String(last)
  },
}

const tell = stories[story]
if (tell === undefined) throw new Error(`there is no story '${story}'`)
console.log(await tell())
