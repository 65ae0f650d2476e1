import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { duration } from '../../actors/runtime/settings.ts'
import { readPublicKey } from '../../deploy/peers/keys.ts'
import { type Shape, shapeOf } from '../../deploy/settings/by-kind.ts'
import { configSchema } from '../../deploy/settings/config.ts'
import { editDistance, nearest } from '../../deploy/settings/near.ts'
import { loadConfig, readConfig } from '../../deploy/settings/settings-file.ts'

const GOOD = `name: lab
site:
  name: duke
  hosts:
    - { name: host-a, cpu: 8, memoryMiB: 16384, "gpu:a100": 2 }
  types:
    vm.small: { cpu: 2, memoryMiB: 2048, image: plain, units: 4 }
  machines: { kind: process }
  probe:
    - { run: [test, -d, /tmp], timeout: 5s }
guests:
  - name: batch
    batch: { kind: embedded, socket: b/sock }
    join: { kind: embedded }
    controller:
      kind: groc
      type: vm.small
      unit: { cpus: 2, memoryMiB: 2048 }
      max: 4
`

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-config-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function write(text: string): string {
  const file = join(dir, 'c.yaml')
  writeFileSync(file, text)
  return file
}

/** The findings of GOOD with some of its text replaced, without the file's name. */
function findings(...changes: readonly (readonly [from: string, to: string])[]): readonly string[] {
  let text = GOOD
  for (const [from, to] of changes) {
    if (!text.includes(from)) throw new Error(`the text has no ${from}`)
    text = text.replace(from, to)
  }
  const file = write(text)
  const { errors, warnings } = readConfig(file)
  const short = ({ text }: { text: string }): string => text.slice(file.length + 1)
  return [...errors.map(short), ...warnings.map((finding) => `warning ${short(finding)}`)]
}

