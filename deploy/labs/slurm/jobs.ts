import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Instant } from '../../../actors/runtime/clock.ts'
import type { SlurmLab } from './lab.ts'
import type { Observer } from './observer.ts'

/** A job that was submitted; an array is one for each of its tasks. */
export interface Submitted {
  readonly id: string
  readonly at: Instant
  readonly wave: number
  readonly what: 'small' | 'wide' | 'array' | 'held' | 'dependent' | 'no-requeue'
}

/** Two nodes, a number from one to the other and back, by node name. */
const EXCHANGE = `use strict; use IO::Socket::INET;
my ($port, @nodes) = @ARGV; my $rank = $ENV{SLURM_PROCID};
if ($rank == 0) {
  my $server = IO::Socket::INET->new(LocalPort => $port, Listen => 1, ReuseAddr => 1) or die "listen: $@";
  local $SIG{ALRM} = sub { die "nobody came" }; alarm 20;
  my $peer = $server->accept or die "accept: $!"; my $number = <$peer>; chomp $number; print $peer $number * 2, "\\n";
} else {
  my $peer; for (1 .. 100) { $peer = IO::Socket::INET->new(PeerAddr => $nodes[0], PeerPort => $port) and last; select undef, undef, undef, 0.1 }
  die "no way to $nodes[0]" unless $peer; print $peer "21\\n"; my $answer = <$peer>; chomp $answer; exit($answer == 42 ? 0 : 1);
}
`

/** Submits the lab's jobs and remembers them. */
export class Jobs {
  readonly all: Submitted[] = []
  readonly #lab: SlurmLab
  readonly #observer: Observer
  readonly #now: () => Instant

  constructor(lab: SlurmLab, observer: Observer, now: () => Instant) {
    this.#lab = lab
    this.#observer = observer
    this.#now = now
    writeFileSync(join(lab.dir, 'exchange.pl'), EXCHANGE)
  }

  async submit(
    wave: number,
    what: Submitted['what'],
    work: string,
    args: readonly string[],
    signal: AbortSignal,
  ): Promise<string> {
    const at = this.#now()
    const id = await this.#lab.submit(
      this.#observer.script(work),
      { args: ['-p', this.#lab.partition, '-t', '5', ...args] },
      signal,
    )
    this.all.push({ id, at, wave, what })
    return id
  }

  small(wave: number, seconds: number, cpus: number, signal: AbortSignal): Promise<string> {
    return this.submit(wave, 'small', `sleep ${seconds}`, ['-N1', '-n1', `-c${cpus}`], signal)
  }

  async array(wave: number, tasks: number, seconds: number, signal: AbortSignal): Promise<void> {
    const at = this.#now()
    const args = ['-p', this.#lab.partition, '-t', '5', '-n1', '-c1', `--array=1-${tasks}`]
    const id = await this.#lab.submit(this.#observer.script(`sleep ${seconds}`), { args }, signal)
    for (let task = 1; task <= tasks; task++) this.all.push({ id: `${id}_${task}`, at, wave, what: 'array' })
  }

  wide(wave: number, signal: AbortSignal): Promise<string> {
    const work = `srun -N2 -n2 --ntasks-per-node=1 perl ${join(this.#lab.dir, 'exchange.pl')} $((20000 + SLURM_JOB_ID)) $(scontrol show hostnames "$SLURM_JOB_NODELIST")`
    return this.submit(wave, 'wide', work, ['-N2', '--ntasks-per-node=1', '-c2'], signal)
  }

  /** Twenty jobs of mixed sizes. The first wave holds one back; the second has some that may not be requeued. */
  async wave(wave: 1 | 2, signal: AbortSignal): Promise<{ readonly held: string | undefined }> {
    for (let i = 0; i < 10; i++) await this.small(wave, 1 + (i % 3), 1 + (i % 2), signal)
    await this.array(wave, 4, 2, signal)
    await this.wide(wave, signal)
    await this.wide(wave, signal)
    if (wave === 2) {
      for (let i = 0; i < 4; i++)
        await this.submit(wave, 'no-requeue', 'sleep 2', ['-n1', '-c2', '--no-requeue'], signal)
      return { held: undefined }
    }
    const first = await this.small(wave, 2, 1, signal)
    await this.submit(wave, 'dependent', 'sleep 1', ['-n1', `--dependency=afterok:${first}`], signal)
    await this.small(wave, 3, 2, signal)
    const held = await this.submit(wave, 'held', 'sleep 1', ['-n1', '--hold'], signal)
    return { held }
  }
}
