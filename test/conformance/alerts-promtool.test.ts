import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { systemClock as clock } from '../../actors/runtime/clock.ts'
import { metrics } from '../../deploy/metrics/metrics.ts'
import { fakeSite, SITE_YAML, T0, yamlIn } from '../unit/control-site.ts'

/** Prometheus itself judges what is made for it, where its promtool is installed (Debian: package prometheus). */
const isThere = spawnSync('promtool', ['--version']).status === 0
const ALERTS = new URL('../../deploy/metrics/alerts.yml', import.meta.url).pathname
const dir = mkdtempSync(join(tmpdir(), 'sublet-promtool-'))
afterAll(() => rmSync(dir, { recursive: true }))

const promtool = (args: readonly string[], input = ''): string => {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' })
  return `${status} ${stdout}${stderr}`
}

/** One alert under series that make it fire, and under others that do not. */
const firing = (alert: string, series: string, values: string, at: string, labels: string): string => `
rule_files: [${JSON.stringify(ALERTS)}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series: [{ series: '${series}', values: '${values}' }]
    alert_rule_test:
      - eval_time: ${at}
        alertname: ${alert}
        exp_alerts: [${labels}]
`

describe.skipIf(!isThere)(
  `alerts and metrics, as promtool reads them${isThere ? '' : ' (promtool is not installed)'}`,
  () => {
    test('the rules are valid', () => {
      expect(promtool(['check', 'rules', ALERTS])).toMatch(/^0 [\s\S]*SUCCESS: \d+ rules found/)
    })

    test('the metrics are in the form and by the conventions', async () => {
      writeFileSync(yamlIn(dir), SITE_YAML)
      const log = { debug() {}, info() {}, warn() {}, error() {} }
      const counted = metrics(fakeSite(dir, yamlIn(dir)), { clock, startedAt: T0, log })
      const text = counted.text()
      await counted.close()
      expect(text).toContain('sublet_guest_held_jobs{guest="batch",by="system"} 0\n')
      expect(promtool(['check', 'metrics'], text)).toBe('0 ')
    })

    test('a job that the batch system itself holds raises an alarm, and one that its owner holds does not', () => {
      const rules = readFileSync(ALERTS, 'utf8')
      const [, summary = ''] = /alert: SubletJobsHeldBySystem[\s\S]*?summary: '(.*)'/.exec(rules) ?? []
      const said = summary.replace('{{ $labels.guest }}', 'grid').replace('{{ $value }}', '2')
      const file = join(dir, 'held.yml')
      const tried = (by: string, labels: string): string => {
        writeFileSync(
          file,
          firing(
            'SubletJobsHeldBySystem',
            `sublet_guest_held_jobs{guest="grid",by="${by}"}`,
            '0 2x20',
            '10m',
            labels,
          ),
        )
        return promtool(['test', 'rules', file])
      }
      const labels = `{ exp_labels: { severity: ticket, guest: grid, by: system }, exp_annotations: { summary: ${JSON.stringify(said)} } }`
      expect(tried('system', labels)).toMatch(/^0 [\s\S]*SUCCESS/)
      expect(tried('user', '')).toMatch(/^0 [\s\S]*SUCCESS/)
    })
  },
)
