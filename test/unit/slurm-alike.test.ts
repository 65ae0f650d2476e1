import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { NodeMark } from '../../adapters/batch-system.ts'
import { farHead } from '../../adapters/exec/far-head.ts'
import type { Executor, Finished } from '../../adapters/executor.ts'
import type { JoinUnit } from '../../adapters/join.ts'
import { alikeConfig, differences } from '../../adapters/slurm/alike.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import { type Head, type HeadSays, type Opened, slurmHead } from '../../adapters/slurm/head.ts'
import { slurmJoin, slurmJoinConfig } from '../../adapters/slurm/join.ts'
import { EXAMINE, type MachineSays, machineSays } from '../../adapters/slurm/machine.ts'
import { slurmPrivileges } from '../../adapters/slurm/privileges.ts'
import { alikeFindings } from '../../deploy/commands/check-middleware.ts'
import { ssh } from '../../deploy/settings/guest-schema.ts'
import { listedOnly } from '../conformance/listed.ts'
import { handClock } from '../emulated/clocks.ts'

const never = new AbortController().signal
const NOW = 1_796_072_655_000
const MINUTE = 60_000

const config = alikeConfig.parse({ users: ['ada'], paths: ['/home/.shared'] })
const HEAD: HeadSays = {
  version: '22.05.8',
  socket: 'default',
  users: new Map([
    ['slurm', { uid: 64030 }],
    ['ada', { uid: 1001, gid: 100, home: '/home/ada' }],
  ]),
}
const MACHINE: MachineSays = {
  isRunning: false,
  version: '22.05.8',
  munge: { kind: 'sealed', credential: 'MUNGE:AAAA:' },
  users: new Map([
    ['slurm', { uid: 64030, gid: 64030, home: '/nonexistent' }],
    ['ada', { uid: 1001, gid: 100, home: '/home/ada' }],
  ]),
  homeless: ['slurm'],
  missing: [],
  hung: undefined,
}
const AT: Opened = { kind: 'opened', sealedAt: NOW, openedAt: NOW }

interface Case {
  readonly head?: Partial<HeadSays>
  readonly machine?: Partial<MachineSays>
  readonly opened?: Opened
  readonly nodes?: 'self' | 'fixed'
  readonly at?: number
  readonly tookMs?: number
}
const found = ({ head, machine, opened = AT, nodes = 'self', at = NOW, tookMs = 100 }: Case = {}) =>
  differences('n1', { ...HEAD, ...head }, { ...MACHINE, ...machine }, opened, {
    ...{ config, nodes, asked: { at, tookMs } },
  }).map(({ sentence }) => sentence)

describe('a machine beside the head', () => {
  test('that is like it has no difference; the home of SlurmUser does not matter', () => {
    expect(found()).toEqual([])
  })

  test.each<[string, string, 'self' | 'fixed', string[]]>([
    ['22.05.8', '22.05.11', 'self', []],
    ['22.05.8', '20.11.4', 'fixed', []],
    ['22.05.8', '21.08.5', 'self', ['one that brings its node itself (-Z) is 22.05 at least']],
    ['22.05.8', '20.02.7', 'fixed', ['which slurmctld 22.05.8 does not accept']],
    ['22.05.8', '23.02.1', 'self', ['which slurmctld 22.05.8 does not accept']],
    ['23.11.4', '23.11.1', 'self', []],
    ['23.11.4', '22.05.8', 'self', []],
    ['23.11.4', '21.08.8', 'fixed', ['which slurmctld 23.11.4 does not accept']],
    ['24.05.1', '22.05.8', 'self', ['which slurmctld 24.05.1 does not accept']],
    ['24.11.0', '23.02.7', 'self', []],
    ['24.11.0', '22.05.8', 'self', ['which slurmctld 24.11.0 does not accept']],
    // A release that nobody here has heard of.
    ['31.05.0', '25.11.1', 'self', []],
    ['31.05.0', '31.11.1', 'self', ['which slurmctld 31.05.0 does not accept']],
  ])('slurmctld %s and slurmd %s, nodes %s', (ofHead, version, nodes, wanted) => {
    const said = found({ head: { version: ofHead }, machine: { version }, nodes })
    expect(said).toEqual(wanted.map((words) => expect.stringContaining(words)))
  })

  test('without slurmd, without munged, with another key', () => {
    expect(found({ machine: { version: undefined } })).toEqual(['slurmd is not on n1'])
    expect(found({ machine: { munge: { kind: 'failed', words: 'no socket' } } })).toEqual([
      'munge does not work on n1: no socket',
    ])
    expect(found({ opened: { kind: 'refused', words: 'Invalid credential' } })).toEqual([
      'the munge key of n1 is not that of the head (Invalid credential)',
    ])
  })

  test('with other numbers, without a user or a home, without a path', () => {
    const users = (over: object) =>
      new Map([...MACHINE.users, ['ada', { uid: 1001, gid: 100, home: '/home/ada', ...over }]] as const)
    expect(found({ machine: { users: users({ uid: 2001 }) } })).toEqual([
      'ada has uid 2001 on n1 and 1001 on the head',
    ])
    expect(found({ machine: { users: users({ gid: 7 }) } })).toEqual([
      'ada has gid 7 on n1 and 100 on the head',
    ])
    expect(found({ machine: { users: new Map() } })).toEqual([
      'n1 does not know the user slurm',
      'n1 does not know the user ada',
    ])
    expect(found({ machine: { homeless: ['ada'], missing: ['/home/.shared'] } })).toEqual([
      '/home/ada, the home of ada, is not on n1',
      '/home/.shared is not on n1',
    ])
  })

  test('where a question hangs, that is all that is said: nothing was asked after it', () => {
    expect(found({ machine: { hung: '/home/ada', users: new Map(), version: undefined } })).toEqual([
      '/home/ada hangs on n1',
    ])
  })
})

