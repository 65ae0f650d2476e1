import { SubletError } from '../../../actors/runtime/errors.ts'

/**
 * All ranks add up a vector, and each says what came out, and where it ran:
 *
 *   rank 2 of 6 on n3: 1000 sums, 21 to 35985
 *
 * Of rank r the element i is r + 1 + i * n, so that the sum is n(n + 1) / 2 + i * n * n. A wrong one ends with 1.
 */
export const ALL_REDUCE = `#include <mpi.h>
#include <stdio.h>
#define LENGTH 1000
int main(int argc, char **argv) {
  long mine[LENGTH], sums[LENGTH];
  int rank, n, length, i;
  char host[MPI_MAX_PROCESSOR_NAME];
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &n);
  MPI_Get_processor_name(host, &length);
  for (i = 0; i < LENGTH; i++) mine[i] = rank + 1 + (long)i * n;
  MPI_Allreduce(mine, sums, LENGTH, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
  for (i = 0; i < LENGTH; i++)
    if (sums[i] != (long)n * (n + 1) / 2 + (long)i * n * n) {
      fprintf(stderr, "rank %d: sum %d is %ld\\n", rank, i, sums[i]);
      MPI_Abort(MPI_COMM_WORLD, 1);
    }
  printf("rank %d of %d on %s: %d sums, %ld to %ld\\n", rank, n, host, LENGTH, sums[0], sums[LENGTH - 1]);
  MPI_Finalize();
  return 0;
}
`

/** Plain TCP between the machines' own addresses: no machine here has anything faster. */
const TCP = 'export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,tcp OMPI_MCA_btl_tcp_if_include=eth0'

/**
 * Slurm starts the ranks, and they find each other through its PMIx. One that signal 11 ends while it starts is Debian's
 * (README), and the others may wait for it for ever: only that is tried again, and each try is told.
 */
export const bySrun = (program: string): string => `${TCP}
for try in 1 2 3 4 5; do
  timeout 15 srun --mpi=pmix --kill-on-bad-exit=1 ${program} >/tmp/ranks 2>&1; status=$?
  [ $status = 0 ] && break
  # srun's own status is that of the ranks it ended for it.
  [ $status = 124 ] || grep -q 'Signal: Segmentation fault' /tmp/ranks || break
  echo "try $try ended with $status"
done
cat /tmp/ranks
exit $status`

/**
 * mpirun on the first machine of the allocation starts a daemon on each by `agent`. Of Slurm it takes the names of the
 * machines and nothing else.
 */
export const bySsh = (program: string, agent: string, ranksPerNode: number): string => `${TCP}
scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/$/ slots=${ranksPerNode}/' >/tmp/hostfile
export OMPI_MCA_plm=rsh OMPI_MCA_ras=^slurm OMPI_MCA_oob_tcp_if_include=eth0 OMPI_MCA_plm_rsh_agent=${agent}
for name in $(compgen -v SLURM_); do unset "$name"; done
exec mpirun --allow-run-as-root --hostfile /tmp/hostfile -np $(($(wc -l </tmp/hostfile) * ${ranksPerNode})) ${program}`

/** ssh, and a line in a file for each machine that it goes to. Their host keys are as young as they are: nobody knows them. */
export const agentText = (keyFile: string, reached: string): string => `#!/bin/sh
echo "$1" >>${reached}
exec ssh -i ${keyFile} -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$@"
`

export interface AllReduced {
  readonly ranks: number
  readonly hosts: readonly string[]
  /** The first and the last sum, the same of all ranks. */
  readonly sums: readonly [number, number]
  /** Tries before it that were ended while they started. */
  readonly lost: number
}

/** From what the ranks printed. Anything but one line of each of them with the same right sums is an error. */
export function readAllReduced(output: string): AllReduced {
  const found = [...output.matchAll(/^rank (\d+) of (\d+) on (\S+): (\d+) sums, (\d+) to (\d+)$/gm)].map(
    ([, rank, n, host = '', length, first, last]) => ({
      ...{ rank: Number(rank), n: Number(n), host, length: Number(length) },
      ...{ first: Number(first), last: Number(last) },
    }),
  )
  const n = found[0]?.n ?? 0
  const ranks = new Set(found.map(({ rank }) => rank))
  const isWhole = n > 0 && found.length === n && ranks.size === n
  const isRight = found.every(
    (one) =>
      one.n === n &&
      one.first === (n * (n + 1)) / 2 &&
      one.last === (n * (n + 1)) / 2 + (one.length - 1) * n * n,
  )
  if (!isWhole || !isRight)
    throw new SubletError('exec-failed', `the ranks did not all say the same right sums: ${output.trim()}`)
  return {
    ranks: n,
    hosts: [...new Set(found.map(({ host }) => host))].toSorted(),
    sums: [found[0]!.first, found[0]!.last],
    lost: output.match(/^try \d+ ended with /gm)?.length ?? 0,
  }
}
