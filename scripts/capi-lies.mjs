// Writes what test/capi/lies.c includes: of each function that native/capi/millrace.h declares calls with NULL, with handles that are
// closed, with sizes that are wrong and with structs that hold anything. A function that is added to the header is lied to as well.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from './native-build.mjs'

const handles = [
  ...['queue_producer', 'queue_consumer', 'frame_writer', 'frame_reader', 'cell_writer'],
  ...[
    'cell_reader',
    'mutex',
    'rwlock',
    'event',
    'semaphore',
    'counter',
    'memory',
    'work',
    'topics',
  ],
]

/** Writes it to `file`. */
export function writeLies(file) {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, liesTo(readFileSync(join(root, 'native/capi/millrace.h'), 'utf8')))
}

function liesTo(header) {
  const declared = declarations(header)
  const texts = declared.map(textOf)
  const calls = declared.map(({ name }) => `  ${called(name)}();`)
  return `${texts.join('\n')}\nstatic void tell_all_lies(void) {\n${calls.join('\n')}\n}\n`
}

/** What is asked of a call that must not do anything. */
const refusing = ({ result }) => (result.startsWith('int') ? 'REFUSED' : 'NOTHING')
const called = (name) => name.replace('millrace_', 'lie_to_')

function declarations(header) {
  const code = header.replaceAll(/\/\*.*?\*\//gs, '')
  return [...code.matchAll(/\n(\w[\w ]*?[ *]+)(millrace_\w+)\(([^;{]*?)\);/g)].map(
    ([, result, name, list]) => ({
      result: result.trim(),
      name,
      parameters: list.trim() === 'void' ? [] : list.split(',').map(parameterOf),
    }),
  )
}

function parameterOf(text) {
  const [, type, name] = /^\s*(.*?)(\w+)\s*$/s.exec(text)
  return { type: type.replaceAll(/\s+/g, ' ').trim(), name }
}

const handleOf = ({ type }) => handles.find((kind) => type === `millrace_${kind}*`)

function textOf(declared) {
  const { name, parameters } = declared
  const kind = parameters.length > 0 ? handleOf(parameters[0]) : undefined
  const lines = kind === undefined ? withoutHandle(declared) : withHandle(declared, kind)
  return `static void ${called(name)}(void) {\n${lines.map((line) => `  ${line}`).join('\n')}\n}`
}

/** An argument that is as it should be, or of the kind that is asked for. */
function argument(parameter, at, how) {
  const { type, name } = parameter
  if (!type.endsWith('*')) {
    // Counts say how much there is of what the caller owns: that cannot be judged.
    if (['filter_count', 'most'].includes(name)) return '1'
    return how === 'huge' && name === 'length' ? 'UINT64_MAX' : '0'
  }
  if (handleOf(parameter) !== undefined) return 'handle'
  if (type === 'const char* const*') return 'texts'
  if (type === 'millrace_dead_letters**') return 'letters()'
  if (type === 'const char*') return how === 'anything' ? '"\\377\\376"' : '"x"'
  return `${how === 'anything' ? 'anything' : 'zeroes'}(${at})`
}

function call({ name, parameters }, how, changes = {}) {
  const list = parameters.map(
    (parameter, at) => changes[parameter.name] ?? argument(parameter, at, how),
  )
  return `${name}(${list.join(', ')})`
}

const isPointer = ({ type }) => type.endsWith('*')

function withHandle(declared, kind) {
  const { result, name, parameters } = declared
  const handle = parameters[0].name
  if (name.endsWith('_free')) return [`${name}(NULL);`]
  const nobody = Object.fromEntries(parameters.filter(handleOf).map((each) => [each.name, 'NULL']))
  const lines = [`${refusing(declared)}(${call(declared, 'zeroes', nobody)});`]
  const ends = /_(close|abort)$/.test(name)
  const first = ends ? undefined : [`millrace_${kind}* handle = open_${kind}();`]
  if (first === undefined) {
    lines.push(`millrace_${kind}* handle = open_${kind}();`)
    lines.push(`DONE(${call(declared, 'zeroes', { [handle]: 'handle' })});`)
  } else {
    lines.push(...first)
    for (const { name: pointer } of parameters.slice(1).filter(isPointer)) {
      lines.push(`(void)${call(declared, 'zeroes', { [handle]: 'handle', [pointer]: 'NULL' })};`)
    }
    lines.push(`(void)${call(declared, 'anything', { [handle]: 'handle' })};`)
    lines.push(`(void)${call(declared, 'huge', { [handle]: 'handle' })};`)
    // Some of these end the handle themselves.
    lines.push(`(void)close_${kind}(handle);`)
  }
  const closed = call(declared, 'zeroes', { [handle]: 'handle' })
  lines.push(
    result.startsWith('int') ? `GIVES(MILLRACE_CLOSED, ${closed});` : `NOTHING(${closed});`,
  )
  lines.push(`millrace_${kind}_free(handle);`)
  return lines
}

function withoutHandle(declared) {
  const { result, name, parameters } = declared
  const pointers = parameters.filter(isPointer)
  if (name.endsWith('_free')) return [`${name}(NULL);`]
  if (pointers.length === 0) return [`(void)${call(declared, 'zeroes')};`]
  if (!/_(open|create)$/.test(name)) {
    const nothing = Object.fromEntries(pointers.map((each) => [each.name, 'NULL']))
    const lines = [`${refusing(declared)}(${call(declared, 'zeroes', nothing)});`]
    if (!result.startsWith('int')) return lines
    for (const { name: pointer } of pointers) {
      lines.push(`(void)${call(declared, 'zeroes', { [pointer]: 'NULL' })};`)
    }
    return lines
  }
  const out = parameters.at(-1)
  const lines = [`${out.type.replace(/\*$/, '')} opened = NULL;`]
  const refused = (changes) =>
    lines.push(`REFUSED(${call(declared, 'zeroes', { [out.name]: '&opened', ...changes })});`)
  refused({ [parameters[0].name]: 'NULL' })
  refused({ [parameters[0].name]: '"a/b"' })
  refused({ [parameters[0].name]: '"file:"' })
  refused({ [parameters[0].name]: '"fd:99999"' })
  refused({ [out.name]: 'NULL' })
  refused({ options: 'anything(0)' })
  for (const size of ['0', '1', 'UINT64_MAX']) refused({ options: `of_size(${size})` })
  lines.push('CHECK(opened == NULL);')
  return lines
}
