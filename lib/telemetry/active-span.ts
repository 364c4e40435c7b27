// The span that is active, if the application has OpenTelemetry: an optional peer, looked for when the first record is made.

interface Context {
  readonly traceId: string
  readonly spanId: string
}

interface Api {
  readonly trace: { getActiveSpan?(): { spanContext(): Context } | undefined }
}

const unknown = '0'.repeat(32)
let api: Api | null | undefined

/** Nothing without such a span, and without the package `@opentelemetry/api`. */
export function activeSpan(): Context | undefined {
  if (api === undefined) api = load()
  const context = api?.trace.getActiveSpan?.()?.spanContext()
  return context === undefined || context.traceId === unknown ? undefined : context
}

function load(): Api | null {
  const { createRequire } = process.getBuiltinModule('node:module')
  const name = '@opentelemetry/api' // a bundler does not look for it
  try {
    return createRequire(import.meta.url)(name) as Api
  } catch {
    return null
  }
}
