import { describe } from 'vitest'
import { ticketMachine as brokers } from '../../actors/broker/machine.ts'
import { ticketMachine as holders } from '../../actors/service-manager/machines.ts'
import { holdsToTable } from './machine-table.ts'

describe('a ticket at its holder', () =>
  holdsToTable(
    holders,
    ['granted', 'refused', 'extend', 'give up', 'closed'],
    [
      ['asked', 'granted', 'held'],
      ['asked', 'refused', 'closed'],
      ['asked', 'give up', 'returning'],
      ['asked', 'closed', 'closed'],
      ['held', 'extend', 'extending'],
      ['held', 'give up', 'returning'],
      ['held', 'closed', 'closed'],
      ['extending', 'granted', 'held'],
      ['extending', 'refused', 'held'],
      ['extending', 'give up', 'returning'],
      ['extending', 'closed', 'closed'],
      ['returning', 'closed', 'closed'],
      ['closed', 'closed', 'closed'],
    ],
  ))

describe('a ticket at the broker', () =>
  holdsToTable(
    brokers,
    ['granted', 'refused', 'extend', 'closed'],
    [
      ['asked', 'granted', 'granted'],
      ['asked', 'refused', 'closed'],
      ['asked', 'closed', 'closed'],
      ['granted', 'extend', 'extending'],
      ['granted', 'closed', 'closed'],
      ['extending', 'granted', 'granted'],
      ['extending', 'refused', 'granted'],
      ['extending', 'closed', 'closed'],
      ['closed', 'closed', 'closed'],
    ],
  ))
