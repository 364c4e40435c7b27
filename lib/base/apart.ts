// Calls that V8 leaves calls. It compiles a loop together with what the loop calls, up to a limit of bytecode for all of it.
// What is called once for many records must not use up that limit: accessors of the records that find no place any more take
// ten times as long, and put each number into the heap.
//
// A call is left alone if the place has called more than one function, and what is called now is no constant to V8: a
// parameter of somebody's, or an element of an array.

/** Returns `work(given)`. Somebody must have called `callApart(nothing, …)` before. */
export function callApart<Given, Result>(work: (given: Given) => Result, given: Given): Result {
  return work(given)
}

/** Returns `work(subject, given)`, which comes out of an array of several such functions. */
export function doApart<Subject, Given, Result>(
  work: (subject: Subject, given: Given) => Result,
  subject: Subject,
  given: Given,
): Result {
  return work(subject, given)
}

export const nothing = (): undefined => undefined
