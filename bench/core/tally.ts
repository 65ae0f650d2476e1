import type { Commit } from '../../actors/runtime/commit.ts'
import type { Identity, Trust } from '../../actors/runtime/identity.ts'
import type { Store } from '../../adapters/store.ts'

/** What a run signed, verified and committed, kept so that the floor can do the same and nothing else. */
export class Tally {
  /** Texts that were signed, in order. */
  readonly signed: string[] = []
  verifications = 0
  /** By actor, in order. */
  readonly commits = new Map<string, Commit[]>()
  on = true

  identity(identity: Identity): Identity {
    return {
      ...identity,
      sign: (text) => {
        if (this.on) this.signed.push(text)
        return identity.sign(text)
      },
    }
  }

  trust(trust: Trust): Trust {
    return {
      ...trust,
      verify: (name, text, signature, now) => {
        if (this.on) this.verifications++
        return trust.verify(name, text, signature, now)
      },
      verifyBy: (key, text, signature) => {
        if (this.on) this.verifications++
        return trust.verifyBy(key, text, signature)
      },
    }
  }

  store(name: string, store: Store): Store {
    return {
      ...store,
      commit: (commit) => {
        if (this.on) {
          const commits = this.commits.get(name) ?? []
          this.commits.set(name, commits)
          commits.push(commit)
        }
        return store.commit(commit)
      },
    }
  }
}
