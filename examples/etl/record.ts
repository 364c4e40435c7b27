// What is done to a line, without a word about who does it: the stages of the pipeline call this, and so does the one process that
// checks them.

/** A line that says nothing. */
export class BrokenLine extends Error {}

const zero = 0x30

/** Whose line it is: the last number of the address becomes zeroes, where it stands. Twice is as good as once. */
export function hideClient(line: Uint8Array): void {
  const tab = line.indexOf(0x09)
  const space = line.indexOf(0x20, tab + 1)
  if (space < 0) return
  for (let at = space - 1; at > tab && line[at] !== 0x2e; at--) line[at] = zero
}

const form =
  /^(\d+)\t(\d+\.\d+\.\d+)\.0+ - (\S+) \[([^\]]*)\] "(\w+) (\S+) HTTP\/1\.[01]" (\d{3}) (\S+) "([^"]*)"$/

/** The record in a numbered line, as JSON. */
export function recordOf(line: string): string {
  const found = form.exec(line)
  if (found === null) throw new BrokenLine('it is not whole')
  const [, number, network, user, when, method, page, status, bytes, agent] = found
  if (!/^\d+$/.test(bytes!)) throw new BrokenLine(`'${bytes!}' is no number of bytes`)
  const { pathname, search } = new URL(page!, 'http://localhost')
  return JSON.stringify({
    line: Number(number),
    time: timeOf(when!),
    network,
    ...(user !== '-' && { user }),
    method,
    path: pathname,
    ...(search !== '' && { query: search.slice(1) }),
    status: Number(status),
    bytes: Number(bytes),
    bot: agent!.startsWith('curl'),
  })
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `31/Jan/2026:23:50:00 +0000`, as ISO 8601. */
function timeOf(text: string): string {
  const found = /^(\d\d)\/(\w{3})\/(\d{4}):([\d:]{8}) \+0000$/.exec(text)
  const month = months.indexOf(found?.[2] ?? '') + 1
  const iso = `${found?.[3]}-${String(month).padStart(2, '0')}-${found?.[1]}T${found?.[4]}.000Z`
  const time = new Date(iso)
  // The 31st of February would be a day in March.
  if (Number.isNaN(time.getTime()) || time.toISOString() !== iso) {
    throw new BrokenLine(`'${text}' is no time`)
  }
  return iso
}
