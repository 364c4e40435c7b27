// Calls of many values over gRPC.

import { valueScenes } from './support/values.js'

valueScenes(() => Promise.resolve('grpc://127.0.0.1:0/values'))
