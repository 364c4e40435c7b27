// Links of Markdown in the package. Not everything is packed that the pages of the repository link to: what is for
// maintainers stays there. In the package such a link leads to the repository, if package.json says where that is;
// otherwise only its text is left, and of a picture nothing.
import { posix } from 'node:path'

/** `[text](address)` and `![text](address)`; the text may go over lines, and have one pair of brackets in it. */
const links = /(!?)\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)/g

/** What may contain brackets that are no links. */
const code = /^(```[^]*?^```|~~~[^]*?^~~~)|(`+)[^]*?[^`]\2(?!`)/gm

const isElsewhere = (address) => /^([a-z][a-z+.-]*:|\/\/|#)/i.test(address)

/** The file or folder of the package that `address` leads to from the page `file`. */
function target(file, address) {
  const [path] = address.split('#')
  return posix.join(posix.dirname(file), path).replace(/\/$/, '')
}

/** @param {ReadonlySet<string>} packed */
function isPacked(packed, path) {
  return packed.has(path) || [...packed].some((name) => name.startsWith(`${path}/`))
}

/** Addresses in the page that lead to nothing in the package. */
export function deadLinks(text, file, packed) {
  return [...text.replace(code, 'code').matchAll(links)]
    .map(([, , , address]) => address)
    .filter((address) => !isElsewhere(address) && !isPacked(packed, target(file, address)))
}

/**
 * The page as it is packed.
 * @param {{ repository?: string, version: string }} where `repository`: its address, as a browser has it
 */
export function withLiveLinks(text, file, packed, { repository, version }) {
  const replace = (prose) =>
    prose.replace(links, (link, picture, label, address) => {
      if (isElsewhere(address)) return link
      const path = target(file, address)
      if (isPacked(packed, path)) return link
      if (repository === undefined) return picture === '' ? label : ''
      const anchor = address.includes('#') ? address.slice(address.indexOf('#')) : ''
      const kind = picture === '' ? 'blob' : 'raw'
      return `${picture}[${label}](${repository}/${kind}/v${version}/${path}${anchor})`
    })
  // A link may have code in its text: code is set aside while links are looked for.
  const kept = []
  const prose = text.replace(code, (found) => `\0${kept.push(found) - 1}\0`)
  return replace(prose).replace(/\0(\d+)\0/g, (_, index) => kept[Number(index)])
}
