// A bus for one test.

import type { ExecutionContext } from 'ava'
import {
  Topics,
  type SubscribeOptions,
  type Subscription,
  type TopicMessage,
  type TopicsOptions,
} from 'millrace/topics'

/** Opens it until the test is over. */
export function open(t: ExecutionContext, name: string, options?: TopicsOptions): Topics {
  const bus = Topics.open(name, options)
  t.teardown(() => {
    bus.close()
  })
  return bus
}

/** A bus of that name, and a subscription to it by a handle of its own. */
export async function subscribed(
  t: ExecutionContext,
  name: string,
  filter: string | readonly string[] = '>',
  options: SubscribeOptions & { readonly bus?: TopicsOptions } = {},
): Promise<{ readonly bus: Topics; readonly own: Topics; readonly subscription: Subscription }> {
  const { bus: opening, ...rest } = options
  const bus = open(t, name, opening)
  const own = open(t, name)
  return { bus, own, subscription: await own.subscribe(filter, rest) }
}

/** What there is now, as text. */
export function texts(subscription: Subscription): string[] {
  return messages(subscription).map((message) => message.text())
}

/** What there is now. */
export function messages(subscription: Subscription): TopicMessage[] {
  const found: TopicMessage[] = []
  for (let one = subscription.tryReceive(); one !== undefined; one = subscription.tryReceive()) {
    found.push(one)
  }
  return found
}
