// Asking a dashboard as nobody's browser would: with any method, name and header.

import { request, type ClientRequest, type IncomingHttpHeaders } from 'node:http'
import { createInterface } from 'node:readline'
import type { ExecutionContext } from 'ava'
import { serveDashboard, type Dashboard, type DashboardOptions } from 'millrace/dashboard'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface Asking {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}

export const tokenOf = ({ url }: Dashboard) => new URL(url).searchParams.get('token')!

/** With the token, as the page does it. */
export const bearer = (dashboard: Dashboard) => ({ Authorization: `Bearer ${tokenOf(dashboard)}` })

export async function served(
  t: ExecutionContext,
  options: DashboardOptions = {},
): Promise<Dashboard> {
  const dashboard = await serveDashboard({ interval: 100, ...options })
  t.teardown(() => {
    dashboard.close()
  })
  return dashboard
}

export function ask(
  { port }: Dashboard,
  path: string,
  { method = 'GET', headers = {} }: Asking = {},
): Promise<Answer> {
  return new Promise((done, failed) => {
    const asked = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const { statusCode = 0, headers: its } = response
        done({ status: statusCode, headers: its, body: Buffer.concat(chunks) })
      })
    })
    asked.on('error', failed)
    asked.end()
  })
}

export interface Event {
  readonly name: string
  readonly data: Readonly<Record<string, unknown>>
}

/** An open page: what it is told, one event after the other. */
export class OpenPage {
  readonly #asked: ClientRequest
  readonly #events: AsyncGenerator<Event, void, undefined>
  ended: Promise<unknown>

  constructor(dashboard: Dashboard) {
    const { port } = dashboard
    this.#asked = request({ host: '127.0.0.1', port, path: '/events', headers: bearer(dashboard) })
    // Whoever leaves has an error of its own.
    this.#asked.on('error', () => undefined)
    this.ended = new Promise((done) => this.#asked.on('close', done))
    this.#events = this.#read()
    this.#asked.end()
  }

  async next(name: string): Promise<Event['data']> {
    for (;;) {
      const { done, value } = await this.#events.next()
      if (done === true) throw new Error(`it has ended without ${name}`)
      if (value.name === name) return value.data
    }
  }

  leave(): Promise<unknown> {
    this.#asked.destroy()
    return this.ended
  }

  async *#read(): AsyncGenerator<Event, void, undefined> {
    const response = await new Promise<NodeJS.ReadableStream>((done) => {
      this.#asked.on('response', done)
    })
    let name = ''
    for await (const line of createInterface(response)) {
      if (line.startsWith('event: ')) name = line.slice(7)
      if (line.startsWith('data: '))
        yield { name, data: JSON.parse(line.slice(6)) as Event['data'] }
    }
  }
}
