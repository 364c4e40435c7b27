// What holds of every page, whatever is on it.

import assert from 'node:assert/strict'

import { until } from './chromium.mjs'

/** Whatever the page says went wrong, a policy that it breaks among that. */
export async function watchErrors(page) {
  const errors = []
  page.on('Runtime.exceptionThrown', ({ exceptionDetails }) => errors.push(exceptionDetails.text))
  page.on('Log.entryAdded', ({ entry }) => {
    // What the server refuses is said on the page.
    if (entry.level === 'error' && entry.source !== 'network') errors.push(entry.text)
  })
  await page.command('Runtime.enable')
  await page.command('Log.enable')
  return errors
}

/** Nobody has to push it sideways. */
export async function notWider(page) {
  await until(
    () => page.evaluate('[document.documentElement.scrollWidth, innerWidth]'),
    ([wide, seen]) => wide <= seen,
  )
}

const toBeNamed = new Set([
  ...['button', 'combobox', 'dialog', 'heading', 'image', 'img', 'link', 'navigation', 'region'],
  ...['searchbox', 'spinbutton', 'table', 'textbox'],
])

/** A screen reader has a name for all there is to be heard or used, and for what is asked for. Returns all that it says. */
export async function named(page, wanted) {
  const said = await until(
    async () => (await page.accessible()).map(({ role, name }) => `${role}: ${name}`),
    (all) => wanted.every((one) => all.some((it) => it.startsWith(one))),
  )
  const nameless = said.filter((one) => one.endsWith(': ') && toBeNamed.has(one.slice(0, -2)))
  assert.deepEqual(nameless, [], 'nothing is without a name')
  return said
}

/** What the Tab key comes to from the beginning of the page on, so many times; each is seen to have the keyboard. */
export async function tabbed(page, times) {
  await page.evaluate(`(() => {
    document.body.tabIndex = -1
    document.body.focus()
    document.body.removeAttribute('tabindex')
  })()`)
  const reached = []
  for (let time = 0; time < times; time++) {
    await page.press('Tab')
    const { what, seen } = await page.evaluate(`(() => {
      const at = document.activeElement
      const name = at.ariaLabel ?? at.labels?.[0]?.textContent ?? at.textContent
      const { outlineStyle } = getComputedStyle(at)
      return { what: at.localName + ' ' + name, seen: outlineStyle !== 'none' || at.closest('svg') !== null }
    })()`)
    assert.ok(seen, `one sees that ${what} has the keyboard`)
    reached.push(what)
  }
  return reached
}

/** All texts are told well from what is behind them. */
export async function readable(page) {
  await until(
    () => contrast(page),
    ({ least }) => least >= 4.5,
  )
}

/** The least contrast of a text that is shown to what is behind it, and where that is. */
function contrast(page) {
  return page.evaluate(`(() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number)
    const light = ([r, g, b]) => [r, g, b]
      .map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
      .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0)
    const behind = (element) => {
      for (let one = element; one !== null; one = one.parentElement) {
        const colour = parse(getComputedStyle(one).backgroundColor)
        if (colour.length === 3 || colour[3] > 0) return colour
      }
      return [255, 255, 255]
    }
    let least = 21, where = ''
    for (const element of document.querySelectorAll('body *')) {
      const shows = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '')
      if (!shows || !element.checkVisibility()) continue
      const style = getComputedStyle(element)
      const [text, ground] = element.closest('svg') === null
        ? [style.color, behind(element)]
        : [style.fill, parse(getComputedStyle(element.parentElement.querySelector('rect')).fill)]
      const [a, b] = [light(parse(text)), light(ground)]
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
      if (ratio < least) [least, where] = [ratio, element.outerHTML.slice(0, 100)]
    }
    return { least, where }
  })()`)
}
