import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { Membership } from '../../actors/service-manager/membership.ts'
import type { BatchSystem } from '../../adapters/batch-system.ts'
import { slurm } from '../../adapters/slurm/batch-system.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import type { SlurmLab } from '../../deploy/labs/slurm/lab.ts'
import { until } from './batch-system.ts'
import {
  closeLab,
  hardwareHere,
  LISTED_NAMES,
  LISTED_PARTITION,
  labMachines,
  lineOf,
  listedConf,
  never,
  openLab,
  PATIENCE_MS,
  parkNames,
  shell,
  slurmSkip,
  title,
} from './slurm-bench.ts'

const REST = { FUTURE: 'FUTURE', CLOUD: 'IDLE+CLOUD+DRAIN+POWERED_DOWN' } as const

/** What the admin of a real Slurm sees of names that she listed for machines which are called otherwise. */
describe.skipIf(slurmSkip !== undefined).each(['FUTURE', 'CLOUD'] as const)(
  title('names that slurm.conf lists as %s'),
  { timeout: 120_000 },
  (kind) => {
    let lab: SlurmLab
    let machines: ReturnType<typeof labMachines>

    const open = async (words?: string): Promise<void> => {
      const here = await hardwareHere()
      const hardware = words === undefined ? here : { ...here, words }
      lab = await openLab(`nam${kind[0]?.toLowerCase()}`, listedConf(kind, hardware))
      machines = labMachines(lab, { nodes: 'listed' })
    }
    const make = (): BatchSystem =>
      slurm(
        slurmConfig.parse({
          confFile: lab.confFile,
          partition: LISTED_PARTITION,
          nodes: 'listed',
          names: LISTED_NAMES,
          lockFolder: lab.dir,
          commandTimeout: '5s',
        }),
        lab.onHead,
        { clock: systemClock },
      )
    /** As the service manager does it. */
    const perform = (verb: string, name: string, system = make(), signal = never): Promise<unknown> =>
      new Membership(system, machines.handler, systemClock).perform(
        verb,
        { guest: 'g', unit: machines.unit(name), reason: 'as the test wants', requeue: false },
        signal,
      )
    const lines = (): Promise<string> => shell(lab, 'scontrol -F -a -o show node')
    const stateOf = (printed: string, name: string): string =>
      /State=(\S+)/.exec(lineOf(printed, name))?.[1] ?? 'absent'
    const atRest = (name: string): Promise<string> =>
      until(`${name} is at rest`, PATIENCE_MS, lines, (seen) => stateOf(seen, name) === REST[kind])
    const run = async (): Promise<string> => {
      const id = await lab.submit('hostname', { args: [`-p${LISTED_PARTITION}`] }, never)
      const seen = await until(
        `job ${id} has ended`,
        PATIENCE_MS,
        () => shell(lab, `squeue -h -a -t all -j ${id} -o "%T %N"`),
        (now) => now.startsWith('COMPLETED'),
      )
      return seen.replace('COMPLETED ', '')
    }

    afterEach(async () => {
      await machines.killAll()
      await closeLab(lab)
    }, 60_000)

    test('a name serves one machine after the other, and is each time as the admin left it', async () => {
      await open()
      if (kind === 'CLOUD') await parkNames(lab)
      const before = lineOf(await lines(), 'n1')
      for (const name of ['m4', 'm5']) {
        await machines.boot(name)
        await perform('join', name)
        expect(await run()).toBe('n1')
        const { nodes } = await make().observe(never)
        const { unitId, leaseId } = machines.unit(name)
        expect(nodes.find((node) => node.name === 'n1')?.mark).toEqual({ leaseId, unitId })
        // The names that nobody has are no nodes to count with.
        expect(nodes.map((node) => node.name).sort()).toEqual(['n1', 'static1'])
        expect(await perform('leave', name)).toEqual({ kind: 'left' })
        const after = lineOf(await atRest('n1'), 'n1')
        for (const key of ['AvailableFeatures', 'NodeAddr', 'NodeHostName', 'Comment', 'State']) {
          const valueIn = (line: string): string | undefined => new RegExp(` ${key}=(\\S*)`).exec(line)?.[1]
          expect(valueIn(after), key).toBe(valueIn(before))
        }
      }
    })

    test('a wide job reaches its nodes, though their names lead elsewhere', async () => {
      await open()
      if (kind === 'CLOUD') await parkNames(lab)
      // n1 and n2 of the hosts file are other machines.
      for (const name of ['m4', 'm5']) {
        await machines.boot(name)
        await perform('join', name)
      }
      const id = await lab.submit('srun hostname', { args: [`-p${LISTED_PARTITION}`, '-N2', '-n2'] }, never)
      await until(
        'the wide job has ended',
        PATIENCE_MS,
        () => shell(lab, `squeue -h -a -t all -j ${id} -o %T`),
        (now) => now === 'COMPLETED',
      )
      expect((await shell(lab, `cat ${lab.dir}/jobs/${id}.out`)).split('\n').toSorted()).toEqual(['n4', 'n5'])
    })

    // slurmd -N comes in whatever it has.
    if (kind === 'FUTURE')
      test('a machine that is not like its FUTURE record is told how they differ', async () => {
        await open('CPUs=64 Sockets=64 CoresPerSocket=1 ThreadsPerCore=1')
        await machines.boot('m4')
        await expect(perform('join', 'm4')).rejects.toMatchObject({
          code: 'machine-setup',
          message: expect.stringMatching(
            /slurm\.conf has CPUTot=64 .*Sockets=64 .*, slurmd -C says CPUs=\d+ /,
          ),
        })
      })

    test('when all names are taken, the next machine is told so, and gets one that is left', async () => {
      await open()
      if (kind === 'CLOUD') await parkNames(lab)
      const units = ['m4', 'm5', 'm6'].map((name) => machines.unit(name))
      const nodes = units.map(({ name, leaseId, unitId }) => ({
        ...{ name, address: '10.88.0.99', mark: { leaseId, unitId }, cpus: 2, memoryMiB: 1000 },
      }))
      const system = make()
      const names = await Promise.all(nodes.map((node) => system.take?.(node, never)))
      expect(names.toSorted()).toEqual(['n1', 'n2', 'n3'])
      const late = { ...nodes[0]!, name: 'm7', mark: { leaseId: 'lease-law', unitId: 'unit-late' } }
      await expect(system.take?.(late, never)).rejects.toMatchObject({ code: 'names-taken' })
      // Whoever comes after a crash finds what was taken, and can give it back.
      const again = make()
      expect(await again.take?.(nodes[1]!, never)).toBe(names[1])
      for (const lost of [false, true]) {
        await again.remove('m5', nodes[1]!.mark, { lost }, never)
        await atRest(names[1]!)
        expect(await again.take?.(lost ? late : nodes[1]!, never)).toBe(names[1])
      }
    })

    test('a name is found again by its mark after slurmctld was started anew, and the machine comes in', async () => {
      await open()
      if (kind === 'CLOUD') await parkNames(lab)
      const { leaseId, unitId } = machines.unit('m4')
      const node = { name: 'm4', address: machines.unit('m4').facts.address ?? '', mark: { leaseId, unitId } }
      expect(await make().take?.({ ...node, cpus: 2, memoryMiB: 1000 }, never)).toBe('n1')
      await shell(lab, 'scontrol reconfigure')
      // It writes its state down within five seconds.
      await new Promise((resolve) => setTimeout(resolve, 7_000))
      await lab.killController(never)
      await lab.startController({}, never)
      await machines.boot('m4')
      await perform('join', 'm4')
      expect(await run()).toBe('n1')
      await machines.kill('m4')
      await make().remove('m4', { leaseId, unitId }, { lost: true }, never)
      // The name of a lost machine serves the next one.
      await until('n1 is free', PATIENCE_MS, lines, (seen) => /FUTURE|POWERED_DOWN/.test(stateOf(seen, 'n1')))
      await machines.boot('m5')
      await perform('join', 'm5')
      expect(await run()).toBe('n1')
    })

    test('what the admin uses, drains or comments on is never taken, and the check says so', async () => {
      await open()
      const mark = { leaseId: 'lease-law', unitId: 'unit-m4' }
      const node = { name: 'm4', address: '10.88.0.104', mark, cpus: 2, memoryMiB: 1000 }
      const told = async (): Promise<string> => (await make().check(never)).join('\n')
      if (kind === 'CLOUD') {
        // As slurm.conf has them Slurm gives them jobs itself.
        await expect(make().take?.(node, never)).rejects.toMatchObject({ code: 'names-taken' })
        expect(await told()).toContain('Slurm itself gives jobs to n1, n2, n3')
        await parkNames(lab)
      }
      expect(await told()).toBe('')
      await shell(lab, 'scontrol update NodeName=n1 Comment="for the course"')
      await shell(
        lab,
        `scontrol update NodeName=n2 State=${kind === 'CLOUD' ? 'DRAIN' : 'RESUME'} Reason=mine`,
      )
      const before = await lines()
      expect(await told()).toContain('No machine gets the name n1')
      expect(await make().take?.(node, never)).toBe('n3')
      await expect(
        make().take?.({ ...node, name: 'n2', mark: { ...mark, unitId: 'u' } }, never),
      ).rejects.toMatchObject({ code: 'node-not-ours' })
      for (const name of ['n1', 'n2']) expect(stateOf(await lines(), name)).toBe(stateOf(before, name))
      expect(lineOf(await lines(), 'n1')).toContain('Comment=for the course')
    })
  },
)
