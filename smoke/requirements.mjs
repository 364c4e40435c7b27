// Programs and libraries of the system that some cases need, with the Debian packages that have them.

import { existsSync } from 'node:fs'

const packages = {
  'qemu-user-static': '/usr/bin/qemu-aarch64-static',
  'libstdc++6-arm64-cross': '/usr/aarch64-linux-gnu/lib/libstdc++.so.6',
  'libstdc++6-armhf-cross': '/usr/arm-linux-gnueabihf/lib/libstdc++.so.6',
  'libatomic1-armhf-cross': '/usr/arm-linux-gnueabihf/lib/libatomic.so.1',
  musl: '/lib/ld-musl-x86_64.so.1',
  'musl-tools': '/usr/bin/musl-gcc',
  gcc: '/usr/bin/gcc',
}

/** Those of `needed` that are not installed. */
export const missing = (needed) =>
  [...new Set(needed)].filter((name) => !existsSync(packages[name] ?? '/'))
