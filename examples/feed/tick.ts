// The structure that all three programs share: for C++ as a header, for Python as a module.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { f64, struct, u32, u64 } from 'millrace/struct'

export const Tick = struct({ time: u64, price: f64, size: u32, symbol: u32 }, { name: 'Tick' })

export function writeDefinitions(folder: string): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'tick.h'), Tick.toCHeader())
  writeFileSync(join(folder, 'tick.py'), Tick.toPython())
}
