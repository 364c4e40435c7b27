// What a person sees of the live page, and does on it: with the mouse and the keyboard, in light and dark, on a phone, and by a screen reader.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'

import { named, notWider, readable, tabbed, watchErrors } from './checks.mjs'
import { says, Stage, until } from './chromium.mjs'

/** Formats that a camera shows; of a JPEG it is the file that tells its size. */
const formats = ['RGBA', 'RGB', 'GRAY', 'YUYV', 'NV12', 'JPEG']
/** A name of the web, whose owner has led it to this machine. */
const strange = 'rebound.test'

export async function testDashboard(root, { screenshots } = {}) {
  const show = new Show(root, screenshots)
  try {
    await show.begin()
    for (const [what, act] of acts) {
      await act(show)
      console.log(what)
    }
  } finally {
    await show.end()
  }
}

/** Those who are on channels, the server, and the page. */
class Show {
  #stage = new Stage(400_000)
  #root
  #screenshots

  constructor(root, screenshots) {
    this.#root = root
    this.#screenshots = screenshots
    const [camera, jobs, ticks, bus, calc] = ['camera', 'jobs', 'ticks', 'plant', 'calc'].map(
      (name) => this.named(name),
    )
    Object.assign(this, { camera, jobs, ticks, bus, calc })
  }

  named(name) {
    return `browser-${process.pid}-${name}`
  }

