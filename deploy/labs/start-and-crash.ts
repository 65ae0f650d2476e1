import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { systemClock } from '../../actors/runtime/clock.ts'
import { systemRandom } from '../../actors/runtime/random.ts'
import { tell } from '../commands/terminal.ts'
import { run } from '../running.ts'
import { loadConfig } from '../settings/settings-file.ts'

/**
 * Sublet as the kill tests run it: it kills itself (signal 9) at every kind of boundary once.
 *
 *   node start-and-crash.ts LABELS CONFIG
 *
 * LABELS is a file with the boundaries at which earlier lives ended, a line each. The first boundary that
 * is not in it is added, and the process is gone.
 */
const [labels = '', config = ''] = process.argv.slice(2)
const seen = new Set(existsSync(labels) ? readFileSync(labels, 'utf8').split('\n') : [])

const running = await run(loadConfig(config).settings, {
  clock: systemClock,
  random: systemRandom(),
  warn: tell,
  onBoundary(label) {
    if (seen.has(label)) return
    appendFileSync(labels, `${label}\n`)
    process.kill(process.pid, 'SIGKILL')
  },
})
process.on('SIGTERM', () => running.stop(false, 'SIGTERM'))
await running.ended
