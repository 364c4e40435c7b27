// What processes leave in /dev/shm. macOS shows no such place; there is nothing to look at then.

import { closeSync, constants, existsSync, openSync, readdirSync, rmSync } from 'node:fs'

const place = '/dev/shm'

const objects = () => (existsSync(place) ? readdirSync(place) : [])

/** Objects whose name contains `name`. They are removed. */
export function leftBehind(name) {
  const behind = objects().filter((object) => object.includes(name))
  for (const object of behind) rmSync(`${place}/${object}`, { force: true })
  return behind
}

/** Doorbells that nobody listens to any more. */
export function deadDoorbells() {
  return objects()
    .filter((object) => object.startsWith('millrace.d.'))
    .filter((object) => {
      try {
        closeSync(openSync(`${place}/${object}`, constants.O_WRONLY | constants.O_NONBLOCK))
        return false
      } catch (error) {
        return error.code === 'ENXIO'
      }
    })
}

/** Removes the dead doorbells that are not in `before`; they were left by processes that were killed. */
export function removeDoorbells(before) {
  for (const object of deadDoorbells()) {
    if (!before.includes(object)) rmSync(`${place}/${object}`, { force: true })
  }
}
