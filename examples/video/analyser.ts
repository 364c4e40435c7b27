// Looks at every picture where it lies, and says how bright the pictures are and how much moves.
import { FrameReader } from 'millrace'
import { pictureBytes, width } from './picture.ts'

using reader = await FrameReader.open('video') // the camera waits for us: no picture is missed
const before = new Uint8Array(pictureBytes / 3)
let [frames, brightness, moved] = [0, 0, 0]
for await (using frame of reader) {
  const { bytes } = frame
  for (let i = 0, pixel = 0; i < bytes.length; i += 3, pixel++) {
    const light = (bytes[i]! + bytes[i + 1]! + bytes[i + 2]!) / 3
    brightness += light
    if (frames > 0 && Math.abs(light - before[pixel]!) > 1) moved++
    before[pixel] = light
  }
  frames++
}
const pixels = (frames * pictureBytes) / 3
console.log(
  `analyser: ${frames} frames ${width} wide, brightness ${(brightness / pixels).toFixed(1)}, ` +
    `${((100 * moved) / pixels).toFixed(0)} % of the pixels moved`,
)
