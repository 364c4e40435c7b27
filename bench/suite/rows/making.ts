// Short forms for the tables of rows.

import type { Parameters } from '../../side/parameters.js'
import { spinningCores, suffix } from '../pinning.js'
import type { CaseWork, Cores, ProgramWork, Row, Unit, Waiting } from '../row.js'

export const large = 8 * 1024 * 1024

/** Milliseconds of polling in rows that poll; the only place it is said. */
export const pollMs = 2

export function size(bytes: number): string {
  if (bytes >= 1024 * 1024) return `${String(bytes / 1024 / 1024)} MiB`
  if (bytes >= 1024) return `${String(bytes / 1024)} KiB`
  return `${String(bytes)} B`
}

interface Facts {
  readonly unit: Unit
  readonly waiting: Waiting
  readonly cores?: Cores
  readonly payload?: number
  readonly checked?: boolean
  readonly part?: string
  readonly confirms?: string
  readonly slow?: boolean
  readonly repetitions?: number
}

export function row(name: string, work: CaseWork | ProgramWork, facts: Facts): Row {
  const { cores = 'unpinned', payload, checked = true, ...rest } = facts
  return {
    name: `${name}${suffix(cores)}`,
    payload: payload ?? ('case' in work ? (work.parameters.bytes ?? 0) : 0),
    cores,
    checked: checked && 'case' in work,
    work,
    ...rest,
  }
}

export function ofCase(
  name: string,
  parameters: Partial<Parameters>,
  ...peers: readonly string[]
): CaseWork {
  return { case: name, parameters, ...(peers.length === 0 ? {} : { peers }) }
}

/** A program that takes its time as milliseconds, after its other arguments. */
export function ofProgram(program: string, ...args: readonly (string | number)[]): ProgramWork {
  return { program: `millrace_bench_${program}`, args: args.map(String), timed: true }
}

/** A program that is told how often. */
export function ofCount(program: string, ...args: readonly (string | number)[]): ProgramWork {
  return { program: `millrace_bench_${program}`, args: args.map(String), timed: false }
}

/** Rows that would be there twice where nothing can be pinned. */
export const unlessUnpinned = (rows: readonly Row[]) => (spinningCores === 'unpinned' ? [] : rows)
