import { KNOCK_WORDS } from '../exec/port-findings.ts'
import { pbsEnv } from '../pbs/commands.ts'
import { JOB, lineMaker, markedWord, propertiesOf } from '../pbs/lines.ts'
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
import type { TorqueConfig } from './config.ts'

/** Every command that this adapter runs. `node` is what the names of our machines are like. */
export function torquePrivileges(config: TorqueConfig, node: string): Privileges {
  const { server, bin, scheduler, drainTag } = config
  const { look, line } = lineMaker(bin)
  const ours = like(node)
  const note = like(`${literally(drainTag)}: ${WORDS}`)
  const own = propertiesOf(markedWord('sublet_'), config.properties)
  const make = `create node ${node} np=${NUMBER},properties="${own}"`
  const drop = `delete node ${node}`
  const hold = ['set server scheduling = False', like(drop), like(make), 'set server scheduling = True']

  const looks: readonly Line[] = [
    look('observe', ['id', '-un'], 'whose right it is'),
    look('observe', ['date', '+%s'], 'the server’s clock'),
    look('observe', ['qmgr', '-c', 'print server'], 'queues, limits and who may do what'),
    look('observe', ['qstat', '-B', '-f'], 'the version, and how many jobs there are'),
    look('observe', ['qstat', '-x', '-t'], 'all jobs'),
    look('observe', ['pbsnodes', '-x'], 'all nodes'),
    look('observe', ['pbsnodes', '-x', like(HOST)], 'one node, before and after each change'),
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
    line('expect', ['qmgr', '-c', like(make)], 'makes the record of a machine, with our mark'),
    line('expect', ['pbsnodes', '-N', note, ours], 'notes that the new record is not yet let in'),
    {
      ...line('expect', ['qmgr'], 'makes the record anew for a machine that has another address'),
      inputs: [[like(drop), like(make)], hold],
    },
    line('expect', ['qmgr', '-c', 'set server scheduling = True'], 'wakes the scheduler for a new node'),
    line('drain', ['pbsnodes', '-o', '-N', note, ours], 'no new jobs on a machine that leaves'),
    line('resume', ['pbsnodes', '-c', '-N', like(WORDS), ours], 'takes our own drain back, and the note'),
    line('remove', ['qmgr', '-c', like(drop)], 'the record of a machine that has left'),
    line('remove', ['qrerun', '-f', JOB], 'jobs of a machine that is lost run again'),
    line('remove', ['qdel', '-p', JOB], 'jobs of a lost machine that may not run again'),
    line('requeue', ['qrerun', JOB], 'back into the queue'),
    line('requeue', ['qrls', '-h', 's', JOB], 'lets a job go that the server held when it failed to start'),
  ]
  // With none pbs_sched deletes what waits.
  const lastRecord: readonly Line[] = [
    line('expect', ['qmgr', '-c', like(`set node ${node} np=${NUMBER}`)], 'takes the kept record over'),
    line('expect', ['qmgr', '-c', like(`set node ${node} properties="${own}"`)], 'marks it, or keeps it'),
  ]
  return {
    env: pbsEnv(server),
    lines: [...looks, ...changes, ...(scheduler === 'pbs_sched' ? lastRecord : [])],
  }
}
