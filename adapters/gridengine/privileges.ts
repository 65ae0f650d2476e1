import { KNOCK_WORDS } from '../exec/port-findings.ts'
import {
  HOST,
  HOST_OR_ADDRESS,
  ID,
  type Line,
  like,
  literally,
  NUMBER,
  type Privileges,
  type Word,
} from '../privileges.ts'
import { COMMON_FILES, NO_HOST } from './check.ts'
import { gridengineEnv, WITH_FILE } from './commands.ts'
import type { GridengineConfig } from './config.ts'
import { hostText } from './hosts.ts'
import { JOBS_ARGS } from './parse-jobs.ts'
import { ACCOUNTING_BYTES } from './reader.ts'
import { HOLDS } from './states.ts'

/** `17`, `17.3`, `17.4-9:1`. */
const TASKS = '[0-9,:-]+'
const JOB = `${NUMBER}(\\.${TASKS})?`

const PROGRAMS = new Set(['qstat', 'qselect', 'qhost', 'qconf', 'qmod', 'qdel', 'qrstat', 'qquota'])

/** Every command that this adapter runs. `node` is what the names of our machines are like. */
export function gridenginePrivileges(config: GridengineConfig, node: string): Privileges {
  const { bin, queue, hostGroup, markComplex, drainComplex, root, cell } = config
  const placed = (program: string): string =>
    bin !== undefined && PROGRAMS.has(program) ? `${bin}/${program}` : program
  const of =
    (right: Line['right']) =>
    (verb: Line['verb'], [program, ...words]: readonly [string, ...Word[]], why: string): Line => ({
      ...{ right, verb, why },
      words: [placed(program), ...words],
    })
  const [look, line] = [of('read'), of('change')]
  const ours = like(node)
  const members = ['hostgroup', 'hostlist', ours, hostGroup]
  const accounting = config.accountingFile ?? `${root}/${cell}/common/accounting`

  const looks: readonly Line[] = [
    ...['-sc', '-ssconf', '-sconf'].map((option) => look('observe', ['qconf', option], 'what is set up')),
    look('observe', ['qconf', '-sq', queue], 'the queue'),
    look('observe', ['qconf', '-sp', like(HOST)], 'parallel environments'),
    look('observe', ['qstat', ...JOBS_ARGS], 'all jobs'),
    look('observe', ['qstat', '-u', '*', '-s', 'prs'], 'a second source for an empty list'),
    ...HOLDS.map(([filter]) =>
      look('observe', ['qstat', '-u', '*', '-s', filter, '-xml'], 'what holds jobs'),
    ),
    look('observe', ['qstat', '-j', like(`${NUMBER}(,${NUMBER})*`), '-xml'], 'what jobs ask for'),
    look('observe', ['qhost', '-q', '-F', like('[A-Za-z0-9_.,-]*'), '-xml'], 'all hosts'),
    look(
      'observe',
      ['qhost', '-q', '-F', `${markComplex},${drainComplex}`, '-h', like(HOST), '-xml'],
      'one host, before and after each change',
    ),
    look('observe', ['qrstat', '-u', '*', '-xml'], 'reservations'),
    look('observe', ['qrstat', '-ar', like(`${NUMBER}(,${NUMBER})*`), '-xml'], 'reservations'),
    look('observe', ['qquota', '-u', '*', '-xml'], 'quotas'),
    look('observe', ['tail', '-c', String(ACCOUNTING_BYTES), '--', accounting], 'jobs that have ended'),
    look('check', ['qstat', '-help'], 'the version'),
    ...COMMON_FILES.map((file) =>
      look(
        'check',
        ['cat', '--', `${root}/${cell}/common/${file}`],
        'where qmaster runs, what jobs ask for unasked',
      ),
    ),
    look('check', ['qconf', '-shgrp', hostGroup], 'the host group'),
    look('check', ['qselect', '-q', queue], 'whether the queue has a host'),
    look('check', ['date', '+%s'], 'the clock where the commands run'),
    look('check', ['uname', '-n'], 'whether this is the server’s host'),
    look('check', KNOCK_WORDS, 'whether the server and machines answer at their ports'),
    look('check', ['getent', 'hosts', like(HOST_OR_ADDRESS)], 'whether the host knows the names of machines'),
  ]
  const changes: readonly Line[] = [
    line('check', ['qconf', '-dh', NO_HOST], 'the refusal tells whether hosts may be changed'),
    {
      ...line(
        'expect',
        ['sh', '-c', WITH_FILE, 'sh', placed('qconf'), '-Ae'],
        'makes the host, with our mark',
      ),
      inputs: [hostLines(node, `${literally(markComplex)}=${ID}/${ID}`)],
    },
    line(
      'expect',
      ['qconf', '-rattr', 'queue', 'slots', like(`\\[${node}=${NUMBER}\\]`), queue],
      'its slots in the queue',
    ),
    line('expect', ['qconf', '-aattr', ...members] as Line['words'], 'into the host group'),
    line('expect', ['qconf', '-ah', ours], 'its daemon may speak to qmaster'),
    line(
      'drain',
      [
        ...(['qconf', '-mattr', 'exechost', 'complex_values'] as const),
        like(`slots=0,${literally(drainComplex)}=[A-Za-z0-9._-]+`),
        ours,
      ],
      'no slot to give on a machine that leaves',
    ),
    line(
      'resume',
      ['qconf', '-dattr', 'exechost', 'complex_values', `slots,${drainComplex}`, ours],
      'takes our own drain back',
    ),
    line('remove', ['qconf', '-dattr', ...members] as Line['words'], 'out of the host group'),
    line(
      'remove',
      ['qconf', '-purge', 'queue', 'slots', like(`${literally(queue)}@${node}`)],
      'its slots in the queue',
    ),
    line('remove', ['qconf', '-dh', ours], 'its daemon may no longer speak to qmaster'),
    line('remove', ['qconf', '-de', ours], 'the host of a machine that has left'),
    line('remove', ['qdel', '-f', like(NUMBER)], 'jobs of a lost machine that may not run again'),
    line('remove', ['qdel', '-f', like(NUMBER), '-t', like(TASKS)], 'likewise a task of an array'),
    line('requeue', ['qmod', '-rj', like(JOB)], 'back into the queue'),
    line('requeue', ['qmod', '-cj', like(JOB)], 'lets a job go that is in error'),
  ]
  return { env: gridengineEnv(config), lines: [...looks, ...changes] }
}

/** The lines of `hostText`, of which the name and the mark differ. */
const hostLines = (node: string, mark: string): readonly Word[] =>
  hostText('NAME', 'MARK')
    .trimEnd()
    .split('\n')
    .map((each) => (/NAME|MARK/.test(each) ? like(each.replace('NAME', node).replace('MARK', mark)) : each))