describe('of the three clocks', () => {
  const at = (machine: number, head: number, ours = 0, tookMs = 100) =>
    found({
      opened: { kind: 'opened', sealedAt: NOW + machine * MINUTE, openedAt: NOW + head * MINUTE },
      ...{ at: NOW + ours * MINUTE, tookMs },
    })

  test.each([10, -10])('the machine’s is %i min off', (off) => {
    expect(at(off, 0)).toEqual([
      `the clock of n1 is 10 min ${off > 0 ? 'ahead of' : 'behind'} the head’s; 30 s is the most (alike.clockMax)`,
    ])
  })

  test.each([10, -10])('the head’s is %i min off, and it is named', (off) => {
    expect(at(0, off)).toEqual([
      `the clock of n1 is 10 min ${off > 0 ? 'behind' : 'ahead of'} the head’s; 30 s is the most (alike.clockMax); ours agrees with that of n1, so the head’s is wrong`,
    ])
  })

  test.each([10, -10])('ours is %i min off, which is no fault of the machine', (off) => {
    expect(at(0, 0, off)).toEqual([])
  })

  test('all three differ: nobody is said to be wrong', () => {
    expect(at(10, 0, 5)).toEqual([expect.not.stringContaining('wrong')])
  })

  test('what the way and whole seconds may have cost is not held against it', () => {
    const late = (seconds: number, tookMs: number) =>
      found({ opened: { kind: 'opened', sealedAt: NOW - seconds * 1000, openedAt: NOW }, tookMs })
    expect(late(31, 0)).toEqual([])
    expect(late(32, 0)).toHaveLength(1)
    expect(late(45, 15_000)).toEqual([])
    expect(late(50, 15_000)).toHaveLength(1)
  })
})

