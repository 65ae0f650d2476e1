import { describe, expect, test } from 'vitest'
import type { Millis } from '../../actors/runtime/clock.ts'
import {
  EFFECTS_AT_ONCE_MAX,
  EFFECTS_STOP_MS_MAX,
  type EffectRow,
  EffectRunner,
  OVERRUN_MS_MAX,
} from '../../actors/runtime/effects.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { EffectOutcome } from '../../actors/runtime/mind.ts'
import { World } from '../simulation/world.ts'

/** A runner, and a world in which its verbs take as long as they are told to. */
class Bench {
  readonly world = new World()
  readonly answers: { readonly key: string; readonly attempt: number; readonly outcome: EffectOutcome }[] = []
  readonly log: string[] = []
  readonly together = new Map<string, number>()
  /** Whether a verb ends when it is told to. */
  obeys = true
  takesMs: Millis = 1_000
  #attempt = 0
  readonly runner = new EffectRunner(
    this.world.clock(),
    (verb, key, _, signal) => this.#perform(verb, key, signal),
    ({ id: key, attempt }, outcome) => this.answers.push({ key, attempt, outcome }),
  )

  start(key: string, verb = 'setup', timeoutMs: Millis = 60_000): EffectRow {
    const row = { id: key, verb, args: null, timeoutMs, attempt: ++this.#attempt }
    this.runner.start(row)
    return row
  }

  async pass(ms: Millis): Promise<void> {
    await new Promise(setImmediate)
    await this.world.run(this.world.elapsed + ms, () => undefined)
    await new Promise(setImmediate)
  }

  async #perform(verb: string, key: string, signal: AbortSignal): Promise<string> {
    this.log.push(`${key} ${verb} begins`)
    this.together.set(key, (this.together.get(key) ?? 0) + 1)
    expect(this.together.get(key)).toBe(1)
    try {
      await new Promise<void>((resolve, reject) => {
        this.world.after(this.takesMs, resolve)
        if (this.obeys) signal.addEventListener('abort', () => reject(signal.reason))
      })
      return `${verb} done`
    } finally {
      this.together.set(key, 0)
      this.log.push(`${key} ${verb} ends`)
    }
  }
}

