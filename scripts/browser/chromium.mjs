// A browser without a window, driven by its DevTools protocol: Chromium, or what is like it, on the PATH or in the variable CHROMIUM.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { Buffer } from 'node:buffer'
import { clearTimeout, setTimeout } from 'node:timers'
import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket } from 'ws'

const patienceMs = 40_000
/** Keys that are pressed, with the codes that browsers know them by. */
const keys = {
  Delete: { code: 46 },
  Enter: { code: 13, text: '\r' },
  Escape: { code: 27 },
  Tab: { code: 9 },
}

/** What a test has started, and ends with it. */
export class Stage {
  #children = []
  #profiles = []
  #watchdog

  /** Whatever goes wrong is over by then. */
  constructor(deadlineMs) {
    this.#watchdog = setTimeout(() => {
      console.error(`not done within ${deadlineMs} ms`)
      for (const one of this.#children) kill(one, 'SIGKILL')
      process.exitCode = 1
    }, deadlineMs)
  }

  /** `group`: with all that it starts, it is ended at one go. */
  start(file, args, { ipc = false, group = false, cwd } = {}) {
    const child = spawn(file, args, {
      cwd,
      detached: group,
      stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? ['ipc'] : [])],
    })
    this.#children.push({ child, pid: group ? -child.pid : child.pid })
    // Of a browser that has no desktop there is much to be read that is no fault.
    if (file === process.execPath) child.stderr.on('data', (text) => process.stderr.write(text))
    return child
  }

  /** `names`: where the names of the web lead, as `MAP NAME ADDRESS`. */
  async browser({ width, height, names }) {
    const profile = mkdtempSync(join(tmpdir(), 'millrace-browser-'))
    this.#profiles.push(profile)
    // Some distributions start it by a script.
    const browser = this.start(
      findChromium(),
      [
        '--headless',
        '--no-sandbox', // which needs a user other than root; the only pages are ours
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--no-first-run',
        '--hide-scrollbars',
        `--window-size=${width},${height}`,
        `--user-data-dir=${profile}`,
        ...(names === undefined ? [] : [`--host-resolver-rules=${names}`]),
        '--remote-debugging-port=0',
        'about:blank',
      ],
      { group: true },
    )
    const [devtools] = await says(browser.stderr, /ws:\/\/127\.0\.0\.1:\S+/)
    const { call, listen } = await commands(devtools)
    return {
      call,
      async open(url) {
        const { targetId } = await call('Target.createTarget', { url: 'about:blank' })
        const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true })
        const page = new Page(call, sessionId, targetId, listen)
        await page.goTo(url)
        return page
      },
      async close() {
        const gone = once(browser, 'exit')
        await call('Browser.close')
        await gone
      },
    }
  }

  async end() {
    clearTimeout(this.#watchdog)
    for (const one of this.#children) {
      const { child } = one
      if (child.exitCode === null && child.signalCode === null) {
        const gone = once(child, 'exit')
        kill(one, 'SIGTERM')
        await Promise.race([gone, pause(5000)])
      }
      kill(one, 'SIGKILL')
    }
    for (const profile of this.#profiles) await removed(profile)
  }
}

function kill({ child, pid }, signal) {
  if (pid > 0) child.kill(signal)
  else {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if (error.code !== 'ESRCH') throw error
    }
  }
}

/** Processes of a browser that has ended write into its folder for some moments more. */
async function removed(folder) {
  await until(() => {
    try {
      rmSync(folder, { recursive: true, force: true })
      return true
    } catch (error) {
      return error.code
    }
  })
}

/** A page, as a person has it. */
export class Page {
  #call
  #targetId

  constructor(call, sessionId, targetId, listen) {
    this.#targetId = targetId
    this.#call = call
    this.command = (method, params = {}) => call(method, params, sessionId)
    this.on = (event, listener) => listen(sessionId, event, listener)
  }

