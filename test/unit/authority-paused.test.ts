import { describe, expect, test } from 'vitest'
import { OldStage } from './authority-old-stage.ts'

describe('a site that is paused and is asked to redeem', () => {
  const paused = () => {
    const stage = new OldStage(['manager', 'manager-2'])
    const ticket = stage.ticket()
    const other = stage.ticket({ leaseId: 'lease-2' })
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    stage.command('pause', 'the disk is full')
    stage.sent.length = 0
    return { stage, ticket, other }
  }

  test('what its holder has says how it stands: he may have been restored', () => {
    const { stage, ticket } = paused()
    expect(stage.tell('redeem', 'lease-1', { ticket, properties: {} })).toBe('received')
    expect(stage.sent).toMatchObject([{ kind: 'lease-update', to: 'manager', subject: 'lease-1' }])
  })

  test('what is not there, or not of whoever asks, has him come again', () => {
    const { stage, ticket, other } = paused()
    expect(stage.tell('redeem', 'lease-2', { ticket: other, properties: {} })).toBe('busy')
    expect(stage.tell('redeem', 'lease-1', { ticket, properties: {} }, 'manager-2')).toBe('busy')
    expect(stage.sent).toEqual([])
  })
})
