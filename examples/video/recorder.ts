// Writes every picture to a file, from where it lies: recorder.ts FILE
import { open } from 'node:fs/promises'
import { FrameReader } from 'millrace'

const file = await open(process.argv[2]!, 'w')
using reader = await FrameReader.open('video') // the camera waits for us: no picture is missed
let frames = 0
for await (using frame of reader) {
  await file.appendFile(frame.bytes) // the frame is ours until the end of this block
  frames++
}
await file.close()
console.log(`recorder: ${frames} frames`)
