import { describe } from 'vitest'
import { leaseMachine as sites } from '../../actors/authority/machines.ts'
import { leaseMachine as holders } from '../../actors/service-manager/machines.ts'
import { holdsToTable } from './machine-table.ts'

describe('a lease at its holder', () =>
  holdsToTable(
    holders,
    ['block', 'redeem', 'active', 'extend', 'refused', 'leave', 'left', 'ended'],
    [
      ['none', 'redeem', 'redeeming'],
      ['none', 'block', 'blocked'],
      ['none', 'leave', 'closed'],
      ['blocked', 'redeem', 'redeeming'],
      ['blocked', 'leave', 'closed'],
      ['redeeming', 'active', 'active'],
      ['redeeming', 'extend', 'extending'],
      ['redeeming', 'leave', 'leaving'],
      ['redeeming', 'ended', 'closed'],
      ['active', 'extend', 'extending'],
      ['active', 'leave', 'leaving'],
      ['active', 'ended', 'closed'],
      ['extending', 'active', 'active'],
      ['extending', 'refused', 'active'],
      ['extending', 'leave', 'leaving'],
      ['extending', 'ended', 'closed'],
      ['leaving', 'refused', 'leaving'],
      ['leaving', 'leave', 'leaving'],
      ['leaving', 'left', 'closing'],
      ['leaving', 'ended', 'closed'],
      ['closing', 'refused', 'closing'],
      ['closing', 'leave', 'closing'],
      ['closing', 'ended', 'closed'],
      ['closed', 'leave', 'closed'],
      ['closed', 'ended', 'closed'],
    ],
  ))

describe('a lease at its site', () =>
  holdsToTable(
    sites,
    ['settled', 'extend', 'close', 'failed', 'emptied'],
    [
      ['pending', 'settled', 'active'],
      ['pending', 'extend', 'pending'],
      ['pending', 'close', 'closing'],
      ['pending', 'failed', 'closing'],
      ['active', 'extend', 'active'],
      ['active', 'close', 'closing'],
      ['closing', 'close', 'closing'],
      ['closing', 'emptied', 'closed'],
    ],
  ))
