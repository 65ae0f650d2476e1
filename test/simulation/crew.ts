import { type ChildProcess, fork } from 'node:child_process'
import { pairsTaken, watchMachines } from './coverage.ts'
import { type TrialOptions, type TrialResult, trial } from './trial.ts'

/** One run, and how often each pair of the machines was taken in it. */
export interface Outcome {
  readonly options: TrialOptions
  readonly result: TrialResult
  readonly pairs: Readonly<Record<string, number>>
}

/** Runs in this process. */
export async function runHere(options: TrialOptions): Promise<Outcome> {
  watchMachines()
  const result = await trial(options)
  return { options, result, pairs: pairsTaken() }
}

/** Runs all of them in so many processes; `heard` is told of each as it ends, in no particular order. */
export async function runAll(
  all: readonly TrialOptions[],
  processes: number,
  heard: (outcome: Outcome) => void,
): Promise<void> {
  if (processes <= 1 || all.length === 1) {
    for (const options of all) heard(await runHere(options))
    return
  }
  const left = [...all].reverse()
  const crew = Array.from({ length: Math.min(processes, all.length) }, () => work(left, heard))
  await Promise.all(crew)
}

/** One process takes one run after the other. */
function work(left: TrialOptions[], heard: (outcome: Outcome) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = fork(new URL('./worker.ts', import.meta.url), {
      stdio: 'inherit',
      // Most of what a run makes is garbage at once.
      execArgv: ['--max-semi-space-size=64'],
    })
    let at: TrialOptions | undefined
    const next = (): void => {
      at = left.pop()
      if (at === undefined) child.disconnect()
      else child.send(at)
    }
    child.on('message', (outcome: Outcome) => {
      heard(outcome)
      next()
    })
    child.on('error', reject)
    child.on('exit', (code) => {
      if (at === undefined) resolve()
      else reject(new Error(`the process that ran seed ${at.seed} ended with code ${code}`))
    })
    next()
  })
}
