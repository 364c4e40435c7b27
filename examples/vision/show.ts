// Shows what Python has found, and compares it with the rule of the picture.
import { SpscQueue } from 'millrace'
import { discAt, height, width } from './picture.ts'

using found = SpscQueue.consumer('vision-found')
const [columns, rows] = [64, 20]
let count = 0
let furthest = 0
for await (const message of found) {
  const sequence = Number(message.readBigUInt64LE(0))
  const [x, y] = [message.readDoubleLE(8), message.readDoubleLE(16)]
  const rule = discAt(sequence - 1)
  furthest = Math.max(furthest, Math.hypot(x - rule.x, y - rule.y))
  count++
  if (process.stdout.isTTY && count % 5 === 0) show(sequence, x, y)
}
console.log(`show: ${count} answers, at most ${furthest.toFixed(2)} pixels off`)
process.exitCode = count > 0 && furthest < 0.5 ? 0 : 1

function show(sequence: number, x: number, y: number): void {
  const [column, row] = [Math.floor((x * columns) / width), Math.floor((y * rows) / height)]
  const lines = Array.from({ length: rows }, (_, i) => (i === row ? `${' '.repeat(column)}●` : ''))
  process.stdout.write(`\u001b[H\u001b[2J${lines.join('\n')}\nframe ${sequence}: ${x}, ${y}\n`)
}
