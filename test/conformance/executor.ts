import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sleep, systemClock } from '../../actors/runtime/clock.ts'
import type { Executor } from '../../adapters/executor.ts'

export interface ExecutorSite {
  readonly executor: Executor
  /** True for an executor that runs nothing: what needs a live process is not asked of it. */
  readonly recorded?: true
  /** How often a marker word is found among the running processes of the machine behind it. */
  runningWith?(marker: string): Promise<number>
  close(): Promise<void>
}

let markers = 0

/** The law of adapters/executor.ts. */
export function executorLaw(name: string, open: () => Promise<ExecutorSite>, skip?: string): void {
  describe.skipIf(skip !== undefined)(`${name} keeps the law of executors${skip ? ` (${skip})` : ''}`, () => {
    let site: ExecutorSite
    beforeAll(async () => {
      site = await open()
    }, 20_000)
    afterAll(async () => {
      await site?.close()
    })
    const soon = (): AbortSignal => AbortSignal.timeout(10_000)
    const live = (what: string, law: () => Promise<void>): void =>
      test(what, async (t) => (site.recorded ? t.skip('it runs nothing') : law()))
    /** A number of seconds to sleep that no other process sleeps. */
    const marker = (): string => `${6000 + ++markers}.${process.pid}`

    test('a command that succeeds answers with its output', async () => {
      expect(await site.executor.run(['echo', 'hello'], { signal: soon() })).toEqual({
        exitCode: 0,
        signal: null,
        stdout: 'hello\n',
        stderr: '',
      })
    })

    test('a command that fails is an answer, with both streams', async () => {
      const command = ['sh', '-c', 'echo out; echo err >&2; exit 3'] as const
      expect(await site.executor.run(command, { signal: soon() })).toEqual({
        exitCode: 3,
        signal: null,
        stdout: 'out\n',
        stderr: 'err\n',
      })
    })

    test('a missing program is exec-missing', async () => {
      const ran = site.executor.run(['no-such-program-here', '-x'], { signal: soon() })
      await expect(ran).rejects.toMatchObject({
        code: 'exec-missing',
        message: expect.stringContaining('no-such-program-here'),
      })
    })

    test('an aborted signal rejects with its reason before anything runs', async () => {
      const reason = new Error('not now')
      await expect(site.executor.run(['echo', 'hello'], { signal: AbortSignal.abort(reason) })).rejects.toBe(
        reason,
      )
    })

    test('more output than the bound is exec-output-too-large', async () => {
      const ran = site.executor.run(['seq', '1', '100000'], { signal: soon(), outputBytesMax: 1000 })
      await expect(ran).rejects.toMatchObject({ code: 'exec-output-too-large' })
    })

    live('arguments arrive as they were given, whatever characters they hold', async () => {
      const odd = [
        '',
        ' ',
        '$HOME',
        '`id`',
        "it's",
        '"',
        '\\',
        '*',
        'a\nb',
        'ü✓',
        ';&|',
        '-n',
        '!!',
        '%s',
        '~',
        '#x',
      ]
      const { stdout } = await site.executor.run(['printf', '%s\\0', ...odd], { signal: soon() })
      expect(stdout.split('\0').slice(0, -1)).toEqual(odd)
    })

    live('both streams arrive whole', async () => {
      const lines = 'for i in $(seq 1 20000); do echo "out $i"; echo "err $i" >&2; done'
      const { stdout, stderr } = await site.executor.run(['sh', '-c', lines], { signal: soon() })
      expect(stdout.split('\n')).toHaveLength(20_001)
      expect(stderr.split('\n')).toHaveLength(20_001)
      expect(stdout.endsWith('out 20000\n')).toBe(true)
      expect(stderr.endsWith('err 20000\n')).toBe(true)
    })

    live('the input arrives whole and is then at its end', async () => {
      const input = 'zeile ü\n'.repeat(40_000)
      const { stdout } = await site.executor.run(['cat'], { signal: soon(), input })
      expect(stdout === input).toBe(true)
      expect(await site.executor.run(['cat'], { signal: soon() })).toMatchObject({ exitCode: 0, stdout: '' })
    })

    live('a command may end without reading its input', async () => {
      const input = 'x'.repeat(1_000_000)
      expect(await site.executor.run(['true'], { signal: soon(), input })).toMatchObject({ exitCode: 0 })
    })

    live('variables are added to the environment', async () => {
      const env = { SUBLET_TEST: "a 'b' $c" }
      const { stdout } = await site.executor.run(['sh', '-c', 'printf %s "$SUBLET_TEST:$PATH"'], {
        signal: soon(),
        env,
      })
      expect(stdout).toMatch(/^a 'b' \$c:.+/)
    })

    live('a command that a signal ended has no exit status', async () => {
      const finished = await site.executor.run(['sh', '-c', 'kill -KILL $$'], { signal: soon() })
      expect(finished).toMatchObject({ exitCode: null, signal: 'SIGKILL' })
    })

    live('exit status 127 of a command that is there is an answer', async () => {
      expect(await site.executor.run(['sh', '-c', 'exit 127'], { signal: soon() })).toMatchObject({
        exitCode: 127,
      })
    })

    live('a command past its time is ended with its children and is exec-timeout', async () => {
      const seconds = marker()
      const began = systemClock.monotonic()
      const command = ['sh', '-c', `sleep ${seconds} & sleep ${seconds}`] as const
      await expect(site.executor.run(command, { signal: soon(), timeoutMs: 300 })).rejects.toMatchObject({
        code: 'exec-timeout',
      })
      expect(systemClock.monotonic() - began).toBeLessThan(4000)
      await goneSoon(site, seconds)
    })

    live('a command that ignores TERM is killed', async () => {
      const seconds = marker()
      const command = ['sh', '-c', `trap '' TERM; sleep ${seconds} & sleep ${seconds}`] as const
      await expect(site.executor.run(command, { signal: soon(), timeoutMs: 300 })).rejects.toMatchObject({
        code: 'exec-timeout',
      })
      await goneSoon(site, seconds)
    })

    live('an aborted signal ends the command and rejects with its reason', async () => {
      const seconds = marker()
      const abort = new AbortController()
      const ran = site.executor
        .run(['sleep', seconds], { signal: abort.signal })
        .catch((error: unknown) => error)
      await sleep(systemClock, 150)
      const reason = new Error('changed our mind')
      abort.abort(reason)
      expect(await ran).toBe(reason)
      await goneSoon(site, seconds)
    })

    live('many commands at once all answer', async () => {
      const answers = await Promise.all(
        Array.from({ length: 25 }, (_, i) => site.executor.run(['echo', String(i)], { signal: soon() })),
      )
      expect(answers.map(({ stdout }) => stdout.trim())).toEqual(
        Array.from({ length: 25 }, (_, i) => String(i)),
      )
    })

    test('it can be used again after close', async () => {
      await site.executor.close()
      expect(await site.executor.run(['echo', 'hello'], { signal: soon() })).toMatchObject({
        stdout: 'hello\n',
      })
    })
  })
}

async function goneSoon(site: ExecutorSite, marker: string): Promise<void> {
  const until = systemClock.monotonic() + 5000
  while ((await site.runningWith?.(marker)) !== 0) {
    if (systemClock.monotonic() > until) throw new Error(`Processes with “${marker}” still run`)
    await sleep(systemClock, 25)
  }
}
