// Keys of CURVE: 32 bytes, written in 40 characters of Z85 (https://rfc.zeromq.org/spec/32).

const digits =
  '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#'

/** Of 32 bytes. */
export function encodeKey(bytes: Uint8Array): string {
  const words = Buffer.from(bytes)
  let text = ''
  for (let at = 0; at < words.length; at += 4) {
    let value = words.readUInt32BE(at)
    let five = ''
    for (let digit = 0; digit < 5; digit++) {
      five = digits[value % 85]! + five
      value = Math.floor(value / 85)
    }
    text += five
  }
  return text
}