describe('a configuration that is right', () => {
  test('becomes settings with defaults and absolute paths, and nothing of them can be changed', () => {
    const { settings, warnings } = loadConfig(write(GOOD))
    expect(warnings).toEqual([])
    expect(settings).toMatchObject({
      name: 'lab',
      dir: join(dir, '.sublet', 'lab'),
      site: {
        hosts: [{ name: 'host-a', capacity: { cpu: 8, memoryMiB: 16384, 'gpu:a100': 2 } }],
        types: { 'vm.small': { vector: { cpu: 2, memoryMiB: 2048 }, image: 'plain', units: 4 } },
        machines: { kind: 'process', dir: join(dir, '.sublet', 'lab', 'm') },
        probe: [{ argv: ['test', '-d', '/tmp'], timeoutMs: 5000 }],
        terms: { grace: 259_200_000 },
        images: ['plain'],
      },
      broker: { name: 'broker', batch: 50 },
      guests: [
        {
          batch: { kind: 'embedded', socket: join(dir, 'b', 'sock') },
          join: { kind: 'embedded', socket: join(dir, 'b', 'sock') },
          controller: { kind: 'groc', max: 4, termMin: 600_000 },
        },
      ],
    })
    expect(() => Object.assign(settings.site?.terms ?? {}, { max: 1 })).toThrow(TypeError)
    expect(() => Object.assign(settings.site?.types['vm.small'] ?? {}, { units: 9 })).toThrow(TypeError)
  })

  test('may name a real cluster: Slurm, machines of namespaces, and a key by its file', () => {
    const text = GOOD.replace(
      'machines: { kind: process }',
      'machines: { kind: namespace, bridge: br0, subnet: 10.88.0.0/24, netns: lab, sshd: {}, images: { plain: {} } }',
    )
      .replace('batch: { kind: embedded, socket: b/sock }', 'batch: { kind: slurm, partition: dyn }')
      .replace('join: { kind: embedded }', 'join: { kind: ssh-slurmd, ssh: { privateKeyFile: keys/site } }')
    const { settings } = loadConfig(write(text))
    expect(settings.guests[0]?.join).toMatchObject({
      kind: 'ssh-slurmd',
      ssh: { privateKeyFile: join(dir, 'keys', 'site'), netns: 'lab' },
    })
  })

  test('may name nodes that slurm.conf lists, where batch and join agree and there are enough', () => {
    const text = GOOD.replace(
      'machines: { kind: process }',
      'machines: { kind: namespace, bridge: br0, subnet: 10.88.0.0/24, netns: lab, sshd: {}, images: { plain: {} } }',
    )
      .replace(
        'join: { kind: embedded }',
        'join: { kind: ssh-slurmd, nodes: listed, ssh: { privateKeyFile: k } }',
      )
      .replace('batch: { kind: embedded, socket: b/sock }', 'batch: { kind: slurm, partition: dyn, BATCH }')
    const told = (batch: string): readonly string[] => {
      const { errors, warnings } = readConfig(write(text.replace('BATCH', batch)))
      return [...errors, ...warnings].map(({ sentence }) => sentence)
    }
    expect(told('nodes: listed, names: "cloud[1-4]"')).toEqual([])
    expect(told('nodes: listed, names: "cloud[1-3]"')).toEqual([
      'found 4, and batch.names has 3 names: no more machines can be in at once',
    ])
    expect(told('nodes: listed')).toEqual(['is missing: which of the names of slurm.conf machines may take'])
    expect(told('nodes: fixed, names: "cloud[1-4]"')).toEqual([
      'is read only where batch.nodes is listed, and that is fixed',
      'found listed, and batch.nodes is fixed',
    ])
    expect(told('nodes: listed, names: "cloud[4-1]"')).toHaveLength(1)
  })

  test('names of slurm.conf are of one guest of a Slurm, whatever the partition', () => {
    const guest = (name: string, batch: string): string => `  - name: ${name}
    batch: { kind: slurm, nodes: listed, ${batch} }
    join: { kind: ssh-slurmd, nodes: listed, ssh: { privateKeyFile: k } }
    controller: by-hand
`
    const key = `SHA256:${'A'.repeat(43)}`
    const ssh = (host: string): string =>
      `ssh: { host: ${host}, user: s, privateKeyFile: k, hostKey: "${key}" }`
    const told = (...batches: readonly string[]): readonly string[] => {
      const guests = batches.map((batch, at) => guest(`g${at}`, `partition: p${at}, ${batch}`))
      const head = GOOD.slice(0, GOOD.indexOf('  - name: batch')).replace(
        'machines: { kind: process }',
        'machines: { kind: namespace, bridge: br0, subnet: 10.88.0.0/24, netns: lab, sshd: {}, images: { plain: {} } }',
      )
      const { errors, warnings } = readConfig(write(head + guests.join('')))
      return [
        ...errors.map(({ sentence }) => `error ${sentence}`),
        ...warnings.map(({ sentence }) => sentence),
      ]
    }
    const taken = 'has c3 and 1 more name that the guest g0 takes too'
    const cure = ': give each guest names of its own'
    expect(told('names: "c[1-4]"', 'names: "c[3-6]"')).toEqual([`error ${taken}${cure}`])
    expect(told('names: "c[1-4]"', 'names: "c[3-6]", cluster: x')).toEqual([`error ${taken}${cure}`])
    expect(told(`names: "c[1-4]", ${ssh('h')}`, `names: "c[3-6]", ${ssh('h')}`)).toEqual([
      `error ${taken}${cure}`,
    ])
    expect(told('names: "c[1-4]"', 'names: "c[5-6]"')).toEqual([])
    expect(told(`names: "c[1-4]", ${ssh('h')}`, `names: "c[3-6]", ${ssh('i')}`)).toEqual([])
    expect(told('names: "c[1-4]", cluster: x', 'names: "c[3-6]", cluster: y')).toEqual([])
    expect(
      told(`names: "c[1-4]", cluster: x, ${ssh('h')}`, `names: "c[3-6]", cluster: x, ${ssh('i')}`),
    ).toEqual([`${taken}, and its cluster has the same name${cure}`])
  })

  test('may name a Torque whose head is reached over ssh, and machines that its moms run on', () => {
    const key = 'SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    const text = GOOD.replace(
      'machines: { kind: process }',
      'machines: { kind: namespace, bridge: br0, subnet: 10.88.0.0/24, netns: lab, sshd: {}, images: { plain: {} } }',
    )
      .replace(
        'batch: { kind: embedded, socket: b/sock }',
        `batch: { kind: torque, ssh: { host: head, user: sublet, privateKeyFile: keys/head, hostKey: "${key}" } }`,
      )
      .replace(
        'join: { kind: embedded }',
        'join: { kind: ssh-torque, server: head, ssh: { privateKeyFile: keys/site } }',
      )
      .replace('      max: 4', '      min: 1\n      max: 4')
    const { settings } = loadConfig(write(text))
    expect(settings.guests[0]?.batch).toMatchObject({
      ...{ kind: 'torque', deleteTimeout: 150_000, scheduler: 'pbs_sched' },
      ssh: { privateKeyFile: join(dir, 'keys', 'head'), port: 22 },
    })
    expect(settings.guests[0]?.join).toMatchObject({ kind: 'ssh-torque', home: '/var/spool/torque' })
    expect(() =>
      loadConfig(write(text.replace('ssh-torque', 'ssh-slurmd').replace('server: head, ', ''))),
    ).toThrow('machines cannot join torque by “ssh-slurmd”')
    // A list of nodes that may become empty is refused, with the two ways out.
    const bare = text.replace('      min: 1\n', '')
    expect(() => loadConfig(write(bare))).toThrow(
      /controller\.min.*Keep at least 1 \(min: 1\), or name a node/,
    )
    expect(
      loadConfig(write(bare.replace('kind: torque,', 'kind: torque, ownNode: keeper,'))).settings,
    ).toBeDefined()
  })
})

