// The floors of the house, from top to bottom. A file imports from its own room and from floors below; rooms of one
// floor do not know one another. `npm run lint` says which arrow points upwards, or in a circle; types count.
//
// A room that is not there yet has its place already: whoever builds it finds the floor it belongs on.

/** A floor is a list of rooms; a room is a folder of lib/, or a file of it. */
const floors = [
  ['cli'],
  [
    'index',
    'dashboard.ts',
    'gateway.ts',
    'net.ts',
    'net-conformance.ts',
    'recording.ts',
    'remote.ts',
    'resilience.ts',
    'rpc.ts',
    'streams.ts',
    'struct.ts',
    'sync.ts',
    'telemetry.ts',
    'topics.ts',
    'work.ts',
  ],
  ['gateway/', 'dashboard/', 'recording/'],
  ['remote/'],
  ['telemetry/', 'resilience/', 'conformance/'],
  ['rpc/', 'topics/'],
  ['work/'],
  ['engines'],
  ['net/'],
  ['streams/'],
  ['queue', 'frames', 'cell', 'memory', 'sync/', 'select'],
  ['place', 'struct/', 'upkeep', 'codec'],
  ['base'],
  ['addon'],
  ['errors'],
]

const room = (name) =>
  `^lib/${name.replace(/(\.ts)$/, '\\$1')}${/[/.]/.test(name) ? '' : '(/|\\.ts$)'}`
const rooms = (names) => `(${names.map(room).join('|')})`

const upwards = floors.slice(1).map((floor, at) => ({
  name: `${floor.join(', ')} → a floor above`.replaceAll(/\.ts|\//g, ''),
  comment: `lib/ is ordered: ${floors.map((names) => names.join(' ')).join(' › ')}; imports point down`,
  severity: 'error',
  from: { path: rooms(floor) },
  to: { path: rooms(floors.slice(0, at + 1).flat()) },
}))

const sideways = floors
  .filter((floor) => floor.length > 1)
  .flatMap((floor) =>
    floor.map((one) => ({
      name: `${one} → a room beside it`.replaceAll(/\.ts|\//g, ''),
      comment: 'what two rooms of one floor share belongs on a floor below them',
      severity: 'error',
      from: { path: room(one) },
      to: { path: rooms(floor.filter((other) => other !== one)) },
    })),
  )

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'a circle',
      comment: 'files that import one another are one file, or share what belongs below both',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    ...upwards,
    ...sideways,
    {
      name: 'no floor',
      comment:
        'a room of lib/ that .dependency-cruiser.mjs does not name has no place yet: give it one there',
      severity: 'error',
      from: { path: '^lib/', pathNot: rooms(floors.flat()) },
      to: {},
    },
    {
      name: 'lib → outside',
      comment: 'lib/ knows nothing of its tests, tools and demonstrations',
      severity: 'error',
      from: { path: '^lib/' },
      to: { path: '^(bench|demo|examples|out|scripts|smoke|test)/' },
    },
    {
      name: 'nowhere',
      comment: 'the import leads to no file',
      severity: 'error',
      from: { path: '^lib/' },
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js'] },
  },
}
