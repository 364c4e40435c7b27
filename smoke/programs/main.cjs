const millrace = require('millrace')
const struct = require('millrace/struct')
const sync = require('millrace/sync')

const [role, name] = process.argv.slice(2)
import('./play.mjs').then(({ play }) => play({ ...millrace, ...sync, ...struct }, role, name))
