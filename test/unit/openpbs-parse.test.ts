import { expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { readInSlices } from '../../adapters/batch/slices.ts'
import { arrayLimitOf, instantOf, jobOf, vnodesOf } from '../../adapters/openpbs/parse-jobs.ts'
import { pieces } from '../../adapters/openpbs/parse-json.ts'
import { nodeOf } from '../../adapters/openpbs/parse-nodes.ts'
import { demandOf } from '../../adapters/openpbs/parse-select.ts'
import { jobVerdict } from '../../adapters/openpbs/states.ts'
import { recorded } from '../emulated/recordings.ts'

const rows = recorded('openpbs-23.06.06')
const printed = (file: string): string => rows.find((row) => row.file.startsWith(`${file}-`))?.stdout ?? ''
const signal = new AbortController().signal
const jobs = (text: string) =>
  readInSlices('qstat -f', pieces(text, 'Jobs'), (piece) => jobOf(piece, undefined), {
    ...{ clock: systemClock, signal },
  })
const nodes = (text: string) =>
  readInSlices('pbsnodes', pieces(text, 'nodes'), (piece) => nodeOf(piece, 'sublet'), {
    ...{ clock: systemClock, signal },
  })

test('check 5: the recorded jobs of every kind are read with their demand and what holds them', async () => {
  const { records, warnings } = await jobs(printed('033'))
  expect(warnings).toEqual([])
  expect(
    records.map(({ id, verdict, demand: { nodes: count, cpusPerNode } }) =>
      [id, verdict.state, verdict.heldBy ?? '-', `${count}x${cpusPerNode}`].join(' '),
    ),
  ).toEqual([
    '1.opsrv pending - 2x2',
    '2.opsrv pending - 2x2',
    '3.opsrv running - 1x1',
    '4.opsrv pending - 10x2',
    '5[1].opsrv running - 1x1',
    '5[2].opsrv running - 1x1',
    '5[3].opsrv running - 1x1',
    '5[4].opsrv pending - 1x1',
    '6.opsrv held user 1x1',
    '7.opsrv held start-time 1x1',
    '8.opsrv pending - 1x2',
  ])
  expect(records[2]).toMatchObject({
    ...{ hosts: ['vm01'], user: 'tquser1', queue: 'workq', starts: 1, rerunable: true, walltimeMs: 300_000 },
    ...{ demand: { memoryMiBPerNode: 64 }, startedAt: Date.UTC(2026, 10, 21, 20, 15, 3) },
  })
  expect(records[9]).toMatchObject({ notBefore: Date.UTC(2026, 10, 21, 20, 35) })
  expect(records[3]?.reason).toContain('Can Never Run: Insufficient amount of resource: ncpus')
})

test('an array says how many of its tasks may run at once', () => {
  const [whole = ''] = [...pieces(printed('033'), 'Jobs')].filter((piece) => piece.includes('"5[].opsrv"'))
  expect(arrayLimitOf(whole)).toBeUndefined()
  const limited = whole.replace('"array":\t"True"', '"max_run_subjobs":\t2,\n\t\t\t"array":\t"True"')
  expect(arrayLimitOf(limited)).toEqual({ id: '5[].opsrv', runMax: 2 })
  expect(jobOf(limited, undefined)).toBeUndefined()
  // A task that has not begun is told with the attributes of its array.
  const task = limited
    .replace('"5[].opsrv"', '"5[4].opsrv"')
    .replace('"job_state":\t"B"', '"job_state":\t"Q"')
  expect(jobOf(task, undefined)).toMatchObject({ id: '5[4].opsrv', array: { id: '5[].opsrv', runMax: 2 } })
})

test('a finished job is read from the history, with the node it ran on', async () => {
  expect((await jobs(printed('055'))).records).toMatchObject([
    {
      ...{ id: '0.opsrv', verdict: { state: 'ended' }, hosts: ['vm01'] },
      endedAt: Date.UTC(2026, 10, 21, 20, 15, 6),
      hasSucceeded: true,
    },
  ])
})

test('nodes are read with their jobs, their comment and what is taken of them', async () => {
  expect((await nodes(printed('037'))).records).toMatchObject([
    {
      ...{ name: 'vm01', states: ['job-busy'], fitness: 'works', isOffline: false, cpus: 2, cpusInUse: 2 },
      ...{ jobs: ['5[3].opsrv', '3.opsrv'], memoryMiB: 24_106, mark: undefined, note: '' },
    },
    { name: 'vm02', jobs: ['5[1].opsrv', '5[2].opsrv'] },
  ])
  expect((await nodes(printed('020'))).records).toMatchObject([
    { states: ['state-unknown', 'down'], fitness: 'silent', isOffline: false, cpus: 2, jobs: [] },
  ])
  expect((await nodes(printed('045'))).records).toMatchObject([
    { states: ['offline', 'job-busy'], fitness: 'refuses', isOffline: true, note: 'groc: draining' },
  ])
  expect((await nodes(printed('058'))).records).toMatchObject([{ fitness: 'silent', jobs: ['2.opsrv'] }])
})

test('a mark, custom resources, gpus and reservations are read from a node', async () => {
  const text = printed('020')
    .replace(
      '"ncpus":\t2',
      '"ncpus":\t2,\n\t\t\t\t"ngpus":\t4,\n\t\t\t\t"ssd":\t"True",\n\t\t\t\t"pool":\t"a,b",\n\t\t\t\t"sublet":\t"lease-7f3a_unit-1_10.77.0.11"',
    )
    .replace('"resv_enable"', '"resv":\t["R5.opsrv"],\n\t\t\t"resv_enable"')
  expect((await nodes(text)).records).toMatchObject([
    {
      mark: { leaseId: 'lease-7f3a', unitId: 'unit-1', address: '10.77.0.11' },
      ...{ consumables: { gpu: 4 }, features: ['ssd', 'pool=a', 'pool=b'], reservations: ['R5.opsrv'] },
    },
  ])
})

test.each([
  ['2:ncpus=2', 'scatter', undefined, 2, 2],
  ['8:ncpus=1', 'free', undefined, 8, 1],
  ['8:ncpus=1', 'free', 4, 2, 4],
  ['8:ncpus=1', 'pack', undefined, 1, 8],
  ['8:ncpus=1', 'scatter', 4, 8, 1],
  ['2:ncpus=4+1:ncpus=1:host=vm02', 'scatter', undefined, 3, 4],
  ['1', '', undefined, 1, 1],
  ['ncpus=4:mem=2gb', 'excl', undefined, 1, 4],
] as const)('select=%s, place=%s on machines of %s cpus is %i × %i', (select, place, cpus, count, each) => {
  expect(demandOf(select, place, cpus)).toMatchObject({ nodes: count, cpusPerNode: each })
})

test('unlike chunks are parts; packed, or where one machine takes all of them, they are one node', () => {
  const select = '1:ncpus=16:mem=64gb+8:ncpus=2'
  expect(demandOf(select, 'free', undefined)).toMatchObject({
    ...{ nodes: 9, cpusPerNode: 16, memoryMiBPerNode: 65_536 },
    parts: [
      { nodes: 1, cpusPerNode: 16, memoryMiBPerNode: 65_536 },
      { nodes: 8, cpusPerNode: 2, memoryMiBPerNode: 0 },
    ],
  })
  expect(demandOf(select, 'free', 16).parts?.map(({ nodes, cpusPerNode }) => [nodes, cpusPerNode])).toEqual([
    [1, 16],
    [1, 16],
  ])
  for (const one of [demandOf(select, 'pack', undefined), demandOf(select, 'free', 32)])
    expect([one.nodes, one.cpusPerNode, one.memoryMiBPerNode, one.parts]).toEqual([1, 32, 65_536, undefined])
  expect(demandOf(select, 'scatter', 32).nodes).toBe(9)
  expect(demandOf('1:ncpus=1:bigmem=True+4:ncpus=1:pool=small', 'free', 32).parts).toEqual([
    { nodes: 1, cpusPerNode: 1, memoryMiBPerNode: 0, features: ['bigmem'] },
    { nodes: 1, cpusPerNode: 4, memoryMiBPerNode: 0, features: ['pool=small'] },
  ])
  expect(demandOf('2:ncpus=2+1:ncpus=2', 'scatter', undefined).parts).toBeUndefined()
})

test('a chunk’s memory, gpus, hosts and flags are each node’s', () => {
  expect(
    demandOf('2:ncpus=2:mem=1gb:ngpus=1:ssd=True:pool=fast:scratch=20:mpiprocs=2', 'pack:excl', undefined),
  ).toEqual({
    ...{ nodes: 1, cpusPerNode: 4, memoryMiBPerNode: 2048, exclusive: true },
    ...{ consumablesPerNode: { gpu: 2, scratch: 40 }, features: ['ssd', 'pool=fast'] },
  })
  expect(demandOf('1:ncpus=1:host=vm02', '', undefined).features).toEqual(['vm02'])
  expect(() => demandOf('1:ncpus', '', undefined)).toThrow('it selects “1:ncpus”')
})

test.each([
  ['Not Running: Not enough free nodes available', undefined],
  ['Can Never Run: Insufficient amount of resource: ncpus (R: 20 A: 4 T: 4)', undefined],
  ['Can Never Run: Insufficient amount of resource: mem (R: 64gb A: 4gb T: 4gb)', undefined],
  ['Can Never Run: Insufficient amount of resource: foo (True != False)', 'impossible'],
  ['Not Running: Queue not started', 'queue'],
  ['Not Running: User has reached queue workq running job limit.', 'limit'],
  ['Not Running: Job would conflict with reservation or top job', undefined],
  ['Not Running: Job would conflict with confirmed reservation', 'reservation'],
])('“%s” is held by %s', (comment, heldBy) => {
  expect(jobVerdict({ letter: 'Q', holds: 'n', depend: '', comment, hasHosts: false }).heldBy).toBe(heldBy)
})

test('an empty list has no Jobs; text without an end, and what is no JSON, are refused', async () => {
  expect(await jobs(printed('003'))).toEqual({ records: [], warnings: [], unread: [] })
  const whole = printed('032')
  for (const at of [40, 500, 3_000, whole.length - 3, whole.indexOf('\n\t\t},') + 5])
    await expect(jobs(whole.slice(0, at))).rejects.toMatchObject({ code: 'middleware-garbage' })
  await expect(jobs('Job id  Name\n')).rejects.toMatchObject({ code: 'middleware-garbage' })
  await expect(jobs('')).rejects.toMatchObject({ code: 'middleware-garbage' })
})

test('an environment that breaks the JSON harms nobody, and a broken job is a warning', async () => {
  const home = '"PBS_O_HOME":\t"/home/tquser1"'
  for (const evil of [
    '"EVIL":\t"a " b \\x \n } ]',
    `"BIG":\t"${'x'.repeat(5_000_000)}"`,
    '"SHELL":\tfunction() {\n\t\t\t}',
    `"RAW":\t"${Buffer.from([0xff, 0xfe, 0x01]).toString('utf8')}"`,
  ]) {
    const { records, warnings } = await jobs(printed('017').replace(home, `${home},\n\t\t\t\t${evil}`))
    expect(warnings).toEqual([])
    expect(records.map(({ id }) => id)).toEqual(['0.opsrv', '1.opsrv'])
  }
  const { records, warnings } = await jobs(printed('017').replace('"zero"', '"ze"ro"'))
  expect(records.map(({ id }) => id)).toEqual(['1.opsrv'])
  expect(warnings).toEqual([expect.stringContaining('Record 1 of qstat -f could not be read')])
})

test('JSON that is indented in another way is read as a whole', async () => {
  const compact = JSON.stringify(JSON.parse(printed('033')))
  expect((await jobs(compact)).records).toEqual((await jobs(printed('033'))).records)
})

test('small things: vnodes and times', () => {
  expect(vnodesOf('(vm01:ncpus=2:mem=65536kb)+(vm02:ncpus=2)')).toEqual(['vm01', 'vm02'])
  expect(vnodesOf('(vm01:ncpus=1+vm02:ncpus=1)')).toEqual(['vm01', 'vm02'])
  expect(instantOf('Sat Nov  7 20:14:02 2026')).toBe(Date.UTC(2026, 10, 7, 20, 14, 2))
  expect(() => instantOf('soon')).toThrow('a time is “soon”')
})
