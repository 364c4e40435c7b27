// The moving test picture: its shape, how ffmpeg makes it, and how a few lines make the same bytes.
export const width = 640
export const height = 480
export const pictures = 200
/** One byte a pixel: how bright it is. */
export const pictureBytes = width * height

const radius = 20

/** Where the middle of the bright disc is in picture number `n`, from 0 on. */
export const discAt = (n: number) => ({ x: 60 + ((2 * n) % 520), y: 60 + (n % 360) })

const disc = `lt(hypot(X-60-mod(2*N,520),Y-60-mod(N,360)),${radius})`
const drawn = `format=gray,geq=lum='if(${disc},255,mod(X+Y,128))'`

/** What ffmpeg is started with: it writes the pictures to its output, one after the other; without a `count` for ever. */
export const ffmpegArguments = (count?: number): readonly string[] => [
  ...['-v', 'error', '-f', 'lavfi', ...(count === undefined ? ['-re'] : [])],
  ...['-i', `nullsrc=s=${width}x${height}:r=25,${drawn}`],
  ...(count === undefined ? [] : ['-frames:v', String(count)]),
  ...['-f', 'rawvideo', '-pix_fmt', 'gray', '-'],
]

/** Picture number `n` by the same rule. */
export function draw(n: number): Buffer {
  const picture = Buffer.allocUnsafe(pictureBytes)
  const { x: middleX, y: middleY } = discAt(n)
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const inside = Math.hypot(x - middleX, y - middleY) < radius
      picture[at++] = inside ? 255 : (x + y) % 128
    }
  }
  return picture
}
