// The writer of the film and its two readers.

import { writeFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { monotonicNow } from 'millrace'
import { ContactSheet } from './contact-sheet.js'
import { FrameCheck } from './frame-check.js'
import type { FrameTask, Outcome } from './roles.js'
import type { Stage } from './stage.js'
import { drawTestCard, frameBytes, rehearse } from './test-card.js'
import { openPictureInlet, openPictureOutlet, viewEveryMs } from './transports.js'

/** Draws each frame where it is sent from: a slot of the channel, or a buffer for the socket. */
export async function writeFrames(task: FrameTask, stage: Stage): Promise<Outcome> {
  rehearse()
  const outlet = stage.keep(await openPictureOutlet(task))
  const start = performance.now()
  const at = Number(monotonicNow())
  for (let number = 1; number <= task.frames; number++) {
    const room = await outlet.room(frameBytes)
    const { buffer, byteOffset } = room.bytes
    drawTestCard(new Uint32Array(buffer, byteOffset, frameBytes / 4), number)
    const early = start + number * task.everyMs - performance.now()
    if (task.everyMs > 0 && early > 0) await pause(early)
    room.send(frameBytes)
  }
  await outlet.finish()
  return { at, messages: task.frames, bytes: task.frames * frameBytes, latenciesNs: [] }
}

/** Wants every frame, in order, and compares every byte with a drawing of its own. */
export async function checkFrames(task: FrameTask, stage: Stage): Promise<Outcome> {
  const check = newCheck(task)
  const sheet = task.sheet === undefined ? undefined : new ContactSheet(task.frames)
  const inlet = stage.keep(await openPictureInlet(task, 'every'))
  const latenciesNs: number[] = []
  await inlet.receive((frame, number, latencyNs) => {
    latenciesNs.push(latencyNs)
    const expected = latenciesNs.length
    if (number !== expected) throw new Error(`frame ${number} came instead of ${expected}`)
    check?.assertIs(frame, number)
    sheet?.add(number, frame)
    stage.progress(number * frameBytes)
  })
  const at = Number(monotonicNow())
  inlet.close()
  const messages = latenciesNs.length
  if (messages !== task.frames) throw new Error(`${messages} of ${task.frames} frames arrived`)
  if (task.sheet !== undefined && sheet) await writeFile(task.sheet, sheet.toPng())
  return { at, messages, bytes: messages * frameBytes, latenciesNs }
}

/** Looks at the newest frame thirty times a second, and in the end at the last; checks what it sees. */
export async function viewFrames(task: FrameTask, stage: Stage): Promise<Outcome> {
  const check = newCheck(task)
  const inlet = stage.keep(await openPictureInlet(task, 'newest'))
  const latenciesNs: number[] = []
  let seen = 0
  let nextLook = 0
  await inlet.receive((frame, number, latencyNs) => {
    // A socket delivers every frame, wanted or not.
    const now = performance.now()
    if (task.transport === 'socket' && now < nextLook && number !== task.frames) return
    if (number <= seen) throw new Error(`frame ${number} came after ${seen}`)
    nextLook = now + viewEveryMs
    seen = number
    latenciesNs.push(latencyNs)
    check?.assertIs(frame, number)
  })
  const at = Number(monotonicNow())
  inlet.close()
  if (seen !== task.frames) throw new Error(`the newest frame seen is ${seen}, not ${task.frames}`)
  const messages = latenciesNs.length
  return { at, messages, bytes: messages * frameBytes, latenciesNs }
}

/** A paced run measures latency: drawing would be measured, too, if it kept the reader from its next. */
function newCheck({ everyMs }: FrameTask): FrameCheck | undefined {
  if (everyMs > 0) return undefined
  rehearse()
  return new FrameCheck(drawTestCard)
}
