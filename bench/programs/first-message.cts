// Receives one message, says so, and ends.
import fs = require('node:fs')
import millrace = require('millrace')

const consumer = millrace.SpscQueue.consumer(process.argv[2]!)
if (consumer.tryPop()?.toString() !== 'first') throw new Error('there is no message')
fs.writeSync(1, '1')
consumer.close()
