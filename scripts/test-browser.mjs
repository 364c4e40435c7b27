// Shows the page of examples/transport in a browser without a window: it must see what is published, and its command must arrive. Needs
// Chromium, or what is like it, on the PATH or in the variable CHROMIUM, and the examples compiled (npm run build:ts && npm run build:test).
//
//   node scripts/test-browser.mjs [--screenshot FILE.png]
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { clearTimeout, setTimeout } from 'node:timers'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { WebSocket } from 'ws'

const { values: options } = parseArgs({ options: { screenshot: { type: 'string' } } })
const deadlineMs = 60_000
const root = new URL('../', import.meta.url)
const profile = mkdtempSync(join(tmpdir(), 'millrace-browser-'))
const children = []
const watchdog = setTimeout(() => {
  console.error(`not done within ${deadlineMs} ms`)
  for (const child of children) child.kill('SIGKILL')
  process.exitCode = 1
}, deadlineMs)

try {
  const chromium = findChromium()
  const example = start(process.execPath, ['out/examples/transport/start.js'])
  const [page] = await says(example.stdout, /^http:\S+$/m)
  const browser = start(chromium, [
    '--headless',
    '--no-sandbox', // which needs a user other than root; the only page is ours
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
    '--window-size=700,400',
    `--user-data-dir=${profile}`,
    '--remote-debugging-port=0',
    'about:blank',
  ])
  const [devtools] = await says(browser.stderr, /ws:\/\/127\.0\.0\.1:\S+/)
  const call = await commands(devtools)

  const { targetId } = await call('Target.createTarget', { url: page })
  const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true })
  const evaluate = async (expression) => {
    const { result } = await call('Runtime.evaluate', { expression }, sessionId)
    return result.value
  }
  const state = () => evaluate(`document.getElementById('state')?.textContent ?? ''`)

  const first = await until(state, /^reading (\d+), one every 200 ms; seen: ([3-9]|\d\d)$/)
  const number = Number(/\d+/.exec(first)[0])
  assert.match(await evaluate(`document.getElementById('degrees').textContent`), /^\d\d\.\d °C$/)
  console.log(`the page shows: ${first}`)

  await evaluate(`document.querySelector('button[value=faster]').click()`)
  const faster = await until(state, /^reading (\d+), one every 100 ms/)
  assert.ok(Number(/\d+/.exec(faster)[0]) > number)
  console.log(`after the command: ${faster}`)

  if (options.screenshot !== undefined) {
    const { data } = await call('Page.captureScreenshot', {}, sessionId)
    writeFileSync(options.screenshot, Buffer.from(data, 'base64'))
  }

  example.kill('SIGTERM')
  const [code] = await once(example, 'exit')
  assert.equal(code, 0, 'the example ends in good order')
  console.log(`at its end: ${await until(state, /^closed, code 1000$/)}`)

  const gone = once(browser, 'exit')
  await call('Browser.close')
  await gone
} finally {
  clearTimeout(watchdog)
  // Whatever went wrong. The example ends those that it has started.
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    await Promise.race([gone, pause(5000)])
    child.kill('SIGKILL')
  }
  rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
}

function findChromium() {
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

function start(file, args) {
  const child = spawn(file, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  // Of a browser that has no desktop there is much to be read that is no fault.
  if (file === process.execPath) child.stderr.pipe(process.stderr)
  return child
}

/** What a program writes that looks like that. */
async function says(stream, pattern) {
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

/** A function that has the browser do things, by its DevTools protocol. */
async function commands(address) {
  const socket = new WebSocket(address, { perMessageDeflate: false })
  await once(socket, 'open')
  const waiting = new Map()
  socket.on('message', (data) => {
    const { id, result, error } = JSON.parse(String(data))
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
  return (method, params = {}, sessionId = undefined) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { method, resolve, reject })
      socket.send(JSON.stringify({ id: last, method, params, sessionId }))
    })
}

async function until(look, pattern) {
  const end = Date.now() + deadlineMs / 3
  for (;;) {
    const seen = await look()
    if (pattern.test(seen)) return seen
    if (Date.now() > end) throw new Error(`it is ${JSON.stringify(seen)} and not ${pattern}`)
    await pause(20)
  }
}
