// The public types as a user's compiler sees them.
import { expectAssignable } from 'tsd'
import type { MillraceError } from 'millrace'

declare const error: MillraceError

expectAssignable<Error>(error)
expectAssignable<string>(error.code)
