import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { Cgroups, readLayout } from '../../adapters/namespace/cgroups.ts'

const ONE = [
  'cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0',
  'cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0',
  'cgroup /sys/fs/cgroup/freezer cgroup rw,relatime,freezer 0 0',
]

describe('the layout of control groups', () => {
  test('only v2: everything in the one hierarchy', () => {
    const two = { version: 2, mount: '/sys/fs/cgroup' }
    expect(readLayout('proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n')).toEqual({
      holding: two,
      cpu: two,
      memory: two,
    })
  })

  test('only v1: the freezer holds the machine together', () => {
    expect(readLayout(ONE.join('\n'))).toEqual({
      holding: { version: 1, mount: '/sys/fs/cgroup/freezer' },
      cpu: { version: 1, mount: '/sys/fs/cgroup/cpu,cpuacct' },
      memory: { version: 1, mount: '/sys/fs/cgroup/memory' },
    })
  })

  test('hybrid: limits by v1, holding by v2', () => {
    expect(readLayout([...ONE, 'cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0'].join('\n'))).toMatchObject({
      holding: { version: 2, mount: '/sys/fs/cgroup/unified' },
      cpu: { version: 1 },
    })
  })

  test('what is missing is named', () => {
    expect(readLayout(ONE.slice(0, 2).join('\n'))).toEqual([
      'No control group for cgroup2 or the v1 freezer is mounted below /sys/fs/cgroup.',
    ])
    expect(readLayout('')).toHaveLength(3)
  })
})

describe('control groups, over folders that stand for the kernel’s', () => {
  let mount: string
  beforeEach(async () => {
    mount = await mkdtemp(join(tmpdir(), 'sublet-cgroups-'))
  })
  afterEach(() => rm(mount, { recursive: true }))
  const read = (...path: string[]): Promise<string> => readFile(join(mount, ...path), 'utf8')

  test('v2: controllers are handed down to the group, and the limits are in the units of v2', async () => {
    const place = { version: 2, mount } as const
    const groups = new Cgroups({ holding: place, cpu: place, memory: place }, 'site', systemClock)
    await groups.make('unit-1@lease-1', { cpus: 2, memoryMiB: 64 })
    expect(await read('cgroup.subtree_control')).toBe('+memory')
    expect(await read('site', 'cgroup.subtree_control')).toBe('+memory')
    expect(await read('site', 'unit-1@lease-1', 'cpu.max')).toBe('200000 100000')
    expect(await read('site', 'unit-1@lease-1', 'memory.max')).toBe('67108864')
    expect(groups.paths('unit-1@lease-1')).toEqual([join(mount, 'site', 'unit-1@lease-1')])
    expect(await groups.marks()).toEqual(['unit-1@lease-1'])
  })

  test('v1: a quota for each period, in a hierarchy for each controller', async () => {
    const place = (name: string) => ({ version: 1, mount: join(mount, name) }) as const
    for (const name of ['freezer', 'cpu', 'memory']) await mkdir(join(mount, name))
    const layout = { holding: place('freezer'), cpu: place('cpu'), memory: place('memory') }
    const groups = new Cgroups(layout, 'site', systemClock)
    await groups.make('unit-1@lease-1', { cpus: 3, memoryMiB: 64 })
    expect(await read('cpu', 'site', 'unit-1@lease-1', 'cpu.cfs_quota_us')).toBe('300000')
    expect(await read('memory', 'site', 'unit-1@lease-1', 'memory.limit_in_bytes')).toBe('67108864')
    expect(groups.paths('unit-1@lease-1')).toHaveLength(3)
  })

  test('the processes are those of the group and of groups below it, each once; who has ended is not one', async () => {
    const place = { version: 2, mount } as const
    const groups = new Cgroups({ holding: place, cpu: place, memory: place }, 'site', systemClock)
    const below = join(mount, 'site', 'unit-1@lease-1', 'job_7')
    await mkdir(below, { recursive: true })
    await writeFile(join(below, '..', 'cgroup.procs'), `${process.pid}\n4194304\n`)
    await writeFile(join(below, 'cgroup.procs'), `${process.pid}\n${process.ppid}\n`)
    const pids = (await groups.processes('unit-1@lease-1')).map(({ pid }) => pid)
    expect(pids.toSorted()).toEqual([process.pid, process.ppid].toSorted())
  })
})
