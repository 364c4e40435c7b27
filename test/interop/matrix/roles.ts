// The table that these tests are: languages, channels, and the parts that a peer of each language plays on each channel. A peer is a
// program, `peer ROLE NAME [ARGUMENT ...]`, that tells what it does in lines, each of which ends with a point. It goes on after the
// death of another, says what it finds, and ends with another code than 0 if something is not as it must be: bytes that are not
// whole, an order that is another, or nothing for a minute.

export const languages = ['TypeScript', 'Python', 'C', 'C++'] as const
export type Language = (typeof languages)[number]

/** What each role is told, and what it prints. */
export const channels = {
  queue: {
    // FIRST COUNT: the number of each message that was sent; `end`.
    push: 'sends messages, to the next consumer as well',
    // `ready`; the number of each message; `gone`: the producer died, and everything is read; `end`.
    pop: 'receives them, of the next producer as well',
  },
  frames: {
    // READERS COUNT: the sequence of each frame; `end`.
    'write-frames': 'publishes frames, with facts in their headers',
    // `ready`; the sequence of each frame; `gone`; `end`.
    'read-frames': 'looks at all of them where they lie',
  },
  cell: {
    // COUNT: each version; `end`.
    'write-cell': 'writes values',
    // `ready`; each version that it saw; `gone`; `end`.
    'read-cell': 'reads the newest value whenever it is another',
  },
  work: {
    // FIRST COUNT: the number of each job that was pushed; `end`.
    'push-jobs': 'pushes jobs with an id, some in a group',
    // `ready`; `took NUMBER ATTEMPT`, then `done NUMBER`, or `retried NUMBER`.
    work: 'takes jobs, completes them, and some only the second time',
  },
  topics: {
    // WHO FIRST COUNT: the number of each message that was published; `end`.
    publish: 'publishes under two subjects of its own, m.WHO.even and m.WHO.odd',
    // POLICY DEPTH FILTER: `ready`; `SUBJECT NUMBER INDEX MISSED`.
    subscribe: 'reads what matches a filter',
  },
  mutex: {
    // `abandoned`: whoever had it died inside; `turn`.
    mutex: 'changes two words together, with the lock held',
    // `held` or `abandoned`.
    'hold-mutex': 'takes the lock, and keeps it',
  },
  'rw-lock': {
    rwlock:
      'looks at two words with the lock held to read, and changes them with the lock held to write',
    'hold-rwlock': 'takes the lock to write, and keeps it',
  },
  event: {
    // ME ROUTE: `ready`; `COUNT NEXT`.
    'relay-event': 'waits for an event of its own, counts, and sets that of the next in the route',
  },
  semaphore: {
    'relay-semaphore': 'the same with semaphores',
  },
  counter: {
    'relay-event': 'adds one a turn',
    'relay-semaphore': 'the same',
  },
  memory: {
    // SEED: `made`.
    'own-memory': 'makes memory, and fills it',
    // SEED: `seen`.
    'use-memory': 'compares all bytes, and fills it with others',
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>

export type Channel = keyof typeof channels
export type Role = { [C in Channel]: keyof (typeof channels)[C] }[Channel]

/** A way through the numbers of all languages, back to the first: each comes after each other one, once. */
export const tour: readonly number[] = [0, 1, 0, 2, 0, 3, 1, 2, 1, 3, 2, 3, 0]
