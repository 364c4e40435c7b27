// Labels of the samples of channels. Whoever is asked again and again, as a page of metrics is, has the same channels each
// time: their labels are made once, and kept as long as the channel is among those that are told.

import { withText, type Labels } from './label-text.js'

/** A label that some samples of a channel have beside its name and kind. */
export interface ExtraLabel {
  readonly name: string
  readonly value: string
}

const extras = new Map<string, Map<string, ExtraLabel>>()

/** The same object each time, by which labels are found again. For names and values of ours, which are few: they are kept for ever. */
export function extraLabel(name: string, value: string): ExtraLabel {
  let ofName = extras.get(name)
  if (ofName === undefined) extras.set(name, (ofName = new Map<string, ExtraLabel>()))
  let label = ofName.get(value)
  if (label === undefined) ofName.set(value, (label = { name, value }))
  return label
}

/** Labels of a channel. What is given out is frozen, as it is shared. */
export interface ChannelLabels {
  with(label: ExtraLabel | undefined): Labels
}

function labelsOf(channel: string, kind: string): ChannelLabels {
  const plain = withText({ channel, kind })
  const others = new Map<ExtraLabel, Labels>()
  return {
    with(label) {
      if (label === undefined) return plain
      let labels = others.get(label)
      if (labels === undefined) {
        labels = withText({ ...plain, [label.name]: label.value })
        others.set(label, labels)
      }
      return labels
    },
  }
}

type ByKindAndName = Map<string, Map<string, ChannelLabels>>

/** Of the last time. */
const kept = { labels: new Map() as ByKindAndName }

/** Labels of the channels that are told this time: those of the last time are gone on with, and those that nobody asks for go. */
export function channelLabels(): (channel: string, kind: string) => ChannelLabels {
  const before = kept.labels
  const now: ByKindAndName = new Map()
  kept.labels = now
  return (channel, kind) => {
    let ofKind = now.get(kind)
    if (ofKind === undefined) now.set(kind, (ofKind = new Map<string, ChannelLabels>()))
    let labels = ofKind.get(channel)
    if (labels === undefined) {
      labels = before.get(kind)?.get(channel) ?? labelsOf(channel, kind)
      ofKind.set(channel, labels)
    }
    return labels
  }
}
