// Frames that Node hands over to Python, which answers each: frame-rtt with asyncio at the other side.

import { followedByPython } from '../side/python.js'
import type { Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'
import { lead as overFrames } from './frame-rtt.js'

export async function lead(parameters: Parameters): Promise<Measured> {
  return await followedByPython('answer_frames', parameters, overFrames)
}
