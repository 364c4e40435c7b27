// Telling what becomes of channels (life-events.ts), where it is found out: what is told is made only if somebody listens.

import { heard, type LifeEvent } from './life-events.js'

/** Tells of a handle that this has happened. */
export function tellOf(event: LifeEvent, handle: { readonly name: string }, more?: object): void {
  if (heard(event) !== undefined) facts().tellOf(event, handle, more)
}

/** The other side of a handle was found to be dead; told once, however many wait for it. */
export function tellGone(handle: { readonly name: string }, peer: number): void {
  if (heard('peer-gone') !== undefined) facts().tellGone(handle, peer)
}

/** Tells what was found out about the dead since the last time. */
export function tellDeaths(): void {
  if (heard('buried') ?? heard('taken-over') ?? heard('dead-lettered')) facts().tellDeaths()
}

/** A handle was opened: whoever comes may have met the dead. */
export function tellOpened(handle: { readonly name: string }): void {
  tellDeaths()
  tellOf('opened', handle)
}

/** A handle was closed: whoever leaves as the last one buries the others. */
export function tellClosed(handle: { readonly name: string }): void {
  tellDeaths()
  tellOf('closed', handle)
}

export function facts(): typeof import('./life-facts.js') {
  return require('./life-facts.js') as typeof import('./life-facts.js')
}
