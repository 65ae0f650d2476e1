import { expect, test } from 'vitest'
import type { Clock } from '../../actors/runtime/clock.ts'
import { systemClock } from '../../actors/runtime/clock.ts'
import { readInSlices } from '../../adapters/batch/slices.ts'
import type { Records } from '../../adapters/pbs/records.ts'
import { parseServer, parseSettings } from '../../adapters/pbs/settings.ts'
import { memoryMiB, walltimeMs } from '../../adapters/pbs/sizes.ts'
import { hostsOf, occupied } from '../../adapters/torque/hosts.ts'
import { demandOf } from '../../adapters/torque/parse-demand.ts'
import { jobOf, type Reading } from '../../adapters/torque/parse-jobs.ts'
import { nodeOf } from '../../adapters/torque/parse-nodes.ts'
import { pieces } from '../../adapters/torque/parse-xml.ts'
import { recorded } from '../emulated/recordings.ts'

const rows = recorded('torque-6.1.3')
const printed = (file: string): string => rows.find((row) => row.file.startsWith(`${file}-`))?.stdout ?? ''
const signal = new AbortController().signal
const sched: Reading = { scheduler: 'pbs_sched', cpusOfMachine: undefined }

const jobs = (text: string, reading = sched, clock: Clock = systemClock) =>
  readInSlices('qstat -x', pieces(text, 'Job'), (piece) => jobOf(piece, reading), { clock, signal })
const nodes = (text: string) =>
  readInSlices('pbsnodes -x', pieces(text, 'Node'), nodeOf, { clock: systemClock, signal })
const byId = async (text: string, reading = sched) =>
  new Map((await jobs(text, reading)).records.map((job) => [job.id, job]))

test('the recorded jobs of every kind are read with their demand and what holds them', async () => {
  const found = await byId(printed('069'))
  expect(
    [...found].map(([id, { verdict }]) => `${id} ${verdict.state} ${verdict.heldBy ?? ''}`.trim()),
  ).toEqual([
    '0.tqsrv running',
    '1.tqsrv running',
    '2.tqsrv running',
    '5.tqsrv held user',
    '6.tqsrv held start-time',
    '7[1].tqsrv pending',
    '7[2].tqsrv pending',
    '7[3].tqsrv held limit',
    '7[4].tqsrv held limit',
    '8.tqsrv held impossible',
    '9.tqsrv pending',
    '13.tqsrv held dependency',
  ])
  expect(found.get('0.tqsrv')).toMatchObject({
    user: 'tquser1',
    queue: 'batch',
    demand: { nodes: 1, cpusPerNode: 1, memoryMiBPerNode: 64, features: [] },
    ...{ walltimeMs: 120_000, submittedAt: 1_795_291_092_000, startedAt: 1_795_291_281_000 },
    ...{ hosts: ['vm02'], rerunable: true, starts: 2 },
  })
  expect(found.get('2.tqsrv')).toMatchObject({
    ...{ hosts: ['vm01', 'vm03'], demand: { nodes: 2, cpusPerNode: 2 }, walltimeMs: 600_000 },
  })
  expect(found.get('6.tqsrv')).toMatchObject({ notBefore: 1_795_291_860_000, reason: 'Execution_Time' })
  expect(found.get('9.tqsrv')?.demand.features).toEqual(['vm02'])
  expect(found.get('13.tqsrv')?.reason).toBe('depend=afterok:1.tqsrv')
  expect(found.get('1.tqsrv')?.verdict.state).toBe('running')
})

test('trap 13: what is complete is over, also what was deleted before it ran', async () => {
  const found = await byId(printed('119'))
  expect(found.get('1.tqsrv')).toMatchObject({
    ...{ verdict: { state: 'ended' }, hosts: ['vm02'], endedAt: 1_795_291_344_000 },
  })
  // Its exit status is 271: it was deleted.
  expect(found.get('9.tqsrv')?.hasSucceeded).toBe(false)
  expect(found.get('0.tqsrv')?.hasSucceeded).toBe(true)
  expect(found.get('13.tqsrv')).toMatchObject({
    verdict: { state: 'ended' },
    startedAt: undefined,
    hosts: [],
  })
  expect(found.get('14.tqsrv')?.verdict).toEqual({ state: 'pending' })
})

