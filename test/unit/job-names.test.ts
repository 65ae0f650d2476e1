import { expect, test } from 'vitest'
import { jobsMeantBy } from '../../deploy/control/job-names.ts'

const SLURM = ['4', '5_0', '5_1', '5_[2-9%1]', '50', '55_1', '6_[1,3-7:2]']
const TORQUE = ['4.head.site.org', '7[1].head', '7[2].head', '70.head', '7.other']
const GRIDENGINE = ['22.1', '22.2-9:1', '22.20-30:5', '221', '23']

test.each([
  ['a job as it is listed', '4', SLURM, ['4']],
  ['an array by its number', '5', SLURM, ['5_0', '5_1', '5_[2-9%1]']],
  ['a task that runs', '5_1', SLURM, ['5_1']],
  ['a task that waits among others', '5_7', SLURM, ['5_[2-9%1]']],
  ['tasks as they were listed a moment ago', '5_[1-9%1]', SLURM, ['5_0', '5_1', '5_[2-9%1]']],
  ['a step that is in the list', '6_5', SLURM, ['6_[1,3-7:2]']],
  ['a step that is not', '6_4', SLURM, []],
  ['a number without its server', '4', TORQUE, ['4.head.site.org']],
  ['an array of Torque', '7[]', TORQUE, ['7[1].head', '7[2].head', '7.other']],
  ['that with its server', '7[].head', TORQUE, ['7[1].head', '7[2].head', '7.other']],
  ['a task of it', '7[2]', TORQUE, ['7[2].head']],
  ['an array of GridEngine', '22', GRIDENGINE, ['22.1', '22.2-9:1', '22.20-30:5']],
  ['a task of it that waits', '22.25', GRIDENGINE, ['22.20-30:5']],
  ['nobody', '99', SLURM, []],
  ['a word that is none', 'vm1', SLURM, []],
  ['nothing', '', SLURM, []],
])('%s', (_, word, listed, meant) => {
  expect(jobsMeantBy(word, listed)).toEqual(meant)
})
