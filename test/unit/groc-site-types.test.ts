import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readConfig } from '../../deploy/settings/settings-file.ts'

const SITE = `site:
  name: duke
  hosts: [{ name: a, cpu: 64, memoryMiB: 65536, gpu: 4 }]
  types:
    small: { cpu: 2, memoryMiB: 2048, image: plain, units: 4 }
    large: { cpu: 16, memoryMiB: 16384, gpu: 2, image: plain, units: 2 }
  machines: { kind: process }
`
/** Of an Ed25519 key. */
const KEY = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }).x

const ELSEWHERE = `peers:
  - { name: b, role: broker, url: "http://127.0.0.1:1", key: ${KEY} }
`

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-types-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function read(
  controller: string,
  around = SITE,
  batch = 'kind: embedded, socket: b/sock',
  joining = 'kind: embedded',
) {
  const file = join(dir, 'c.yaml')
  writeFileSync(
    file,
    `name: lab
${around}guests:
  - name: batch
    batch: { ${batch} }
    join: { ${joining} }
    controller: { kind: groc, max: 4, ${controller} }
`,
  )
  const { settings, errors, warnings } = readConfig(file)
  return {
    types: settings?.guests.flatMap(({ controller }) => ('types' in controller ? controller.types : [])),
    found: [...errors, ...warnings].map(({ path, sentence }) => `${path}: ${sentence}`),
  }
}

const GROC = 'guests.0.controller'

describe('the types of a GROC beside a site', () => {
  test('offer what the site lends where nothing else is written, further dimensions as consumables', () => {
    expect(read('types: [{ type: small }, { type: large, max: 1 }]')).toEqual({
      types: [
        { type: 'small', unit: { cpus: 2, memoryMiB: 2048, consumables: {}, features: [] }, max: undefined },
        {
          type: 'large',
          unit: { cpus: 16, memoryMiB: 16_384, consumables: { gpu: 2 }, features: [] },
          max: 1,
        },
      ],
      found: [],
    })
    expect(read('type: large').types).toEqual([
      {
        type: 'large',
        unit: { cpus: 16, memoryMiB: 16_384, consumables: { gpu: 2 }, features: [] },
        max: undefined,
      },
    ])
  })

  test('offer what is written, if the site has as much', () => {
    const unit = 'unit: { cpus: 15, memoryMiB: 16000, consumables: { gpu: 1 }, features: [ssd] }'
    expect(read(`types: [{ type: large, ${unit} }]`).types).toMatchObject([
      { unit: { cpus: 15, consumables: { gpu: 1 }, features: ['ssd'] } },
    ])
  })

  test.each([
    [
      'types: [{ type: large, unit: { cpus: 17, memoryMiB: 1, consumables: { gpu: 3, tpu: 1 } } }]',
      [
        `${GROC}.types.0.unit.cpus: found 17, and a unit of large has 16`,
        `${GROC}.types.0.unit.consumables.gpu: found 3, and a unit of large has 2`,
        `${GROC}.max: found 4, and the site lends 2 units of large`,
      ],
    ],
    [
      'types: [{ type: small }, { type: larg }]',
      [`${GROC}.types.1.type: “larg” is no type of the site, did you mean “large”?`],
    ],
    ['types: [{ type: small }, { type: small }]', [`${GROC}.types.1.type: “small” is there before`]],
    ['types: []', [`${GROC}.types: found 0 entries, expected at least 1 entries`]],
    ['step: 2', [`${GROC}.type: is missing, expected a type, or “types”`]],
    [
      'type: small, types: [{ type: large }]',
      [`${GROC}.type: is short for “types” with one entry: write one of the two`],
    ],
    [
      'unit: { cpus: 1, memoryMiB: 1 }, types: [{ type: large }]',
      [`${GROC}.unit: stands in each entry of “types”`],
    ],
    [
      'types: [{ type: large, max: 3 }, { type: small }]',
      [`${GROC}.types.0.max: found 3, and the site lends 2 units of large`],
    ],
    ['min: 3, types: [{ type: large }]', [`${GROC}.min: found 3, and the site lends 2 units of large`]],
  ])('are checked against it: %s', (controller, complaints) => {
    expect(read(controller).found).toEqual(complaints)
  })

  test.each([
    ['kind: slurm, partition: dyn, feature: lent', 'kind: ssh-slurmd, feature: lent', ['lent', 'ssd']],
    ['kind: torque, properties: [xen, fast]', 'kind: ssh-torque, server: head', ['xen', 'fast', 'ssd']],
    [
      'kind: openpbs, resources: { pool: burst, ssd: "True", scratch: 100gb }',
      'kind: ssh-openpbs, server: head',
      ['pool=burst', 'ssd'],
    ],
  ])('have the features that the batch system is told of each of our nodes: %s', (batch, kind, features) => {
    const unit = 'unit: { cpus: 2, memoryMiB: 2048, features: [ssd] }'
    const joining = `${kind}, ssh: { privateKeyFile: key }`
    const namespaces = SITE.replace(
      '{ kind: process }',
      '{ kind: namespace, bridge: br0, subnet: 10.88.0.0/24, netns: lab, sshd: {}, images: { plain: {} } }',
    )
    const { types, found } = read(`min: 1, types: [{ type: small, ${unit} }]`, namespaces, batch, joining)
    expect(found).toEqual([])
    expect(types?.[0]?.unit.features).toEqual(features)
  })

  test('of which more is asked for than all of them have is a warning', () => {
    expect(read('types: [{ type: large }, { type: small }]').found).toEqual([])
    expect(read('types: [{ type: large }]').found).toEqual([
      `${GROC}.max: found 4, and the site lends 2 units of large`,
    ])
  })

  test('have to say what their units offer where the site is elsewhere', () => {
    expect(read('type: small', ELSEWHERE).found).toContain(
      `${GROC}.unit: is missing: what a unit of small offers is known only of a site in the same file`,
    )
    expect(read('types: [{ type: small }]', ELSEWHERE).found).toContain(
      `${GROC}.types.0.unit: is missing: what a unit of small offers is known only of a site in the same file`,
    )
  })
})
