import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { localExecutor } from '../../adapters/exec/local.ts'
import type { Executor } from '../../adapters/executor.ts'
import type { UnitFacts } from '../../adapters/handler.ts'
import type { JoinHandler, JoinUnit } from '../../adapters/join.ts'
import type { JoinBench } from '../conformance/join.ts'

/** A pbs_mom that leaves a daemon of its own name behind, which says whose it is. */
const MOM = `#!/bin/sh
if [ "$1" != stays ]; then "$0" stays & exit 0; fi
echo "$$ $SUBLET_MOM_MARK" >"$SUBLET_MOM_HOME/mom"
trap 'rm -f "$SUBLET_MOM_HOME/mom"; exit 0' TERM
while sleep 0.05; do :; done
`

/** Machines that are folders here, each with a PBS_HOME; a join handler for each home. */
export function momBench(
  make: (home: string, command: string, connect: (facts: UnitFacts) => Executor) => JoinHandler,
): JoinBench & { readonly homeOf: (unit: JoinUnit) => string } {
  const dir = mkdtempSync(join(tmpdir(), 'sublet-moms-'))
  const command = join(dir, 'pbs_mom')
  writeFileSync(command, MOM)
  chmodSync(command, 0o755)
  const exec = localExecutor({ clock: systemClock })
  const gone = new Set<string>()
  const handlers = new Map<string, JoinHandler>()
  const homeOf = ({ name }: JoinUnit): string => join(dir, name)
  const reach = (facts: UnitFacts): Executor => {
    if (gone.has(facts.machine ?? ''))
      throw new SubletError('machine-unreachable', `The machine ${facts.machine} is gone`)
    return { name: 'here', run: (argv, options) => exec.run(argv, options), close: async () => undefined }
  }
  const handlerOf = (unit: JoinUnit): JoinHandler => {
    const found = handlers.get(unit.name) ?? make(homeOf(unit), command, reach)
    handlers.set(unit.name, found)
    return found
  }
  const pidOf = (unit: JoinUnit): number => {
    const file = join(homeOf(unit), 'mom')
    return existsSync(file) ? Number(readFileSync(file, 'utf8').split(' ')[0]) : 0
  }
  let count = 0
  const made: JoinUnit[] = []
  const kill = async (unit: JoinUnit): Promise<void> => {
    gone.add(unit.name)
    const pid = pidOf(unit)
    if (pid > 0) process.kill(pid, 'SIGKILL')
    rmSync(join(homeOf(unit), 'mom'), { force: true })
    await handlers.get(unit.name)?.close()
  }
  return {
    homeOf,
    join: {
      join: (unit, signal) => handlerOf(unit).join(unit, signal),
      leave: (unit, signal) => handlerOf(unit).leave(unit, signal),
      close: async () => undefined,
    },
    patienceMs: 5_000,
    anyUnit: true,
    async machine() {
      count += 1
      const name = `m${count}`
      mkdirSync(join(dir, name))
      const unit: JoinUnit = {
        ...{ unitId: `unit-${name}`, leaseId: 'lease-law', name, vector: { cpu: 2 } },
        facts: { machine: name, address: `10.88.0.${count}` },
      }
      made.push(unit)
      return unit
    },
    killMachine: kill,
    async registered(unit) {
      const file = join(homeOf(unit), 'mom')
      return existsSync(file) && readFileSync(file, 'utf8').includes(`_${unit.unitId}_`) ? 1 : 0
    },
    clear: async () => {
      for (const unit of made.splice(0)) await kill(unit)
    },
    close: async () => rmSync(dir, { recursive: true, force: true }),
  }
}
