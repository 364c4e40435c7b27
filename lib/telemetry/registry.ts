// The metrics of channels in an application's own registry: prom-client's, or that of its successor @prometheus-io/client.

import { invalidArgument } from '../errors.js'
import { checkOptions, show } from '../base/options.js'
import { familiesOf, familyHeads, typeOf, type FamiliesOptions, type Family } from './families.js'
import { observe, type ObserveOptions } from './observe.js'
import { linesOf } from './prometheus.js'

/** What a registry takes and gives: `Registry` of prom-client 15 and of @prometheus-io/client have more. */
export interface MetricsRegistry {
  /** Takes a metric in. */
  registerMetric(metric: never): void
  /** Takes one out. */
  removeSingleMetric(name: string): void
}

/** What is shown, and how much of it. */
export interface RegistryOptions extends ObserveOptions, FamiliesOptions {}

/** A metric as registries ask for it. */
interface RegistryMetric {
  readonly name: string
  readonly help: string
  readonly type: Family['type']
  readonly aggregator: 'sum' | 'max'
  get(): Promise<{
    readonly name: string
    readonly help: string
    readonly type: Family['type']
    readonly aggregator: 'sum' | 'max'
    readonly values: readonly {
      readonly labels: object
      readonly value: number
      readonly metricName?: string
    }[]
  }>
  reset(): void
}

/**
 * Shows the metrics of `familiesOf()` in a registry of the application's, so that its own `/metrics` page has them: those of all channels of
 * the machine, also of other processes. They are looked at when the page is asked for, once for all of them. Returns a function that takes
 * them out again.
 *
 * In a cluster, of which each process would tell the same, register them in one.
 *
 * @example
 * ```ts
 * import { showMetrics } from 'millrace/telemetry'
 * import { register } from 'prom-client'
 *
 * showMetrics(register, { prefix: 'camera' })
 * ```
 *
 * @throws MillraceError `INVALID_ARGUMENT`. What the registry throws, as for names that it has already.
 */
export function showMetrics(registry: MetricsRegistry, options: RegistryOptions = {}): () => void {
  const { maxChannels, histograms, ...which } = checkOptions(options, [
    'name',
    'prefix',
    'maxChannels',
    'histograms',
  ])
  if (typeof (registry as Partial<MetricsRegistry> | undefined)?.registerMetric !== 'function') {
    throw invalidArgument(
      `showMetrics() takes a registry, like \`register\` of prom-client or @prometheus-io/client, not ${show(registry)}`,
    )
  }
  let families: Map<string, Family> | undefined
  const look = (): Map<string, Family> => {
    if (families !== undefined) return families
    // All metrics of one page are asked for at once, before anything is waited for.
    void Promise.resolve().then(() => (families = undefined))
    families = new Map(
      familiesOf(observe(which), { maxChannels, histograms }).map((family) => [
        family.name,
        family,
      ]),
    )
    return families
  }
  const metrics = familyHeads().map(({ name, help, type, join }): RegistryMetric => {
    const head = {
      name,
      help,
      type: typeOf(type, histograms === true),
      aggregator: join === 'largest' ? 'max' : 'sum',
    } as const
    return {
      ...head,
      get: () => {
        const family = look().get(name)
        return Promise.resolve({ ...head, values: family === undefined ? [] : valuesOf(family) })
      },
      reset: () => undefined,
    }
  })
  const shown: string[] = []
  const hide = (): void => {
    for (const name of shown.splice(0)) registry.removeSingleMetric(name)
  }
  try {
    for (const metric of metrics) {
      registry.registerMetric(metric as never)
      shown.push(metric.name)
    }
  } catch (error) {
    hide()
    throw error
  }
  return hide
}

/** As registries want them: what belongs to a summary or a histogram has a name of its own. */
function valuesOf(family: Family): readonly { readonly labels: object; readonly value: number }[] {
  if (family.type === 'counter' || family.type === 'gauge') return family.samples
  return linesOf(family).map(({ name, labels, value }) => ({ labels, value, metricName: name }))
}