test('trap 14: an array is read task by task, and never as itself', async () => {
  expect([...(await byId(printed('068'))).keys()].filter((id) => id.startsWith('7['))).toEqual([])
})

test('trap 12: pbs_sched cannot start procs=N; Maui can, spread over the machines that are lent', async () => {
  const maui = await byId(printed('119').replaceAll('Unknown node-attribute', 'waits'), {
    ...{ scheduler: 'maui', cpusOfMachine: 8 },
  })
  expect(maui.get('21.tqsrv')).toMatchObject({
    ...{ verdict: { state: 'pending' }, demand: { nodes: 38, cpusPerNode: 8 } },
  })
  expect((await byId(printed('119'))).get('21.tqsrv')?.verdict.heldBy).toBe('impossible')
})

test.each([
  ['4', 4, 1, []],
  ['2:ppn=2', 2, 2, []],
  ['1:ppn=2+2:ppn=1', 3, 2, []],
  ['vm02:ppn=1', 1, 1, ['vm02']],
  ['vm01+vm02:ppn=4', 2, 4, ['vm01', 'vm02']],
  ['1:xen', 1, 1, ['xen']],
  ['2:ppn=4:xen:ib', 2, 4, ['xen', 'ib']],
  ['1:ppn=2:gpus=2:exclusive_process', 1, 2, []],
])('trap 15: nodes=%s is %i nodes of %i processors', (nodesAsked, count, cpus, features) => {
  expect(demandOf({ nodes: nodesAsked }, undefined)).toMatchObject({
    nodes: count,
    cpusPerNode: cpus,
    features,
  })
})

test('trap 15: a sum of unlike parts is told part by part, equal ones together; a sum of equal ones is none', () => {
  const partsOf = (nodes: string, list = {}) => demandOf({ nodes, ...list }, undefined).parts
  expect(partsOf('1:bigmem+4:small')).toEqual([
    { nodes: 1, cpusPerNode: 1, memoryMiBPerNode: 0, features: ['bigmem'] },
    { nodes: 4, cpusPerNode: 1, memoryMiBPerNode: 0, features: ['small'] },
  ])
  expect(partsOf('1:ppn=16:gpus=2+8:ppn=1+2:ppn=1', { pmem: '1gb' })).toEqual([
    { nodes: 1, cpusPerNode: 16, memoryMiBPerNode: 16_384, consumablesPerNode: { gpu: 2 } },
    { nodes: 10, cpusPerNode: 1, memoryMiBPerNode: 1024 },
  ])
  expect([partsOf('4:ppn=2'), partsOf('1:ppn=2+3:ppn=2'), partsOf('1:a:b+2:b:a')]).toEqual([
    undefined,
    undefined,
    undefined,
  ])
  // More kinds than there are in any cluster: it counts by its largest part.
  expect(partsOf(Array.from({ length: 300 }, (_, i) => `host${i}`).join('+'))).toBeUndefined()
})

test('trap 15: memory is the job’s or each processor’s, and consumables are counted by node', () => {
  const of = (list: Record<string, string>) =>
    demandOf({ nodes: '2:ppn=4', ...list }, undefined).memoryMiBPerNode
  expect([
    of({ mem: '8gb' }),
    of({ pmem: '512mb' }),
    of({ mem: '1gb', pmem: '512mb' }),
    of({ vmem: '4gb' }),
  ]).toEqual([4096, 2048, 2048, 2048])
  expect(demandOf({ nodes: '1:ppn=2:gpus=2' }, undefined).consumablesPerNode).toEqual({ gpu: 2 })
  expect(demandOf({ nodes: '1:ppn=2#excl' }, undefined).exclusive).toBe(true)
  expect([
    memoryMiB('64mb'),
    memoryMiB('65536kb'),
    memoryMiB('1'),
    memoryMiB('2gb'),
    memoryMiB('1mw'),
  ]).toEqual([64, 64, 1, 2048, 8])
  expect([
    walltimeMs('01:00:00'),
    walltimeMs('100:00:00'),
    walltimeMs('1:00:00:00'),
    walltimeMs('90'),
  ]).toEqual([3_600_000, 360_000_000, 86_400_000, 90_000])
  expect(() => memoryMiB('many')).toThrow('a size is “many”')
})