describe('a head that is reached over ssh', () => {
  const key = 'SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
  const over = (host: string, more = ''): string =>
    GOOD.replace(
      'machines: { kind: process }',
      'machines: { kind: namespace, bridge: br0, subnet: 10.88.0.0/24, netns: lab, sshd: {}, images: { plain: {} } }',
    )
      .replace(
        'batch: { kind: embedded, socket: b/sock }',
        `batch: { kind: slurm, partition: dyn, ssh: { host: ${host}, user: sublet, privateKeyFile: keys/head, hostKey: "${key}" }${more} }`,
      )
      .replace('join: { kind: embedded }', 'join: { kind: ssh-slurmd, ssh: { privateKeyFile: keys/site } }')

  test('may be a Slurm’s', () => {
    const { settings, warnings } = loadConfig(write(over('head')))
    expect(warnings).toEqual([])
    expect(settings.guests[0]?.batch).toMatchObject({
      ...{ kind: 'slurm', partition: 'dyn', format: 'auto' },
      ssh: { host: 'head', port: 22, privateKeyFile: join(dir, 'keys', 'head') },
    })
  })

  test('shows no change of its files here, unless it is this host', () => {
    const watched = (host: string): readonly string[] =>
      loadConfig(write(over(host, ', watchPaths: [/var/spool/slurm/hash.0]'))).warnings.map(
        ({ text }) => text,
      )
    expect(watched('head')).toEqual([
      expect.stringContaining('guests.0.batch.watchPaths: are watched on this host: what head changes'),
    ])
    expect(watched('localhost')).toEqual([])
  })
})

