// A work queue over a connection: the promises that a connection can carry, and how each ends when the connection does.

import test, { type ExecutionContext } from 'ava'
import { MillraceError } from 'millrace'
import { channelPair, type FrameChannel } from 'millrace/rpc'
import type { Job, WorkQueue, WorkQueueOptions } from 'millrace/work'
import { RemoteWorkQueue, serveWork, workLine } from '#lib/remote.js'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'
import { open, texts } from '../work/open.js'
import { readWork, workAt } from '../support/working.js'
