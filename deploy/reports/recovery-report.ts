import type { Instant } from '../../actors/runtime/clock.ts'
import type { SiteView } from './site-view.ts'

/** An actor that was restored, and asks others what it has forgotten; until then it grants, assigns or ends nothing. */
export interface RecoveryReport {
  readonly actor: string
  readonly since: Instant
  /** When nobody is waited for any more; null while machines are listed, for that takes as long as it takes. */
  readonly until: Instant | null
  /** Peers that have not answered. */
  readonly waitsFor: readonly string[]
}

export function recoveriesOf({ broker, authority, serviceManager }: SiteView): readonly RecoveryReport[] {
  const waiting = (asked: Readonly<Record<string, { readonly state: string }>>): string[] =>
    Object.keys(asked).filter((peer) => asked[peer]!.state === 'asked')
  return [
    ...(broker?.rows('recovery') ?? []).map(({ since, due, until = due, peers }) => ({
      ...{ actor: broker!.name, since, until: until ?? null, waitsFor: waiting(peers) },
    })),
    ...(authority?.rows('recovery') ?? []).map(({ since, phase, until, asked }) => ({
      ...{ actor: authority!.name, since, until: phase === 'listing' ? null : (until ?? null) },
      waitsFor: phase === 'listing' ? [] : waiting(asked),
    })),
    ...(serviceManager?.rows('recovery') ?? []).map(({ since, due, until = due, asked }) => ({
      ...{ actor: serviceManager!.name, since, until: until ?? null },
      waitsFor: Object.values(asked).flatMap(({ peer, state }) => (state === 'asked' ? [peer] : [])),
    })),
  ]
}
