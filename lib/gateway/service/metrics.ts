// The counts of routes as metrics. Labels are bounded: routes are those of the configuration, kinds and reasons are few.

import type { Family } from '../../telemetry/families.js'
import type { RouteStatus } from '../config.js'

interface Meaning {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly samples: (route: RouteStatus) => readonly Sample[]
}

interface Sample {
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

/** What the count of drops stands for. */
const dropped: Readonly<Record<Exclude<RouteStatus['kind'], 'frames'>, string>> = {
  work: 'dead-letter',
  topics: 'no-room',
  calls: 'refused',
}

const meanings: readonly Meaning[] = [
  {
    name: 'millrace_route_up',
    type: 'gauge',
    help: 'Does the route run (1), or not (0)?',
    samples: ({ state }) => [{ value: state === 'running' ? 1 : 0 }],
  },
  {
    name: 'millrace_messages_total',
    type: 'counter',
    help: 'Messages that the other side has confirmed.',
    samples: ({ delivered }) => [{ value: delivered }],
  },
  {
    name: 'millrace_bytes_total',
    type: 'counter',
    help: 'Bytes of messages that the other side has confirmed.',
    samples: ({ bytes }) => [{ value: bytes }],
  },
  {
    name: 'millrace_dropped_total',
    type: 'counter',
    help: 'Messages that did not go on, by reason.',
    samples: (route) => [
      { value: route.duplicates, labels: { reason: 'duplicate' } },
      { value: route.loops, labels: { reason: 'loop' } },
      ...(route.frames === undefined
        ? [
            {
              value: route.dropped,
              labels: { reason: dropped[route.kind as keyof typeof dropped] },
            },
          ]
        : Object.entries(route.frames.dropped).map(([reason, value]) => ({
            value,
            labels: { reason },
          }))),
    ],
  },
  {
    name: 'millrace_frames_taken_total',
    type: 'counter',
    help: 'Frames that came in: from the channel, or of which something arrived.',
    samples: ({ frames }) => (frames === undefined ? [] : [{ value: frames.taken }]),
  },
  {
    name: 'millrace_leases',
    type: 'gauge',
    help: 'Messages that are on their way.',
    samples: ({ inFlight }) => [{ value: inFlight }],
  },
  {
    name: 'millrace_reconnects_total',
    type: 'counter',
    help: 'Connections that were made anew.',
    samples: ({ reconnects }) => [{ value: reconnects }],
  },
]

export function familiesOfRoutes(routes: readonly RouteStatus[]): Family[] {
  const families = meanings.map(({ samples, ...family }) => ({
    ...family,
    samples: routes.flatMap((route) =>
      samples(route).map(({ value, labels }) => ({
        value,
        labels: { route: route.name, kind: route.kind, ...labels },
      })),
    ),
  }))
  // Some are of one kind of routes alone.
  return families.filter(({ samples }) => routes.length === 0 || samples.length > 0)
}
