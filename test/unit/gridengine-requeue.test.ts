import { expect, test } from 'vitest'
import type { Commands } from '../../adapters/gridengine/commands.ts'
import { requeuer } from '../../adapters/gridengine/requeue.ts'

const never = new AbortController().signal

/** What is run for a job of a host that is gone, when qmod says this. */
async function lost(said: string, tasks = '') {
  const ran: string[] = []
  const run: Commands['run'] = (program, args) => {
    ran.push([program, ...args].join(' '))
    const stdout = program === 'qmod' ? said : ''
    return Promise.resolve({ exitCode: 0, signal: null, stdout, stderr: '' })
  }
  const row = { id: '17', tasks, queueInstance: 'dyn@g2' }
  const outcome = await requeuer({ run } as unknown as Commands)
    .lost([row as never], never)
    .then(
      () => 'done',
      (error: { code?: string }) => error.code,
    )
  return { outcome, deleted: ran.filter((line) => line.startsWith('qdel')) }
}

test.each([
  'denied: "sublet" must be operator for this operation',
  'error: job 17 is being transferred',
  'Rescheduling of job 17 was deferred',
])('a job of a host that is gone is not deleted for good, for qmod said “%s”', async (said) => {
  expect(await lost(said)).toEqual({ outcome: 'node-busy', deleted: [] })
})

test('it is deleted where qmod says that it may not run again, one task of an array too', async () => {
  const said = 'The job 17 is not restartable'
  expect(await lost(said)).toEqual({ outcome: 'done', deleted: ['qdel -f 17'] })
  for (const other of [
    'The job 17 is running in queue dyn where jobs are not rerunable.',
    'job 17 is a qsh, qlogin, qrsh or a qrlogin job. These types of job are not restartable',
    'The job 17 is already in deleted state. No rescheduling!',
  ])
    expect(await lost(other)).toEqual({ outcome: 'done', deleted: ['qdel -f 17'] })
  expect(await lost(said, '3')).toEqual({ outcome: 'done', deleted: ['qdel -f 17 -t 3'] })
})

test.each([
  'Pushed rescheduling of job 17 on host g2',
  'invalid queue or job "17"',
])('nothing more is done where it is put back, or is gone already: “%s”', async (said) => {
  expect(await lost(said)).toEqual({ outcome: 'done', deleted: [] })
})
