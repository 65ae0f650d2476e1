import type { Commit } from '../../actors/runtime/commit.ts'
import type { Identity, Trust } from '../../actors/runtime/identity.ts'
import type { Store } from '../../adapters/store.ts'

/**
 * What a run signed, verified and committed, so that the floor can do the same and nothing else. Of signatures only
 * numbers are kept: the texts of a long run would be more than all that the actors have in memory.
 */
export class Tally {
  signatures = 0
  signedChars = 0
  verifications = 0
  /** By actor, in order. */
  readonly commits = new Map<string, Commit[]>()
  on = true

  identity(identity: Identity): Identity {
    return {
      ...identity,
      sign: (text) => {
        if (this.on) {
          this.signatures++
          this.signedChars += text.length
        }
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
