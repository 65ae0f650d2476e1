import { describe, expect, test } from 'vitest'
import { recordedExecutor } from '../../adapters/exec/recorded.ts'
import { seats } from '../../adapters/exec/seats.ts'

const never = new AbortController().signal

describe('seats', () => {
  test('who finds none waits, first come first served', async () => {
    const row = seats(1, 10)
    const order: string[] = []
    const leave = await row.take(never)
    const second = row.take(never).then((mine) => order.push('second') && mine())
    const third = row.take(never).then((mine) => order.push('third') && mine())
    expect(order).toEqual([])
    leave()
    leave()
    await Promise.all([second, third])
    expect(order).toEqual(['second', 'third'])
  })

  test('the row is bounded, and who gives up leaves it', async () => {
    const row = seats(1, 1)
    const leave = await row.take(never)
    const stop = new AbortController()
    const waiting = row.take(stop.signal)
    await expect(row.take(never)).rejects.toMatchObject({ code: 'exec-failed' })
    stop.abort(new Error('gave up'))
    await expect(waiting).rejects.toThrow('gave up')
    const next = row.take(never)
    leave()
    await next
  })
})

describe('recordings', () => {
  test('are played in their order, and the last again and again', async () => {
    const exec = recordedExecutor([
      { argv: ['squeue'], stdout: 'one' },
      { argv: ['squeue'], stdout: 'two' },
    ])
    const take = async () => (await exec.run(['squeue'], { signal: never })).stdout
    expect([await take(), await take(), await take()]).toEqual(['one', 'two', 'two'])
  })

  test('what was never recorded is an error, and everything that was run is kept', async () => {
    const exec = recordedExecutor([{ argv: ['scontrol', 'update', '*'] }])
    await exec.run(['scontrol', 'update', 'nodename=n1'], { signal: never, input: 'x' })
    await expect(exec.run(['scontrol', 'show'], { signal: never })).rejects.toMatchObject({
      code: 'exec-failed',
    })
    expect(exec.ran.map(({ argv }) => argv.join(' '))).toEqual([
      'scontrol update nodename=n1',
      'scontrol show',
    ])
  })
})
