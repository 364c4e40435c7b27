// The newest 32-bit ARM Node on npm is 20.11; millrace asks for 20.19, and for this function of it.
process.getBuiltinModule ??= (name) => require(name)
