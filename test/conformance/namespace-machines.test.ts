import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { netnsDoor } from '../../adapters/exec/netns-door.ts'
import { sshConfig, sshExecutor } from '../../adapters/exec/ssh.ts'
import type { UnitFacts, UnitSpec } from '../../adapters/handler.ts'
import { readLayout } from '../../adapters/namespace/cgroups.ts'
import { eventually } from './eventually.ts'
import { executorLaw } from './executor.ts'
import { type NamespaceSite, namespaceSite, noNamespaces } from './namespace-site.ts'
import { runningWith } from './processes.ts'

executorLaw(
  'a namespace machine’s inside',
  async () => {
    const site = await namespaceSite()
    const unit = site.unit({ vector: { cpu: 2, memoryMiB: 256 } })
    await site.handler.setup(unit, AbortSignal.timeout(15_000))
    return { executor: await site.handler.inside(unit), runningWith, close: () => site.close() }
  },
  noNamespaces,
)

describe.skipIf(noNamespaces !== undefined)(
  `namespace machines${noNamespaces ? ` (${noNamespaces})` : ''}`,
  () => {
    let site: NamespaceSite
    let folder: string
    const soon = (): AbortSignal => AbortSignal.timeout(15_000)
    const end = (unit: UnitSpec) => site.handler.teardown(unit, { force: true }, soon())
    const says = async (unit: UnitSpec, command: string): Promise<string> => {
      const { stdout, stderr } = await (await site.handler.inside(unit)).run(['sh', '-c', command], {
        signal: soon(),
      })
      return `${stdout}${stderr}`.trim()
    }

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'sublet-machines-test-'))
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'guest')])
      const image = join(folder, 'image')
      await mkdir(join(image, 'etc'), { recursive: true })
      for (const name of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(image, name))
      for (const name of ['passwd', 'group', 'nsswitch.conf', 'ld.so.cache'])
        await writeFile(join(image, 'etc', name), await readFile(`/etc/${name}`))
      await writeFile(
        join(image, 'etc', 'shadow'),
        'root:!:19000:0:99999:7:::\nsshd:*:19000:0:99999:7:::\n',
        { mode: 0o600 },
      )
      await writeFile(join(folder, 'shared'), 'from the host\n')
      site = await namespaceSite({
        images: {
          plain: {},
          folder: { root: image, readOnlyBinds: ['/usr'] },
          prepared: {
            binds: [folder],
            readOnlyBinds: [join(folder, 'shared')],
            files: { '/etc/site/motd': 'welcome\n' },
            boot: [['sh', '-c', 'hostname >/var/tmp/booted']],
          },
          failing: { boot: [['sh', '-c', 'echo no licence >&2; exit 4']] },
        },
        confirmTimeout: '1s',
      })
    }, 20_000)
    afterAll(async () => {
      await site?.close()
      await rm(folder, { recursive: true, force: true })
    }, 60_000)

    const sshInto = async (facts: UnitFacts) => {
      const door = netnsDoor(site.netns)
      const config = sshConfig.parse({
        host: facts.address,
        port: Number(facts.sshPort),
        user: facts.sshUser,
        hostKey: facts.sshHostKey,
        privateKeyFile: join(folder, 'guest'),
      })
      const machine = sshExecutor(config, { clock: systemClock, connect: door.connect })
      const close = async (): Promise<void> => {
        await machine.close()
        await door.close()
      }
      return { machine, close }
    }
    const withKey = async () => ({ 'ssh.authorizedKey': await readFile(join(folder, 'guest.pub'), 'utf8') })

    test('the guest reaches its machine by ssh, with its own key and the host key it was told', async () => {
      const unit = site.unit({ properties: await withKey() })
      const began = systemClock.monotonic()
      const facts = await site.handler.setup(unit, soon())
      const { machine, close } = await sshInto(facts)
      const hello = await machine.run(['sh', '-c', 'hostname; id -un; hostname -I'], { signal: soon() })
      console.log(`first command over ssh after ${systemClock.monotonic() - began} ms`)
      expect(hello.stdout.split(/\s+/).filter(Boolean)).toEqual([unit.name, 'root', facts.address])
      const signals = await machine.run(['grep', '-E', 'SigBlk|SigIgn', '/proc/self/status'], {
        signal: soon(),
      })
      expect(signals.stdout.replaceAll(/\s+/g, ' ').trim()).toBe(
        'SigBlk: 0000000000000000 SigIgn: 0000000000000000',
      )
      await close()
      await end(unit)
    }, 30_000)

    test('machines see each other in the network, and nobody else’s processes', async () => {
      const [one, two] = [site.unit(), site.unit()]
      const [, facts] = await Promise.all([site.handler.setup(one, soon()), site.handler.setup(two, soon())])
      const banner = `exec 3<>/dev/tcp/${facts.address}/22; head -c 7 <&3`
      expect(await says(one, `bash -c '${banner}'`)).toBe('SSH-2.0')
      expect(await says(one, 'ls /proc | grep -c "^[0-9]"').then(Number)).toBeLessThan(10)
      expect(await says(one, 'ls -A /root /tmp')).toBe('/root:\n\n/tmp:')
      await Promise.all([end(one), end(two)])
    }, 30_000)

    test('an image of its own, a root whose password is locked, read-only files of the host', async () => {
      const unit = site.unit({ image: 'folder', properties: await withKey() })
      const { machine, close } = await sshInto(await site.handler.setup(unit, soon()))
      const { stdout } = await machine.run(['sh', '-c', 'ls /; touch /usr/x || echo refused'], {
        signal: soon(),
      })
      expect(stdout).toContain('refused')
      expect(stdout).not.toContain('home')
      await close()
      await end(unit)
    }, 30_000)

    test('binds, files and boot commands of the image are there when it answers', async () => {
      const unit = site.unit({ image: 'prepared' })
      await site.handler.setup(unit, soon())
      expect(await says(unit, 'cat /etc/site/motd /var/tmp/booted')).toBe(`welcome\n${unit.name}`)
      expect(await says(unit, `cat ${folder}/shared; echo x >${folder}/shared`)).toMatch(
        /^from the host\n.*Read-only/s,
      )
      expect(await says(unit, `echo ok >${folder}/written`)).toBe('')
      expect(await readFile(join(folder, 'written'), 'utf8')).toBe('ok\n')
      await end(unit)
    }, 30_000)

    test('its ordinary users can work there, though whoever made it keeps its own files to itself', async () => {
      const before = process.umask(0o077)
      try {
        const unit = site.unit({ image: 'prepared' })
        await site.handler.setup(unit, soon())
        const asUser = 'setpriv --reuid=1 --regid=1 --clear-groups'
        expect(await says(unit, `${asUser} cat /etc/site/motd /dev/null /etc/hosts`)).toMatch(
          /^welcome\n.*localhost/s,
        )
        expect(await says(unit, 'stat -c %a /; grep Umask /proc/1/status')).toBe('755\nUmask:\t0022')
        await end(unit)
      } finally {
        process.umask(before)
      }
    })

    test('a boot command that fails fails the setup, says why and leaves nothing', async () => {
      const unit = site.unit({ image: 'failing' })
      await expect(site.handler.setup(unit, soon())).rejects.toMatchObject({
        code: 'machine-setup',
        message: expect.stringContaining('no licence'),
      })
      expect(await site.processes(unit)).toEqual([])
      expect(await site.leftovers(unit)).toEqual([])
    }, 30_000)

    test('the limits of cpu and memory are the unit’s', async () => {
      const unit = site.unit({ vector: { cpu: 2, memoryMiB: 128 } })
      await site.handler.setup(unit, soon())
      const files = execFileSync('find', ['/sys/fs/cgroup', '-path', `*${unit.unitId}@*`, '-type', 'f'], {
        encoding: 'utf8',
      })
      const read = async (ending: RegExp): Promise<string | undefined> => {
        const path = files.split('\n').find((line) => ending.test(line))
        return path === undefined ? undefined : (await readFile(path, 'utf8')).trim()
      }
      expect(await read(/cpu\.(max|cfs_quota_us)$/)).toMatch(/^200000( 100000)?$/)
      expect(await read(/memory\.(max|limit_in_bytes)$/)).toBe(String(128 * 1024 * 1024))
      await end(unit)
    }, 30_000)

    test('pid 1 reaps orphans', async () => {
      const unit = site.unit()
      await site.handler.setup(unit, soon())
      await says(unit, 'for i in 1 2 3 4 5; do (setsid sleep 0.05 &) ; done')
      await eventually(
        async () => (await says(unit, 'cat /proc/[0-9]*/stat | grep -c ") Z" || true')) === '0',
        5000,
      )
      await end(unit)
    }, 30_000)

    test('a guest cannot end pid 1 by accident, and sshd comes back when it dies', async () => {
      const unit = site.unit({ properties: await withKey() })
      const facts = await site.handler.setup(unit, soon())
      await says(unit, 'kill -9 1; kill -9 $(cat /run/sublet-sshd.pid)')
      await eventually(
        async () => (await says(unit, 'cat /proc/$(cat /run/sublet-sshd.pid)/comm')) === 'sshd',
        5000,
      )
      const { machine, close } = await sshInto(facts)
      await eventually(
        async () =>
          (await machine.run(['echo', 'up'], { signal: soon() }).catch(() => undefined))?.stdout === 'up\n',
        5000,
      )
      await close()
      await end(unit)
    }, 30_000)

    test('a frozen machine fails its probe and confirms no new end; thawed it goes on; frozen it can be ended', async () => {
      const unit = site.unit({ probe: [{ argv: ['true'], timeoutMs: 500 }] })
      await site.handler.setup(unit, soon())
      await site.handler.freeze(unit.unitId, soon())
      expect(await site.handler.probe(unit, { onlyIdle: false }, soon())).toMatchObject({ kind: 'failed' })
      await expect(site.handler.modify(unit, soon())).rejects.toMatchObject({ code: 'machine-unreachable' })
      await site.handler.thaw(unit.unitId)
      expect(await site.handler.probe(unit, { onlyIdle: false }, soon())).toEqual({ kind: 'passed' })
      await site.handler.modify(unit, soon())
      await site.handler.freeze(unit.unitId, soon())
      expect(await end(unit)).toEqual({ kind: 'gone' })
      expect(await site.processes(unit)).toEqual([])
      expect(await site.leftovers(unit)).toEqual([])
    }, 30_000)

    test('what a guest puts in the dead-man’s place is not followed', async () => {
      const unit = site.unit()
      await site.handler.setup(unit, soon())
      const victim = join(folder, 'victim')
      await writeFile(victim, 'precious\n')
      await says(
        unit,
        `cd /run/sublet; rm -f wake answer order; ln -s ${victim} wake; ln -s ${victim} answer; ln -s ${victim} order`,
      )
      await site.handler.modify(unit, soon()).catch(() => undefined)
      expect(await readFile(victim, 'utf8')).toBe('precious\n')
      await end(unit)
    }, 30_000)

    test('eight at once', async () => {
      const eight = Array.from({ length: 8 }, () => site.unit())
      const began = systemClock.monotonic()
      const facts = await Promise.all(eight.map((unit) => site.handler.setup(unit, soon())))
      console.log(`eight machines answer after ${systemClock.monotonic() - began} ms`)
      expect(new Set(facts.map(({ address }) => address)).size).toBe(8)
      expect((await site.handler.list(soon())).filter(({ running }) => running)).toHaveLength(8)
      await Promise.all(eight.map(end))
      for (const unit of eight) {
        expect(await site.processes(unit)).toEqual([])
        expect(await site.leftovers(unit)).toEqual([])
      }
    }, 60_000)

    test('an image that the site does not have is refused by name', async () => {
      await expect(site.handler.setup(site.unit({ image: 'absent' }), soon())).rejects.toMatchObject({
        code: 'machine-setup',
        message: expect.stringContaining('absent'),
      })
    })

    test('a property that is no public key is refused by name', async () => {
      const unit = site.unit({ properties: { 'ssh.authorizedKey': 'command="rm -rf /" nonsense' } })
      await expect(site.handler.setup(unit, soon())).rejects.toMatchObject({ code: 'bad-property' })
      expect(await site.leftovers(unit)).toEqual([])
    })

    test('on a host with only v1 control groups it is held, frozen, looked at and ended all the same', async (t) => {
      const mounts = async (): Promise<string> =>
        (await readFile('/proc/mounts', 'utf8')).replaceAll(/^.* cgroup2 .*$/gm, '')
      if ('length' in readLayout(await mounts())) return t.skip('this host has only v2')
      const old = await namespaceSite({}, mounts)
      const machines = old.handler
      const unit = old.unit({ probe: [{ argv: ['true'], timeoutMs: 500 }] })
      await machines.setup(unit, soon())
      const stop = await old.startWork(unit)
      expect(await machines.teardown(unit, { force: false }, soon())).toMatchObject({ kind: 'busy' })
      expect(await machines.probe(unit, { onlyIdle: false }, soon())).toEqual({ kind: 'passed' })
      await stop()
      await machines.freeze(unit.unitId, soon())
      expect(await machines.probe(unit, { onlyIdle: false }, soon())).toMatchObject({ kind: 'failed' })
      expect(await machines.teardown(unit, { force: false }, soon())).toEqual({ kind: 'gone' })
      expect(await old.processes(unit)).toEqual([])
      expect(await old.leftovers(unit)).toEqual([])
      await old.close()
    }, 30_000)
  },
)
