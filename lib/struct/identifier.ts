// Names that are the same in C, C++ and TypeScript.

import { invalidArgument } from '../errors.js'

const reserved = new Set(
  [
    // C23 and C++23
    'alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t',
    'class compl concept const consteval constexpr constinit const_cast continue co_await co_return co_yield',
    'decltype default delete do double dynamic_cast else enum explicit export extern false float for friend',
    'goto if inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private',
    'protected public register reinterpret_cast requires restrict return short signed sizeof static',
    'static_assert static_cast struct switch template this thread_local throw true try typedef typeid typename',
    'typeof typeof_unqual union unsigned using virtual void volatile wchar_t while xor xor_eq',
    // what the generated header includes or uses, and macros that compilers define of old
    'NULL assert errno i386 int8_t int16_t int32_t int64_t linux offsetof uint8_t uint16_t uint32_t uint64_t unix',
    // what every view has
    'constructor toJSON',
  ].flatMap((words) => words.split(' ')),
)

/** Also makes a name safe to stand in a program text. */
export function checkIdentifier(name: unknown, what: string): string {
  if (typeof name !== 'string' || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw invalidArgument(
      `${what} must be an identifier of C (letters, digits, _; no digit first), not ${JSON.stringify(name)}`,
    )
  }
  if (reserved.has(name) || name.includes('__') || /^_[A-Z]/.test(name)) {
    throw invalidArgument(`${what} must not be '${name}', which is reserved; choose another name`)
  }
  return name
}