describe('mistakes', () => {
  test('are all told at once, each at its line and column, with what was expected', () => {
    expect(
      findings(
        ['site:', 'sit:\n  a: 1\nsite:'],
        ['cpu: 8, memoryMiB', 'cpu: 8.5, memryMiB'],
        ['{ kind: process }', '{ kind: proces }'],
        ['run: [test, -d, /tmp], timeout: 5s', 'run: test, timeout: 5'],
        ['socket: b/sock }', 'socket: b/sock, foo: 1 }'],
        ['max: 4', 'max: 4\n      min: 7\n      grwo: {}'],
      ),
    ).toEqual([
      '2:1: sit: is no option here, did you mean “site”?',
      '7:7: site.hosts.0.memoryMiB: is missing, expected a whole number; is “memryMiB” meant to be it?',
      '7:28: site.hosts.0.cpu: found 8.5, expected a whole number',
      '10:21: site.machines.kind: found “proces”, expected one of “process”, “namespace”; did you mean “process”?',
      '12:14: site.probe.0.run: found “test”, expected a list',
      '12:29: site.probe.0.timeout: found 5, expected a duration such as 20s, 10m or 72h',
      '15:46: guests.0.batch.foo: is no option here, expected “socket”',
      '21:12: guests.0.controller.max: max (4) must not be below min (7)',
      '23:7: guests.0.controller.grwo: is no option here, did you mean “grow”?',
    ])
  })

  test.each<[string, readonly (readonly [string, string])[], RegExp]>([
    ['YAML that is none', [['name: lab', 'name: [lab']], /^\d+:\d+: /],
    [
      'a socket whose path is too long',
      [['socket: ', `socket: ${'long/'.repeat(24)}`]],
      /guests\.0\.batch\.socket: makes the path of the socket \d+ bytes long/,
    ],
    [
      'a least above the longest',
      [['machines: { kind: process }', 'machines: { kind: process, bootMs: [600, 200] }']],
      /site\.machines\.bootMs: found 600 as the least, and the longest is 200/,
    ],
    ['a key given twice', [['name: lab', 'name: lab\nname: lob']], /^2:1: “name” is given twice here/],
    [
      'a tab, and a key given twice after it',
      [['name: lab', 'name: lab\n\tdir: x\nname: lob']],
      /^2:1: Tabs are not allowed as indentation$/,
    ],
    ['an empty file', [[GOOD, '']], /^1:1: found an empty value, expected an object/],
    [
      'a list where an object belongs',
      [['{ kind: embedded }', '[1]']],
      /^\d+:\d+: guests\.0\.join: found a list, expected an object/,
    ],
    [
      'a host named twice',
      [['  types:', '    - { name: host-a, cpu: 1, memoryMiB: 1 }\n  types:']],
      /^6:15: site\.hosts\.1\.name: “host-a” is the name of another host/,
    ],
    [
      'a type no host has room for',
      [['{ cpu: 2,', '{ cpu: 9,']],
      /^7:15: site\.types\.vm\.small: needs cpu 9, memoryMiB 2048, and no host has that much/,
    ],
    [
      'a type of more dimensions than a broker hears of',
      [['{ cpu: 2,', `{ ${Array.from({ length: 31 }, (_, i) => `d${i}: 0, `).join('')}cpu: 2,`]],
      /^7:15: site\.types\.vm\.small: found 33 dimensions, expected at most 32/,
    ],
    [
      'a host with a dimension of a long name',
      [['cpu: 8,', `cpu: 8, ${'d'.repeat(61)}: 1,`]],
      /^5:7: site\.hosts\.0: found a dimension with a name of 61 characters, expected at most 60/,
    ],
    [
      'more units than fit',
      [['units: 4', 'units: 5']],
      /^7:63: site\.types\.vm\.small\.units: found 5, and the hosts have room for 4/,
    ],
    [
      'fewer names than units',
      [['  probe:', '  names: { slots: 3 }\n  probe:']],
      /^9:19: site\.names\.slots: found 3, and 4 units are lent/,
    ],
    [
      'a type the site does not lend',
      [['type: vm.small', 'type: vm.smal']],
      /^17:13: guests\.0\.controller\.type: “vm\.smal” is no type of the site, did you mean “vm\.small”/,
    ],
    [
      'a type the site does not lend, though every object has something of that name',
      [['type: vm.small', 'type: constructor']],
      /^17:13: guests\.0\.controller\.type: “constructor” is no type of the site/,
    ],
    [
      'a unit larger than its type',
      [['unit: { cpus: 2', 'unit: { cpus: 3']],
      /^18:21: guests\.0\.controller\.unit\.cpus: found 3, and a unit of vm\.small has 2/,
    ],
    [
      'a minimum that is not lent',
      [['max: 4', 'max: 9\n      min: 8']],
      /^20:12: guests\.0\.controller\.min: found 8, and the site lends 4/,
    ],
    [
      'a term longer than may be lent',
      [['  probe:', '  terms: { max: 30m }\n  probe:']],
      /controller\.term: found 1 h, and site\.terms\.max is 30 min/,
    ],
    [
      'a leave budget longer than the term',
      [['guests:', 'serviceManager: { leaveBudget: 2h }\nguests:']],
      /controller\.term: found 1 h, and units begin to leave 2 h before the end/,
    ],
    [
      'two actors of one name',
      [['guests:', 'broker: { name: duke }\nguests:']],
      /^11:17: broker\.name: “duke” is the name of another actor/,
    ],
    [
      'a time that is none',
      [['guests:', 'housekeeping: { at: noon }\nguests:']],
      /^11:21: housekeeping\.at: found “noon”, expected a time as cron writes it/,
    ],
    [
      'a time that would be written out for minutes',
      [['guests:', 'housekeeping: { at: 1-9999999999 3 * * * }\nguests:']],
      /^11:21: housekeeping\.at: found “1-9999999999 3 \* \* \*”, expected a time as cron writes it/,
    ],
    [
      'a join that does not fit the batch system',
      [['{ kind: embedded, socket: b/sock }', '{ kind: slurm, partition: dyn }']],
      /guests\.0\.join\.kind: machines cannot join slurm by “embedded”/,
    ],
    [
      'an image the machines do not have',
      [
        [
          '{ kind: process }',
          '{ kind: namespace, bridge: br0, subnet: 10.88.0.0/24, sshd: {}, images: { plane: {} } }',
        ],
      ],
      /^7:49: site\.types\.vm\.small\.image: “plain” is no image of site\.machines, did you mean “plane”/,
    ],
    [
      'a property that the controller sets',
      [['    controller:', '    properties: { elastic: "true" }\n    controller:']],
      /guests\.0\.properties\.elastic: is set by the controller/,
    ],
    [
      'a secret in a property',
      [['    controller:', '    properties: { key: "-----BEGIN PRIVATE KEY-----" }\n    controller:']],
      /guests\.0\.properties\.key: holds a private key/,
    ],
    [
      'a folder too deep for sockets',
      [['name: lab', `name: lab\ndir: ${'d'.repeat(120)}`]],
      /^2:6: dir: makes the path of the control socket \d+ bytes long/,
    ],
  ])('%s', (_, changes, expected) => {
    expect(
      findings(...changes)
        .filter((line) => !line.startsWith('warning'))
        .join('\n'),
    ).toMatch(expected)
  })

  test('are told once each, though the name of one field is wrong', () => {
    const told = findings(['max: 4', 'maxx: 4'], ['type: vm.small', 'typ: vm.small'])
    expect(told.map((line) => line.replace(/^[\d:]+ guests\.0\.controller\./, ''))).toEqual([
      'max: is missing, expected a whole number; is “maxx” meant to be it?',
      'typ: is no option here, did you mean “type”?',
      'maxx: is no option here, did you mean “max”?',
    ])
  })

  test('in a value do not hide that the parts do not fit together', () => {
    const found = findings(['units: 4', 'unitz: 4, units: 5'], ['max: 4', 'max: 4\n      stpe: 2'])
    expect(found.join('\n')).toMatch(/controller\.stpe: is no option here, did you mean “step”/)
  })

  test('a file that is not there is named', () => {
    expect(() => readConfig(join(dir, 'none.yaml'))).toThrow(/there is no file .*none\.yaml/)
    expect(() => readConfig(dir)).toThrow(/is a folder, not a configuration/)
  })

  test('a device that never ends, and a file that is too long, are read no further than a configuration may be', () => {
    const long = join(dir, 'long.yaml')
    writeFileSync(long, '#'.repeat(1024 * 1024 + 1))
    for (const file of ['/dev/zero', long])
      expect(() => readConfig(file)).toThrow(`${file} has more than the 1048576 bytes`)
    expect(() => readPublicKey('/dev/zero')).toThrow('/dev/zero holds no public key')
  })

  test('of more mistakes than anybody reads it is said how many there are', () => {
    const file = join(dir, 'other.yaml')
    writeFileSync(
      file,
      `name: lab\nbroker: {}\n${Array.from({ length: 5_000 }, (_, i) => `key${i}: 1\n`).join('')}`,
    )
    const { errors, settings } = readConfig(file)
    expect(settings).toBeUndefined()
    expect(errors).toHaveLength(201)
    expect(errors.at(-1)?.sentence).toBe('4800 more mistakes are not listed')
  })

  test('what is nested without end is one mistake', () => {
    const file = join(dir, 'deep.yaml')
    writeFileSync(file, `${'['.repeat(50_000)}${']'.repeat(50_000)}`)
    expect(readConfig(file).errors.map(({ sentence }) => sentence)).toEqual([
      'is nested too deeply to be a configuration',
    ])
  })

  test('a pipe is read to its end', () => {
    const pipe = join(dir, 'pipe.yaml')
    spawnSync('mkfifo', [pipe])
    const writer = spawn('sh', ['-c', `printf 'name: lab\\nbroker: {}\\n' >"$1"`, 'sh', pipe])
    expect(readConfig(pipe).settings?.name).toBe('lab')
    writer.unref()
  })

  test('of what is no length of time no more is shown than tells which it is', () => {
    const [found] = findings(['timeout: 5s', `timeout: ${'a'.repeat(10_000)}`])
    expect(found).toMatch(/expected a duration such as 20s, 10m or 72h, found “a{57}\.\.\.”$/)
  })

  test.each<[string, Uint8Array]>([
    ['binary', Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 0, 1)],
    ['UTF-16', Buffer.from('name: lab\n', 'utf16le')],
    ['Latin-1', Buffer.from('name: caf\xe9\n', 'latin1')],
  ])('a file that is %s is not text, and none of it is shown', (_, bytes) => {
    const file = join(dir, 'bytes.yaml')
    writeFileSync(file, bytes)
    expect(() => readConfig(file)).toThrow(`${file} is not text: expected YAML in UTF-8`)
  })

  test.each([
    [
      'a second document',
      'name: lab\n---\nname: lob\n',
      '2:1: a second document begins here (---), expected one',
    ],
    [
      'an alias',
      'name: &x lab\ndir: *x\n',
      '2:6: an alias (*) may not stand here: write out what it stands for',
    ],
  ])('%s is refused with its place', (_, text, sentence) => {
    const file = join(dir, 'odd.yaml')
    writeFileSync(file, text)
    expect(readConfig(file).errors.map((found) => found.text)).toEqual([`${file}:${sentence}`])
  })
})

