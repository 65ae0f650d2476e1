import type { SlurmLab } from './lab.ts'
import { machinePrefix } from './machine-groups.ts'

export interface SiteText {
  readonly lab: SlurmLab
  /** Sublet's work folder. */
  readonly dir: string
  /** The guest's key into its machines: a file, and its public line; other users' lines may follow. */
  readonly privateKeyFile: string
  readonly publicKey: string
  readonly max: number
  readonly termSeconds: number
}

/** The configuration of the lab's site: namespace machines that run slurmd -Z, watched by GROC. */
export function siteText({ lab, dir, privateKeyFile, publicKey, max, termSeconds }: SiteText): string {
  const value = {
    name: 'lab',
    dir,
    site: {
      name: 'rack',
      hosts: [{ name: 'this-host', cpu: 2 * max, memoryMiB: 900 * max }],
      machines: {
        kind: 'namespace',
        dir: `${dir}/machines`,
        netns: lab.netns,
        bridge: lab.bridge,
        subnet: '10.88.0.0/24',
        namePrefix: machinePrefix(lab.runId),
        images: { worker: { root: 'host', binds: [lab.dir, '/sys/fs/cgroup'] } },
        sshd: { port: 22 },
        hosts: lab.hostsFile,
        busyProcesses: ['slurmstepd', 'epilog.sh'],
      },
      types: { worker: { cpu: 2, memoryMiB: 900, image: 'worker', units: max } },
      probe: [
        { run: ['getent', 'hosts', 'head'], timeout: '3s' },
        { run: ['test', '-S', `${lab.dir}/munge/s`], timeout: '3s' },
      ],
      terms: { grace: '10m', recallable: true, notice: '1m' },
      names: { prefix: 'n', slots: 60 },
      timing: {
        setup: '30s',
        sweepEvery: '2s',
        probeEvery: '20s',
        retry: '500ms',
        backoff: '1s',
        teardown: '30s',
      },
    },
    serviceManager: {
      leaveBudget: '5s',
      join: '30s',
      leave: '30s',
      retry: '500ms',
      poll: '1s',
      lookTimeout: '10s',
    },
    guests: [
      {
        name: 'grid',
        batch: {
          kind: 'slurm',
          confFile: lab.confFile,
          partition: lab.partition,
          feature: lab.feature,
          format: 'json',
          through: lab.throughHead(),
          watchPaths: lab.watchPaths,
          cpusOfMachine: 2,
          lockFolder: lab.dir,
        },
        join: {
          kind: 'ssh-slurmd',
          confFile: lab.confFile,
          feature: lab.feature,
          logFile: `${lab.dir}/log/%n.log`,
          alike: { users: ['daemon'], paths: [lab.confFile] },
          ssh: { privateKeyFile },
        },
        controller: {
          kind: 'groc',
          type: 'worker',
          unit: { cpus: 2, memoryMiB: 900 },
          min: 0,
          max,
          step: 4,
          grow: { wait: '0s' },
          shrink: { idle: '3s' },
          term: `${termSeconds}s`,
          settle: '300ms',
          every: '2s',
          retry: { first: '1s', most: '5s' },
          missing: '10s',
          ownNodes: 'ignore',
        },
        properties: { image: 'worker', 'ssh.authorizedKey': publicKey },
      },
    ],
  }
  // JSON is YAML, and every string arrives as it is.
  return `${JSON.stringify(value, null, 2)}\n`
}