describe('what a machine says', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sublet-alike-'))
  afterAll(() => rmSync(dir, { recursive: true }))
  const bin = join(dir, 'bin')
  mkdirSync(bin)
  mkdirSync(join(dir, 'home'))
  const program = (name: string, lines: string) => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${lines}\n`)
    chmodSync(join(bin, name), 0o755)
  }
  program('slurmd', 'echo slurm-wlm 22.05.8')
  program('munge', 'echo "MUNGE:$(printf "%s\\n" "$*" | base64 -w0):"')
  program(
    'getent',
    `echo ada:x:1001:100::${join(dir, 'home')}:/bin/sh; echo eve:x:1002:100::${dir}/none:/bin/sh; exit 2`,
  )
  const says = (users: string, paths: readonly string[], { conf = '', more = '' } = {}) => {
    writeFileSync(join(dir, 'slurm.conf'), conf)
    const script = `slurmds() { :; }\n${more}${EXAMINE}`
    const done = spawnSync('sh', ['-c', script, 'sh', 'marks', '/head/s', users, ...paths], {
      env: { PATH: `${bin}:/usr/bin:/bin`, SLURM_CONF: conf === '' ? '/none' : join(dir, 'slurm.conf') },
      encoding: 'utf8',
    })
    expect(done.stderr).toBe('')
    return machineSays(done.stdout)
  }
  const sealed = (words: string) => ({ kind: 'sealed', credential: `MUNGE:${btoa(`${words}\n`)}:` })

  test('its slurmd, a credential, the users that it knows, and what is not there', () => {
    expect(says('ada eve bob', [dir, join(dir, 'a path')])).toEqual({
      ...{ isRunning: false, version: '22.05.8', munge: sealed('-n --socket=/head/s') },
      users: new Map([
        ['ada', { uid: 1001, gid: 100, home: join(dir, 'home') }],
        ['eve', { uid: 1002, gid: 100, home: `${dir}/none` }],
      ]),
      ...{ homeless: ['eve'], missing: [join(dir, 'a path')], hung: undefined },
    })
  })

  test('by the munged that its own slurm.conf names, before the head’s', () => {
    const own = 'ClusterName=x\nauthinfo=ttl=5,socket=/own/s\n'
    expect(says('', [], { conf: own }).munge).toEqual(sealed('-n --socket=/own/s'))
    expect(says('', [], { conf: 'ClusterName=x\n' }).munge).toEqual(sealed('-n'))
  })

  test('nothing but that where its slurmd runs already', () => {
    expect(says('ada', ['/none'], { more: 'slurmds() { echo 17; }\n' })).toMatchObject({
      ...{ isRunning: true, version: undefined, missing: [] },
    })
  })

  test('what hangs is ended and named, and nothing is asked after it', () => {
    program('timeout', 'shift 3; case "$*" in "test -e /dead") exit 137 ;; esac; exec "$@"')
    expect(says('ada', ['/dead', '/none'])).toMatchObject({ hung: '/dead', missing: [] })
    rmSync(join(bin, 'timeout'))
  })

  test('none of what is said beside an answer, and a line of a user whatever stands in it', () => {
    const lines = `adaX:x:1:1::/:/bin/sh\nada:x:1001:100:CORP\\carol \\n:${join(dir, 'home')}:/bin/sh`
    writeFileSync(join(dir, 'lines'), lines)
    program('getent', `echo 'getent: a warning' >&2; cat ${join(dir, 'lines')}`)
    program('slurmd', 'echo warning 1.2.3 >&2; echo slurm-wlm 22.05.8')
    program('munge', 'echo a warning >&2; echo MUNGE:AAAA=:')
    expect(says('ada', [])).toMatchObject({
      ...{ version: '22.05.8', munge: { kind: 'sealed', credential: 'MUNGE:AAAA=:' }, homeless: [] },
      users: new Map([['ada', { uid: 1001, gid: 100, home: join(dir, 'home') }]]),
    })
    program('munge', 'echo "munge: Error: no key" >&2; exit 1')
    expect(says('', []).munge).toEqual({ kind: 'failed', words: 'no key' })
  })

  test('munge that does not work, in its own words and in one line', () => {
    expect(
      machineSays('unsealed munge: Error: Failed to access "/run/s": No such file\nx\u001b[2J').munge,
    ).toEqual({
      ...{ kind: 'failed', words: 'Failed to access "/run/s": No such file' },
    })
  })
})

describe('a join', () => {
  const unit: JoinUnit = {
    ...{ unitId: 'unit-3k9f', leaseId: 'lease-7f3a', name: 'n1' },
    ...{ vector: { cpu: 2, memoryMiB: 1000 }, facts: {} },
  }
  const finished = (over: Partial<Finished>): Finished => ({
    ...{ exitCode: 0, signal: null, stdout: '', stderr: '' },
    ...over,
  })
  const CONFIG = `SLURM_VERSION = 22.05.8\nAuthType = auth/munge\nAuthInfo = socket=/s\nSlurmUser = root(0)\n`
  const OPENED = `STATUS:          Success (0)
ENCODE_TIME:     2026-11-30 21:04:15 +0000 (${NOW / 1000})
DECODE_TIME:     2026-11-30 21:04:15 +0000 (${NOW / 1000})
`
  /** A head that answers so, of which nothing is asked that is not on the list. */
  const world = (
    answers: {
      unmunge?: Partial<Finished> | undefined
      passwd?: string
      getent?: Partial<Finished>
      /** What running anything there ends with. */
      away?: SubletError | undefined
    } = {},
    said = '',
  ) => {
    const asked: string[] = []
    const started: string[] = []
    const examined: string[] = []
    const answer = (argv: readonly string[]): Finished => {
      if (argv[0] === 'scontrol') return finished({ stdout: CONFIG })
      if (argv[0] === 'unmunge') return finished(answers.unmunge ?? { stdout: OPENED })
      if (answers.getent !== undefined) return finished(answers.getent)
      return finished({ stdout: answers.passwd ?? 'ada:x:1001:100::/home/ada:/bin/sh\n', exitCode: 2 })
    }
    const onHead: Executor = {
      name: 'head',
      run: async (argv, { input }) => {
        if (answers.away !== undefined) throw answers.away
        asked.push(`${argv.join(' ')}${input === undefined ? '' : ` <<${input.trim()}`}`)
        return answer(argv)
      },
      close: async () => undefined,
    }
    const machine: Executor = {
      name: 'n1',
      run: async (argv) => {
        if (argv[2]?.includes('slurmd -Z')) started.push(argv.join(' '))
        else examined.push(argv.slice(4).join(' '))
        return finished(argv[2]?.includes('slurmd -Z') ? {} : { stdout: said })
      },
      close: async () => undefined,
    }
    const clock = handClock(NOW)
    const batch = slurmConfig.parse({ partition: 'dyn' })
    const listed = listedOnly(onHead, slurmPrivileges(batch, 'n[0-9]+', ['ada']))
    const head = slurmHead(batch, farHead(listed), { clock })
    const joining = slurmJoin(slurmJoinConfig.parse({ alike: { users: ['ada'] } }), () => machine, {
      head,
      clock,
    })
    return {
      asked,
      started,
      examined,
      clock,
      join: (over: readonly NodeMark[] = []) => joining.join({ ...unit, over }, never),
    }
  }
  /** What becomes of it within a minute and a little more. */
  const inMinute = async (clock: ReturnType<typeof handClock>, work: Promise<unknown>): Promise<unknown> => {
    work.catch(() => undefined)
    for (let at = clock.now() + 1_000; at <= NOW + 70_000; at += 1_000) {
      await new Promise(setImmediate)
      await clock.moveTo(at)
    }
    return work
  }
  const RIGHT = `version slurm-wlm 22.05.8\nmunge MUNGE:AAAA=:\nuser root:x:0:0::/root:/bin/sh\nuser ada:x:1001:100::/home/ada:/bin/sh\n`

  test('of a machine like the head starts slurmd; what the head says is asked once a minute, credentials each time', async () => {
    const { asked, started, clock, join: joined } = world({}, RIGHT)
    await joined()
    await joined()
    expect(started).toHaveLength(2)
    const opened = 'unmunge --socket=/s <<MUNGE:AAAA=:'
    expect(asked).toEqual(['scontrol show config', 'getent passwd ada', opened, opened])
    await clock.moveTo(NOW + 61_000)
    await joined()
    expect(asked).toHaveLength(7)
  })

  test('of one with another key and other users is refused with all of it, its code and its cures, and starts nothing', async () => {
    const { started, join: joined } = world(
      { unmunge: { exitCode: 14, stderr: 'unmunge: Error: Invalid credential\n' } },
      RIGHT.replace('1001', '2001'),
    )
    await expect(joined()).rejects.toMatchObject({
      code: 'machine-unlike',
      message:
        'n1 is not like the head: the munge key of n1 is not that of the head (Invalid credential); ada has uid 2001 on n1 and 1001 on the head (machine-unlike). Copy /etc/munge/munge.key of the head into the image, and start munged there anew. Give the image the users of the head: the same passwd or directory (LDAP, sssd).',
    })
    expect(started).toEqual([])
  })

  test('of one whose slurmd runs already looks at nothing: its jobs go on', async () => {
    const { asked, started, join: joined } = world({}, 'running\n')
    await joined()
    expect(started).toHaveLength(1)
    expect(asked.filter((line) => line.startsWith('unmunge'))).toEqual([])
  })

  test('takes a slurmd that an earlier lease left for no reason to look away', async () => {
    const { examined, started, join: joined } = world({}, RIGHT)
    await joined([{ leaseId: 'lease-old', unitId: 'unit-old' }])
    expect(started[0]).toContain('sublet_lease-old_unit-old')
    expect(examined).toEqual(['sublet_lease-7f3a_unit-3k9f /s root ada'])
  })

  test('blames no machine for a head without munged, or for a user that the head does not know', async () => {
    const away = { exitCode: 6, stderr: 'unmunge: Error: Failed to access "/s"' }
    const deaf = world({ unmunge: away }, RIGHT)
    const waited = inMinute(deaf.clock, deaf.join())
    await expect(waited).rejects.toMatchObject({ code: 'middleware-unreachable' })
    expect(deaf.asked.filter((line) => line.startsWith('unmunge')).length).toBeGreaterThan(5)
    const refused = world({ getent: { exitCode: 126, stderr: 'sublet-rights: refused' } }, RIGHT)
    await expect(inMinute(refused.clock, refused.join())).rejects.toMatchObject({
      code: 'middleware-unreachable',
      message: 'getent on the head failed: sublet-rights: refused',
    })
    const strange = world({ passwd: 'eve:x:1:1::/:/bin/sh\n' }, RIGHT)
    await expect(strange.join()).rejects.toMatchObject({
      code: 'config-invalid',
      message: 'alike.users names ada, whom the head does not know',
    })
  })

  test('waits for a head that is away for a moment, and then starts slurmd', async () => {
    const answers: Parameters<typeof world>[0] = { unmunge: { exitCode: 6, stderr: 'unmunge: Error: away' } }
    const { clock, started, join: joined } = world(answers, RIGHT)
    const joining = joined()
    await clock.moveTo(NOW + 12_000)
    answers.unmunge = undefined
    await inMinute(clock, joining)
    expect(started).toHaveLength(1)
  })

  test('waits likewise for a head that is not reached over ssh, and holds that against no machine', async () => {
    const answers: Parameters<typeof world>[0] = {
      away: new SubletError('ssh-unreachable', 'ssh sublet@head: no connection', { cure: 'Look there.' }),
    }
    const deaf = world(answers, RIGHT)
    await expect(inMinute(deaf.clock, deaf.join())).rejects.toMatchObject({
      ...{ code: 'middleware-unreachable', cure: 'Look there.' },
      message: 'The head is not reached: ssh sublet@head: no connection',
    })
    expect(deaf.started).toEqual([])
    const back = world(answers, RIGHT)
    const joining = back.join()
    await back.clock.moveTo(NOW + 12_000)
    answers.away = undefined
    await inMinute(back.clock, joining)
    expect(back.started).toHaveLength(1)
  })

  test('hands the head nothing that is no credential', async () => {
    const { asked, join: joined } = world({}, RIGHT.replace('MUNGE:AAAA=:', 'MUNGE:AA; rm -rf /:'))
    await expect(joined()).rejects.toMatchObject({ code: 'machine-unlike' })
    expect(asked.filter((line) => line.startsWith('unmunge'))).toEqual([])
  })
})

describe('check middleware', () => {
  const joining = (alike: object) => ({
    ...{ kind: 'ssh-slurmd' as const, ...slurmJoinConfig.parse({ alike }) },
    ssh: ssh.parse({ privateKeyFile: '/key' }),
  })
  const knows = (says: () => Promise<HeadSays>): Head => ({
    says,
    open: () => Promise.reject(new Error('not asked')),
  })
  const right = knows(async () => HEAD)

  test('tells of users that the head does not know, and that nobody said what machines must have', async () => {
    const strange = knows(() => Promise.reject(new SubletError('config-invalid', 'alike.users names bob')))
    expect(await alikeFindings(joining({ users: ['bob'], paths: ['/home/x'] }), strange)).toEqual([
      expect.objectContaining({ severity: 'missing', about: 'settings', sentence: 'alike.users names bob.' }),
    ])
    for (const alike of [{}, { users: ['ada'] }, { paths: ['/home/x'] }])
      expect(await alikeFindings(joining(alike), right)).toEqual([
        expect.objectContaining({
          severity: 'unwise',
          cure: 'Name some in join.alike.users and join.alike.paths.',
        }),
      ])
    expect(await alikeFindings(joining({ users: ['ada'], paths: ['/home/x'] }), right)).toEqual([])
  })
})