describe('warnings', () => {
  test('a pool larger than what is lent starts all the same', () => {
    expect(findings(['max: 4', 'max: 40'])).toEqual([
      'warning 19:12: guests.0.controller.max: found 40, and the site lends 4 units of vm.small',
    ])
  })

  test('types that do not fit beside each other', () => {
    const found = findings([
      'units: 4 }',
      'units: 4 }\n    vm.large: { cpu: 4, memoryMiB: 4096, image: plain, units: 1 }',
    ])
    expect(found).toEqual([
      expect.stringMatching(
        /^warning 7:5: site\.types: lend 5 units together, and the hosts have room for 3/,
      ),
    ])
  })
})

describe('old ssh', () => {
  const ssh = (algorithms: string): string => `ssh: { privateKeyFile: k, algorithms: ${algorithms} }`
  const about = (head: string, machines: string): readonly string[] =>
    findings(
      [
        '{ kind: embedded, socket: b/sock }',
        `{ kind: torque, ssh: { host: head, user: u, hostKey: ssh-rsa AAAA, privateKeyFile: k, algorithms: ${head} } }`,
      ],
      ['join: { kind: embedded }', `join: { kind: ssh-torque, server: head, ${ssh(machines)} }`],
    ).filter((line) => line.includes('algorithms'))

  test('is warned of name by name, at the head and on the machines', () => {
    expect(about('[ssh-rsa, 3des-cbc]', '[hmac-md5]')).toEqual([
      expect.stringMatching(
        /^warning 13:\d+: guests\.0\.batch\.ssh\.algorithms\.0: allows ssh-rsa, and its signatures are of SHA-1/,
      ),
      expect.stringMatching(
        /^warning 13:\d+: guests\.0\.batch\.ssh\.algorithms\.1: allows 3des-cbc, and its blocks/,
      ),
      expect.stringMatching(
        /^warning 14:\d+: guests\.0\.join\.ssh\.algorithms\.0: allows hmac-md5, and it relies on MD5/,
      ),
    ])
    expect(about('[]', '[]')).toEqual([])
  })

  test('is allowed by the names there are, and not by others', () => {
    expect(about('[everything]', '[]')).toEqual([
      expect.stringContaining(
        'algorithms.0: found “everything”, expected one of “diffie-hellman-group14-sha1”, ',
      ),
    ])
  })
})

