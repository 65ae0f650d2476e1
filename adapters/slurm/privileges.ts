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
  WORDS,
  type Word,
} from '../privileges.ts'
import { NO_NODE } from './asked-rights.ts'
import { slurmEnv } from './commands.ts'
import type { SlurmConfig } from './config.ts'
import { expandHosts, hostPattern } from './hostlist.ts'
import { JOBS_TEXT_ARGS, NODES_TEXT_ARGS } from './parse-text.ts'
import { START_IN_SECONDS } from './requeue.ts'

/** More names than these are told by what they have in common. */
const SPELT_OUT_MAX = 500

/** What names that slurm.conf lists are like, and no others: beside ours it may list the admin's own of the same shape. */
export function listedLike(names: string): string {
  const all = [...new Set(expandHosts(names))]
  return all.length > SPELT_OUT_MAX ? hostPattern(names) : all.join('|').replaceAll('.', '[.]')
}

type Make = (verb: Line['verb'], words: readonly [string, ...Word[]], why: string) => Line

/** What gives a listed name to a machine, and puts it back to where it was. */
function namesLines(
  line: Make,
  ours: Word,
  { comment, mark }: { readonly comment: Word; readonly mark: string },
): readonly Line[] {
  const [update, none] = [['scontrol', 'update', ours] as const, 'Comment=']
  const feature = '[A-Za-z0-9_.:=-]+'
  const both = (list: string): readonly Word[] =>
    ['AvailableFeatures', 'ActiveFeatures'].map((which) => like(`${which}=${list}`))
  const called = both(`(${feature},)*${mark}`)
  const own = both(`(${feature}(,${feature})*)?`)
  const address = like('NodeAddr=[A-Za-z0-9.:-]+')
  const why = { take: 'gives a machine the name', leave: 'puts the name back to where it was' }
  const parked = [...update, none, like(`NodeAddr=${HOST}`), 'State=DRAIN'] as const
  return [
    line('expect', [...update, comment], `${why.take} of a FUTURE node`),
    line('expect', [...update, ...called], 'the mark by which its slurmd finds it'),
    line('expect', [...update, comment, address], `${why.take} of a CLOUD node`),
    line('expect', [...update, 'State=IDLE', comment, address], 'lets its machine in'),
    line('remove', [...update, none, ...own, 'State=FUTURE'], why.leave),
    line('remove', [...update, 'State=POWER_DOWN'], 'the CLOUD node of a machine that has left'),
    line('remove', [...parked, like(`Reason=${WORDS}`)], why.leave),
  ]
}

/** `17`, a task `17_3`, waiting tasks `17_[4-9%2]`, a part `17+1`. */
const JOB = '[0-9]+(_[0-9]+|_\\[[0-9,%:-]+\\]|\\+[0-9]+)?'

const PROGRAMS = new Set(['squeue', 'sinfo', 'scontrol'])

/**
 * Every command that this adapter runs on the head. `node` is what the names of our machines are like; `users` are those
 * whose uids machines are compared by.
 */
