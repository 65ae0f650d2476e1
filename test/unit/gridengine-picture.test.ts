import { describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import type { BatchPicture, Job } from '../../adapters/batch-system.ts'
import { gridengine } from '../../adapters/gridengine/batch-system.ts'
import { gridengineConfig } from '../../adapters/gridengine/config.ts'
import { shapeOf } from '../../adapters/gridengine/demand.ts'
import { type Answer, cell, recorded } from './gridengine-world.ts'

const never = new AbortController().signal

async function look(
  rules: Readonly<Record<string, Answer>> = {},
  settings: Readonly<Record<string, unknown>> = {},
): Promise<BatchPicture & { readonly job: (id: string) => Job | undefined }> {
  const config = gridengineConfig.parse({ queue: 'dyn', cpusOfMachine: 4, ...settings })
  const picture = await gridengine(config, cell(rules).exec, { clock: systemClock }).observe(never)
  return { ...picture, job: (id) => picture.jobs.find((each) => each.id === id) }
}

/** The recorded list with one job more that waits. */
const waiting = (words: string, more = ''): Readonly<Record<string, Answer>> => ({
  'qstat -u * -s prs -r -g t -xml': recorded('jobs.xml').replace(
    '</job_info>\n</job_info>',
    `<job_list state="pending"><JB_job_number>90</JB_job_number><JB_owner>ann</JB_owner><state>qw</state>
     <JB_submission_time>2026-11-30T14:30:02</JB_submission_time><queue_name></queue_name><slots>1</slots>${words}</job_list>
    </job_info>\n</job_info>`,
  ),
  ...(more !== '' && {
    'qstat -j': recorded('details.xml').replace(
      '</djob_info>',
      `<element>\n<JB_job_number>90</JB_job_number>${more}</element></djob_info>`,
    ),
  }),
})

const request = (name: string, value: string): string =>
  `<hard_request name="${name}" resource_contribution="0.000000">${value}</hard_request>`

test('check 5: a look shows the queue’s jobs and every host, and may be trusted', async () => {
  const { jobs, nodes, trust, warnings } = await look()
  expect(trust).toBe('confirmed')
  expect(warnings).toEqual([])
  // Job 18 names another queue.
  expect(jobs.map(({ id, state, heldBy }) => `${id} ${heldBy ?? state}`)).toEqual([
    '2 running',
    '14 completing',
    '16 running',
    '5 running',
    '22.1 running',
    '12 pending',
    '13 impossible',
    '19 pending',
    '6 licence',
    '15 system',
    '17 limit',
    '22.2-9:1 pending',
    '7 system',
    '8 user',
    '9 dependency',
    '11 start-time',
  ])
  expect(nodes.map(({ name }) => name)).toEqual(['g1', 'g2', 'g3', 'head', 'static1'])
})

test('what a held job waits for is said in words, and when its time comes', async () => {
  const { job } = await look()
  expect(job('11')).toMatchObject({
    notBefore: Date.UTC(2027, 0, 1),
    vendorReason: 'its start time has not come',
  })
  expect(job('15')?.vendorReason).toContain('/no/such/dir')
  expect(job('15')?.launchFailed).toBeUndefined()
  expect(job('13')?.vendorReason).toContain('5 slots')
  expect(job('17')?.vendorReason).toContain('peruser/1')
  expect(job('6')?.vendorReason).toContain('licence')
})

describe('the demand of a job', () => {
  test('follows the allocation rule of its environment', async () => {
    const { job } = await look()
    expect(job('2')).toMatchObject({ nodes: 2, cpusPerNode: 2, nodeNames: ['g1', 'g2'], requeueable: true })
    // A range of slots counts with its least, an environment by a pattern is the first that fits.
    expect(job('12')).toMatchObject({ nodes: 2, cpusPerNode: 3, memoryMiBPerNode: 1500 })
    expect(job('19')).toMatchObject({ nodes: 1, cpusPerNode: 3 })
  })

  test.each([
    [undefined, 1, 1, 1, true],
    ['$pe_slots', 6, 1, 6, true],
    ['2', 6, 3, 2, true],
    ['4', 6, 2, 4, false],
    ['$fill_up', 6, 2, 3, true],
    ['$round_robin', 3, 1, 3, true],
  ])('rule %s with %i slots on machines of 4: %i nodes × %i', (rule, slots, nodes, cpusPerNode, fits) => {
    expect(shapeOf(slots, rule, 4)).toEqual({ nodes, cpusPerNode, fits })
  })

  test('counts consumables for each slot or once, and turns plain requests into features', async () => {
    const words = `<requested_pe name="smp">3</requested_pe>${request('gpu', '2')}${request('licence', '0')}${request('bigdisk', 'TRUE')}${request('arch', 'lx-amd64')}${request('hostname', 'g7')}${request('h_rt', '0:20:0')}${request('mem_free', '2G')}`
    const { job } = await look(waiting(words))
    expect(job('90')).toMatchObject({
      state: 'pending',
      cpusPerNode: 3,
      features: ['bigdisk', 'g7'],
      walltimeMs: 1_200_000,
      // mem_free is no consumable: it is asked of the host, not of each slot.
      memoryMiBPerNode: 2048,
    })
    // A licence is no machine's.
    expect(job('90')?.consumablesPerNode).toEqual({ gpu: 6 })
  })

  test('a consumable memory counts for each slot, also by its default', async () => {
    const sc = recorded('sc.txt').replace(/^(mem_free +\S+ +MEMORY +<= +YES +)NO( +)0 /m, '$1YES$21G')
    expect(sc).not.toBe(recorded('sc.txt'))
    const rules = { ...waiting('<requested_pe name="smp">3</requested_pe>'), 'qconf -sc': sc }
    expect((await look(rules)).job('90')?.memoryMiBPerNode).toBe(3072)
  })

  test('more time than the queue gives is for no machine', async () => {
    const rules = {
      ...waiting(request('h_rt', '7200')),
      'qconf -sq dyn': recorded('sq.txt').replace(/^h_rt .*$/m, 'h_rt 1:0:0'),
    }
    const { job } = await look(rules)
    expect(job('90')).toMatchObject({ heldBy: 'impossible' })
    expect(job('12')?.walltimeMs).toBe(3_600_000)
  })

  test('a job of another queue, or of an environment that the queue is not in, is none of ours', async () => {
    expect((await look(waiting('<hard_req_queue>other.q</hard_req_queue>'))).job('90')).toBeUndefined()
    expect((await look(waiting(request('qname', 'other.q')))).job('90')).toBeUndefined()
    expect((await look(waiting('<requested_pe name="mpi">4</requested_pe>'))).job('90')).toBeUndefined()
    expect((await look(waiting('<hard_req_queue>d*@@fast</hard_req_queue>'))).job('90')?.state).toBe(
      'pending',
    )
    expect((await look(waiting('<hard_req_queue>dyn@g7</hard_req_queue>'))).job('90')?.features).toEqual([
      'g7',
    ])
  })
})

describe('limits', () => {
  test('an array counts with the tasks that -tc leaves, and is held by it when none is left', async () => {
    expect((await look()).job('22.2-9:1')).toMatchObject({ tasks: 1, state: 'pending' })
    const one = recorded('details.xml').replace(
      '<JB_ja_task_concurrency>2</JB_ja_task_concurrency>',
      '<JB_ja_task_concurrency>1</JB_ja_task_concurrency>',
    )
    expect((await look({ 'qstat -j': one })).job('22.2-9:1')).toMatchObject({
      state: 'held',
      heldBy: 'limit',
      tasks: 8,
    })
    const all = recorded('sconf.txt').replace(/^max_aj_instances .*$/m, 'max_aj_instances 1')
    expect((await look({ 'qconf -sconf': all })).job('22.2-9:1')?.heldBy).toBe('limit')
  })

  test('maxujobs and the slots of an environment hold', async () => {
    const maxujobs = recorded('ssconf.txt').replace(/^maxujobs .*$/m, 'maxujobs 2')
    expect((await look({ 'qconf -ssconf': maxujobs })).job('12')).toMatchObject({
      heldBy: 'limit',
      vendorReason: 'maxujobs',
    })
    const small = recorded('sp-fill.txt').replace(/^slots .*$/m, 'slots 5')
    expect((await look({ 'qconf -sp fill': small })).job('12')?.heldBy).toBe('impossible')
    const used = recorded('sp-two.txt').replace(/^slots .*$/m, 'slots 6')
    const rules = { ...waiting('<requested_pe name="two">4</requested_pe>'), 'qconf -sp two': used }
    expect((await look(rules)).job('90')?.heldBy).toBe('limit')
  })

  test('a job of an advance reservation waits for that', async () => {
    const rules = waiting('', '<JB_ar>7</JB_ar><JB_submission_time>1796049002</JB_submission_time>')
    expect((await look(rules)).job('90')).toMatchObject({ heldBy: 'reservation' })
  })

  test('a queue whose instances are all disabled, or will be, starts nothing', async () => {
    const disabled = recorded('hosts.xml').replaceAll(
      "<queuevalue qname='dyn' name='state_string'></queuevalue>",
      "<queuevalue qname='dyn' name='state_string'>d</queuevalue>",
    )
    expect((await look({ 'qhost -q -F arch': disabled })).job('12')?.heldBy).toBe('queue')
    const initial = recorded('sq.txt').replace(/^initial_state .*$/m, 'initial_state disabled')
    expect((await look({ 'qconf -sq dyn': initial })).job('12')?.heldBy).toBe('queue')
    // One that is there for the name alone says nothing: it has no slots, or no daemon.
    const dead = disabled.replaceAll('>d</queuevalue>', '>du</queuevalue>')
    expect((await look({ 'qhost -q -F arch': dead })).job('12')?.state).toBe('pending')
  })
})

describe('hosts', () => {
  test('say whose they are, who drained them, and whether they are heard', async () => {
    const { nodes } = await look()
    const [g1, g2, g3, head, static1] = nodes
    expect(g1).toMatchObject({
      mark: { leaseId: 'lease-7f3a', unitId: 'unit-g1' },
      responding: true,
      accepting: true,
      drained: 'no',
      empty: false,
      cpus: 4,
      cpusInUse: 4,
      jobs: ['2', '14', '16'],
      consumables: { gpu: 2 },
      features: ['arch=lx-amd64', 'bigdisk'].sort(),
    })
    expect(g2).toMatchObject({ accepting: false, drained: 'ours', drainReason: 'lease ends', empty: false })
    expect(g3).toMatchObject({ responding: false, accepting: false, drained: 'no', vendorState: 'unheard' })
    expect(head).toMatchObject({ mark: undefined, responding: false, accepting: false })
    expect(static1).toMatchObject({ mark: undefined, drained: 'theirs', accepting: false, jobs: ['18'] })
  })

  test('a host that is drained by both of us is theirs', async () => {
    const both = recorded('hosts.xml').replaceAll(
      "<queuevalue qname='dyn' name='state_string'></queuevalue>",
      "<queuevalue qname='dyn' name='state_string'>d</queuevalue>",
    )
    expect((await look({ 'qhost -q -F arch': both })).nodes[1]).toMatchObject({ drained: 'theirs' })
  })

  test('a reservation that is near keeps a host, a far one does not', async () => {
    const at = (ms: number): string => new Date(systemClock.now() + ms).toISOString().slice(0, 19)
    const reserved = (from: number): Readonly<Record<string, Answer>> => ({
      'qrstat -ar 1': recorded('reservation.xml')
        .replace('2026-12-01T00:00:00', at(from))
        .replace('2026-12-01T01:00:00', at(from + 3_600_000))
        .replace('slots="2"', 'slots="4"'),
    })
    expect((await look(reserved(7_200_000))).nodes[0]?.reservedFor).toBeUndefined()
    expect((await look(reserved(600_000))).nodes[0]).toMatchObject({
      reservedFor: 'advance reservation 1',
      accepting: true,
    })
    expect((await look(reserved(-60_000))).nodes[0]).toMatchObject({ accepting: false })
  })

  test('an idle host is collected by the wide job that had hosts reserved for it', async () => {
    const idle = recorded('jobs.xml').replace(
      /<queue_info>[\s\S]*<\/queue_info>/,
      '<queue_info>\n</queue_info>',
    )
    const hosts = recorded('hosts.xml').replaceAll(/'slots_used'>\d+/g, "'slots_used'>0")
    const rules = { 'qstat -u * -s prs -r -g t -xml': idle, 'qhost -q -F arch': hosts }
    expect(
      (await look(rules)).nodes.map(({ name, collectingFor }) => `${name} ${collectingFor}`).slice(0, 2),
    ).toEqual(['g1 12', 'g2 undefined'])
    const none = recorded('ssconf.txt').replace(/^max_reservation .*$/m, 'max_reservation 0')
    expect((await look({ ...rules, 'qconf -ssconf': none })).nodes[0]?.collectingFor).toBeUndefined()
  })
})

test('consumables are taken for each slot of a job, or once where it began', async () => {
  const row = (queue: string, role: string): string =>
    `<job_list state="running"><JB_job_number>90</JB_job_number><JB_owner>ann</JB_owner><state>r</state><queue_name>dyn@${queue}</queue_name>
     <master>${role}</master><slots>1</slots><requested_pe name="two">4</requested_pe><granted_pe name="two">4</granted_pe>
     ${request('gpu', '1')}${request('licence', '1')}</job_list>`
  const rows = [
    row('g1', 'MASTER'),
    row('g1', 'SLAVE'),
    row('g1', 'SLAVE'),
    row('g2', 'SLAVE'),
    row('g2', 'SLAVE'),
  ]
  const { nodes, job } = await look({
    [Object.keys(waiting(''))[0] ?? '']: `<job_info>${rows.join('\n')}</job_info>`,
  })
  expect(job('90')).toMatchObject({ state: 'running', nodes: 2, cpusPerNode: 2, nodeNames: ['g1', 'g2'] })
  // Two are left of those of g1, by qhost.
  expect(nodes[0]).toMatchObject({ consumables: { gpu: 4 }, consumablesInUse: { gpu: 2 } })
})