test('trap 3: slots are counted, not commas, in ranges, entry by entry, and with blanks', () => {
  expect(occupied('0/0.tqsrv,1/1.tqsrv')).toEqual({ jobs: ['0.tqsrv', '1.tqsrv'], slots: 2 })
  expect(occupied('0-1/2.tqsrv')).toEqual({ jobs: ['2.tqsrv'], slots: 2 })
  expect(occupied('0-3/2.tqsrv,4,6-7/3[2].tqsrv')).toEqual({ jobs: ['2.tqsrv', '3[2].tqsrv'], slots: 7 })
  expect(occupied('0/0.tqsrv,1/0.tqsrv')).toEqual({ jobs: ['0.tqsrv'], slots: 2 })
  expect(occupied('0/1.srv, 1/1.srv')).toEqual({ jobs: ['1.srv'], slots: 2 })
  expect(occupied('')).toEqual({ jobs: [], slots: 0 })
  expect(hostsOf('vm01/0-1+vm03/0-1')).toEqual(['vm01', 'vm03'])
  expect(hostsOf('vm01/0+vm01/1+vm02/0+vm02/1')).toEqual(['vm01', 'vm02'])
})

test('traps 1 and 2: the state is a list; the offline of a new node is nobody’s, and full is not free', async () => {
  const [newborn] = (await nodes(printed('021'))).records
  expect(newborn).toMatchObject({ fitness: 'silent', isOffline: false, heardAt: undefined })
  const [offline] = (await nodes(printed('075'))).records
  expect(offline).toMatchObject({ fitness: 'refuses', isOffline: true, cpusInUse: 2, jobs: ['2.tqsrv'] })
  const [dead] = (await nodes(printed('131'))).records
  expect(dead).toMatchObject({ fitness: 'silent', isOffline: false, jobs: ['23.tqsrv'] })
  // With one of two slots taken it is still `free`.
  const [half] = (await nodes(printed('045'))).records
  expect(half).toMatchObject({ states: ['free'], fitness: 'works', cpus: 2, cpusInUse: 1, jobs: ['0.tqsrv'] })
})

test('trap 4: of what the mom says only its hour and its memory are believed', async () => {
  const [node] = (await nodes(printed('081'))).records
  expect(node).toMatchObject({
    ...{
      states: ['offline', 'job-exclusive'],
      heardAt: 1_795_291_297_000,
      memoryMiB: 24_106,
      note: 'groc: draining',
    },
  })
  const [free] = (await nodes(printed('146'))).records
  // `jobs=23.tqsrv` in its status is old.
  expect(free).toMatchObject({ states: ['free'], jobs: [], cpusInUse: 0, features: ['groc', 'xen'] })
})

test('4.2: no declaration, status in reverse, one entry for each slot, and nothing at all for no jobs', async () => {
  expect(await jobs('')).toEqual({ records: [], warnings: [], unread: [] })
  expect(await jobs('<Data></Data>\n')).toEqual({ records: [], warnings: [], unread: [] })
  const [node] = (
    await nodes(
      '<Data><Node><name>vm01</name><state>job-exclusive</state><np>2</np><ntype>cluster</ntype><jobs>0/0.tqsrv,1/0.tqsrv</jobs><status>rectime=1795291297,physmem=2048kb,state=free,opsys=linux</status></Node></Data>',
    )
  ).records
  expect(node).toMatchObject({ jobs: ['0.tqsrv'], cpusInUse: 2, heardAt: 1_795_291_297_000, memoryMiB: 2 })
})

