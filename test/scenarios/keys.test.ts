import { describe, expect } from 'vitest'
import type { AuthorityTables } from '../../actors/authority/rows.ts'
import type { Actor } from '../../actors/runtime/actor.ts'
import type { KeyRing } from '../../actors/runtime/identity.ts'
import { cheapKey, cheapTrust } from '../simulation/identities.ts'
import { release, request, scene } from './scene.ts'
import type { Stage } from './stage.ts'

/** What becomes of leases when a key ends. */
describe('keys', () => {
  const rings = new Map<string, KeyRing>()
  const parts = (name: string) => {
    const ring = cheapTrust(['manager', 'broker', 'site'])
    rings.set(name, ring)
    return { trust: ring }
  }
  const endsAt = (stage: Stage, seconds: number): void => {
    for (const ring of rings.values())
      ring.set('manager', [{ key: cheapKey('manager'), notAfter: stage.at(seconds) }])
  }

  scene(
    'A key that ends during a lease does not end the lease',
    async (stage) => {
      await stage.wishes([request()])
      await stage.runs(5)
      const site = stage.actor('site') as Actor<AuthorityTables>
      const [lease] = stage.leases()
      expect(lease?.state).toBe('active')
      stage.says('The key of the manager ends, and nobody has made another.')
      endsAt(stage, 6)
      await stage.runs(5)
      stage.says('The manager gives the lease back before its end; nobody believes him.')
      await stage.wishes([release(lease!.id)])
      await stage.runs(5)
      expect(site.rows('lease')).toMatchObject([{ state: 'active' }])
      stage.says('Its end comes, then its grace.')
      await stage.runs(200)
      expect(site.rows('unit').filter(({ state }) => state !== 'ended')).toEqual([])
      expect(stage.leases()).toEqual([])
      expect(stage.transcript.join('\n')).toContain('manager is outside of its time (message-key-expired)')
    },
    { parts },
  )
})
