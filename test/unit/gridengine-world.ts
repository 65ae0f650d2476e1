import { readFileSync } from 'node:fs'
import type { Executor, Finished } from '../../adapters/executor.ts'

export const recorded = (name: string): string =>
  readFileSync(new URL(`../fixtures/gridengine/${name}`, import.meta.url), 'utf8')

export type Answer = string | { readonly exitCode: number; readonly stderr: string } | Error

const EMPTY = '<job_info>\n  <queue_info>\n  </queue_info>\n  <job_info>\n  </job_info>\n</job_info>\n'

/** What a cell answers to each command, by its first words; the longest that fits counts. */
const CELL: Readonly<Record<string, Answer>> = {
  'qstat -u * -s prs -r -g t -xml': recorded('jobs.xml'),
  'qhost -q -F arch': recorded('hosts.xml'),
  'qhost -q -F sublet -xml': recorded('hosts.xml'),
  'qstat -u * -s hs': recorded('holds-hs.xml'),
  'qstat -u * -s ho': recorded('holds-ho.xml'),
  'qstat -u * -s hu': recorded('holds-hu.xml'),
  'qstat -u * -s hj': recorded('holds-hj.xml'),
  'qstat -u * -s hd': EMPTY,
  'qstat -u * -s ha': recorded('holds-ha.xml'),
  'qstat -j': recorded('details.xml'),
  'qstat -help': `${recorded('help.txt')}usage: qstat\n`,
  'qselect -q dyn': 'dyn@g1\n',
  'qrstat -u *': recorded('reservations.xml'),
  'qrstat -ar 1': recorded('reservation.xml'),
  'qquota -u *': recorded('quota.xml'),
  'qconf -sc': recorded('sc.txt'),
  'qconf -ssconf': recorded('ssconf.txt'),
  'qconf -sconf': recorded('sconf.txt'),
  'qconf -sq dyn': recorded('sq.txt'),
  ...Object.fromEntries(
    ['smp', 'one', 'two', 'fill', 'round'].map((name) => [`qconf -sp ${name}`, recorded(`sp-${name}.txt`)]),
  ),
  'qconf -shgrp @sublet': recorded('shgrp.txt'),
  'qconf -dh sublet-has-no-such-host': {
    exitCode: 1,
    stderr: 'can\'t resolve hostname "sublet-has-no-such-host"\n',
  },
  tail: recorded('accounting.txt'),
  'cat -- /var/lib/gridengine/default/common/act_qmaster': 'master.site\n',
  'cat -- /var/lib/gridengine/default/common/sge_request': '# nothing\n',
  'uname -n': 'master\n',
  timeout: '',
}

export function cell(rules: Readonly<Record<string, Answer | (() => Answer)>> = {}): {
  readonly exec: Executor
  readonly asked: string[]
} {
  const asked: string[] = []
  const answers: Readonly<Record<string, Answer | (() => Answer)>> = { ...CELL, ...rules }
  const exec: Executor = {
    name: 'recorded',
    close: async () => undefined,
    async run(argv, { signal, input }): Promise<Finished> {
      signal.throwIfAborted()
      // `sh -c SCRIPT sh qconf -Ae` with the object as input.
      const words = argv[0] === 'sh' ? argv.slice(4) : argv
      const line = words.join(' ')
      asked.push(input === undefined ? line : `${line} <<${input}`)
      const [rule] = Object.keys(answers)
        .filter((start) => line.startsWith(start))
        .sort((a, b) => b.length - a.length)
      const given = rule === undefined ? undefined : answers[rule]
      const answer = typeof given === 'function' ? given() : given
      if (answer === undefined) throw new Error(`nobody answers “${line}”`)
      if (answer instanceof Error) throw answer
      const done = { exitCode: 0, signal: null, stdout: '', stderr: '' }
      return typeof answer === 'string' ? { ...done, stdout: answer } : { ...done, ...answer }
    },
  }
  return { exec, asked }
}

export const NO_JOBS = EMPTY
export const NO_HOSTS = "<qhost>\n <host name='global'>\n </host>\n</qhost>\n"

/** One host as `qhost -q -F … -h NAME` shows it. */
export function host(
  name: string,
  values: Readonly<Record<string, string>>,
  queue: { readonly slots?: number; readonly used?: number; readonly letters?: string } = {},
): string {
  const { slots = 2, used = 0, letters = '' } = queue
  const resources = Object.entries(values).map(
    ([key, value]) => `<resourcevalue name='${key}' dominance='hf'>${value}</resourcevalue>`,
  )
  const of = (key: string, value: string | number): string =>
    `<queuevalue qname='dyn' name='${key}'>${value}</queuevalue>`
  return `<qhost>
 <host name='${name}'><hostvalue name='arch_string'>lx-amd64</hostvalue>${resources.join('')}
 <queue name='dyn'>${of('slots_used', used)}${of('slots', slots)}${of('state_string', letters)}</queue></host>
</qhost>
`
}