describe('what start would say', () => {
  const withText = (more: string) => {
    const file = write(`${GOOD}${more}`)
    const { errors, warnings } = readConfig(file, { keyFiles: true })
    return [...errors, ...warnings].map(({ text }) => text.slice(file.length + 1))
  }

  test('one port for two', () =>
    expect(withText('listen: { port: 7777 }\nmetrics: { port: 7777 }\n')).toEqual([
      '21:18: metrics.port: found 7777, which is that of “listen” already',
    ]))

  test('files that TLS is made of, and that are not there', () =>
    expect(
      withText('listen: { port: 0, tls: { certFile: c.pem, keyFile: k.pem } }\ndial: { caFile: a.pem }\n'),
    ).toEqual([
      `20:37: listen.tls.certFile: ${dir}/c.pem cannot be read (ENOENT)`,
      `20:53: listen.tls.keyFile: ${dir}/k.pem cannot be read (ENOENT)`,
      `21:17: dial.caFile: ${dir}/a.pem cannot be read (ENOENT)`,
    ]))

  test('terms that never apply, and a type to approve that is not lent', () =>
    expect(
      findings(
        ['machines:', 'terms: { max: 1h, notice: 2h, repairMin: 90m }\n  machines:'],
        ['guests:', 'broker: { approval: { types: [vm.smal] } }\nguests:'],
      ),
    ).toEqual([
      'warning 8:29: site.terms.notice: is longer than site.terms.max (1 h), so no recall binds before a lease ends',
      'warning 8:44: site.terms.repairMin: is longer than site.terms.max (1 h), so no machine that died is ever replaced',
      expect.stringMatching(
        /^warning 12:31: broker\.approval\.types\.0: “vm\.smal” is no type that the site lends/,
      ),
    ]))

  test('terms that no message can say: nothing would be lent', () =>
    expect(
      findings(['machines:', 'terms: { max: 0s, notice: 0s, repairMin: 0s, grace: 4000d }\n  machines:']),
    ).toEqual([
      '8:17: site.terms.max: found 0 s: nothing can be lent for so long',
      '8:55: site.terms.grace: found 4000 d, and 3650 d is the most',
      expect.stringMatching(/^17:7: guests\.0\.controller\.term/),
    ]))

  test('whether all was checked', () => {
    expect(readConfig(write(GOOD)).complete).toBe(true)
    expect(readConfig(write(GOOD.replace('max: 4', 'max: four'))).complete).toBe(false)
    expect(readConfig(write(GOOD.replace('cpu: 8', 'cpu: 1'))).complete).toBe(true)
  })
})