describe('effects', () => {
  test('are performed one per key at a time: the next begins when the one before has ended', async () => {
    const bench = new Bench()
    bench.start('unit', 'setup')
    await bench.pass(100)
    bench.start('unit', 'teardown')
    await bench.pass(5_000)
    expect(bench.log).toEqual([
      'unit setup begins',
      'unit setup ends',
      'unit teardown begins',
      'unit teardown ends',
    ])
    expect(bench.answers).toMatchObject([{ attempt: 2, outcome: { kind: 'done', value: 'teardown done' } }])
  })

  test('that were replaced before they began never begin', async () => {
    const bench = new Bench()
    for (const verb of ['setup', 'probe', 'modify', 'teardown']) bench.start('unit', verb)
    await bench.pass(5_000)
    expect(bench.log.filter((line) => line.endsWith('begins'))).toEqual([
      'unit setup begins',
      'unit teardown begins',
    ])
  })

  test('that are started twice under one attempt run once', async () => {
    const bench = new Bench()
    const row = bench.start('unit')
    bench.runner.start(row)
    bench.runner.start({ ...row, attempt: 0 })
    await bench.pass(5_000)
    expect(bench.log).toEqual(['unit setup begins', 'unit setup ends'])
    expect(bench.answers).toHaveLength(1)
  })

  test('that were ended are not answered for, unless they were done all the same', async () => {
    const bench = new Bench()
    bench.start('obedient')
    await bench.pass(100)
    bench.runner.end('obedient')
    bench.obeys = false
    bench.start('deaf')
    await bench.pass(100)
    bench.runner.end('deaf')
    await bench.pass(5_000)
    expect(bench.answers).toMatchObject([{ key: 'deaf', outcome: { kind: 'done' } }])
  })

  test('end at their deadline, with its code', async () => {
    const bench = new Bench()
    bench.takesMs = 600_000
    bench.start('unit', 'setup', 5_000)
    await bench.pass(5_000)
    expect(bench.answers).toMatchObject([
      { outcome: { kind: 'failed', code: 'deadline-missed', reason: 'setup took longer than 5 s' } },
    ])
  })

  test('that do not end when told to are answered for as failed, and keep their key until they have ended', async () => {
    const bench = new Bench()
    bench.obeys = false
    bench.takesMs = 600_000
    bench.start('unit', 'setup', 5_000)
    await bench.pass(5_000 + OVERRUN_MS_MAX)
    expect(bench.answers).toMatchObject([
      {
        outcome: {
          kind: 'failed',
          code: 'deadline-missed',
          reason: expect.stringContaining('has not ended yet'),
        },
      },
    ])
    bench.start('unit', 'teardown', 20_000)
    await bench.pass(20_000)
    expect(bench.answers[1]).toMatchObject({
      attempt: 2,
      outcome: {
        kind: 'failed',
        code: 'deadline-missed',
        reason: expect.stringContaining('could not begin'),
      },
    })
    bench.start('unit', 'teardown', 600_000)
    await bench.pass(570_000)
    expect(bench.log.slice(0, 3)).toEqual(['unit setup begins', 'unit setup ends', 'unit teardown begins'])
    expect(bench.answers).toHaveLength(2)
  })

  test('of one verb run so many at once; other verbs do not wait for them', async () => {
    const bench = new Bench()
    bench.takesMs = 10_000
    for (let i = 0; i < 40; i++) bench.start(`unit-${i}`, 'setup')
    bench.start('old', 'teardown')
    await bench.pass(1)
    const begun = bench.log.filter((line) => line.endsWith('begins'))
    expect(begun.filter((line) => line.includes('setup'))).toHaveLength(EFFECTS_AT_ONCE_MAX)
    expect(begun).toContain('old teardown begins')
    await bench.pass(40_000)
    expect(bench.answers).toHaveLength(41)
  })

  test('of one verb begin in the order in which they came, and pass over keys that are taken', async () => {
    const bench = new Bench()
    bench.obeys = false
    bench.start('taken', 'probe')
    for (let i = 0; i < EFFECTS_AT_ONCE_MAX; i++) bench.start(`first-${i}`)
    bench.start('taken')
    for (const key of ['a', 'b', 'c']) bench.start(key)
    bench.runner.end('b')
    bench.takesMs = 5_000
    await bench.pass(30_000)
    const begun = bench.log.filter((line) => line.endsWith('setup begins'))
    expect(begun.slice(EFFECTS_AT_ONCE_MAX)).toEqual([
      'taken setup begins',
      'a setup begins',
      'c setup begins',
    ])
  })

  test('cost as much each when very many wait as when few do', async () => {
    const looksAtEach = async (count: number): Promise<number> => {
      let looks = 0
      const world = new World()
      const perform = () => new Promise<void>((resolve) => void world.after(1, resolve))
      const runner = new EffectRunner(world.clock(), perform, () => undefined)
      for (let i = 0; i < count; i++)
        runner.start({
          ...{ id: `unit-${i}`, args: null, timeoutMs: 60_000, attempt: 1 },
          get verb() {
            looks++
            return 'setup'
          },
        })
      for (let waves = count / EFFECTS_AT_ONCE_MAX; waves > 0; waves--) {
        await world.run(world.elapsed + 1, () => undefined)
        await new Promise(setImmediate)
      }
      expect(await runner.stop()).toEqual([])
      return looks / count
    }
    expect(await looksAtEach(1_600)).toBe(await looksAtEach(160))
  })

  test('that hang do not take the places of their verb for ever', async () => {
    const bench = new Bench()
    bench.obeys = false
    bench.takesMs = 3_600_000
    for (let i = 0; i < EFFECTS_AT_ONCE_MAX; i++) bench.start(`hung-${i}`, 'setup', 5_000)
    bench.start('next', 'setup', 5_000)
    await bench.pass(5_000 + OVERRUN_MS_MAX + 1)
    expect(bench.log).toContain('next setup begins')
  })

  test('fail with the code of an operating error, or as unexpected', async () => {
    const answers: EffectOutcome[] = []
    const errors = [new SubletError('machine-probe', 'no answer'), new Error('a slip'), 'text']
    for (const error of errors) {
      const runner = new EffectRunner(
        new World().clock(),
        () => Promise.reject(error),
        (_, outcome) => answers.push(outcome),
      )
      runner.start({ id: 'unit', verb: 'probe', args: null, timeoutMs: 1_000, attempt: 1 })
      await new Promise(setImmediate)
    }
    expect(answers).toEqual([
      { kind: 'failed', code: 'machine-probe', reason: 'no answer' },
      { kind: 'failed', code: 'unexpected', reason: 'a slip' },
      { kind: 'failed', code: 'unexpected', reason: 'text' },
    ])
  })

  test('are all told to end when the runner stops, and none begins or is answered for after that', async () => {
    const bench = new Bench()
    for (let i = 0; i < 30; i++) bench.start(`unit-${i}`)
    await bench.pass(100)
    const stopped = bench.runner.stop()
    bench.start('late')
    expect(await stopped).toEqual([])
    await bench.pass(60_000)
    expect(bench.log.filter((line) => line.endsWith('begins'))).toHaveLength(EFFECTS_AT_ONCE_MAX)
    expect(bench.answers).toEqual([])
  })

  test('that do not end are named when the runner has waited long enough', async () => {
    const bench = new Bench()
    bench.obeys = false
    bench.takesMs = 3_600_000
    bench.start('deaf')
    await bench.pass(100)
    const stopped = bench.runner.stop()
    await bench.pass(EFFECTS_STOP_MS_MAX)
    expect(await stopped).toEqual(['deaf'])
  })
})
