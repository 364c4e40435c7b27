// What the system says when an address cannot be connected to, or listened at, as this package says it: a code, the cause, and what to do.
// The same number of the system means something else at a path, at a log and at a host, and to who makes something than to who looks for
// it: so there is a table for each.

import { invalidArgument, MillraceError, type ErrorCode } from '../errors.js'
import type { Address } from '../place/address.js'
import { nobody } from './nobody.js'

/** What one number means. In both texts `%` stands for the address, in the second one `%folder` for the folder of its path. */
interface Row {
  readonly code: ErrorCode
  readonly cause: string
  readonly cure: string
}

type Table = Readonly<Record<string, Row>>

/** What the process wanted. */
export type Doing = 'connect' | 'listen'

const row = (code: ErrorCode, cause: string, cure: string): Row => ({ code, cause, cure })

/** With the user that the process runs as, since that is who needs the right. */
const forbidden = (does: string, cure: string): Table => {
  const found = row('ERR_MILLRACE_PERMISSION', `this process (%user) may not ${does}`, cure)
  return { EACCES: found, EPERM: found }
}

const anywhere: Table = {
  EMFILE: row(
    'ERR_MILLRACE_SYSTEM',
    'there is no descriptor left for %',
    'close channels you no longer use, or raise the limit of open files (ulimit -n)',
  ),
  ENFILE: row(
    'ERR_MILLRACE_SYSTEM',
    'the whole machine has no descriptor left for %',
    'end what has so many open, or raise its limit (sysctl fs.file-max)',
  ),
  ENOMEM: row('ERR_MILLRACE_SYSTEM', 'the system has no memory left for %', 'end what takes it'),
  ENOBUFS: row(
    'ERR_MILLRACE_SYSTEM',
    'the system has no buffers left for %',
    'end what takes them',
  ),
}

/** Ways that lead to no folder at all. */
const astray = (code: ErrorCode): Table => ({
  ENOTDIR: row(
    code,
    'the path of % leads through something that is no folder',
    'see that the path is right, or take another one',
  ),
  ELOOP: row(
    code,
    'the symbolic links in the path of % lead in a circle',
    'mend them, or take the path that they were to lead to',
  ),
})

const paths: Table = {
  ...anywhere,
  ENAMETOOLONG: row(
    'ERR_MILLRACE_NAME_TOO_LONG',
    'the path of % is longer than the system takes',
    'take a shorter one: most systems take 255 bytes for a name, and 4095 for all of it',
  ),
}

/** Something is to be made at a path. */
const making: Table = {
  ...paths,
  ...astray('ERR_MILLRACE_NOT_FOUND'),
  ENOENT: row(
    'ERR_MILLRACE_NOT_FOUND',
    'the folder that % is to be in is not there',
    "make it (mkdir -p '%folder'), or see that the path is right",
  ),
  EROFS: row(
    'ERR_MILLRACE_PERMISSION',
    'the file system of % is mounted read-only',
    'mount it for writing, or take a path elsewhere',
  ),
  ENOSPC: row(
    'ERR_MILLRACE_NO_SPACE',
    'the file system of % is full',
    'make room there (df, df -i), or take a path elsewhere',
  ),
  EDQUOT: row(
    'ERR_MILLRACE_NO_SPACE',
    'as much as this user may have on the file system of % is taken',
    'make room there, have the quota raised, or take a path elsewhere',
  ),
}

/** Somebody listens at a path, or not. */
const finding: Table = {
  ...paths,
  ...astray('ERR_MILLRACE_UNREACHABLE'),
}

const isTaken: Table = {
  EADDRINUSE: row(
    'ERR_MILLRACE_EXISTS',
    'somebody listens at % already',
    'end that, or take another address',
  ),
}

const rightsOf = (what: string): string =>
  `run it as the user who does, or see whose ${what} and its folders are, and their rights (ls -ld)`