describe('what was meant', () => {
  test('is found for a kind that is written alone, too', () => {
    const file = write(`${GOOD.slice(0, GOOD.indexOf('    controller:'))}    controller: byhand\n`)
    expect(readConfig(file).errors.map(({ sentence }) => sentence)).toEqual([
      'found “byhand”, expected one of “groc”, “by-hand”; did you mean “by-hand”?',
    ])
  })

  test.each([
    ['cotroller', ['controller', 'control'], 'controller'],
    ['NAME', ['name'], 'name'],
    ['hots', ['hosts', 'types'], 'hosts'],
    ['zebra', ['hosts', 'types'], undefined],
    ['a', ['b'], undefined],
  ])('%s', (word, candidates, meant) => {
    expect(nearest(word, candidates)).toBe(meant)
  })

  test('swapped neighbours are one mistake', () => expect(editDistance('tpye', 'type')).toBe(1))
})

describe('the policy of the broker', () => {
  const policy = (...lines: readonly string[]): readonly [string, string] => [
    'guests:\n  - name: batch',
    `broker:\n  policy:${lines.join('\n    ')}\nguests:\n  - name: batch`,
  ]
  const settings = (...lines: readonly string[]) => {
    const [from, to] = policy(...lines)
    return loadConfig(write(GOOD.replace(from, to))).settings
  }

  test('is a name alone, or a kind with options', () => {
    expect(settings(' priority').broker?.policy).toMatchObject({ kind: 'priority', otherwise: { class: 0 } })
    const { broker } = settings('', 'kind: weighted-share', 'guests: { a/b: { weight: 2.5, min: 1 } }')
    expect(broker?.policy).toMatchObject({
      guests: { 'a/b': { weight: 2.5, min: 1 } },
      otherwise: { weight: 1 },
    })
  })

  test('is told which guest asks, if it keeps something by guest', () => {
    expect(settings(' first-come').guests[0]?.properties).toEqual({})
    expect(settings(' weighted-share').guests[0]?.properties).toEqual({ guest: 'batch' })
  })

  test('is one that there is, and its promises can be kept', () => {
    expect(findings(policy(' lottery'))[0]).toContain('expected one of')
    expect(findings(policy('', 'kind: priority', 'otherwise: { class: 3, most: 1 }'))[0]).toContain(
      'broker.policy.otherwise.most: found 1, which is below the class 3',
    )
    const share = (text: string) => findings(policy('', 'kind: weighted-share', `guests: { ${text} }`))[0]
    expect(share('x: { weight: 0 }')).toContain('broker.policy.guests.x.weight')
    expect(share('x: { min: 3, max: 2 }')).toContain('found 2, which is below the minimum 3')
    expect(share('x: { min: 3 }, y: { min: 2 }')).toContain('warning')
    expect(share('x: { min: 3 }, y: { min: 2 }')).toContain('guarantee 5 units together')
    expect(share('service-manager/bach: {}')).toContain('“bach” is no guest of service-manager')
    expect(share('service-manager/batch: {}')).toBeUndefined()
  })

  test('gives back what is beyond a share only to requests that wait, which GROC’s do with a target', () => {
    const among = (kind: string, grow = 'wait: 5s') =>
      findings(
        policy('', `kind: ${kind}`),
        ['guests:\n', 'peers: [{ name: other, role: service-manager, poll: true, keyFile: k }]\nguests:\n'],
        ['max: 4\n', `max: 4\n      grow: { ${grow} }\n`],
      ).filter((line) => line.includes('grow.target'))
    expect(among('weighted-share')[0]).toContain('never wait at the broker')
    expect(among('weighted-share', 'target: 1h')).toEqual([])
    expect(among('first-come')).toEqual([])
  })
})

