/** What one guest may claim of a capacity: at least `least` if it can be, at most `most`, beyond that by weight. */
export interface Claim {
  readonly weight: number
  readonly least: number
  readonly most: number
}

/** Halvings of the level; what is left of it is far under one unit. */
const HALVINGS = 64

/**
 * Whole shares of a capacity: everybody's is `level × weight`, held between its least and its most, with the level
 * at which the capacity is used up.
 *
 *   most   ┬         ┬
 *          │    ┬    │    ─ level × weight        full: nobody gets more than its most
 *          █    █    │                            units that remain by rounding go to the largest
 *   least  █    █    █                            fractions, the first among equals
 *
 * If the least of all are more than there is, these are shared by weight.
 */
export function waterFill(capacity: number, claims: readonly Claim[]): readonly number[] {
  const least = claims.reduce((sum, one) => sum + Math.min(one.least, one.most), 0)
  const bounded = least > capacity ? claims.map((one) => ({ ...one, least: 0, most: one.least })) : claims
  const most = bounded.reduce((sum, one) => sum + one.most, 0)
  const whole = Math.min(capacity, most)
  const at = (level: number): readonly number[] =>
    bounded.map((one) => Math.min(one.most, Math.max(Math.min(one.least, one.most), level * one.weight)))
  let [low, high] = [0, Math.max(0, ...bounded.map((one) => one.most / one.weight))]
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2
    if (at(middle).reduce((a, b) => a + b, 0) < whole) low = middle
    else high = middle
  }
  // What is a whole number but for the rounding of the machine is one.
  const exact = at(high).map((one) => (Math.abs(one - Math.round(one)) < 1e-6 ? Math.round(one) : one))
  const shares = exact.map(Math.floor)
  const fraction = (i: number): number => Math.round((exact[i]! - shares[i]!) * 1e6)
  let rest = whole - shares.reduce((a, b) => a + b, 0)
  const order = [...shares.keys()].sort((a, b) => fraction(b) - fraction(a) || a - b)
  for (const i of order) {
    if (rest <= 0) break
    if (shares[i]! >= bounded[i]!.most) continue
    shares[i]! += 1
    rest -= 1
  }
  return shares
}