const sockets: Readonly<Record<Doing, Table>> = {
  connect: {
    ...finding,
    ...forbidden(
      'connect to %, which takes the right to write to the socket',
      'run it as the user who listens, or give it the right: listen() takes mode',
    ),
    ECONNREFUSED: row(
      'ERR_MILLRACE_UNREACHABLE',
      'nobody listens at %',
      'the socket is what a process has left that is no more: start it again, which puts another one in its place',
    ),
    EAGAIN: row(
      'ERR_MILLRACE_UNREACHABLE',
      'so many wait to be let in at % that there is no room in line',
      'see that the process that listens there is not stopped, and connect again',
    ),
    EPROTOTYPE: row(
      'ERR_MILLRACE_PROTOCOL',
      'the socket of % carries datagrams, and no stream',
      'see what has made it, or take another path',
    ),
  },
  listen: { ...making, ...isTaken, ...forbidden('put a socket at %', rightsOf('the path')) },
}

const fifos: Readonly<Record<Doing, Table>> = {
  connect: {
    ...finding,
    ...forbidden(
      'write to %',
      'run it as the user who listens, or give it the right: listen() takes mode',
    ),
    ENXIO: row(
      'ERR_MILLRACE_UNREACHABLE',
      'nobody listens at %',
      'the FIFO is there, and no process reads it: start the one that does',
    ),
  },
  listen: { ...making, ...forbidden('make or read the FIFO of %', rightsOf('the path')) },
}

const noFile = row(
  'ERR_MILLRACE_EXISTS',
  'at % is something that is no regular file',
  'remove it, or take another path',
)

/** Of a log, by what is done with it. Who listens reads it, and makes it first. */
const logs = {
  append: {
    ...making,
    ...forbidden('append to %', rightsOf('the file')),
    EISDIR: noFile,
    ENXIO: noFile,
  },
  read: {
    ...paths,
    ...astray('ERR_MILLRACE_NOT_FOUND'),
    ...forbidden('read %', rightsOf('the file')),
    ENOENT: row(
      'ERR_MILLRACE_NOT_FOUND',
      'there is no log at %',
      'start who appends to it first, or see that the path is right',
    ),
  },
  listen: {
    ...making,
    ...forbidden('make or read %', rightsOf('the file')),
    EISDIR: noFile,
    ENXIO: noFile,
  },
} as const satisfies Record<string, Table>

const unreachable = (cause: string, cure: string): Row =>
  row('ERR_MILLRACE_UNREACHABLE', cause, cure)

const noRoute = unreachable(
  'there is no way to the host of %, or it does not answer',
  'see that it is up, that this machine has a route to it (ip route get), and that no firewall is between them',
)
const noNetwork = unreachable(
  'this machine has no way to the network of %',
  'see that its interface is up (ip link), and has a route there (ip route)',
)
const notTls = unreachable(
  'whoever listens at % ended the connection before it stood (%message)',
  'see that it is tls:// at both sides, with a version in common, and whether the other side wants a certificate (tls.key and tls.cert)',
)

const hosts: Readonly<Record<Doing, Table>> = (() => {
  const both: Table = {
    ...anywhere,
    ENOTFOUND: unreachable(
      'there is no host of the name in %, as far as this machine knows',
      'see that the name is right, and that the name server or /etc/hosts has it',
    ),
    EAI_AGAIN: unreachable(
      'no name server has answered what the host of % is',
      'see that the network is up and that /etc/resolv.conf names a server that runs, then try again, or give the address in numbers',
    ),
    EAFNOSUPPORT: unreachable(
      'this machine has no addresses of the version in %',
      'give one of the other version (IPv4 or IPv6)',
    ),
    ENETDOWN: noNetwork,
  }
  return {
    connect: {
      ...both,
      EHOSTUNREACH: noRoute,
      EHOSTDOWN: noRoute,
      ENETUNREACH: noNetwork,
      ETIMEDOUT: unreachable(
        'nothing answers at %',
        'see that the host is up, and that no firewall drops what comes for that port',
      ),
      EADDRNOTAVAIL: unreachable(
        'this machine has no address, or no free port, to connect to % from',
        'see its addresses (ip addr), and close connections you no longer use',
      ),
      ECONNRESET: notTls,
      EPIPE: notTls,
      EPROTO: notTls,
      ...forbidden(
        'connect to %: a rule of this machine forbids it',
        'see its firewall and its routes (ip route get)',
      ),
    },
    listen: {
      ...both,
      EADDRINUSE: row(
        'ERR_MILLRACE_EXISTS',
        'somebody listens at % already',
        'end that, or take another address; port 0 takes one that is free',
      ),
      EADDRNOTAVAIL: unreachable(
        'this machine has no such address as that of %',
        'listen at one that it has (ip addr), or at 0.0.0.0 or [::] for all of them',
      ),
      ...forbidden(
        'listen at %',
        'take a port from 1024 on, or let it have those below (CAP_NET_BIND_SERVICE)',
      ),
    },
  }
})()

