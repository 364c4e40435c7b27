// The newest frame of a channel, as a picture that follows it. The next one is asked for when the last one is drawn: a slow page sees fewer.

import { formats, type Format } from '../wire.js'
import { el, on, say, setAttribute } from './dom.js'
import { ask } from './server.js'
import { bytes, count, milliseconds } from './words.js'

/** What the server says of a picture. */
interface Told {
  readonly format: Format
  readonly width: number
  readonly height: number
  readonly shownWidth: number
  readonly shownHeight: number
  readonly sequence: string
  readonly bytes: number
  readonly age?: number
}

/** Between two pictures, at least. */
const pauseMs = 100
const pauseAfterErrorMs = 1000

export class Picture {
  readonly element: HTMLElement
  readonly #name: string
  readonly #canvas = el('canvas', {
    role: 'img',
    'aria-label': 'No frame yet',
    width: 320,
    height: 180,
  })
  readonly #facts = el('p', { class: 'facts' })
  readonly #format = el(
    'select',
    { id: 'format' },
    el('option', { value: '' }, 'as it tells'),
    ...formats.map((format) => el('option', { value: format }, format)),
  )
  readonly #width = sideInput('width')
  readonly #height = sideInput('height')
  readonly #stop = new AbortController()
  readonly #pause = el('button', { type: 'button', 'aria-pressed': 'false' }, 'Pause')
  #isPaused = false
  #sequence: string | undefined
  #drawn = 0

  constructor(name: string) {
    this.#name = name
    this.element = el(
      'section',
      { class: 'picture', 'aria-labelledby': 'picture-title' },
      el('h3', { id: 'picture-title' }, 'Newest frame'),
      el(
        'div',
        { class: 'tools' },
        el('label', { for: 'format' }, 'Format'),
        this.#format,
        el('label', { for: 'width' }, 'Width'),
        this.#width,
        el('label', { for: 'height' }, 'Height'),
        this.#height,
        this.#pause,
      ),
      el('div', { class: 'frame' }, this.#canvas),
      this.#facts,
    )
    for (const input of [this.#format, this.#width, this.#height]) {
      on(input, 'change', () => {
        this.#sequence = undefined
      })
    }
    on(this.#pause, 'click', () => {
      this.#isPaused = !this.#isPaused
      setAttribute(this.#pause, 'aria-pressed', String(this.#isPaused))
      say(this.#pause, this.#isPaused ? 'Go on' : 'Pause')
    })
    void this.#follow()
  }

  end(): void {
    this.#stop.abort()
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const isSeen = document.visibilityState === 'visible' && !this.#isPaused
      const pause = isSeen ? await this.#next(signal) : pauseMs
      await new Promise((done) => setTimeout(done, pause))
    }
  }

  async #next(signal: AbortSignal): Promise<number> {
    try {
      const response = await ask(
        'picture',
        {
          kind: 'frames',
          name: this.#name,
          format: this.#format.value || undefined,
          width: this.#width.value || undefined,
          height: this.#height.value || undefined,
          after: this.#sequence,
        },
        { signal },
      )
      if (response.status === 204) return pauseMs
      const told = JSON.parse(response.headers.get('X-Picture') ?? '{}') as Told
      await this.#draw(told, await response.blob())
      this.#sequence = told.sequence
      return pauseMs
    } catch (error) {
      if (signal.aborted) return 0
      this.#tell((error as Error).message)
      return pauseAfterErrorMs
    }
  }

  async #draw(told: Told, pixels: Blob): Promise<void> {
    const canvas = this.#canvas
    const context = canvas.getContext('2d')!
    let { width, height } = told
    if (told.format === 'JPEG') {
      const image = await createImageBitmap(pixels)
      width = image.width
      height = image.height
      size(canvas, width, height)
      context.drawImage(image, 0, 0)
      image.close()
    } else {
      size(canvas, told.shownWidth, told.shownHeight)
      const data = new Uint8ClampedArray(await pixels.arrayBuffer())
      context.putImageData(new ImageData(data, told.shownWidth, told.shownHeight), 0, 0)
    }
    canvas.dataset.drawn = String(++this.#drawn)
    const shape = `${told.format} ${String(width)} × ${String(height)}`
    setAttribute(canvas, 'aria-label', `Newest frame of ${this.#name}, ${shape}`)
    const age = told.age === undefined ? '' : `, ${milliseconds(told.age)} old when it was read`
    this.#tell(`Frame ${count(Number(told.sequence))}: ${shape}, ${bytes(told.bytes)}${age}`)
  }

  #tell(text: string): void {
    say(this.#facts, text)
  }
}

function size(canvas: HTMLCanvasElement, width: number, height: number): void {
  if (canvas.width !== width) canvas.width = width
  if (canvas.height !== height) canvas.height = height
}

function sideInput(id: string): HTMLInputElement {
  return el('input', {
    id,
    type: 'number',
    min: 1,
    max: 32_768,
    placeholder: 'auto',
    inputmode: 'numeric',
  })
}
