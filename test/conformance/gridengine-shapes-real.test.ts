import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import type { Finding, MachineType } from '../../adapters/finding.ts'
import { gridengine } from '../../adapters/gridengine/batch-system.ts'
import { gridengineConfig } from '../../adapters/gridengine/config.ts'
import type { GridengineLab } from '../../deploy/labs/gridengine/lab.ts'
import { closeLab, gridengineSkip, never, openLab, title } from './gridengine-bench.ts'

const VM: MachineType = {
  ...{ type: 'vm', units: 3, cpus: 2, memoryMiB: 500 },
  ...{ consumables: { gpu: 1, fpga: 1 }, features: ['arch=lx-amd64'] },
}

describe.skipIf(gridengineSkip !== undefined)(title('jobs that qsub refuses'), { timeout: 90_000 }, () => {
  let lab: GridengineLab
  beforeAll(async () => {
    lab = await openLab('shapeq', { epilogSeconds: 0 })
  }, 180_000)
  afterAll(() => closeLab(lab), 60_000)

  const find = async (): Promise<readonly Finding[]> => {
    const { root, queue, bin, dir: lockFolder } = lab
    const system = gridengine(gridengineConfig.parse({ root, queue, bin, lockFolder }), lab.onHead, {
      clock: systemClock,
    })
    return (await system.examine?.({ names: [], machines: [VM], skewMsMax: 2000 }, never)) ?? []
  }
  const qsub = (...args: readonly string[]): Promise<string> =>
    lab.submit(':', ['-q', lab.queue, ...args], never).then(
      () => 'taken',
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    )
  const about = async (what: Finding['about']) => (await find()).filter((each) => each.about === what)

  test('are those with a complex that is not there, and each where the cell says -w e', async () => {
    const [complex] = await about('job shapes')
    expect(complex).toMatchObject({
      severity: 'missing',
      sentence: '“qsub -l fpga=…” is refused: there is no complex fpga, which machines may bring.',
    })
    expect(await qsub('-l', 'fpga=1')).toContain('unknown resource')
    expect(await qsub('-l', 'arch=lx-amd64')).toBe('taken')
    expect(await qsub()).toBe('taken')
    const file = join(lab.root, 'default/common/sge_request')
    writeFileSync(file, '# of every job\n-w e\n')
    try {
      expect((await about('job shapes')).map(({ sentence }) => sentence)).toContainEqual(
        expect.stringContaining('sge_request says “-w e”'),
      )
      expect(await qsub()).toMatch(/no suitable queues/)
    } finally {
      writeFileSync(file, '# of every job\n')
    }
    expect(await qsub()).toBe('taken')
    expect((await about('job shapes')).filter(({ sentence }) => sentence.includes('-w e'))).toEqual([])
  })

  test('its qmaster is asked at its port, by the name that the cell has for it', async () => {
    expect(await about('ports')).toMatchObject([
      {
        severity: 'fine',
        sentence: expect.stringMatching(/sge_qmaster on head:6444, sge_execd on static1:6445 answer/),
      },
    ])
  })
})
