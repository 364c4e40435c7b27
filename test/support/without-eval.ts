// Imported before the library: code from strings is forbidden in this process from here on, as by a content
// security policy.

globalThis.Function = class extends Function {
  constructor() {
    super()
    throw new EvalError('Code generation from strings disallowed for this context')
  }
} as FunctionConstructor