describe('docs/configure.md', () => {
  const document = readFileSync(new URL('../../docs/configure.md', import.meta.url), 'utf8')
  const documented = new Map(
    document.split('\n').flatMap((line): [string, { type: string; preset: string }][] => {
      const [, path, type, preset] = /^\| `([^`]+)` \| ([^|]*) \| ([^|]*) \|/.exec(line) ?? []
      return path === undefined ? [] : [[path, { type: (type ?? '').trim(), preset: (preset ?? '').trim() }]]
    }),
  )
  const options = new Map(optionsOf(shapeOf(configSchema, duration)))

  test('lists every option there is, and none that is not', () => {
    expect([...documented.keys()].sort()).toEqual([...options.keys()].sort())
  })

  test('shows examples that are valid', () => {
    const examples = [...document.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, example = '']) => example)
    const whole = examples.filter((example) => example.startsWith('name:'))
    expect(whole).toHaveLength(4)
    for (const example of whole)
      expect(readConfig(write(example))).toMatchObject({ errors: [], warnings: [] })
  })

  test('says which are required, and the defaults of the others', () => {
    const told = [...documented].map(([path, { preset }]) => `${path}: ${preset}`)
    expect(told.sort()).toEqual([...options].map(([path, { preset }]) => `${path}: ${preset}`).sort())
  })
})

interface Option {
  readonly preset: string
}

/** Leaves of the shape by the path that the document uses: `[]` for entries of a list, NAME for names one chooses. */
function optionsOf(shape: Shape, path = '', required = true): [string, Option][] {
  const inner: [string, Option][] = [
    ...[...shape.kinds].flatMap(([kind, options]) => [
      ...[...options.fields].flatMap(([key, field]) =>
        optionsOf(field, `${path}(${kind}).${key}`, options.required.has(key)),
      ),
    ]),
    ...[...shape.fields].flatMap(([key, field]) =>
      optionsOf(field, path === '' ? key : `${path}.${key}`, shape.required.has(key)),
    ),
    ...(shape.others !== undefined && shape.others.fields.size > 0
      ? optionsOf(shape.others, `${path}.NAME`, true)
      : []),
    ...(shape.items !== undefined && /\bobject$/.test(shape.items.type)
      ? optionsOf(shape.items, `${path}[]`, true)
      : []),
  ]
  if (inner.length > 0) return shape.kinds.size > 0 ? [kindOf(shape, path), ...inner] : inner
  const preset =
    shape.default !== undefined
      ? `\`${typeof shape.default === 'string' ? shape.default : JSON.stringify(shape.default)}\``
      : required
        ? 'required'
        : 'none'
  return [[path, { preset }]]
}

/** A kind that has a default can be written alone. */
const kindOf = (shape: Shape, path: string): [string, Option] =>
  shape.default === undefined
    ? [`${path}.kind`, { preset: 'required' }]
    : [path, { preset: `\`${String(shape.default)}\`` }]
