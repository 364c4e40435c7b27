// Standard input becomes frames: the system reads the pipe straight into shared memory. `ffmpeg … -f rawvideo - | node camera.ts`
import { FrameWriter } from 'millrace'
import { pictureBytes } from './picture.ts'

using camera = FrameWriter.create('vision', { slotBytes: pictureBytes })
await camera.waitForReaders(1)
const frames = await camera.fill(0) // descriptor 0
console.log(`camera: ${frames} frames`)
