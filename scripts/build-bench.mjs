// Builds the C++ benchmarks (native/bench) without tests and sanitizers.
import { build, configure } from './native-build.mjs'

const variant = { name: 'bench', sanitize: '', tests: false }
await configure(variant)
await build(variant)
