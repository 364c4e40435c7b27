// A list whose members leave it from anywhere in the time it takes to leave it at the front.

/** What can be in one list at a time. */
export abstract class Member<T extends Member<T>> {
  /** @internal */
  before: T | undefined
  /** @internal */
  behind: T | undefined
  /** @internal */
  list: LinkedList<T> | undefined
}

export class LinkedList<T extends Member<T>> {
  first: T | undefined
  #last: T | undefined
  length = 0

  add(member: T): void {
    member.list = this
    member.before = this.#last
    if (this.#last === undefined) this.first = member
    else this.#last.behind = member
    this.#last = member
    this.length++
  }

  /** False if it is in no list any more. */
  remove(member: T): boolean {
    if (member.list !== this) return false
    const { before, behind } = member
    if (before === undefined) this.first = behind
    else before.behind = behind
    if (behind === undefined) this.#last = before
    else behind.before = before
    member.list = member.before = member.behind = undefined
    this.length--
    return true
  }
}
