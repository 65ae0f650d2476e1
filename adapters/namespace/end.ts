import { rm } from 'node:fs/promises'
import { SubletError } from '../../actors/runtime/errors.ts'
import { interfaceName, type Mark } from './names.ts'
import type { Site } from './site.ts'

/** The kernel was quicker, before ip looked the interface up or after; or the site's whole network is gone. */
const ABSENT = /Cannot find device|No such device|cannot open .*No such file or directory/

/** Whatever there is of it; nothing there is as good. */
export async function end(site: Site, mark: Mark, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const groups = await site.cgroups()
  const hadGroups = (await groups.marks()).includes(mark)
  if (hadGroups) {
    await groups.end(mark, site.config.teardownTimeout, signal)
    await removeInterface(site, interfaceName(site.config.namePrefix, site.config.dir, mark), signal)
  }
  await rm(site.folder(mark), { recursive: true, force: true })
}

/** The kernel removes it with its network, but in its own time; the next machine wants the name now. */
async function removeInterface(site: Site, name: string, signal: AbortSignal): Promise<void> {
  const { exitCode, stderr } = await site.run(
    [...site.inNetns, 'ip', 'link', 'delete', name],
    signal,
    site.config.teardownTimeout,
  )
  if (exitCode !== 0 && !ABSENT.test(stderr))
    throw new SubletError('machine-teardown', `The interface ${name} cannot be removed: ${stderr.trim()}`)
}
