// Where there is no ffmpeg: writes the bytes to standard output that ffmpeg would.
import { once } from 'node:events'
import { draw, pictures } from './picture.ts'

for (let n = 0; n < pictures; n++) {
  if (!process.stdout.write(draw(n))) await once(process.stdout, 'drain')
}
