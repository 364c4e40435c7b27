// Where there is no ffmpeg: writes the bytes to standard output that ffmpeg would. `generator.ts` for ever, `generator.ts 200` so many.
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { draw } from './picture.ts'

const count = Number(process.argv[2] ?? Infinity)
for (let n = 0; n < count; n++) {
  if (!process.stdout.write(draw(n))) await once(process.stdout, 'drain')
  if (count === Infinity) await pause(40)
}
