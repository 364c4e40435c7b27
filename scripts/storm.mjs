// Builds native/storm and lets it rage: processes that create, open, use, die over and sweep the same names.
//
//   node scripts/storm.mjs [--seconds N] [--processes N] [--seed N]
//
// Short form 10 s, as in CI; long form some minutes. The seed chooses what each process does, not when.
import { join } from 'node:path'
import process from 'node:process'
import { build, buildDirectory, configure, run, stormVariant } from './native-build.mjs'

await configure(stormVariant)
await build(stormVariant, ['millrace_storm'])
await run(join(buildDirectory(stormVariant), 'millrace_storm'), process.argv.slice(2))
