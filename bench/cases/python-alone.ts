// What Python measures by itself, or with another Python that it starts: a role of bench/python/side.py.

import type { Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'
import { measuredByPython } from '../side/python.js'

export async function lead(parameters: Parameters): Promise<Measured> {
  return await measuredByPython(parameters.role!, parameters)
}
