import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Parser } from 'xml2js'
import { type Clock, systemClock } from '../actors/runtime/clock.ts'
import { readInSlices } from '../adapters/batch/slices.ts'
import { jobOf as openpbsJob } from '../adapters/openpbs/parse-jobs.ts'
import { pieces as openpbsPieces } from '../adapters/openpbs/parse-json.ts'
import { remembered } from '../adapters/pbs/remembered.ts'
import { jobOf as torqueJob } from '../adapters/torque/parse-jobs.ts'
import { pieces as torquePieces } from '../adapters/torque/parse-xml.ts'

/**
 * npm run bench:parsing        one look at 10,000 jobs of Torque and of OpenPBS, as their programs print them
 *
 * Processor time of a first look, of the next when nothing has changed, and of the longest turn in which nobody
 * else has the event loop. The floor reads the whole text at once.
 */
const JOBS = 10_000
const fixture = (path: string): string =>
  readFileSync(join(import.meta.dirname, '../test/fixtures', path), 'utf8')

const signal = new AbortController().signal
const usedMs = (since: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since)
  return (user + system) / 1_000
}

/** The wall's clock; each wait is the end of a turn. */
function turns(): { readonly clock: Clock; readonly longestMs: () => number; readonly begin: () => void } {
  let begun = process.cpuUsage()
  let longest = 0
  return {
    begin: () => {
      begun = process.cpuUsage()
      longest = 0
    },
    longestMs: () => Math.max(longest, usedMs(begun)),
    clock: {
      ...systemClock,
      after(delayMs, callback) {
        longest = Math.max(longest, usedMs(begun))
        return systemClock.after(delayMs, () => {
          begun = process.cpuUsage()
          callback()
        })
      },
    },
  }
}

const line = (what: string, ms: number, longest?: number): void => {
  const turn = longest === undefined ? '' : `   longest turn ${longest.toFixed(1).padStart(6)} ms`
  process.stdout.write(`${what.padEnd(40)} ${ms.toFixed(0).padStart(6)} ms${turn}\n`)
}

async function looks<R>(
  name: string,
  cut: () => Iterable<string>,
  readers: () => (piece: string) => R | undefined,
): Promise<void> {
  const { clock, longestMs, begin } = turns()
  for (const what of ['first look', 'next look, nothing changed']) {
    const begun = process.cpuUsage()
    begin()
    const { records } = await readInSlices(name, cut(), readers(), { clock, signal })
    if (records.length !== JOBS) throw new Error(`${name}: ${records.length} of ${JOBS} jobs`)
    line(`${name}: ${what}`, usedMs(begun), longestMs())
  }
}

const recordedXml = fixture('torque-6.1.3/157-qstat-x-200-jobs.out')
const jobsXml = [...torquePieces(recordedXml, 'Job')].length
const bodyXml = recordedXml.slice(recordedXml.indexOf('<Job>'), recordedXml.lastIndexOf('</Data>'))
const copies = Array.from({ length: JOBS / jobsXml }, (_, at) =>
  bodyXml.replaceAll(/<Job_Id>(\d+)/g, (_whole, id) => `<Job_Id>${at * 1_000 + Number(id)}`),
)
const xml = `<Data>${copies.join('')}</Data>`
const begunXml = process.cpuUsage()
await new Parser().parseStringPromise(xml)
line(`floor: xml2js over ${(xml.length / 1e6).toFixed(1)} MB`, usedMs(begunXml))
const torqueReader = remembered((piece: string) =>
  torqueJob(piece, { scheduler: 'pbs_sched', cpusOfMachine: undefined }),
)
await looks('Torque', () => torquePieces(xml, 'Job'), torqueReader)

const one = [...openpbsPieces(fixture('openpbs-23.06.06/032-qstat-f-json-mixed.out'), 'Jobs')][1] ?? ''
const records = Array.from({ length: JOBS }, (_, id) => one.replace(/"\d+\.opsrv"/, `"${id}.opsrv"`))
const json = `{\n\t"pbs_version":\t"23.06.06",\n\t"Jobs":\t{\n${records.join(',\n')}\n\t}\n}\n`
const begunJson = process.cpuUsage()
JSON.parse(json)
line(`floor: JSON.parse over ${(json.length / 1e6).toFixed(1)} MB`, usedMs(begunJson))
const openpbsReader = remembered((piece: string) => openpbsJob(piece, undefined))
await looks('OpenPBS', () => openpbsPieces(json, 'Jobs'), openpbsReader)
