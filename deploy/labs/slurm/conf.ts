/** The texts of the lab: one slurm.conf for every machine, one hosts file, one epilog. */

export interface LabText {
  readonly dir: string
  readonly slurmdTimeoutSeconds: number
  readonly extraConf: readonly string[]
}

/** Slots that have a name and an address from the start: n1 .. n60 at 10.88.0.101 .. 160. */
const SLOTS = 60

export const HEAD_ADDRESS = '10.88.0.1'
export const STATIC_ADDRESS = '10.88.0.11'
export const slotName = (slot: number): string => `n${slot}`
export const slotAddress = (slot: number): string => `10.88.0.${100 + slot}`

export function hostsText(): string {
  const lines = ['127.0.0.1 localhost', `${HEAD_ADDRESS} head`, `${STATIC_ADDRESS} static1`]
  for (let slot = 1; slot <= SLOTS; slot++) lines.push(`${slotAddress(slot)} ${slotName(slot)}`)
  return `${lines.join('\n')}\n`
}

/**
 * Slurm 22.05. `NoInAddrAny` makes every daemon listen on the address of its own host name only; a
 * slurmd keeps its socket and pid below /run, which is each machine's own.
 */
export function slurmConfText({ dir, slurmdTimeoutSeconds, extraConf }: LabText): string {
  return `ClusterName=lab
SlurmctldHost=head(${HEAD_ADDRESS})
SlurmctldPort=6817
SlurmdPort=6818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=${dir}/munge/s
CredType=cred/munge
StateSaveLocation=${dir}/state
SlurmdSpoolDir=/run/slurmd
SlurmctldPidFile=${dir}/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=${dir}/log/slurmctld.log
SlurmdLogFile=${dir}/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0,sched_interval=5,bf_interval=1
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmdParameters=config_overrides
MaxNodeCount=100
TreeWidth=65533
ReturnToService=1
SlurmctldTimeout=30
SlurmdTimeout=${slurmdTimeoutSeconds}
MessageTimeout=10
KillWait=2
MinJobAge=60
Epilog=${dir}/epilog.sh
JobCompType=jobcomp/filetxt
JobCompLoc=${dir}/log/jobcomp.txt
Licenses=lab:1
NodeSet=dynset Feature=dynf
NodeName=static1 NodeAddr=${STATIC_ADDRESS} CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=dyn Nodes=dynset Default=YES DefaultTime=60 MaxTime=INFINITE State=UP
PartitionName=static Nodes=static1 MaxTime=INFINITE State=UP
${extraConf.map((line) => `${line}\n`).join('')}`
}

/** Its length is read when it runs, so that it can be changed under a living cluster. */
export const epilogText = (dir: string): string => `#!/bin/sh
sleep "$(cat ${dir}/epilog-seconds)"
`
