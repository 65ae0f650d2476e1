import { z } from 'zod'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import { coded, SubletError } from '../../actors/runtime/errors.ts'
import { period, span } from '../../actors/runtime/sentence.ts'
import { duration } from '../../actors/runtime/settings.ts'
import type { Nodes } from './config.ts'
import type { HeadSays, Opened } from './head.ts'
import type { MachineSays } from './machine.ts'

/** What a machine has to have in common with the head before slurmd is started there. */
export const alikeConfig = z.strictObject({
  /** Their uid and gid are as on the head, and their homes are there. SlurmUser is looked at in any case. */
  users: z
    .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?$/, 'expected the name of a user'))
    .max(50)
    .default([]),
  /** Files and folders that are there, such as one that lies in the shared file system. */
  paths: z.array(z.string().startsWith('/', 'expected an absolute path')).max(20).default([]),
  /** The most that its clock may differ from the head's. */
  clockMax: duration.default(30_000),
})
export type AlikeConfig = z.infer<typeof alikeConfig>

/** One thing that is not as on the head, and what to do. */
export interface Difference {
  readonly sentence: string
  readonly cure: string
}

/** When the machine was asked, and how long until the head had opened its credential. */
export interface Asked {
  /** Our clock when the head opened it. */
  readonly at: Instant
  readonly tookMs: Millis
}

/**
 * What is not as on the head. A node with any of it takes jobs and fails them, or none at all, one after the other:
 *
 *   slurmd -V               SLURM_VERSION                    release
 *   munge ──a credential──▶ unmunge                          key, and by its two times the clocks
 *   getent passwd, homes    getent passwd, SlurmUser         users
 *   paths                                                    paths
 */
export function differences(
  name: string,
  head: HeadSays,
  machine: MachineSays,
  opened: Opened | undefined,
  limits: { readonly config: AlikeConfig; readonly nodes: Nodes; readonly asked: Asked },
): readonly Difference[] {
  const { config, nodes, asked } = limits
  // Nothing was asked after it.
  if (machine.hung !== undefined) return [hangs(name, machine.hung)]
  return [
    ...releases(name, head.version, machine.version, nodes),
    ...keys(name, machine, opened),
    ...(opened?.kind === 'opened' ? clocks(name, opened, config.clockMax, asked) : []),
    ...users(name, head, machine),
    ...machine.missing.map((path) => ({
      sentence: `${path} is not on ${name}`,
      cure: 'Mount the shared file system in the image, or correct alike.paths.',
    })),
  ]
}

/** Slurm's releases in their order. Of one that came later nothing is known but that it is newer than these. */
const RELEASES = '19.05 20.02 20.11 21.08 22.05 23.02 23.11 24.05 24.11 25.05 25.11'.split(' ')
/** From this one on slurmctld understands slurmd of the three releases before its own, earlier ones of the two. */
const THREE_BEFORE = '24.11'

/** As Slurm's own rule for upgrades says; what cannot be told from the list slurmctld is left to tell. */
function understands(head: string, machine: string): boolean {
  // Two digits, a dot, two digits: they sort as they are.
  if (machine >= head) return machine === head
  const [last, its] = [RELEASES.indexOf(head), RELEASES.indexOf(machine)]
  if (last === -1) return true
  return its !== -1 && last - its <= (head >= THREE_BEFORE ? 3 : 2)
}

/** The first whose slurmd can bring its node's record itself (`slurmd -Z`). */
const BRINGS_ITSELF = '22.05'

const releaseOf = (version: string): string | undefined => /(\d+\.\d+)/.exec(version)?.[1]

function releases(
  name: string,
  ofHead: string,
  ofMachine: string | undefined,
  nodes: Nodes,
): readonly Difference[] {
  const cure = `Install slurmd ${ofHead} in the image.`
  if (ofMachine === undefined) return [{ sentence: `slurmd is not on ${name}`, cure }]
  const head = releaseOf(ofHead) ?? ofHead
  const machine = releaseOf(ofMachine) ?? ofMachine
  if (!understands(head, machine))
    return [
      { sentence: `slurmd of ${name} is ${ofMachine}, which slurmctld ${ofHead} does not accept`, cure },
    ]
  if (nodes === 'self' && machine < BRINGS_ITSELF)
    return [
      {
        sentence: `slurmd of ${name} is ${ofMachine}, and one that brings its node itself (-Z) is ${BRINGS_ITSELF} at least`,
        cure: `${cure.slice(0, -1)}, or configure nodes: fixed.`,
      },
    ]
  return []
}

