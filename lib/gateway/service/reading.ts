// Values of a document of YAML, each judged where it stands. What is wrong is added to the findings, and then there is no value.

import { show } from '../../base/options.js'
import type { Findings } from './findings.js'
import { nearest } from './nearest.js'
import type { Yaml, YamlDocument, YamlNode } from './yaml.js'

/** What reads a value; `what` is how messages name it. */
export type Read<T> = (node: YamlNode | null, what: string) => T | undefined

/** A key of a map: how its value is read, and whether it has to be there. */
export interface Key {
  readonly read: Read<unknown>
  readonly needed?: string
}

export type Keys = Readonly<Record<string, Key>>

/** A map, as it was read: what it has, and where. */
export interface ReadMap {
  readonly node: YamlNode
  readonly values: Readonly<Record<string, unknown>>
  readonly spots: Readonly<Record<string, YamlNode | null>>
}

const variable = /\$(\$\{)|\$\{([^}]*)\}/g
const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/

export class Reading {
  readonly findings: Findings
  readonly #yaml: Yaml
  readonly #document: YamlDocument
  readonly #environment: NodeJS.ProcessEnv

  constructor(
    findings: Findings,
    {
      yaml,
      document,
      environment,
    }: {
      readonly yaml: Yaml
      readonly document: YamlDocument
      readonly environment: NodeJS.ProcessEnv
    },
  ) {
    this.findings = findings
    this.#yaml = yaml
    this.#document = document
    this.#environment = environment
  }

  /** Text, with the values of variables in the places of `${NAME}`; `$${` is `${` itself. */
  text(node: YamlNode | null, what: string, such = 'text'): string | undefined {
    const value = this.#scalar(node)
    if (typeof value !== 'string') {
      const quoted = typeof value === 'number' || typeof value === 'boolean'
      const cure = quoted ? `: put it in quotes, '${String(value)}'` : ''
      this.findings.add(node, `${what} must be ${such}, not ${this.#shown(node)}${cure}`)
      return undefined
    }
    const filled = this.#filled(node, value)
    if (filled !== '') return filled
    this.findings.add(node, `${what} must be ${such}, and is empty`)
    return undefined
  }

  word<W extends string>(node: YamlNode | null, what: string, words: readonly W[]): W | undefined {
    const value = this.#scalar(node)
    const found = words.find((word) => word === value)
    if (found !== undefined) return found
    const near = typeof value === 'string' ? nearest(value, words) : undefined
    const meant = near === undefined ? '' : `: did you mean ${near}?`
    this.findings.add(
      node,
      `${what} must be one of ${words.join(', ')}, not ${this.#shown(node)}${meant}`,
    )
    return undefined
  }

