import * as millrace from 'millrace'
import { char, f64, struct, u32 } from 'millrace/struct'
import * as sync from 'millrace/sync'
import { play } from './play.mjs'

const [role, name] = process.argv.slice(2)
void play({ ...millrace, ...sync, char, f64, struct, u32 }, role, name)
