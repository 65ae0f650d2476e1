const SHOWN_MAX = 20

/** What came of many messages: how each kind of them was answered, and what should not have been. */
export class Tally {
  readonly #counts = new Map<string, Map<string, number>>()
  readonly faults: string[] = []
  total = 0
  crashes = 0
  acceptedWrongly = 0

  count(way: string, answer: string): void {
    this.total++
    const answers = this.#counts.get(way) ?? new Map<string, number>()
    this.#counts.set(way, answers)
    answers.set(answer, (answers.get(answer) ?? 0) + 1)
  }

  wrong(sentence: string, message: unknown): void {
    this.acceptedWrongly++
    this.#fault(sentence, message)
  }

  crash(sentence: string, message: unknown): void {
    this.crashes++
    this.#fault(sentence, message)
  }

  /** A line for each way: how often each answer was given, the most frequent first. */
  lines(): string[] {
    return [...this.#counts].map(([way, answers]) => {
      const sorted = [...answers].sort(([, a], [, b]) => b - a)
      const sum = sorted.reduce((total, [, count]) => total + count, 0)
      return `${String(sum).padStart(8)}  ${way}: ${sorted.map(([answer, count]) => `${answer} ${count}`).join(', ')}`
    })
  }

  #fault(sentence: string, message: unknown): void {
    if (this.faults.length < SHOWN_MAX)
      this.faults.push(`${sentence}\n    ${JSON.stringify(message).slice(0, 2_000)}`)
  }
}
