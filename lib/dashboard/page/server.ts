// The server of this page. It is asked with the token that stands in the address of the page, by a header: a cookie would be shown to every
// other server of this machine, too.

import type { Greeting, Look } from '../wire.js'

const token = new URLSearchParams(location.search).get('token') ?? ''
const authorization = { Authorization: `Bearer ${token}` }

export type Query = Readonly<Record<string, string | number | undefined>>

export function pathOf(path: string, query: Query = {}): string {
  const given = Object.entries(query).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, String(value)] as [string, string]],
  )
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given).toString()}`
}

/** @throws Error with what the server says is wrong */
export async function ask(
  path: string,
  query: Query = {},
  {
    method = 'GET',
    signal,
  }: { readonly method?: 'GET' | 'POST'; readonly signal?: AbortSignal } = {},
): Promise<Response> {
  const response = await fetch(pathOf(path, query), {
    method,
    headers: authorization,
    ...(signal === undefined ? {} : { signal }),
  })
  if (response.ok) return response
  throw new Error((await response.text()).trim() || `the server says ${String(response.status)}`)
}

export type State = 'connecting' | 'live' | 'lost' | 'refused' | 'resting'

interface Listener {
  hello(greeting: Greeting): void
  look(look: Look): void
  state(state: State, why?: string): void
}

const retryMs = 1000
/** A page that nobody sees for so long rests: the server looks for nobody then. */
const restAfterMs = 5000

/** Listens for ever; again and again where there is nobody. */
export function listen(listener: Listener): void {
  let abort: AbortController | undefined
  let timer: number | undefined
  const start = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (abort !== undefined) return
    const own = new AbortController()
    abort = own
    void read(listener, own.signal).then((isLost) => {
      if (abort === own) abort = undefined
      if (isLost && !own.signal.aborted) timer = setTimeout(start, retryMs)
    })
  }
  document.addEventListener('visibilitychange', () => {
    clearTimeout(timer)
    if (document.visibilityState === 'visible') start()
    else
      timer = setTimeout(() => {
        abort?.abort()
        listener.state('resting')
      }, restAfterMs)
  })
  start()
}

/** Is there reason to try again? */
async function read(listener: Listener, signal: AbortSignal): Promise<boolean> {
  listener.state('connecting')
  try {
    const response = await fetch('events', { headers: authorization, signal })
    if (!response.ok || response.body === null) {
      listener.state('refused', (await response.text()).trim())
      return response.status === 503
    }
    let text = ''
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      const events = (text + value).split('\n\n')
      text = events.pop() ?? ''
      for (const event of events) tell(listener, event)
    }
  } catch {
    // As if it had ended.
  }
  if (signal.aborted) return false
  listener.state('lost')
  return true
}

function tell(listener: Listener, event: string): void {
  const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? []
  if (data === undefined) return
  if (name === 'hello') listener.hello(JSON.parse(data) as Greeting)
  else if (name === 'look') {
    listener.state('live')
    listener.look(JSON.parse(data) as Look)
  }
}
