import { expect, test } from 'vitest'
import type { GuestIntent } from '../../controllers/controller.ts'
import { type Setting, Stage } from './stage.ts'

/**
 * One scene: the script, and the transcript that is kept of it. A change of behaviour shows as a change of the
 * transcript; `npx vitest run test/scenarios -u` writes them anew, to be read before they are committed.
 */
export function scene(name: string, script: (stage: Stage) => Promise<void>, setting: Setting = {}): void {
  test(name, async () => {
    const stage = new Stage(setting)
    await stage.begins()
    await script(stage)
    const text = [name, '='.repeat(name.length), '', ...inOrder(stage.transcript), '']
      .join('\n')
      .replace(/\n{3,}/g, '\n\n')
    await expect(text).toMatchFileSnapshot(`transcripts/${fileName(name)}.txt`)
  })
}

/** At one instant, what is written down comes before what is said of it. */
function inOrder(lines: readonly string[]): string[] {
  const stampOf = (line: string | undefined): string | undefined => /^\d\d:\d\d\.\d{3} /.exec(line ?? '')?.[0]
  const isWritten = (line: string): boolean => line.includes(' writes “')
  const groups: string[][] = []
  for (const line of lines) {
    const group = groups.at(-1)
    if (group !== undefined && stampOf(line) !== undefined && stampOf(group[0]) === stampOf(line))
      group.push(line)
    else groups.push([line])
  }
  return groups.flatMap((group) => [...group.filter(isWritten), ...group.filter((line) => !isWritten(line))])
}

const fileName = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')

type Request = GuestIntent & { kind: 'request' }

/** Two small machines for a minute, now or never, unless said otherwise. */
export const request = (change: Partial<Request> = {}): Request => ({
  ...{
    kind: 'request',
    type: 'small',
    units: 2,
    durationMs: 60_000,
    startBy: undefined,
    reason: 'the script wants it',
  },
  ...change,
  unitsMin: change.unitsMin ?? change.units ?? 2,
})

export const extend = (
  leaseId: string,
  change: Partial<GuestIntent & { kind: 'extend' }> = {},
): GuestIntent => ({
  ...{ kind: 'extend', leaseId, durationMs: 60_000, victims: [], reason: 'work goes on' },
  ...change,
})

export const modify = (leaseId: string, properties: Readonly<Record<string, string>>): GuestIntent => ({
  ...{ kind: 'modify', leaseId, properties, reason: 'the script wants it otherwise' },
})

export const release = (leaseId: string): GuestIntent => ({
  ...{ kind: 'release', leaseId, reason: 'the script is done with it' },
})
