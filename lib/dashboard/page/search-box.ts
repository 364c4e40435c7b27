// The box that channels are looked for in, with what it found beside it: the same above the table and above the drawing.

import { el, on, say } from './dom.js'

export class SearchBox {
  readonly element: HTMLElement
  readonly #input = el('input', {
    type: 'search',
    id: 'filter',
    placeholder: 'name, kind, process …',
    autocomplete: 'off',
    spellcheck: 'false',
  })
  readonly #found = el('p', { id: 'found', role: 'status', 'aria-live': 'polite' })

  /** `changed` is called whenever something else is looked for. */
  constructor(changed: () => void) {
    on(this.#input, 'input', changed)
    this.element = el(
      'div',
      { class: 'tools' },
      el('label', { for: 'filter' }, 'Filter'),
      this.#input,
      this.#found,
    )
  }

  /** What is looked for; empty: all. */
  get wanted(): string {
    return this.#input.value.trim()
  }

  tell(found: string): void {
    say(this.#found, found)
  }
}
