import { expect, test } from 'vitest'
import { netnsDoor } from '../../adapters/exec/netns-door.ts'

test('a door into a network namespace that is not there says so to everybody who waits', async () => {
  const door = netnsDoor('sublet-no-such-namespace')
  const signal = AbortSignal.timeout(5000)
  const dials = [1, 2].map((port) => door.connect('10.88.0.1', port, signal).catch((error: unknown) => error))
  for (const dial of dials)
    expect(await dial).toMatchObject({
      code: 'ssh-unreachable',
      message: expect.stringContaining('sublet-no-such-namespace'),
      cause: { message: expect.stringContaining('nsenter') },
    })
  await door.close()
})
