/**
 * What a step of a decision came to at the last look, given again while all that it rests on is the very same: then it would
 * come to the same. Most looks differ from the one before in one thing only.
 *
 *   key: everything the step reads ──the same members as last time?──▶ yes: the last value
 *                                                                   └▶ no: make it, and remember it with its key
 *
 * One value for each owner (a configuration, a unit), forgotten with it.
 */
export function lastLook<Value>(): (owner: object, key: readonly unknown[], make: () => Value) => Value {
  const last = new WeakMap<object, { readonly key: readonly unknown[]; readonly value: Value }>()
  return (owner, key, make) => {
    const before = last.get(owner)
    if (before !== undefined && isSameList(before.key, key)) return before.value
    const value = make()
    last.set(owner, { key, value })
    return value
  }
}

/** The very same members, one by one. */
export function isSameList(one: readonly unknown[], other: readonly unknown[]): boolean {
  if (one.length !== other.length) return false
  for (let i = 0; i < one.length; i += 1) if (one[i] !== other[i]) return false
  return true
}

/** The very same list as before if it has the very same members, so that whoever reads it knows that nothing changed. */
export function listKeeper<Member extends object>(): (list: readonly Member[]) => readonly Member[] {
  const byFirst = new WeakMap<Member, readonly Member[]>()
  return (list) => {
    const [first] = list
    if (first === undefined) return NONE
    const before = byFirst.get(first)
    if (before !== undefined && isSameList(before, list)) return before
    byFirst.set(first, list)
    return list
  }
}

const NONE: readonly never[] = []
