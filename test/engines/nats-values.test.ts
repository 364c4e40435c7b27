// Calls of many values over a server of NATS.

import { natsServer } from './support/nats.js'
import { valueScenes } from './support/values.js'

valueScenes(async (t) => (await natsServer(t, { jetstream: false })).address('values'))
