// Reads the frames of `camera.ts` where they lie: no copy, however many readers there are.
import { FrameReader } from 'millrace'

using reader = await FrameReader.open('camera', { policy: 'wait' })
for await (using frame of reader) {
  console.log(`frame ${frame.sequence}: ${frame.byteLength} bytes of ${frame.bytes[0]}`)
}
