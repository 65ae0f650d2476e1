import { KNOCK_WORDS } from '../exec/port-findings.ts'
import { pbsEnv } from '../pbs/commands.ts'
import { JOB, lineMaker, markedWord } from '../pbs/lines.ts'
import { NO_NODE } from '../pbs/privilege.ts'
import {
  HOST,
  HOST_OR_ADDRESS,
  type Line,
  like,
  literally,
  NUMBER,
  type Privileges,
  WORDS,
} from '../privileges.ts'
import type { OpenpbsConfig } from './config.ts'

const JSON_FORM = ['-F', 'json'] as const

/** Every command that this adapter runs. `node` is what the names of our machines are like. */
export function openpbsPrivileges(config: OpenpbsConfig, node: string): Privileges {
  const { server, bin, drainTag, markResource } = config
  const { look, line } = lineMaker(bin)
  const ours = like(node)
  const note = like(`${literally(drainTag)}: ${WORDS}`)
  const resources = [
    ...Object.entries({ ...config.resources, ncpus: '' }).map(([key, value]) =>
      key === 'ncpus'
        ? `resources_available.ncpus=${NUMBER}`
        : literally(`resources_available.${key}=${value}`),
    ),
    `resources_available.${literally(markResource)}=${markedWord('')}`,
  ]

  const looks: readonly Line[] = [
    look('observe', ['id', '-un'], 'whose right it is'),
    look('observe', ['qmgr', '-c', 'print server'], 'queues, limits and who may do what'),
    look('observe', ['qstat', '-B', '-f', ...JSON_FORM], 'the version, and how many jobs there are'),
    look('observe', ['qstat', '-t', '-f', ...JSON_FORM], 'all jobs'),
    {
      ...look('observe', ['qstat', '-x', '-f', ...JSON_FORM, JOB], 'jobs that were there and have ended'),
      rest: JOB,
    },
    look('observe', ['pbsnodes', '-a', ...JSON_FORM], 'all nodes'),
    look('observe', ['pbsnodes', ...JSON_FORM, like(HOST)], 'one node, before and after each change'),
    look('observe', ['pbs_rstat', '-F'], 'when reservations that nodes have begin'),
    look(
      'check',
      ['qmgr', '-c', like('list resource [A-Za-z][A-Za-z0-9_-]*')],
      'whether what jobs ask for has its resource',
    ),
    look('check', ['date', '+%s'], 'the server’s clock'),
    look('check', ['uname', '-n'], 'whether this is the server’s host'),
    look('check', KNOCK_WORDS, 'whether the server and machines answer at their ports'),
    look(
      'check',
      ['getent', 'hosts', like(HOST_OR_ADDRESS)],
      'whether the server’s host knows the names of machines',
    ),
  ]
  const changes: readonly Line[] = [
    line('check', ['qmgr', '-c', `delete node ${NO_NODE}`], 'the refusal tells whether nodes may be changed'),
    line(
      'expect',
      ['qmgr', '-c', like(`create node ${node} ${resources.join(',')}`)],
      'makes the record of a machine, with our mark',
    ),
    line('expect', ['qmgr', '-c', 'set server scheduling = True'], 'wakes the scheduler for a new node'),
    line(
      'drain',
      ['pbsnodes', '-o', '-C', note, ours],
      'no new jobs on a machine that leaves, or is not yet let in',
    ),
    line('resume', ['pbsnodes', '-r', '-C', like(WORDS), ours], 'takes our own drain back, and the comment'),
    line('remove', ['qmgr', '-c', like(`delete node ${node}`)], 'the record of a machine that has left'),
    line('remove', ['qrerun', '-W', 'force', JOB], 'jobs of a machine that is lost run again'),
    line('remove', ['qdel', '-W', 'force', JOB], 'jobs of a lost machine that may not run again'),
    line('requeue', ['qrerun', JOB], 'back into the queue'),
    line('requeue', ['qrls', '-h', 's', JOB], 'lets a job go that the server held when it failed to start'),
  ]
  return { env: pbsEnv(server), lines: [...looks, ...changes] }
}
