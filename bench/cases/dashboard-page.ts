// An open page of `millrace dashboard`, as a browser has it: asks for what happens, says when it has been told of the channels, and takes
// all that comes. For dashboard-frames.

import { request } from 'node:http'

import type { Parameters } from '../side/parameters.js'

export async function follow({ server = '' }: Parameters): Promise<void> {
  const { hostname, port, searchParams } = new URL(server)
  const headers = { Authorization: `Bearer ${searchParams.get('token')!}` }
  await new Promise<void>((told, failed) => {
    const asked = request({ hostname, port, path: '/events', headers }, (response) => {
      response.once('data', () => process.send?.('open'))
      response.resume()
    })
    asked.on('error', failed).end()
    process.once('message', () => {
      told()
    })
  })
}
