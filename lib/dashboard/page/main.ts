// The page: which of its views is shown, and what all of them know.

import { Channels } from './channels.js'
import { Detail } from './detail.js'
import { el, say, setAttribute } from './dom.js'
import { Graph } from './graph.js'
import { listen, type State } from './server.js'
import { Store } from './store.js'
import type { View } from './view.js'
import { milliseconds, plural } from './words.js'

const store = new Store()
const main = document.querySelector('main')!
const state = document.querySelector('#state')!
const channels = new Channels()
let view: View | undefined
/** Nothing is drawn of a look that comes while nobody sees the page. */
let isStale = false

function viewAt(hash: string): View {
  const [, kind, name] = /^#\/channel\/([^/]+)\/(.+)$/.exec(hash) ?? []
  if (kind !== undefined && name !== undefined) {
    return new Detail(decodeURIComponent(kind), decodeURIComponent(name))
  }
  return hash.startsWith('#/graph') ? new Graph() : channels
}

function route(): void {
  if (location.hash === '#main') return
  const isFirst = view === undefined
  view?.end?.()
  view = viewAt(location.hash)
  document.title = `${view.title} · millrace`
  main.replaceChildren(view.element)
  const isGraph = location.hash.startsWith('#/graph')
  current('#to-channels', view === channels)
  current('#to-graph', isGraph)
  // The keyboard goes on where the eye does.
  if (!isFirst) main.focus({ preventScroll: true })
  window.scrollTo(0, 0)
  if (store.greeting !== undefined) view.update(store)
}

function current(link: string, is: boolean): void {
  setAttribute(document.querySelector(link)!, 'aria-current', is ? 'page' : undefined)
}

function show(): void {
  if (document.visibilityState === 'hidden') {
    isStale = true
    return
  }
  isStale = false
  view?.update(store)
}

const words: Readonly<Record<State, string>> = {
  connecting: 'Connecting …',
  live: 'Live',
  lost: 'The server is gone; trying again …',
  refused: 'Refused',
  resting: 'Resting: nobody looks',
}

listen({
  hello(greeting) {
    store.greeting = greeting
    say(document.querySelector('#host')!, `on ${greeting.host}`)
  },
  look(look) {
    store.take(look)
    const slower = look.interval > 1100 ? `, every ${milliseconds(look.interval)}` : ''
    const missed =
      look.missed > 0 ? `; ${plural(look.missed, 'look')} left out, this page is slow` : ''
    say(state, `${words.live}${slower}${missed}`)
    show()
  },
  state(now, why) {
    document.body.dataset.state = now
    if (now !== 'live') say(state, words[now] + (why === undefined ? '' : `: ${why}`))
  },
})

window.addEventListener('hashchange', route)
document.addEventListener('visibilitychange', () => {
  if (isStale) show()
})
main.replaceChildren(el('p', { class: 'empty' }, 'Connecting …'))
route()
