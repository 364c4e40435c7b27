// Where a service tells how it is: a host and a port.

export interface HttpPlace {
  /** A name or a number, of version 6 without its brackets. */
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
}

/** Of `127.0.0.1:9464`, `[::1]:9464` or a port alone, which is one of this machine; undefined: it is none of these. */
export function hostAndPort(text: string): HttpPlace | undefined {
  const found = /^(?:(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+)):)?(\d{1,5})$/i.exec(text)
  const port = Number(found?.[3])
  if (found === null || port > 65_535) return undefined
  return { host: found[1] ?? found[2] ?? '127.0.0.1', port }
}
