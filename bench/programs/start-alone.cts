// Says that it runs, and ends.
import fs = require('node:fs')

fs.writeSync(1, '1')