function keys(name: string, { munge }: MachineSays, opened: Opened | undefined): readonly Difference[] {
  if (munge?.kind === 'failed')
    return [
      {
        sentence: `munge does not work on ${name}: ${munge.words}`,
        cure: 'Have the image start munged before sshd.',
      },
    ]
  return opened?.kind === 'refused'
    ? [
        {
          sentence: `the munge key of ${name} is not that of the head (${opened.words})`,
          cure: 'Copy /etc/munge/munge.key of the head into the image, and start munged there anew.',
        },
      ]
    : []
}

/** `date +%s`, and munge, leave out the rest of the second. */
const SECOND_MS: Millis = 1000

/** Of three clocks the one that differs from both others is wrong. */
function clocks(
  name: string,
  { sealedAt, openedAt }: Opened & { kind: 'opened' },
  clockMax: Millis,
  { at, tookMs }: Asked,
): readonly Difference[] {
  const least = sealedAt - openedAt - SECOND_MS
  const most = sealedAt - openedAt + SECOND_MS + tookMs
  const off = least > clockMax ? least : most < -clockMax ? most : undefined
  if (off === undefined) return []
  const said = `${span(Math.abs(sealedAt - openedAt))} ${off > 0 ? 'ahead of' : 'behind'} the head’s; ${period(clockMax)} is the most (alike.clockMax)`
  const isNear = (instant: Instant): boolean => Math.abs(instant - at) <= clockMax + SECOND_MS + tookMs
  const [headAgrees, machineAgrees] = [isNear(openedAt), isNear(sealedAt)]
  if (machineAgrees && !headAgrees)
    return [
      {
        sentence: `the clock of ${name} is ${said}; ours agrees with that of ${name}, so the head’s is wrong`,
        cure: 'Set the head’s clock right, and keep it by NTP.',
      },
    ]
  if (headAgrees && !machineAgrees)
    return [
      {
        sentence: `the clock of ${name} is ${said}`,
        cure: `Set the clock of ${name} right: keep that of its host by NTP.`,
      },
    ]
  return [{ sentence: `the clock of ${name} is ${said}`, cure: 'Keep both by NTP.' }]
}

function users(name: string, head: HeadSays, machine: MachineSays): readonly Difference[] {
  const asOnHead = 'Give the image the users of the head: the same passwd or directory (LDAP, sssd).'
  return [...head.users].flatMap(([user, { uid, gid, home }]): readonly Difference[] => {
    const there = machine.users.get(user)
    if (there === undefined) return [{ sentence: `${name} does not know the user ${user}`, cure: asOnHead }]
    if (there.uid !== uid)
      return [{ sentence: `${user} has uid ${there.uid} on ${name} and ${uid} on the head`, cure: asOnHead }]
    if (gid !== undefined && there.gid !== gid)
      return [{ sentence: `${user} has gid ${there.gid} on ${name} and ${gid} on the head`, cure: asOnHead }]
    return home !== undefined && machine.homeless.includes(user)
      ? [
          {
            sentence: `${there.home}, the home of ${user}, is not on ${name}`,
            cure: 'Mount the homes in the image.',
          },
        ]
      : []
  })
}

const hangs = (name: string, what: string): Difference => ({
  sentence: `${what} hangs on ${name}`,
  cure: 'Run it there by hand: a file server or a directory that it waits for does not answer.',
})

/** With the code and every cure in the sentence, for that is what comes into the ledger. */
export function unlike(name: string, found: readonly Difference[]): SubletError {
  const cure = [...new Set(found.map((each) => each.cure))].join(' ')
  const sentence = `${name} is not like the head: ${found.map((each) => each.sentence).join('; ')}`
  return new SubletError('machine-unlike', `${coded('machine-unlike', sentence)}. ${cure}`, { cure })
}