/** Transports of programs: what their addresses stand for is theirs to say. */
const owns: Readonly<Record<Doing, Table>> = (() => {
  const cure = 'see what its transport says, in `cause`'
  return {
    connect: { ...anywhere, ...forbidden('connect to %', cure) },
    listen: { ...anywhere, ...isTaken, ...forbidden('listen at %', cure) },
  }
})()

/** Of the TLS of Node: certificates that were looked at, and what the program gave. */
function ofTls(code: string): Row | undefined {
  if (/^(CERT_|CRL_|DEPTH_ZERO_|ERR_TLS_CERT|SELF_SIGNED_|UNABLE_TO_|INVALID_)/.test(code)) {
    return unreachable(
      'the certificate of who listens at % was not taken (%message)',
      'give that of its authority as tls.ca, and see that it has the name of the host (tls.servername) and is not expired',
    )
  }
  return code.startsWith('ERR_SSL_') ? notTls : undefined
}

function tableOf({ scheme, rest, query }: Address, doing: Doing): Table {
  switch (scheme) {
    case 'unix':
      return rest.startsWith('@') ? { ...anywhere, ...isTaken } : sockets[doing]
    case 'pipe':
      return fifos[doing]
    case 'file':
      if (doing === 'listen') return logs.listen
      return query.has('from') || query.has('follow') ? logs.read : logs.append
    case 'fd':
      return anywhere
    case 'tcp':
    case 'tls':
      return hosts[doing]
    default:
      return owns[doing]
  }
}

/** Where nothing is known of that number: what it says, and where to look. */
function otherwise({ scheme }: Address, doing: Doing): Row {
  if (scheme === 'file' || scheme === 'fd') {
    return row(
      'ERR_MILLRACE_SYSTEM',
      '% could not be opened (%message)',
      scheme === 'fd' ? 'see how this process was started' : 'see what is wrong with the disk',
    )
  }
  return doing === 'listen'
    ? unreachable('nobody can listen at % (%message)', 'see that the address is right')
    : unreachable(
        'there is no way to % (%message)',
        'see that somebody listens there, and that the address is right',
      )
}

/** A path without a socket, a port without a listener. Nobody is expected to listen at a log. */
function isNobody(code: string, { scheme }: Address, doing: Doing, table: Table): boolean {
  if (doing === 'listen' || scheme === 'file' || Object.hasOwn(table, code)) return false
  return code === 'ENOENT' || code === 'ECONNREFUSED'
}

/** What Node says, as this package says it; errors of this package, and what is none of the system's, as they are. */
export function refusal(error: unknown, address: Address, doing: Doing): unknown {
  if (error instanceof MillraceError || !(error instanceof Error)) return error
  const { code = '', syscall, errno, message } = error as NodeJS.ErrnoException
  const isGiven = address.scheme === 'tls' && code.startsWith('ERR_INVALID_ARG_')
  if (isGiven || code.startsWith('ERR_OSSL_')) {
    return invalidArgument(
      `what tls gives for '${address.text}' cannot be used (${message}): give key, cert and ca as node:tls takes them`,
      error,
    )
  }
  const table = tableOf(address, doing)
  if (isNobody(code, address, doing, table)) return nobody(address.text, error)
  const found = Object.hasOwn(table, code)
    ? table[code]!
    : (ofTls(code) ?? otherwise(address, doing))
  const said = (text: string): string =>
    text.replace(/%(user|folder|message)?/g, (_, what?: string) => {
      if (what === 'user') return `user ${String(process.geteuid?.() ?? 'unknown')}`
      if (what === 'folder') return address.rest.replace(/\/[^/]*$/, '') || '/'
      return what === 'message' ? message.trim() : `'${address.text}'`
    })
  return new MillraceError(found.code, `${said(found.cause)}: ${said(found.cure)}`, {
    cause: error,
    syscall,
    errno: errno === undefined ? undefined : Math.abs(errno),
    path: address.text,
  })
}
