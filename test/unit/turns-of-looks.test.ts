import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type Clock, systemClock } from '../../actors/runtime/clock.ts'
import type { BatchSystem } from '../../adapters/batch-system.ts'
import type { Executor } from '../../adapters/executor.ts'
import { gridengine } from '../../adapters/gridengine/batch-system.ts'
import { gridengineConfig } from '../../adapters/gridengine/config.ts'
import { slurm } from '../../adapters/slurm/batch-system.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import { cell, recorded as ofGridengine } from './gridengine-world.ts'

/** Who has the event loop while a look at many jobs is made: counted in steps, not in time. */

const never = new AbortController().signal
const JOBS = 1_000
/** So many steps make a slice of 8 ms by the clock below. */
const STEPS = 8

/** Each time that it is looked at it is a millisecond later. */
function counting(): { readonly clock: Clock; readonly turns: () => number } {
  let at = 0
  let turns = 0
  /** A turn that was asked for and not waited for is none. */
  let isPending = false
  return {
    turns: () => turns,
    clock: {
      ...{ now: systemClock.now, monotonic: () => at++ },
      after(_delayMs, callback) {
        if (!isPending) turns += 1
        isPending = true
        setImmediate(() => {
          isPending = false
          callback()
        })
        return () => undefined
      },
    },
  }
}

async function looked(make: (clock: Clock) => BatchSystem): Promise<number> {
  const { clock, turns } = counting()
  const { jobs, warnings } = await make(clock).observe(never)
  expect([jobs.length, warnings]).toEqual([JOBS, []])
  return turns()
}

test('Slurm’s list is read, judged and shown in slices', async () => {
  const recorded = (name: string): string =>
    readFileSync(new URL(`../fixtures/slurm/${name}`, import.meta.url), 'utf8')
  const row =
    recorded('squeue.txt')
      .split('\n')
      .find((each) => each.startsWith('7|')) ?? ''
  const answers: Readonly<Record<string, string>> = {
    squeue: Array.from({ length: JOBS }, (_, at) => `${at + 1}${row.slice(1)}\n`).join(''),
    'scontrol show config': recorded('show-config.txt'),
    'scontrol -a -o show partition': recorded('show-partition.txt'),
    'squeue -h -a -t PD': recorded('plans.txt'),
    scontrol: '',
    id: '0\n',
  }
  const exec: Executor = {
    name: 'printed',
    close: async () => undefined,
    async run(argv) {
      const [rule = ''] = Object.keys(answers)
        .filter((start) => argv.join(' ').startsWith(start))
        .sort((a, b) => b.length - a.length)
      return { exitCode: 0, signal: null, stderr: '', stdout: answers[rule] ?? '' }
    },
  }
  const config = slurmConfig.parse({ partition: 'dyn', format: 'text' })
  expect(await looked((clock) => slurm(config, exec, { clock }))).toBeGreaterThan((2.8 * JOBS) / STEPS)
})

test('GridEngine’s rows become jobs in slices', async () => {
  const [job = ''] =
    ofGridengine('jobs.xml')
      .match(/<job_list state="pending">.*?<\/job_list>/gs)
      ?.filter((each) => !each.includes('<tasks>')) ?? []
  const many = Array.from({ length: JOBS }, (_, at) =>
    job.replace(/<JB_job_number>\d+</, `<JB_job_number>${at + 1}<`),
  )
  const printed = `<job_info>\n<queue_info>\n</queue_info>\n<job_info>\n${many.join('\n')}\n</job_info>\n</job_info>\n`
  const { exec } = cell({ 'qstat -u * -s prs -r -g t -xml': printed, tail: '' })
  const config = gridengineConfig.parse({ queue: 'dyn' })
  // Each is put into its group, made out, and made a job of; what is read before that has turns of its own.
  expect(await looked((clock) => gridengine(config, exec, { clock }))).toBeGreaterThan((2.8 * JOBS) / STEPS)
})
