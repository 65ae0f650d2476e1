import { expect, test } from 'vitest'
import { systemClock as clock } from '../../actors/runtime/clock.ts'
import { fileLog } from '../../deploy/log.ts'

test('a log that cannot be written says so once and ends nothing', () => {
  const told: string[] = []
  const warn = (line: string): void => void told.push(line)
  const { log, close } = fileLog({ file: '/dev/full', level: 'info', clock, warn })
  for (let i = 0; i < 3; i += 1) log.info({ i }, 'something happened')
  log.warn({}, 'something is odd')
  close()
  close()
  expect(told).toEqual([
    expect.stringMatching(/^warning: the log \/dev\/full cannot be written: ENOSPC/),
    'warning: something is odd',
  ])
})

test('whoever is handed the error tells it: a hushed log writes to its file only', () => {
  const told: string[] = []
  const warn = (line: string): void => void told.push(line)
  const { log, hush, close } = fileLog({ file: '/dev/null', level: 'info', clock, warn })
  log.warn({}, 'first')
  hush()
  log.error({}, 'second')
  close()
  expect(told).toEqual(['warning: first'])
})

test('errors of whatever form are written, without what hangs on them, and nobody fails for it, also after the end', () => {
  const told: string[] = []
  const { log, close } = fileLog({
    file: '/dev/null',
    level: 'info',
    clock,
    warn: (line) => void told.push(line),
  })
  const round = new Error('round')
  round.cause = round
  const unreadable = Object.defineProperty(new Error(), 'message', {
    get() {
      throw new Error('no')
    },
  })
  const frozen = Object.freeze(Object.assign(new Error('frozen'), { options: { body: 'hunter2' } }))
  for (const err of [frozen, round, unreadable, undefined, null, 10n, Object.create(null)])
    log.error({ err }, 'it failed')
  close()
  log.error({ err: frozen }, 'too late')
  expect(told).toEqual([
    'error: it failed: frozen',
    'error: it failed: round: round: round: round: round',
    'error: it failed: an error that cannot be read',
    'error: it failed',
    'error: it failed: null',
    'error: it failed: 10',
    'error: it failed: an error that cannot be read',
  ])
})
