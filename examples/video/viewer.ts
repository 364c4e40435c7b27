// Shows the newest picture ten times a second, in letters, and never makes the camera wait: what comes in between is passed over.
import { setTimeout as pause } from 'node:timers/promises'
import { FrameReader } from 'millrace'
import { height, width } from './picture.ts'

using reader = await FrameReader.open('video', { policy: 'overwrite-oldest' })
const [columns, rows] = [64, 24]
let [shown, last] = [0, 0]
for (;;) {
  using frame = await reader.receiveLatest()
  if (frame === undefined) break // the camera has closed
  if (process.stdout.isTTY) process.stdout.write(`\u001b[H\u001b[2J${inLetters(frame.bytes)}`)
  shown++
  last = frame.sequence
  await pause(100)
}
const { lost, skipped } = reader.stats
console.log(`viewer: showed ${shown} of ${shown + lost + skipped} frames, the last one was ${last}`)

function inLetters(bytes: Uint8Array): string {
  let text = ''
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const [x, y] = [(column * width) / columns, (row * height) / rows]
      const green = bytes[(Math.floor(y) * width + Math.floor(x)) * 3 + 1]!
      text += ' .:-=+*#%@'[Math.floor(green / 25.6)]!
    }
    text += '\n'
  }
  return text
}