  whole(
    node: YamlNode | null,
    what: string,
    [least, most]: readonly [number, number],
    unit = 'a whole number',
  ): number | undefined {
    const value = this.#number(node)
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) {
      return value
    }
    const from = least.toLocaleString('en-US')
    const to = most.toLocaleString('en-US')
    const range = `${unit} from ${from} to ${to}`
    this.findings.add(node, `${what} must be ${range}, not ${this.#shown(node)}`)
    return undefined
  }

  flag(node: YamlNode | null, what: string): boolean | undefined {
    const value = this.#scalar(node)
    if (typeof value === 'boolean') return value
    this.findings.add(node, `${what} must be true or false, not ${this.#shown(node)}`)
    return undefined
  }

  /** @returns values; `undefined` in places of those that are wrong */
  list<T>(
    node: YamlNode | null,
    what: string,
    { of, most, each }: { readonly of: string; readonly most: number; readonly each: Read<T> },
  ): { readonly values: (T | undefined)[] } | undefined {
    const list = this.#resolved(node)
    if (!this.#yaml.isSeq(list)) {
      this.findings.add(node, `${what} must be a list of ${of}, not ${this.#shown(node)}`)
      return undefined
    }
    if (list.items.length === 0) this.findings.add(node, `${what} must have at least one of ${of}`)
    if (list.items.length > most) {
      this.findings.add(
        node,
        `${what} has ${String(list.items.length)} ${of}; there may be ${String(most)}`,
      )
      return undefined
    }
    return { values: list.items.map((item, at) => each(item, `${what}[${String(at)}]`)) }
  }

  /** What stands behind a key of a map, unjudged; undefined: it is no map, or has no such key. */
  behind(node: YamlNode | null, key: string): YamlNode | null | undefined {
    const map = this.#resolved(node)
    if (!this.#yaml.isMap(map)) return undefined
    return map.items.find((item) => this.#scalar(item.key) === key)?.value
  }

  item(node: YamlNode | null, at: number): YamlNode | null | undefined {
    const list = this.#resolved(node)
    return this.#yaml.isSeq(list) ? list.items[at] : undefined
  }

  /** The words that the text may be; `undefined` otherwise, and nothing is said. */
  isOne(node: YamlNode | null | undefined, words: readonly string[]): boolean {
    const value = node === undefined ? undefined : this.#scalar(node)
    return typeof value === 'string' && words.includes(value)
  }

  isMap(node: YamlNode | null): boolean {
    return this.#yaml.isMap(this.#resolved(node))
  }

  isFlag(node: YamlNode | null): boolean {
    return typeof this.#scalar(node) === 'boolean'
  }

  isNumber(node: YamlNode | null): boolean {
    return typeof this.#number(node) === 'number'
  }

  map(node: YamlNode | null, what: string, keys: Keys): ReadMap | undefined {
    const map = this.#resolved(node)
    if (!this.#yaml.isMap(map)) {
      const names = Object.keys(keys).join(', ')
      this.findings.add(
        node,
        `${what} must have keys and values (${names}), and is ${this.#shown(node)}`,
      )
      return undefined
    }
    const values: Record<string, unknown> = {}
    const spots: Record<string, YamlNode | null> = {}
    for (const { key, value } of map.items) {
      const name = this.#scalar(key)
      const known = typeof name === 'string' && Object.hasOwn(keys, name) ? keys[name] : undefined
      if (known === undefined || typeof name !== 'string') {
        this.#unknown(key, what, Object.keys(keys))
      } else if (Object.hasOwn(spots, name)) {
        const first = this.findings.line(spots[name] ?? null)
        this.findings.add(
          key,
          `'${name}' is there twice in ${what}, first in line ${String(first)}: take one of them away`,
        )
      } else {
        spots[name] = value ?? key
        const read = this.#present(key, value, name) ? known.read(value, name) : undefined
        if (read !== undefined) values[name] = read
      }
    }
    for (const [name, { needed }] of Object.entries(keys)) {
      if (needed === undefined || Object.hasOwn(spots, name)) continue
      this.findings.add(map, `${what} needs '${name}': ${needed}`)
    }
    return { node: map, values, spots }
  }

  #present(key: YamlNode | null, value: YamlNode | null, name: string): boolean {
    if (value !== null && this.#scalar(value) !== null) return true
    this.findings.add(key, `nothing stands behind '${name}': say it, or take the line away`)
    return false
  }

  #unknown(key: YamlNode | null, what: string, names: readonly string[]): void {
    const given = this.#scalar(key)
    const near = typeof given === 'string' ? nearest(given, names) : undefined
    const meant = near === undefined ? '.' : `: did you mean '${near}'?`
    const all = names.join(', ')
    this.findings.add(
      key,
      `there is no ${this.#shown(key)} in ${what}${meant} There may be: ${all}`,
    )
  }

  /** Undefined: a variable is not there. */
  #filled(node: YamlNode | null, text: string): string | undefined {
    const missing: string[] = []
    const filled = text.replaceAll(variable, (all, plain: string | undefined, name: string) => {
      if (plain !== undefined) return plain
      const isName = variableName.test(name)
      const value = isName ? this.#environment[name] : undefined
      if (value !== undefined) {
        this.findings.hide(value, all)
        return value
      }
      missing.push(name)
      const what = isName
        ? `the environment has no variable ${name}: set it`
        : `'${all}' names no variable, for a name has letters, digits and _: correct it`
      this.findings.add(node, `${what}, or write $\${ for the signs themselves`)
      return all
    })
    return missing.length === 0 ? filled : undefined
  }

  /** What a variable has is text; where a number is wanted it is one. */
  #number(node: YamlNode | null): unknown {
    const value = this.#scalar(node)
    if (typeof value !== 'string' || !/^\$\{\w+\}$/.test(value)) return value
    const text = this.#environment[value.slice(2, -1)] ?? ''
    return /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : value
  }

  #scalar(node: YamlNode | null): unknown {
    const found = this.#resolved(node)
    return this.#yaml.isScalar(found) ? found.value : undefined
  }

  #resolved(node: YamlNode | null): YamlNode | null {
    return this.#yaml.isAlias(node) ? (node.resolve(this.#document) ?? null) : node
  }

  #shown(node: YamlNode | null): string {
    const found = this.#resolved(node)
    if (found === null) return 'nothing'
    if (this.#yaml.isMap(found)) return 'keys and values'
    if (this.#yaml.isSeq(found)) return 'a list'
    const value = this.#scalar(found)
    if (value === null) return 'nothing'
    const text = typeof value === 'string' ? `'${value}'` : show(value)
    return text.length > 80 ? `${text.slice(0, 80)}…` : text
  }
}
