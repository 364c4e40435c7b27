// Publishes 100 frames of 1920 × 1080 RGBA; `analyser.ts` in other processes reads them in place.
import { FrameWriter } from 'millrace'

using camera = FrameWriter.create('camera', { slotBytes: 1920 * 1080 * 4 })
await camera.waitForReaders()
for (let i = 1; i <= 100; i++) {
  using frame = await camera.loan() // a slot in shared memory
  frame.bytes.fill(i) // draw straight into it
  frame.publish()
}