test('a list that was cut off is refused, wherever it was cut', async () => {
  const whole = printed('068')
  for (const at of [30, 1000, whole.length - 20, whole.length - 4])
    await expect(jobs(whole.slice(0, at))).rejects.toMatchObject({ code: 'middleware-garbage' })
  await expect(jobs('Job ID  Name  User\n')).rejects.toMatchObject({ code: 'middleware-garbage' })
})

test('check 6: one bad record is a warning with its job, never the end of a look', async () => {
  const { records, warnings } = await jobs(
    printed('068').replace('<job_state>H</job_state>', '<job_state>H</job_stat>').replace('64mb', 'a lot'),
  )
  expect(records).toHaveLength(6)
  expect(warnings).toHaveLength(2)
  expect(warnings[0]).toContain('Record 1 of qstat -x could not be read: a size is “a lot”')
  expect(warnings.map((warning) => /\d+\.tqsrv/.exec(warning)?.[0])).toEqual(['0.tqsrv', '5.tqsrv'])
})

test('check 6: what a user writes into his environment harms nobody: no UTF-8, five megabytes, the end of his record', async () => {
  const [head = '', tail = ''] = printed('031').split('PBS_O_QUEUE=batch')
  const evil = [
    Buffer.from([0x41, 0x3d, 0xff, 0xfe, 0x01, 0x1b]).toString('utf8'),
    `BIG=${'x'.repeat(5_000_000)}`,
    'A=</Variable_List></Job>',
    'B=<not closed & not escaped',
  ]
  for (const words of evil) {
    const { records, warnings } = await jobs(`${head}${words}${tail}`)
    expect(warnings).toEqual([])
    expect(records).toMatchObject([{ id: '0.tqsrv', demand: { memoryMiBPerNode: 64 }, hosts: [] }])
  }
})

test('ten thousand jobs are read in slices, and others have their turn between them', async () => {
  const [head = '', tail = ''] = printed('031').split('0.tqsrv</Job_Id>')
  const start = head.indexOf('<Job>')
  const end = tail.indexOf('</Data>')
  const one = (id: number): string => `${head.slice(start)}${id}.tqsrv</Job_Id>${tail.slice(0, end)}`
  const text = `<Data>${Array.from({ length: 2_000 }, (_, id) => one(id)).join('')}</Data>`
  let hour = 0
  let turns = 0
  // Every record takes a millisecond of this clock.
  const clock: Clock = {
    ...{ now: () => hour, monotonic: () => hour++ },
    after(_delayMs, callback) {
      turns += 1
      setImmediate(callback)
      return () => undefined
    },
  }
  const { records } = (await jobs(text, sched, clock)) as Records<{ id: string }>
  expect(records).toHaveLength(2_000)
  expect(turns).toBeGreaterThan(150)
})

test('the server’s own settings are read as qmgr prints them', () => {
  const settings = parseSettings(printed('010'))
  expect(settings).toMatchObject({
    ...{ scheduling: true, queryOtherJobs: true, defaultQueue: 'batch', nodeCheckMs: 150_000 },
    ...{ keepCompletedMs: 60_000, nodesPromised: 0, limits: [] },
  })
  expect(settings.queues.get('batch')).toMatchObject({
    ...{ isStarted: true, isRoute: false, defaultWalltimeMs: 3_600_000, isTransit: false },
  })
  const more = parseSettings(
    `${printed('010')}set queue batch max_user_run = 4\nset queue batch started = False\nset server managers = root@*\nset server managers += ann@head.site\n`,
  )
  expect(more.managers).toEqual(['root@*', 'ann@head.site'])
  expect(more.queues.get('batch')).toMatchObject({ limits: [{ of: 'user', most: 4 }], isStarted: false })
  expect(parseServer(printed('005')).get('state_count')).toBe(
    'Transit:0 Queued:0 Held:0 Waiting:0 Running:0 Exiting:0 Complete:0',
  )
})