  /** Resolves when it is loaded. */
  async goTo(url) {
    await this.command('Page.enable')
    const loaded = new Promise((done) => {
      this.on('Page.loadEventFired', done)
    })
    const { errorText } = await this.command('Page.navigate', { url })
    if (errorText !== undefined) throw new Error(`${url}: ${errorText}`)
    await loaded
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.command('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })
    if (exceptionDetails !== undefined) {
      throw new Error(`${expression}: ${exceptionDetails.exception?.description}`)
    }
    return result.value
  }

  /** The text of the first element of that kind, as it is shown. */
  text(selector) {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ''`)
  }

  /** Where the middle of an element is, which a mouse then presses. */
  async click(selector) {
    const place = await this.evaluate(`(() => {
      const found = document.querySelector(${JSON.stringify(selector)})
      if (found === null) return null
      found.scrollIntoView({ block: 'center' })
      const { left, top, width, height } = found.getBoundingClientRect()
      return width === 0 ? null : { x: left + width / 2, y: top + height / 2 }
    })()`)
    if (place === null) throw new Error(`there is no ${selector} to be clicked`)
    const press = (type) =>
      this.command('Input.dispatchMouseEvent', { type, ...place, button: 'left', clickCount: 1 })
    await press('mousePressed')
    await press('mouseReleased')
  }

  async type(text) {
    await this.command('Input.insertText', { text })
  }

  async press(key) {
    for (const type of ['keyDown', 'keyUp']) {
      const { code, text } = keys[key]
      const typed = text === undefined || type === 'keyUp' ? {} : { text }
      await this.command('Input.dispatchKeyEvent', {
        type,
        key,
        code: key,
        windowsVirtualKeyCode: code,
        ...typed,
      })
    }
  }

  /** Writes anew what stands in a field. */
  async fill(selector, text) {
    await this.click(selector)
    await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).select()`)
    if (text === '') await this.press('Delete')
    else await this.type(text)
  }

  async resize(width, height, { mobile = false, scale = 1 } = {}) {
    await this.command('Emulation.setDeviceMetricsOverride', {
      width,
      height,
      mobile,
      deviceScaleFactor: scale,
    })
  }

  async colours(scheme) {
    await this.command('Emulation.setEmulatedMedia', {
      features: [{ name: 'prefers-color-scheme', value: scheme }],
    })
  }

  /** What a screen reader finds: `role "name"` of each node that is one. */
  async accessible() {
    const { nodes } = await this.command('Accessibility.getFullAXTree')
    return nodes
      .filter(({ ignored }) => !ignored)
      .map(({ role, name }) => ({ role: role?.value ?? '', name: name?.value ?? '' }))
  }

  async screenshot() {
    const { data } = await this.command('Page.captureScreenshot', {})
    return Buffer.from(data, 'base64')
  }

  async close() {
    await this.#call('Target.closeTarget', { targetId: this.#targetId })
  }
}

export function findChromium() {
  const { CHROMIUM, PATH = '' } = process.env
  if (CHROMIUM) return CHROMIUM
  const names = [
    'chromium-headless-shell',
    'chromium',
    'chromium-browser',
    'google-chrome',
    'google-chrome-stable',
  ]
  for (const name of names) {
    for (const folder of PATH.split(delimiter)) {
      const file = join(folder, name)
      try {
        accessSync(file, constants.X_OK)
        return file
      } catch {
        // the next one
      }
    }
  }
  throw new Error(
    `there is none of ${names.join(', ')}: install one (Debian: apt install chromium-headless-shell), or name it in CHROMIUM`,
  )
}

/** What a program writes that looks like that. */
export async function says(stream, pattern) {
  let text = ''
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    text += chunk
    const found = pattern.exec(text)
    if (found === null) continue
    stream.resume()
    return found
  }
  throw new Error(`it has ended without ${pattern}: ${text}`)
}

/** A function that has the browser do things. */
async function commands(address) {
  const socket = new WebSocket(address, { perMessageDeflate: false })
  await once(socket, 'open')
  const waiting = new Map()
  const listeners = []
  socket.on('message', (data) => {
    const { id, result, error, method: event, params, sessionId } = JSON.parse(String(data))
    if (event !== undefined) {
      for (const listener of listeners) listener(sessionId, event, params)
      return
    }
    const called = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) called?.resolve(result)
    else called?.reject(new Error(`${called.method}: ${error.message}`))
  })
  socket.on('close', () => {
    for (const { method, resolve, reject } of waiting.values()) {
      if (method === 'Browser.close') resolve({})
      else reject(new Error(`${method}: the browser has ended`))
    }
  })
  let last = 0
  return {
    call: (method, params = {}, sessionId = undefined) =>
      new Promise((resolve, reject) => {
        waiting.set(++last, { method, resolve, reject })
        socket.send(JSON.stringify({ id: last, method, params, sessionId }))
      }),
    listen(session, event, listener) {
      listeners.push((one, what, params) => {
        if (one === session && what === event) listener(params)
      })
    },
  }
}

/** What `look` finds, as soon as it is so: a pattern that matches its text, or a condition. */
export async function until(look, so = (seen) => seen === true) {
  const end = Date.now() + patienceMs
  const isSo = so instanceof RegExp ? (seen) => so.test(seen) : so
  for (;;) {
    const seen = await look()
    if (isSo(seen)) return seen
    if (Date.now() > end) throw new Error(`it is ${JSON.stringify(seen)} and not ${so}`)
    await pause(20)
  }
}
