// What the server tells the page: types alone, which both are checked against.

/** What somebody on a channel does with it, as far as that is seen from outside. */
export type Doing = 'writes' | 'reads' | 'both' | 'holds'

/** Somebody on a channel, or who was when it died. */
export interface Holder {
  readonly role: string
  /** Not of roles that any number share. */
  readonly pid?: number
  readonly alive: boolean
  readonly does: Doing
}

/** A reader, a subscription: how far it is behind. */
export interface Lag {
  readonly pid?: number
  readonly name?: string
  readonly lag: number
}

/** A channel in the table. What its kind has not is left out. */
export interface Row {
  readonly kind: string
  readonly name: string
  readonly state: string
  /** Is it whole, and of this layout? */
  readonly usable: boolean
  /** A second, since the look before; left out of the first one. */
  readonly in?: number
  readonly out?: number
  readonly drops?: number
  readonly wakes?: number
  /** Since it was created. */
  readonly total?: number
  readonly depth?: number
  readonly places?: number
  /** Milliseconds. */
  readonly oldest?: number
  readonly hand?: number
  readonly dead?: number
  /** Who sleeps. */
  readonly parked?: number
  readonly lags: readonly Lag[]
  readonly holders: readonly Holder[]
}

/** What a look tells: what has changed since the one that this tab was told before, or everything. */
export interface Look {
  /** Milliseconds until the next one. */
  readonly interval: number
  /** Milliseconds that it took. */
  readonly took: number
  /** Does it tell everything? */
  readonly full: boolean
  /** Looks that this tab was not told, because it was slow. */
  readonly missed: number
  readonly rows: readonly Row[]
  /** What is there no longer: `kind/name`. */
  readonly gone: readonly string[]
  /** What processes are called. */
  readonly processes: Readonly<Record<string, string>>
}

/** What the page is to know before anything else. */
export interface Greeting {
  readonly host: string
  readonly payload: boolean
  readonly prefix: string
}

/** All that is seen of one channel. */
export interface Detail {
  readonly row: Row
  readonly size: number
  readonly created?: string
  readonly creator?: number
  readonly layout?: string
  readonly detail: string
  readonly path: string
  readonly figures: Readonly<Record<string, number>>
  readonly parts: readonly {
    readonly kind: string
    readonly index: number
    readonly pid?: number
    readonly name?: string
    readonly policy?: string
    readonly figures: Readonly<Record<string, number>>
  }[]
  readonly waits: readonly Waited[]
}

/** How somebody waits, and has waited, in one place. Times are milliseconds. */
export interface Waited {
  readonly side: string
  readonly index: number
  /** Waits that have ended. */
  readonly waits: number
  readonly mean?: number
  /** Of those that have ended, half and 99 of 100 took no longer: a bound, or longer than the last bound there is. */
  readonly half?: WaitBound
  readonly most?: WaitBound
  /** How long the present one lasts. */
  readonly now?: number
}

export type WaitBound = { readonly atMost: number } | { readonly above: number }

/** Formats that a picture can be made of. */
export const formats = ['RGBA', 'RGB', 'GRAY', 'YUYV', 'NV12', 'JPEG'] as const
export type Format = (typeof formats)[number]

/** A message that was peeked at. */
export interface Peeked {
  readonly sequence: string
  readonly op: string
  readonly length: number
  /** Milliseconds since it was published, where that is known. */
  readonly age?: number
  readonly subject?: string
  readonly id?: string
  readonly state?: string
  readonly method?: string
  /** Its beginning: as text where it is text, otherwise as hexadecimal digits. */
  readonly text: string
  readonly binary: boolean
  readonly cut: boolean
}

/** How a channel is called in paths and in `gone`. */
export function idOf({ kind, name }: Pick<Row, 'kind' | 'name'>): string {
  return `${kind}/${name}`
}
