// The package yaml, an optional peer: what of it is used, typed by hand, so that no declaration of ours needs it.

import { loadPeer } from '../../engines/peer.js'

/** Anything in a document. `range`: where it begins, ends, and what follows it begins. */
export interface YamlNode {
  readonly range?: readonly [number, number, number] | null
}

export interface YamlScalar extends YamlNode {
  readonly value: unknown
}

export interface YamlMap extends YamlNode {
  readonly items: readonly { readonly key: YamlNode | null; readonly value: YamlNode | null }[]
}

export interface YamlList extends YamlNode {
  readonly items: readonly (YamlNode | null)[]
}

export interface YamlAlias extends YamlNode {
  readonly source: string
  resolve(document: YamlDocument): YamlNode | undefined
}

export interface YamlDocument {
  readonly contents: YamlNode | null
  readonly errors: readonly YamlProblem[]
  readonly warnings: readonly YamlProblem[]
}

export interface YamlProblem {
  readonly code: string
  readonly message: string
  /** From where to where. */
  readonly pos: readonly [number, number]
}

export interface YamlLines {
  linePos(offset: number): { readonly line: number; readonly col: number }
}

export interface Yaml {
  readonly LineCounter: new () => YamlLines
  parseDocument(
    text: string,
    options: {
      readonly lineCounter: YamlLines
      readonly prettyErrors: boolean
      readonly uniqueKeys: boolean
    },
  ): YamlDocument
  isScalar(node: unknown): node is YamlScalar
  isMap(node: unknown): node is YamlMap
  isSeq(node: unknown): node is YamlList
  isAlias(node: unknown): node is YamlAlias
}

/** @throws MillraceError `MISSING_PEER` */
export function yaml(): Yaml {
  return loadPeer('yaml', 'files of configuration') as Yaml
}