export function slurmPrivileges(
  config: SlurmConfig,
  node: string,
  users: readonly string[] = [],
): Privileges {
  const { bin, confFile, partition, feature, drainTag } = config
  const of =
    (right: Line['right']) =>
    (verb: Line['verb'], [program, ...words]: readonly [string, ...Word[]], why: string): Line => {
      const found = bin !== undefined && PROGRAMS.has(program) ? `${bin}/${program}` : program
      return { right, verb, words: [found, ...words], why }
    }
  const [look, line] = [of('read'), of('change')]
  const isListed = config.nodes === 'listed'
  const ours = like(`NodeName=${node}`)
  const reason = like(`Reason=${literally(drainTag)}: ${WORDS}`)
  const comment = like(`Comment=sublet:lease=${ID},unit=${ID}`)
  const mark = `sublet_${ID}_${ID}`

  const looks: readonly Line[] = [
    look('observe', ['id', '-u'], 'whose right it is'),
    look('observe', ['id', '-un'], 'whose right it is'),
    look('observe', ['scontrol', 'show', 'config'], 'what the controller goes by'),
    look('observe', ['scontrol', '-a', '-o', 'show', 'partition', partition], 'the partition'),
    look('observe', ['squeue', '-a', '--json'], 'all jobs'),
    look('observe', ['squeue', ...JOBS_TEXT_ARGS], 'all jobs, where there is no JSON'),
    look('observe', ['squeue', '-h', '-a', '-t', 'PD', '-O', 'JobArrayID:|,SchedNodes:|'], 'what is planned'),
    look('observe', ['scontrol', '-a', '-o', 'show', 'jobs'], 'a second source for an empty list'),
    look('observe', ['scontrol', '-a', '-o', 'show', 'reservation'], 'reservations'),
    look('observe', ['sinfo', '-a', '--json'], 'all nodes'),
    look('observe', ['scontrol', ...NODES_TEXT_ARGS], 'all nodes, where there is no JSON'),
    look(
      'observe',
      ['scontrol', '-F', ...NODES_TEXT_ARGS, like(HOST)],
      'one node, before and after each change',
    ),
    look(
      isListed ? 'observe' : 'check',
      ['scontrol', '-F', ...NODES_TEXT_ARGS],
      'all nodes, also those that are announced',
    ),
    look('check', ['squeue', '--version'], 'whether the program is there'),
    look('check', ['sinfo', '--version'], 'whether the program is there'),
    look('check', ['date', '+%s'], 'the clock where the commands run'),
    look('check', ['uname', '-n'], 'whether this is the server’s host'),
    look('check', KNOCK_WORDS, 'whether the server and machines answer at their ports'),
    look('check', ['getent', 'hosts', like(HOST_OR_ADDRESS)], 'whether the host knows the names of machines'),
    ...[[], [like('--socket=/[A-Za-z0-9_./-]+')]].map(
      (socket): Line => ({
        ...look('join', ['unmunge', ...socket], 'whether a machine has the key of the head, and its time'),
        inputs: [[like('MUNGE:[A-Za-z0-9+/]+={0,2}:')]],
      }),
    ),
    ...(users.length === 0
      ? []
      : [look('join', ['getent', 'passwd', ...users], 'whether a machine has the users of the head')]),
  ]
  const made = line(
    'expect',
    [
      'scontrol',
      'create',
      ours,
      like(`NodeHostname=${node}`),
      like('NodeAddr=[A-Za-z0-9.:-]+'),
      like(`CPUs=${NUMBER}`),
      like(`RealMemory=${NUMBER}`),
      like(`Feature=${literally(feature)},${mark}`),
      'State=FUTURE',
    ],
    'makes the record of a machine, where its slurmd does not bring it',
  )
  const deleted = line('remove', ['scontrol', 'delete', ours], 'the record of a machine that has left')
  const changes: readonly Line[] = [
    line(
      'check',
      ['scontrol', 'update', `NodeName=${NO_NODE}`, 'State=RESUME'],
      'the refusal tells whether nodes may be changed',
    ),
    ...(isListed ? namesLines(line, ours, { comment, mark }) : [made]),
    line('resume', ['scontrol', 'update', ours, like('State=(IDLE|UNDRAIN)'), comment], 'lets a machine in'),
    line(
      'drain',
      ['scontrol', 'update', ours, 'State=DRAIN', reason],
      'no new jobs on a machine that leaves',
    ),
    line(
      'remove',
      ['scontrol', 'update', ours, 'State=DOWN', reason],
      'jobs of a machine that is lost run again',
    ),
    ...(isListed ? [] : [deleted]),
    line(
      'requeue',
      ['scontrol', 'update', like(`JobId=${JOB}`), `StartTime=now+${START_IN_SECONDS}`],
      'shortens Slurm’s two minutes after a requeue',
    ),
    line('requeue', ['scontrol', like('requeue|release'), like(JOB)], 'back into the queue, or let go there'),
  ]
  return { env: slurmEnv(confFile), lines: [...looks, ...changes] }
}
