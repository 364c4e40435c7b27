// The newest messages of a channel: the beginning of each, as it is.

import type { Peeked } from '../wire.js'
import { el, say } from './dom.js'
import { ask } from './server.js'
import { bytes, milliseconds } from './words.js'

export class Messages {
  readonly element: HTMLElement
  readonly #query: { readonly kind: string; readonly name: string }
  readonly #list = el('ol', { class: 'messages' })
  readonly #note = el('p', { class: 'facts' }, 'Nothing yet.')
  readonly #stop = new AbortController()
  #isAsking = false

  constructor(kind: string, name: string) {
    this.#query = { kind, name }
    this.element = el(
      'section',
      { 'aria-labelledby': 'messages-title' },
      el('h3', { id: 'messages-title' }, 'Newest messages'),
      this.#note,
      this.#list,
    )
  }

  update(): void {
    if (this.#isAsking) return
    this.#isAsking = true
    const { signal } = this.#stop
    ask('messages', this.#query, { signal })
      .then(async (response) => {
        this.#show((await response.json()) as readonly Peeked[])
      })
      .catch((error: unknown) => {
        if (!signal.aborted) say(this.#note, (error as Error).message)
      })
      .finally(() => {
        this.#isAsking = false
      })
  }

  end(): void {
    this.#stop.abort()
  }

  #show(messages: readonly Peeked[]): void {
    const key = messages.map(({ sequence, state }) => `${sequence} ${state ?? ''}`).join()
    if (this.#list.dataset.key === key) return
    this.#list.dataset.key = key
    say(this.#note, messages.length === 0 ? 'Nothing yet.' : 'The newest first.')
    this.#list.replaceChildren(...messages.toReversed().map(item))
  }
}

function item(message: Peeked): HTMLElement {
  const { sequence, op, length, age, subject, id, state, method, text, binary, cut } = message
  const facts = [
    `${op} ${sequence}`,
    subject,
    method,
    id === undefined ? undefined : `id ${id}`,
    state,
    bytes(length),
    age === undefined ? undefined : `${milliseconds(age)} old`,
  ]
  return el(
    'li',
    {},
    el('span', { class: 'facts' }, facts.filter((fact) => fact !== undefined).join(' · ')),
    el('code', { 'data-binary': binary }, text === '' ? '(empty)' : text, cut ? '…' : undefined),
  )
}
