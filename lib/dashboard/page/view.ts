// What a part of the page is to the rest.

import type { Store } from './store.js'

export interface View {
  readonly element: HTMLElement
  /** What the tab is called. */
  readonly title: string
  /** There was a look. */
  update(store: Store): void
  /** It is shown no longer. */
  end?(): void
}

/** Where the view of a channel is. */
export function linkTo(id: string): string {
  const [kind, ...name] = id.split('/')
  return `#/channel/${encodeURIComponent(kind!)}/${encodeURIComponent(name.join('/'))}`
}