  async begin() {
    const { camera, jobs, ticks, bus, calc } = this
    await this.actor('camera', camera, 'RGBA', '640', '360')
    await this.actor('scene', 'analyser', camera, jobs)
    await this.actor('scene', 'viewer', camera)
    this.worker = await this.actor('scene', 'worker', jobs)
    await Promise.all([
      this.actor('scene', 'consumer', ticks),
      this.actor('scene', 'producer', ticks),
    ])
    await this.actor('scene', 'publisher', bus)
    await this.actor('scene', 'subscriber', bus)
    await this.actor('scene', 'server', calc)
    await this.actor('scene', 'client', calc)
    this.served = await this.serve('--payload')
    this.browser = await this.#stage.browser({
      width: 1400,
      height: 800,
      names: `MAP ${strange} 127.0.0.1`,
    })
    this.page = await this.browser.open('about:blank')
    this.errors = await watchErrors(this.page)
    await this.page.goTo(this.served.url)
  }

  /** One of test/dashboard/fixtures, when it is there. */
  async actor(file, ...args) {
    const path = `out/test/dashboard/fixtures/${file}.js`
    const child = this.#stage.start(process.execPath, [path, ...args], {
      ipc: true,
      cwd: this.#root,
    })
    await once(child, 'message')
    return child
  }

  async serve(...options) {
    const command = ['dist/cli/main.js', 'dashboard', this.named(''), ...options]
    const child = this.#stage.start(process.execPath, command, { cwd: this.#root })
    const [url] = await says(child.stdout, /^http\S+$/m)
    return { child, url }
  }

  /** Goes to a place of the page, and waits for what is there. */
  async go(hash, ready) {
    await this.page.evaluate(`location.hash = ${JSON.stringify(hash)}`)
    await until(() => this.has(ready))
  }

  has(selector) {
    return this.page.evaluate(`document.querySelector(${JSON.stringify(selector)}) !== null`)
  }

  /** The names in the table, from top to bottom. */
  rows() {
    return this.page.evaluate(
      `[...document.querySelectorAll('#channels tbody th a')].map((a) => a.textContent)`,
    )
  }

  /** What stands in a row of the table. */
  cell(name, column) {
    return this.page.evaluate(`[...document.querySelectorAll('#channels tbody tr')]
      .find((row) => row.querySelector('th a').textContent === ${JSON.stringify(name)})
      ?.querySelector(${JSON.stringify(`td.${column}`)})?.innerText ?? ''`)
  }

  async asPhone() {
    await this.page.resize(390, 800, { mobile: true, scale: 2 })
    await until(async () => (await this.page.evaluate('innerWidth')) === 390)
  }

  async asScreen() {
    await this.page.resize(1400, 800)
    await until(async () => (await this.page.evaluate('innerWidth')) === 1400)
  }

  async shot(name) {
    if (this.#screenshots === undefined) return
    writeFileSync(join(this.#screenshots, `${name}.png`), await this.page.screenshot())
  }

  async end() {
    await this.#stage.end()
    if (!existsSync('/dev/shm')) return
    for (const file of readdirSync('/dev/shm')) {
      if (file.includes(this.named(''))) rmSync(join('/dev/shm', file), { force: true })
    }
  }
}

async function seeTable(show) {
  const { page, calc, camera, jobs, bus, ticks } = show
  await until(async () => (await show.rows()).length === 5)
  assert.deepEqual(await show.rows(), [calc, camera, jobs, bus, ticks].sort())
  for (const name of [calc, camera, bus, ticks]) await until(() => show.cell(name, 'in'), /^[1-9]/)
  await until(() => show.cell(ticks, 'out'), /^[1-9]/)
  await until(() => show.cell(ticks, 'depth'), /^\d+$/)
  await until(() => show.cell(camera, 'lags'), /^\d+ · \d+$/)
  await until(() => show.cell(camera, 'drops'), /^[1-9]/)
  await until(() => show.cell(camera, 'parked'), /^[1-9]/)
  await until(() => show.cell(jobs, 'dead'), /^[1-9]\d*\s*Redrive$/)
  assert.match(await show.cell(ticks, 'holders'), /producer scene\.js \d+\s+consumer scene\.js \d+/)
  assert.match(await page.text('#state'), /^Live/)
  assert.match(await page.evaluate('document.title'), /^Channels/)
  const drawn = () =>
    page.evaluate(
      `[...document.querySelectorAll('.spark .in')].map((line) => line.getAttribute('d'))`,
    )
  const sparks = await until(drawn, (all) => all.length === 5 && all.every((one) => /L/.test(one)))
  for (const spark of sparks) assert.doesNotMatch(spark, /NaN/)
}

async function find(show) {
  const { page, camera, ticks } = show
  await page.click('#channels thead .in button')
  await until(async () => (await show.rows())[0] === ticks)
  assert.equal(
    await page.evaluate(`document.querySelector('#channels thead .in').ariaSort`),
    'descending',
  )
  await page.click('#channels thead .name button')
  await page.fill('#filter', 'frames camera.js')
  await until(async () => (await show.rows()).join() === camera)
  assert.equal(await page.text('#found'), '1 of 5 channels')
  await page.fill('#filter', 'nothing of the kind')
  await until(() => page.text('.empty'), /^No channel matches/)
  await page.fill('#filter', '')
  await until(async () => (await show.rows()).length === 5)
}

async function seeColours(show) {
  const { page } = show
  for (const scheme of ['light', 'dark']) {
    await page.colours(scheme)
    await show.asScreen()
    await readable(page)
    await show.shot(`channels-${scheme}`)
    await show.asPhone()
    await notWider(page)
    await readable(page)
    await show.shot(`phone-${scheme}`)
  }
  const ground = () => page.evaluate('getComputedStyle(document.body).backgroundColor')
  const dark = await ground()
  await page.colours('light')
  await until(ground, (now) => now !== dark)
  await show.asScreen()
}

async function hear(show) {
  const { page, calc, ticks } = show
  await named(page, [
    'heading: millrace on',
    'navigation: Views',
    'link: Who writes to whom',
    'status: ',
    'searchbox: Filter',
    'region: Table of channels',
    'table: Channels of this machine',
    'columnheader: Waiting',
    'button: Drops/s',
    `link: ${ticks}`,
    `rowheader: ${ticks} queue`,
    'button: Redrive dead letters of',
  ])
  await until(() => page.evaluate(`document.querySelector('#channels').ariaRowCount`), /^6$/)
  assert.equal(await page.evaluate('document.documentElement.lang'), 'en')

  // Skip, two views, the filter, the table, its headings that sort, and the first row.
  const sortable = await page.evaluate(`document.querySelectorAll('#channels thead button').length`)
  const reached = await tabbed(page, 5 + sortable + 1)
  assert.deepEqual(reached.slice(0, 6), [
    'a Skip to the content',
    'a Channels',
    'a Who writes to whom',
    'input Filter',
    'div Table of channels',
    'button Channel',
  ])
  assert.equal(reached.at(-1), `a ${calc}`)
  await page.press('Enter')
  await until(() => page.text('article h2'), new RegExp(calc))
  assert.equal(await page.evaluate('document.activeElement.id'), 'main', 'the keyboard goes along')
  await page.press('Tab')
  await page.press('Enter')
  await until(() => show.has('#channels'))

  await page.evaluate(`document.querySelector('#channels thead .in button').focus()`)
  await page.press('Enter')
  await until(async () => (await show.rows())[0] === ticks)
  await page.evaluate(`document.querySelector('#channels thead .name button').focus()`)
  await page.press('Enter')
  await until(async () => (await show.rows())[0] === calc)
}

async function redrive(show) {
  const { page, jobs, worker } = show
  worker.kill('SIGKILL')
  const before = Number.parseInt(await until(() => show.cell(jobs, 'dead'), /^[1-9]/), 10)
  const button = `button[aria-label="Redrive dead letters of ${jobs}"]`
  const isOpen = () => show.has('dialog[open]')
  const open = async (how) => {
    await how()
    await until(() => page.text('dialog h2'), /^Redrive dead letters of/)
  }

  await open(() => page.click(button))
  await named(page, ['dialog: Redrive dead letters of', 'button: Cancel', 'button: Redrive'])
  await readable(page)
  await show.shot('redrive')
  await page.click('dialog .actions button:first-child')
  await until(async () => !(await isOpen()))

  await open(async () => {
    await page.evaluate(`document.querySelector(${JSON.stringify(button)}).focus()`)
    await page.press('Enter')
  })
  await page.press('Escape')
  await until(async () => !(await isOpen()))
  assert.equal(
    await page.evaluate('document.activeElement.ariaLabel'),
    `Redrive dead letters of ${jobs}`,
    'the keyboard is where it was',
  )
  assert.ok(Number.parseInt(await show.cell(jobs, 'dead'), 10) >= before, 'nothing was sent')

  await open(() => page.click(button))
  await page.click('dialog .primary')
  await until(() => page.text('dialog [role=status]'), /^[1-9]\d* jobs? sent round again\.$/)
  await page.click('dialog .actions button:first-child')
  await until(() => show.cell(jobs, 'dead'), /^0/)
}

async function seeGraph(show) {
  const { page, camera, ticks } = show
  await show.go('#/graph', '.drawing svg')
  const arrows = () => page.evaluate(`document.querySelectorAll('.drawing .arrow').length`)
  await until(arrows, (count) => count >= 9)
  const words = () => page.text('.words')
  await until(words, /scene\.js \d+ writes; scene\.js \d+ reads?/)
  await until(words, new RegExp(`${camera} \\(frames\\): camera\\.js \\d+ writes; .* read`))
  assert.doesNotMatch(await page.evaluate(`document.querySelector('.drawing').innerHTML`), /NaN/)
  await named(page, [
    'region: Drawing',
    'group: Processes and channels',
    'image: process camera.js',
    `link: queue ${ticks}`,
  ])
  await readable(page)
  await show.shot('graph')

  await page.fill('#filter', 'frames')
  await until(() => page.text('#found'), /^1 channel, 3 processes$/)
  await page.fill('#filter', '')
  await until(() => page.text('#found'), /^5 channels/)

  await show.asPhone()
  await notWider(page)
  await show.shot('graph-phone')
  await show.asScreen()
  await page.colours('dark')
  await readable(page)
  await page.colours('light')

  await page.evaluate(`document.querySelector('.drawing a').focus()`)
  await page.press('Enter')
  await until(() => show.has('article h2'))
  await show.go('#/graph', '.drawing svg')
  await page.click(`.drawing a[aria-label="queue ${ticks}"]`)
  await until(() => page.text('article h2'), new RegExp(ticks))
}

async function seeChannel(show) {
  const { page } = show
  await until(() => page.text('.tiles'), /In\n[1-9]/)
  await until(
    () => page.evaluate(`document.querySelectorAll('.chart canvas').length`),
    (count) => count === 2,
  )
  await until(
    () => page.evaluate(`document.querySelector('.chart [role=img]').ariaLabel`),
    /^A second, last five minutes; now in [\d.]+, out [\d.]+$/,
  )
  await until(() => page.text('.messages'), /message \d+ · \d+ B.*\s*tick \d+/)
  const table = (caption) =>
    page.evaluate(`[...document.querySelectorAll('article table')]
      .find((table) => table.caption.textContent === ${JSON.stringify(caption)})?.innerText ?? ''`)
  // Whoever waits for the next tick has waited before.
  await until(
    () => table('Waits'),
    /consumer\t0\t[1-9][\d,]*\t[\d.]+ (µs|ms|s)\t[≤>] [\d.]+ \S+\t[≤>]/,
  )
  await until(() => table('Who is on it'), /producer\tscene\.js \d+\twrites\talive/)
  await until(() => table('All numbers'), /sent\t[1-9]/)
  await named(page, [
    'image: A second, last five minutes',
    'table: Waits',
    'heading: Newest messages',
  ])
  await readable(page)
  await show.shot('queue')
  await show.asPhone()
  await notWider(page)
  await show.asScreen()
}

async function seePictures(show) {
  const { page, camera } = show
  await show.go(`#/channel/frames/${camera}`, '.picture canvas')
  await follows(page)
  assert.match(await page.text('.picture .facts'), /RGBA 640 × 360, 922 kB/)
  await sunny(page)
  await named(page, [
    `image: Newest frame of ${camera}, RGBA 640 × 360`,
    'combobox: Format',
    'spinbutton: Width',
    'button: Pause',
  ])
  await page.colours('dark')
  await readable(page)
  await show.shot('frame')
  await page.colours('light')
  await show.asPhone()
  await notWider(page)
  await show.asScreen()

  await page.click('.picture .tools button')
  await until(() => page.text('.picture .tools button'), /^Go on$/)
  await page.click('.picture .tools button')
  await follows(page)
}

async function seeFormats(show) {
  const { page } = show
  for (const format of formats) {
    const name = show.named(`camera-${format}`)
    const [width, height] = format === 'GRAY' ? [320, 240] : [640, 360]
    const shooting = await show.actor('camera', name, format, String(width), String(height))
    await show.go(`#/channel/frames/${name}`, '.picture canvas')
    // By its bytes alone it may be something else, too.
    if (format !== 'JPEG') await choose(page, { format, width, height })
    await until(() => page.text('.picture .facts'), new RegExp(`${format} ${width} × ${height}`))
    if (format !== 'JPEG') await sunny(page, format === 'GRAY')
    shooting.kill('SIGKILL')
  }
  await choose(page, { width: 99_999 })
  await until(() => page.text('.picture .facts'), /width and height must be whole numbers/)

  // Who has died there is on it still.
  await show.go('#/', '#channels')
  await until(() => show.cell(show.named('camera-NV12'), 'holders'), /^writer camera\.js \d+ †/)
}

/** As by hand, in the fields above a picture. */
async function choose(page, fields) {
  await page.evaluate(`(() => {
    for (const [id, value] of Object.entries(${JSON.stringify(fields)})) {
      const field = document.getElementById(id)
      field.value = String(value)
      field.dispatchEvent(new Event('change'))
    }
  })()`)
}

async function breakPolicy({ page, errors }) {
  assert.deepEqual(errors, [], 'nothing went wrong, and nothing broke the policy')
  // What somebody brings in does nothing, and is told: so those before would have been.
  const brought = await page.evaluate(`(() => {
    const style = document.createElement('style')
    style.textContent = 'body { background: red !important }'
    document.head.append(style)
    const isRed = getComputedStyle(document.body).backgroundColor === 'rgb(255, 0, 0)'
    style.remove()
    try {
      document.body.insertAdjacentHTML('beforeend', '<p id="brought">in</p>')
    } catch {
      // as it should be
    }
    return isRed || document.getElementById('brought') !== null
  })()`)
  assert.equal(brought, false)
  await until(
    () => errors.length,
    (count) => count >= 2,
  )
  assert.match(errors.join('\n'), /Content Security Policy/)
}

async function lose(show) {
  const { page, served } = show
  served.child.kill('SIGINT')
  const [code] = await once(served.child, 'exit')
  assert.equal(code, 0, 'it ends quietly')
  await until(() => page.text('#state'), /^The server is gone/)
  // Another one in its place has another token.
  const { port } = new URL(served.url)
  show.served = await show.serve('--port', port)
  await until(() => page.text('#state'), /^Refused: the address .* has a token in it/)
}

async function hide(show) {
  const { browser, camera, ticks, served } = show
  const page = await browser.open(served.url)
  await page.evaluate(`location.hash = '#/channel/frames/${camera}'`)
  await until(
    () => page.text('article'),
    /Pictures of frames are not shown: start millrace dashboard --payload/,
  )
  await page.evaluate(`location.hash = '#/channel/queue/${ticks}'`)
  await until(() => page.text('article'), /Messages are not shown/)
  await page.close()
}

async function shutOut(show) {
  const { browser, served } = show
  const { port, search } = new URL(served.url)
  const sees = async (url) => {
    const page = await browser.open(url)
    const text = await until(() => page.text('body'), /./)
    await page.close()
    return text
  }
  assert.match(await sees(`http://127.0.0.1:${port}/`), /has a token in it: take that/)
  assert.match(
    await sees(`http://127.0.0.1:${port}/?token=guessed`),
    /has a token in it: take that/,
  )
  assert.match(
    await sees(`http://${strange}:${port}/${search}`),
    /^ask for 127\.0\.0\.1 or localhost/,
  )
  assert.match(await sees(`http://localhost:${port}/${search}`), /Skip to the content/)

  const other = await browser.open('about:blank')
  const read = await other.evaluate(
    `fetch(${JSON.stringify(served.url)}).then((answer) => answer.text(), () => 'refused')`,
  )
  assert.equal(read, 'refused', 'a page of somebody else reads nothing')
  await other.close()
  await browser.close()
}

const acts = [
  ['the table shows what goes through five channels', seeTable],
  ['a heading sorts, the filter finds', find],
  ['light, dark and a phone: contrast, and nothing that is wider than the page', seeColours],
  ['names for a screen reader, and the keyboard', hear],
  ['dead letters are sent round again', redrive],
  ['the drawing, and its words', seeGraph],
  ['a channel: numbers, charts, messages, waits', seeChannel],
  ['a picture that follows the newest frame', seePictures],
  [`pictures of ${formats.join(', ')}, and cameras that have died`, seeFormats],
  ['the policy is kept, and holds', breakPolicy],
  ['a server that is gone, and another one in its place', lose],
  ['nothing is shown of messages without --payload', hide],
  ['nobody sees anything without the token, or by another name', shutOut],
]

/** It is drawn again and again. */
async function follows(page) {
  const drawn = () =>
    page.evaluate(`Number(document.querySelector('canvas[data-drawn]')?.dataset.drawn ?? 0)`)
  const first = await until(drawn, (count) => count > 0)
  await until(drawn, (count) => count > first + 2)
}

/** Blue above, green below: so are they after being made into the format and out of it. */
async function sunny(page, isGray = false) {
  const colour = (part) =>
    page.evaluate(`(() => {
      const canvas = document.querySelector('.picture canvas')
      if (!canvas.dataset.drawn) return [0, 0, 0]
      const { width, height } = canvas
      return [...canvas.getContext('2d').getImageData(width / 2, Math.floor(height * ${part}), 1, 1).data]
    })()`)
  await until(
    () => colour(0.05),
    ([r, g, b]) => (isGray ? r === g && r > 80 : b > 190 && r < 100),
  )
  await until(
    () => colour(0.97),
    ([r, g, b]) => (isGray ? r === g && r > 50 : g > b + 10 && b < 110),
  )
}
