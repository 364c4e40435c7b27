// The names that OpenTelemetry has for what is traced and measured here: those of messaging (status: Development) and of calls (RPC, 1.45).
// They may change, so they stand here and nowhere else.

export const system = 'millrace'

export const attribute = {
  messagingSystem: 'messaging.system',
  operationName: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  destination: 'messaging.destination.name',
  subscription: 'messaging.destination.subscription.name',
  consumerGroup: 'messaging.consumer.group.name',
  messageId: 'messaging.message.id',
  bodySize: 'messaging.message.body.size',
  batchCount: 'messaging.batch.message_count',
  rpcSystem: 'rpc.system.name',
  rpcMethod: 'rpc.method',
  rpcStatus: 'rpc.status_code',
  serverAddress: 'server.address',
  errorType: 'error.type',
  // Of this package: the conventions have no names for them.
  kind: 'millrace.kind',
  stage: 'millrace.stage',
  subject: 'millrace.subject',
  attempt: 'millrace.attempt',
  settled: 'millrace.settled',
} as const

/** Values of `messaging.operation.type`. */
export const operationType = { send: 'send', receive: 'receive', process: 'process' } as const

export const metric = {
  sent: 'messaging.client.sent.messages',
  consumed: 'messaging.client.consumed.messages',
  operation: 'messaging.client.operation.duration',
  process: 'messaging.process.duration',
  clientCall: 'rpc.client.call.duration',
  serverCall: 'rpc.server.call.duration',
} as const

/** Bounds of the histograms, in seconds, as the conventions have them; below a millisecond there is more to be told here. */
export const bounds = [
  0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1,
  2.5, 5, 7.5, 10,
]

/** `rpc.status_code` of a call that was answered. */
export const ok = 'OK'
/** `error.type` of what has no code. */
export const other = '_OTHER'
