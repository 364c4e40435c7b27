// The page of examples/transport: it must see what is published, and its command must arrive.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import process from 'node:process'

import { says, Stage, until } from './chromium.mjs'

export async function testTransport(root) {
  const stage = new Stage(150_000)
  try {
    const example = stage.start(process.execPath, ['out/examples/transport/start.js'], {
      cwd: root,
    })
    const [url] = await says(example.stdout, /^http:\S+$/m)
    const browser = await stage.browser({ width: 700, height: 400 })
    const page = await browser.open(url)
    const state = () => page.text('#state')

    const first = await until(state, /^reading (\d+), one every 200 ms; seen: ([3-9]|\d\d)$/)
    const number = Number(/\d+/.exec(first)[0])
    assert.match(await page.text('#degrees'), /^\d\d\.\d °C$/)
    console.log(`the page shows: ${first}`)

    await page.evaluate(`document.querySelector('button[value=faster]').click()`)
    const faster = await until(state, /^reading (\d+), one every 100 ms/)
    assert.ok(Number(/\d+/.exec(faster)[0]) > number)
    console.log(`after the command: ${faster}`)

    example.kill('SIGTERM')
    const [code] = await once(example, 'exit')
    assert.equal(code, 0, 'the example ends in good order')
    console.log(`at its end: ${await until(state, /^closed, code 1000$/)}`)
    await browser.close()
  } finally {
    // The example ends those that it has started.
    await stage.end()
  }
}
