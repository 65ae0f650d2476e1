import { SubletError } from '../../actors/runtime/errors.ts'
import type { ExpectedNode } from '../batch-system.ts'
import { type Commands, complaint } from './commands.ts'
import type { GridengineConfig } from './config.ts'
import { drainValue, markValue } from './marks.ts'

/**
 * The changes of one host, each of which may be repeated:
 *
 *   announce   exec host with our mark ─▶ slots in the queue ─▶ host group ─▶ administrative host
 *   withdraw   host group ─▶ slots in the queue ─▶ administrative host ─▶ exec host
 *
 * The right of an administrative host is what its daemon needs to speak to qmaster, and qmaster makes an
 * execution host of whoever has it and speaks: so it is given last, when the record with the mark is there,
 * and taken before the record goes, for otherwise a daemon that still runs would bring it back unmarked.
 */
export interface Hosts {
  /** `settled` rejects if the record that is there now is not the one that was to be made. */
  announce(node: ExpectedNode, settled: () => Promise<void>, signal: AbortSignal): Promise<void>
  /** Out of the queue; a job that came meanwhile goes on, and keeps the queue instance. */
  takeOut(name: string, signal: AbortSignal): Promise<void>
  putBack(name: string, signal: AbortSignal): Promise<void>
  /** True if the record is gone; false while the queue still refers to it, which is while a job is there. */
  forget(name: string, signal: AbortSignal): Promise<boolean>
  drain(name: string, reason: string, signal: AbortSignal): Promise<void>
  undrain(name: string, signal: AbortSignal): Promise<void>
}

const THERE_ALREADY = /already exists/
const NOT_THERE = /does not exist|is not an? \w+ host|not (?:found|a member)|can't resolve hostname/

export function hostsOf(commands: Commands, config: GridengineConfig): Hosts {
  const { queue, hostGroup, markComplex, drainComplex } = config

  const qconf = async (args: readonly string[], allowed: RegExp, signal: AbortSignal): Promise<void> => {
    const done = await commands.run('qconf', args, signal)
    const said = `${done.stderr}\n${done.stdout}`
    if (done.exitCode !== 0 && !allowed.test(said)) throw commands.refused(`qconf ${args.join(' ')}`, done)
  }
  const plain = (name: string): string => {
    // qconf would read more names from a comma, and a list of hosts from an @.
    if (!/^[A-Za-z0-9_.-]+$/.test(name)) throw new Error(`not the name of one host: “${name}”`)
    return name
  }

  return {
    async announce({ name, mark, cpus }, settled, signal) {
      const text = hostText(plain(name), `${markComplex}=${markValue(mark)}`)
      const done = await commands.qconfFile('-Ae', text, signal)
      if (done.exitCode !== 0 && !THERE_ALREADY.test(`${done.stderr}${done.stdout}`))
        throw commands.refused(`qconf -Ae (${name})`, done)
      await settled()
      await qconf(['-rattr', 'queue', 'slots', `[${name}=${cpus}]`, queue], THERE_ALREADY, signal)
      await qconf(['-aattr', 'hostgroup', 'hostlist', name, hostGroup], THERE_ALREADY, signal)
      await qconf(['-ah', name], THERE_ALREADY, signal)
    },
    takeOut: (name, signal) =>
      qconf(['-dattr', 'hostgroup', 'hostlist', plain(name), hostGroup], NOT_THERE, signal),
    putBack: (name, signal) =>
      qconf(['-aattr', 'hostgroup', 'hostlist', plain(name), hostGroup], THERE_ALREADY, signal),
    async forget(name, signal) {
      await qconf(['-purge', 'queue', 'slots', `${queue}@${plain(name)}`], NOT_THERE, signal)
      await qconf(['-dh', name], NOT_THERE, signal)
      const done = await commands.run('qconf', ['-de', name], signal)
      if (done.exitCode === 0 || NOT_THERE.test(`${done.stderr}${done.stdout}`)) return true
      if (/still referenced/.test(`${done.stderr}${done.stdout}`)) return false
      throw new SubletError(
        'middleware-refused',
        `GridEngine would not delete host ${name}: ${complaint(done)}`,
      )
    },
    drain: (name, reason, signal) =>
      qconf(
        [
          '-mattr',
          'exechost',
          'complex_values',
          `slots=0,${drainComplex}=${drainValue(reason)}`,
          plain(name),
        ],
        /$^/,
        signal,
      ),
    undrain: (name, signal) =>
      qconf(
        ['-dattr', 'exechost', 'complex_values', `slots,${drainComplex}`, plain(name)],
        NOT_THERE,
        signal,
      ),
  }
}

export function hostText(name: string, complexValues: string): string {
  const none = ['user_lists', 'xuser_lists', 'projects', 'xprojects', 'usage_scaling', 'report_variables']
  return [
    `hostname ${name}`,
    'load_scaling NONE',
    `complex_values ${complexValues}`,
    ...none.map((attribute) => `${attribute} NONE`),
    '',
  ].join('\n')
}
