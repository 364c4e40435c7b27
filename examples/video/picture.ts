// The moving test picture: its shape, how ffmpeg makes it, and how a few lines make the same bytes.
export const width = 320
export const height = 240
export const pictures = 100
/** Three bytes a pixel: red, green, blue. */
export const pictureBytes = width * height * 3

const red = 'mod(X+4*N,256)'
const green = 'mod(Y+2*N,256)'
const blue = 'mod(X+Y,256)'
const drawn = `format=gbrp,geq=r='${red}':g='${green}':b='${blue}'`

/** What ffmpeg is started with: it writes the pictures to its output, one after the other. */
export const ffmpegArguments: readonly string[] = [
  ...['-v', 'error', '-f', 'lavfi', '-i', `nullsrc=s=${width}x${height}:r=25,${drawn}`],
  ...['-frames:v', String(pictures), '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'],
]

/** Picture number `n`, from 0 on, by the same rule. */
export function draw(n: number): Buffer {
  const picture = Buffer.allocUnsafe(pictureBytes)
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      picture[at++] = x + 4 * n
      picture[at++] = y + 2 * n
      picture[at++] = x + y
    }
  }
  return picture
}
