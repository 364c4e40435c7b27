// One open page, which is told of every look by server-sent events. One that is slow is not told of some, instead of having them wait
// for it: as soon as it has read what it was told before, it is told everything as it is then.

import type { ServerResponse } from 'node:http'

import type { Greeting } from './wire.js'

/** What a look has to tell. */
export interface News {
  /** To whoever knows the look before. */
  readonly changes: string
  /** To whoever does not. */
  all(): string
}

export class Tab {
  readonly #response: ServerResponse
  /** What comes before the first look. */
  #before: string
  #isCurrent = false
  #missed = 0

  constructor(response: ServerResponse, greeting: Greeting) {
    this.#response = response
    this.#before = eventOf('hello', JSON.stringify(greeting))
  }

  tell(news: News): void {
    if (this.#response.writableLength > 0) {
      this.#isCurrent = false
      this.#missed++
      return
    }
    const text = this.#isCurrent ? news.changes : news.all()
    const event = eventOf('look', `{"missed":${String(this.#missed)},${text}}`)
    this.#response.write(this.#before + event)
    this.#before = ''
    this.#isCurrent = true
    this.#missed = 0
  }

  end(): void {
    this.#response.end()
  }
}

/** Their data have no line breaks: JSON has none. */
function eventOf(name: string, data: string): string {
  return `event: ${name}\ndata: ${data}\n\n`
}
