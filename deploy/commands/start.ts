import type { Clock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { systemRandom } from '../../actors/runtime/random.ts'
import { run } from '../running.ts'
import { loadConfig } from '../settings/settings-file.ts'
import { inDir } from '../settings/work-files.ts'
import { onInterrupt } from '../signals.ts'
import { EXIT, printJson, tell, whenNobodyReads } from './terminal.ts'

/** Runs until it is told to stop. Leases outlive it: the next start takes them up. */
export async function start(
  file: string,
  { json, believeClock }: { readonly json: boolean; readonly believeClock: boolean },
  clock: Clock,
): Promise<number> {
  const { settings, warnings } = loadConfig(file, { keyFiles: true })
  for (const { text } of warnings) tell(`${text} (warning)`)
  if (settings.site?.machines.kind === 'namespace' && process.getuid?.() !== 0)
    throw new SubletError('needs-root', 'machines of kind “namespace” are made by root only')
  whenNobodyReads(() => undefined)
  const running = await run(settings, { clock, random: systemRandom(), warn: tell, believeClock })
  tell(`${settings.name} runs (pid ${process.pid}); its log is ${inDir(settings.dir).log}`)
  tell(`look at it with: sublet status --dir ${settings.dir}`)
  if (json) printJson({ pid: process.pid, dir: settings.dir, socket: inDir(settings.dir).socket })
  const forget = onInterrupt(
    clock,
    (signal) => {
      tell(`${signal}: stopping; leases and jobs go on (give them back with \`sublet stop --release\`)`)
      running.stop(false, signal)
    },
    () => process.exit(EXIT.interrupted),
  )
  try {
    await running.ended
  } finally {
    forget()
  }
  tell('stopped')
  return EXIT.done
}
