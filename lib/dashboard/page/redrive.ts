// Dead letters: how many, and a button that sends them round again, after it was asked whether that is meant.

import type { Row } from '../wire.js'
import { el, on, say, setAttribute } from './dom.js'
import { ask } from './server.js'
import { count, plural } from './words.js'

export class DeadLetters {
  readonly element = el('span', { class: 'letters' })
  readonly #count = el('span')
  readonly #button = el('button', { type: 'button', class: 'small' }, 'Redrive')
  #row: Row | undefined

  constructor() {
    this.element.append(this.#count, this.#button)
    on(this.#button, 'click', () => {
      if (this.#row !== undefined) confirmRedrive(this.#row)
    })
  }

  show(row: Row): void {
    this.#row = row
    const { dead = 0 } = row
    say(this.#count, row.dead === undefined ? '' : count(dead))
    this.#button.hidden = dead === 0
    setAttribute(this.#button, 'aria-label', `Redrive dead letters of ${row.name}`)
    setAttribute(this.element, 'data-some', dead > 0)
  }
}

function confirmRedrive({ kind, name, dead = 0 }: Row): void {
  const yes = el('button', { type: 'button', class: 'primary' }, 'Redrive')
  const no = el('button', { type: 'button' }, 'Cancel')
  const outcome = el('p', { role: 'status' })
  const dialog = el(
    'dialog',
    { 'aria-labelledby': 'redrive-title' },
    el('h2', { id: 'redrive-title' }, `Redrive dead letters of ${name}`),
    el('p', {}, `${plural(dead, 'job')} will be worked on again, with new attempts.`),
    outcome,
    el('p', { class: 'actions' }, no, yes),
  )
  const close = (): void => {
    dialog.close()
  }
  on(dialog, 'close', () => {
    dialog.remove()
  })
  on(no, 'click', close)
  on(yes, 'click', () => {
    yes.disabled = true
    ask('redrive', { kind, name }, { method: 'POST' })
      .then(async (response) => {
        const { redriven } = (await response.json()) as { readonly redriven: number }
        say(outcome, `${plural(redriven, 'job')} sent round again.`)
        yes.hidden = true
        say(no, 'Close')
        no.focus()
      })
      .catch((error: unknown) => {
        yes.disabled = false
        say(outcome, (error as Error).message)
      })
  })
  document.body.append(dialog)
  dialog.showModal()
}
