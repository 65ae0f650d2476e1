import { isIPv4 } from 'node:net'
import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { duration, name } from '../../actors/runtime/settings.ts'

const path = z.string().refine(isAbsolute, 'expected an absolute path')

/** Of these the kernel's overlay options are put together, which know no quotes. */
const overlayPath = path.refine(
  (text) => !/[\s,:\\]/.test(text),
  'expected a path without spaces, commas and colons',
)

const subnet = z.string().refine((text) => {
  const [network = '', bits = ''] = text.split('/')
  return isIPv4(network) && /^([89]|1\d|2[0-4])$/.test(bits)
}, 'expected a network such as 10.88.0.0/24, of 8 to 24 bits')

const image = z.strictObject({
  /** `host`: the host's own files, read through; or a folder with a root file system. */
  root: z.union([z.literal('host'), overlayPath]).default('host'),
  /** Shown at the same place inside, with what is mounted below them. */
  binds: z.array(path).default([]),
  readOnlyBinds: z.array(path).default([]),
  /** Written into each machine: path and content. */
  files: z.record(path, z.string()).default({}),
  /** Commands that run inside, in order, before the machine can be reached; one that fails ends it. */
  boot: z.array(z.array(z.string()).min(1)).default([]),
})
export type Image = z.infer<typeof image>

export const namespaceMachinesConfig = z.strictObject({
  /** Sublet's own folder on this host: a record, a console log and the dead-man's orders for each machine. */
  dir: overlayPath,
  /** The site's network namespace, by name or path; undefined: the one Sublet runs in. */
  netns: z.string().min(1).optional(),
  /** The bridge in it that the machines are put into; it must exist. */
  bridge: z.string().regex(/^[^\s/]{1,15}$/, 'expected the name of an interface'),
  /** The machine in slot k has the address number 100 + k. */
  subnet,
  gateway: z.string().refine(isIPv4, 'expected an IPv4 address').optional(),
  /** Begins the names of cgroups and interfaces, so that an admin sees whose they are. */
  namePrefix: z
    .string()
    .regex(/^[a-z][a-z0-9]{0,5}$/, 'expected up to six letters and digits')
    .default('sublet'),
  images: z.record(name, image),
  sshd: z.strictObject({
    port: z.int().min(1).max(65_535).default(22),
    /** Public keys of the site, one per line; the guest's own comes with the unit. */
    authorizedKeys: path.optional(),
  }),
  /** What a machine may write to its root, in memory. */
  tmpfsMiB: z.int().min(16).default(512),
  /** Becomes /etc/hosts of each machine. */
  hosts: path.optional(),
  /** A process of such a name (as in /proc/PID/comm) is work: the machine is busy. */
  busyProcesses: z.array(z.string().min(1)).default(['slurmstepd']),
  setupTimeout: duration.default(30_000),
  teardownTimeout: duration.default(15_000),
  /** How long the dead-man may take to confirm a new end. */
  confirmTimeout: duration.default(5_000),
})
export type NamespaceMachinesConfig = z.infer<typeof namespaceMachinesConfig>
