// Method and machine in sentences, for charts, page and README.

import type { Report } from '../suite/row.js'

const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

export function methodLines({ repetitions, placement }: Report): string[] {
  return [
    `Two processes (Workers share one), fresh for each measurement and warmed up until times agree; medians of ${String(repetitions)} interleaved repetitions, all with the processors placed '${placement}'.`,
    'Pinned to two cores where both spin, otherwise left to the scheduler. Contents checked byte by byte in a pass of its own.',
    'Spinning and polling keep a core busy; waiting does not.',
  ]
}

export function machineLine({ machine, versions }: Report): string {
  const { cpu, cores, kernel, virtual, loadAtStart } = machine
  const kind = virtual === true ? 'virtual, ' : ''
  const load = Array.isArray(loadAtStart) ? `, load ${text(loadAtStart[0])} at the start` : ''
  return `${text(cpu)}, ${text(cores)} cores (${kind}${text(kernel)}), Node ${text(versions['node'])}${load}.`
}
