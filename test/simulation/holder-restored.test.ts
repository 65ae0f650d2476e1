import { describe, expect, test } from 'vitest'
import { MINUTE } from './desk.ts'
import { Holder, kindsOf } from './holder.ts'
import { held, machine, questionTo, restored, tells } from './holder-store.ts'

describe('a service manager that was restored from an older store', () => {
  test('adopts a lease that it forgot, as its broker and its site hold it', () => {
    const holder = new Holder()
    let id = ''
    const { draft, later } = restored(holder, () => {
      id = holder.active()
    })
    const lease = later(id)
    expect(holder.lease(id)).toBeUndefined()
    const heard = tells(holder, 'broker', questionTo(draft, 'broker'), [held(lease)])
    expect(holder.lease(id)).toMatchObject({ guest: 'g', ticketState: 'held', leaseState: 'redeeming' })
    tells(holder, 'broker-2', questionTo(draft, 'broker-2'), [])
    const last = tells(holder, 'site', questionTo(heard, 'site'), [
      held(lease, [machine('u1'), machine('u2')]),
    ])
    expect(holder.lease(id)).toMatchObject({ leaseState: 'active', ticket: lease?.ticket, term: lease?.term })
    expect(['u1', 'u2'].map((unit) => holder.unit(unit).state)).toEqual(['joining', 'joining'])
    expect(last.notes.map(({ kind }) => kind)).toContain('recovered')
  })

  test('asks for nothing, and ends nothing by what it remembers, until all have answered', () => {
    const holder = new Holder()
    const id = holder.active()
    const { draft } = restored(holder, () => undefined)
    expect(kindsOf(holder.wish([{ kind: 'release', leaseId: id, reason: 'not needed' }]))).toEqual([])
    expect(holder.ask()).toBe('none')
    holder.desk.now = holder.lease(id).term!.end
    expect(kindsOf(holder.desk.due('lease', id))).toEqual([])
    expect(holder.lease(id).leaseState).toBe('active')
    for (const peer of ['broker', 'broker-2']) tells(holder, peer, questionTo(draft, peer), [])
    tells(holder, 'site', questionTo(draft, 'site'), [held(holder.lease(id), [])])
    expect(holder.ask()).not.toBe('none')
  })

  test('takes an extension and other units from its site', () => {
    const holder = new Holder()
    const id = holder.active()
    const [first, second] = holder.lease(id).units
    const { draft, later } = restored(holder, () => {
      holder.wish([{ kind: 'extend', leaseId: id, durationMs: MINUTE, victims: [], reason: 'more' }])
      holder.grant(id)
    })
    const next = later(id)?.next
    for (const peer of ['broker', 'broker-2']) tells(holder, peer, questionTo(draft, peer), [])
    const units = [machine(second!), machine('new')]
    tells(holder, 'site', questionTo(draft, 'site'), [held(holder.lease(id), units, { next })])
    expect(holder.lease(id)).toMatchObject({ ticket: next, next: undefined, term: { end: next?.term.end } })
    expect([first, second, 'new'].map((unit) => holder.unit(unit!).state)).toEqual([
      'lost',
      'joined',
      'joining',
    ])
  })

  test('hears from its site which units it wants back, and by when that was ordered', () => {
    const holder = new Holder()
    const id = holder.active()
    const [first, second] = holder.lease(id).units
    const { draft } = restored(holder, () => undefined)
    for (const peer of ['broker', 'broker-2']) tells(holder, peer, questionTo(draft, peer), [])
    const leaveBy = holder.desk.now + 30_000
    holder.desk.now = leaveBy - 500
    const units = [{ ...machine(first!), leaveBy, leaveOrderedAt: leaveBy - 1_000 }, machine(second!)]
    tells(holder, 'site', questionTo(draft, 'site'), [held(holder.lease(id), units)])
    expect(holder.unit(first!).leaveBy).toMatchObject({ by: leaveBy, binding: true })
    expect(holder.lease(id).leaveBy).toBe(leaveBy)
  })

  test('keeps an extension of which the site has not heard yet: its answer may have crossed it', () => {
    const holder = new Holder()
    const id = holder.active()
    holder.wish([{ kind: 'extend', leaseId: id, durationMs: MINUTE, victims: [], reason: 'more' }])
    holder.grant(id)
    const { draft } = restored(holder, () => undefined)
    const { ticket, next } = holder.lease(id)!
    for (const peer of ['broker', 'broker-2']) tells(holder, peer, questionTo(draft, peer), [])
    tells(holder, 'site', questionTo(draft, 'site'), [
      held(
        holder.lease(id),
        holder.lease(id).units.map((unit) => machine(unit)),
      ),
    ])
    expect(holder.lease(id)).toMatchObject({ leaseState: 'extending', ticket, next })
    holder.update(id, { ticketId: next!.id, term: next!.term })
    expect(holder.lease(id)).toMatchObject({
      leaseState: 'active',
      ticket: next,
      term: { end: next!.term.end },
    })
  })

  test('closes what its site does not know any more, and gives it back after its last word', () => {
    const holder = new Holder()
    const id = holder.active()
    const { draft } = restored(holder, () => undefined)
    const drafts = ['broker', 'broker-2', 'site'].map((peer) =>
      tells(holder, peer, questionTo(draft, peer), []),
    )
    expect(drafts.flatMap(kindsOf)).toEqual([])
    // They may run all the same: they leave as any others.
    const gone = holder.lease(id).units.map((unit) => holder.done(unit, 'leave'))
    expect(gone.flatMap(kindsOf)).toEqual(['close'])
    expect(kindsOf(holder.update(id, { state: 'closed' }, []))).toEqual(['relinquish'])
    expect(holder.lease(id)).toMatchObject({ leaseState: 'closed', ticketState: 'returning' })
  })

  test('closes nothing by the word of its broker alone: its site, which did not name it, says how it stands', () => {
    for (const isHeld of [false, true]) {
      const holder = new Holder()
      let id = ''
      const { draft, later } = restored(holder, () => {
        id = holder.active()
      })
      const lease = later(id)
      const heard = tells(holder, 'broker', questionTo(draft, 'broker'), [held(lease)])
      const said = [
        tells(holder, 'broker-2', questionTo(draft, 'broker-2'), []),
        tells(holder, 'site', questionTo(heard, 'site'), []),
      ]
      expect(said.flatMap(kindsOf)).toEqual(['modify-lease'])
      if (!isHeld) {
        expect(kindsOf(holder.update(id, { state: 'closed' }, []))).toEqual(['relinquish'])
        continue
      }
      // Also at its end nobody says that all have left before the site has told which there are.
      holder.desk.now = holder.lease(id).term!.end
      expect(kindsOf(holder.desk.due('lease', id))).toEqual([])
      holder.update(id)
      expect(holder.lease(id)).toMatchObject({ leaseState: 'leaving', units: lease!.units })
    }
  })

  test('keeps what was granted since its site was asked: the site could not know it', () => {
    const holder = new Holder()
    const other = holder.active()
    const id = holder.ask()
    const { draft } = restored(holder, () => undefined)
    tells(holder, 'site', questionTo(draft, 'site'), [
      held(
        holder.lease(other),
        holder.lease(other).units.map((unit) => machine(unit)),
      ),
    ])
    expect(kindsOf(holder.grant(id))).toEqual([])
    const rest = ['broker', 'broker-2'].map((peer) => tells(holder, peer, questionTo(draft, peer), []))
    expect(rest.flatMap(kindsOf)).toEqual(['redeem'])
    expect(rest.at(-1)!.notes.map(({ kind }) => kind)).toContain('recovered')
    expect(holder.lease(id).leaseState).toBe('redeeming')
  })

  test('asks every site that may hold something in its name', () => {
    const { draft } = restored(new Holder({ peers: ['site-9'] }), () => undefined)
    expect(questionTo(draft, 'site-9')).not.toBe('none')
  })

  test('waits neither for one who is no peer any more nor for an observer, and redeems what it was granted', () => {
    const holder = new Holder({ peers: ['site'] })
    for (const id of ['observer', 'site-gone']) holder.desk.rows.set('$peer', id, { id })
    const id = holder.ask()
    const { draft } = restored(holder, () => undefined)
    const asked = draft.outgoing.filter(({ kind }) => kind === 'holdings-query').map(({ to }) => to)
    expect(asked.sort()).toEqual(['broker', 'broker-2', 'site'])
    expect(draft.notes.filter(({ kind }) => kind === 'holdings unknown').map(({ reason }) => reason)).toEqual(
      ['of site-gone the own rows are believed: it is no peer (any more)'],
    )
    expect(kindsOf(holder.desk.tell('observer', 'query', 'query-1', { about: 'types' }))).not.toContain(
      'holdings-query',
    )
    holder.grant(id)
    const said = ['broker', 'broker-2', 'site'].map((peer) =>
      tells(holder, peer, questionTo(draft, peer), []),
    )
    expect(said.flatMap(kindsOf)).toEqual(['redeem'])
  })

  test('ends nothing by a refusal: its request may have been granted before, and be known to others', () => {
    const holder = new Holder()
    const id = holder.ask()
    const { draft, later } = restored(holder, () => {
      holder.grant(id)
      holder.update(id)
    })
    expect(kindsOf(holder.answer(id, 'refused'))).toEqual([])
    expect(holder.lease(id).ticketState).toBe('asked')
    const heard = tells(holder, 'broker', questionTo(draft, 'broker'), [held(later(id))])
    tells(holder, 'broker-2', questionTo(draft, 'broker-2'), [])
    tells(holder, 'site', questionTo(heard, 'site'), [held(later(id), [machine('u1'), machine('u2')])])
    expect(holder.lease(id)).toMatchObject({ ticketState: 'held', leaseState: 'active' })
  })

  test('asks anew when a copy that was made during a recovery is put back', () => {
    const holder = new Holder()
    const first = restored(holder, () => undefined).draft
    tells(holder, 'broker', questionTo(first, 'broker'), [])
    const second = restored(holder, () => undefined).draft
    expect(questionTo(second, 'broker')).not.toBe('none')
    expect(questionTo(second, 'broker')).not.toBe(questionTo(first, 'broker'))
  })

  test('gives back once more what it has given back: it may have been told so in the time forgotten', () => {
    const holder = new Holder()
    const id = holder.active()
    holder.wish([{ kind: 'release', leaseId: id, reason: 'done' }])
    for (const unit of holder.lease(id).units) holder.done(unit, 'leave')
    holder.update(id, { state: 'closed' }, [])
    const { draft } = restored(holder, () => undefined)
    expect(holder.lease(id)).toMatchObject({ ticketState: 'returning' })
    const drafts = ['broker', 'broker-2', 'site'].map((peer) =>
      tells(holder, peer, questionTo(draft, peer), []),
    )
    expect(drafts.flatMap(kindsOf)).toEqual(['relinquish'])
  })

  test('remembers from its site what is over, and removes what the middleware still has of it', () => {
    const holder = new Holder()
    const other = holder.active()
    let id = ''
    const { draft, later } = restored(holder, () => {
      id = holder.active()
    })
    for (const peer of ['broker', 'broker-2']) tells(holder, peer, questionTo(draft, peer), [])
    const over = held(later(id), [machine('u1', 'ended')], { state: 'closed', closed: true })
    const stands = held(
      holder.lease(other),
      holder.lease(other).units.map((unit) => machine(unit)),
    )
    tells(holder, 'site', questionTo(draft, 'site'), [stands, over])
    expect(holder.lease(id)).toMatchObject({ ticketState: 'closed', leaseState: 'closed', guest: 'g' })
    holder.desk.now += MINUTE
    const nodes = [{ name: 'node-u1', mark: { leaseId: id, unitId: 'u1' }, responding: false }]
    const traces = { startedAt: holder.desk.now, nodes, launchFailed: [] }
    const args = { guest: 'g', observation: undefined, failure: undefined, traces }
    const look = holder.desk.give({ kind: 'command', name: 'look', args })
    expect([...look.intended.entries()].map(([key, effect]) => [key, effect?.verb])).toEqual([['u1', 'lost']])
  })

  test('knows whose a lease is, also while that guest is not configured', () => {
    const holder = new Holder()
    const figures = { backlogJobs: 0, unitsWanted: 0, unitsJoined: 0, unitsComing: 0, oldestWaitMs: 0 }
    holder.desk.rows.set('guest', 'gone', { id: 'gone', figures, refusals: [], reason: '' } as never)
    let id = ''
    const { draft, later } = restored(holder, () => {
      id = holder.active()
    })
    const lease = { ...later(id)!, properties: { guest: 'gone' } }
    tells(holder, 'broker', questionTo(draft, 'broker'), [held(lease)])
    expect(holder.lease(id).guest).toBe('gone')
  })

  test('waits for the work of a unit that may have joined, however often it fails to leave', () => {
    const holder = new Holder()
    let id = ''
    const { draft, later } = restored(holder, () => {
      id = holder.active()
    })
    const heard = tells(holder, 'broker', questionTo(draft, 'broker'), [held(later(id))])
    tells(holder, 'broker-2', questionTo(draft, 'broker-2'), [])
    tells(holder, 'site', questionTo(heard, 'site'), [
      held(later(id), [machine('u1', 'suspect')], { state: 'closing' }),
    ])
    for (let i = 0; i < 5; i++) {
      const outcome = { kind: 'failed' as const, code: 'unexpected' as const, reason: 'no answer' }
      holder.desk.give({ kind: 'effect', key: 'u1', verb: 'leave', args: {}, attempt: 1, outcome })
      holder.desk.due('unit', 'u1')
    }
    expect(holder.unit('u1').state).toBe('leaving')
  })

  test('takes a unit out of the middleware that it has forgotten, when its lease is closing', () => {
    const holder = new Holder()
    let id = ''
    const { draft, later } = restored(holder, () => {
      id = holder.active()
    })
    const heard = tells(holder, 'broker', questionTo(draft, 'broker'), [held(later(id))])
    tells(holder, 'broker-2', questionTo(draft, 'broker-2'), [])
    const units = [machine('u1', 'suspect'), machine('u2', 'coming')]
    const last = tells(holder, 'site', questionTo(heard, 'site'), [
      held(later(id), units, { state: 'closing' }),
    ])
    expect(holder.lease(id).leaseState).toBe('leaving')
    expect([...last.intended.entries()].map(([key, effect]) => [key, effect?.verb])).toEqual([
      ['u1', 'leave'],
      ['u2', 'leave'],
    ])
    expect(kindsOf(last)).not.toContain('vacate')
  })

  test('takes units out of the middleware that may have joined in the time forgotten, also if their site stays silent', () => {
    const holder = new Holder()
    const id = holder.ask()
    holder.grant(id)
    holder.update(id, {}, [holder.report('u1', 'coming')])
    restored(holder, () => {
      holder.update(id, {}, [holder.report('u1', 'active'), holder.report('u2', 'active')])
      for (const unit of ['u1', 'u2']) holder.done(unit, 'join')
    })
    holder.desk.now += 20 * MINUTE
    holder.desk.due('recovery', 'recovery')
    const last = holder.update(id, { state: 'closing' }, [holder.report('u2', 'suspect')])
    expect(holder.lease(id).leaseState).toBe('leaving')
    expect([...last.intended.entries()].map(([key, effect]) => [key, effect?.verb])).toEqual([
      ['u1', 'leave'],
      ['u2', 'leave'],
    ])
  })

  test('says to who was restored, too, that it may have forgotten what it does not name', () => {
    const holder = new Holder()
    const id = holder.active()
    const ask = () => holder.desk.tell('site', 'holdings-query', 'holdings-1', { page: 0 }).outgoing[0]?.body
    const known = ask()
    expect(known).toMatchObject({ holdings: [{ leaseId: id }] })
    expect(known).not.toHaveProperty('unsure')
    restored(holder, () => undefined)
    expect(ask()).toMatchObject({ unsure: true, holdings: [{ leaseId: id }] })
  })

  test('names the units that still leave from a boundary that is behind', () => {
    const holder = new Holder()
    const id = holder.active()
    const [victim] = holder.lease(id).units
    holder.wish([{ kind: 'extend', leaseId: id, durationMs: MINUTE, victims: [victim!], reason: 'less' }])
    holder.grant(id)
    const { next } = holder.lease(id)
    holder.update(id, { ticketId: next!.id, term: { start: 0, end: next!.term.end } })
    holder.desk.now = holder.lease(id).ticket!.term.start - 1
    holder.desk.due('lease', id)
    expect(holder.lease(id).victims).toEqual([])
    const told = holder.desk.tell('site', 'holdings-query', 'holdings-1', { page: 0 }).outgoing
    expect(told[0]?.body).toMatchObject({ holdings: [{ victims: [victim] }] })
  })

  test('names none that are to go with an extension which is only asked for', () => {
    const holder = new Holder()
    const id = holder.active()
    const [victim] = holder.lease(id).units
    holder.wish([{ kind: 'extend', leaseId: id, durationMs: MINUTE, victims: [victim!], reason: 'less' }])
    const told = holder.desk.tell('site', 'holdings-query', 'holdings-1', { page: 0 }).outgoing
    expect((told[0]!.body as { holdings: object[] }).holdings[0]).not.toHaveProperty('victims')
  })

  test('learns from the site whose a lease is that its broker showed without its properties', () => {
    const holder = new Holder()
    let id = ''
    const { draft, later } = restored(holder, () => {
      id = holder.active()
    })
    const lease = later(id)!
    const heard = tells(holder, 'broker', questionTo(draft, 'broker'), [held({ ...lease, properties: {} })])
    expect(holder.lease(id).guest).toBe('')
    tells(holder, 'site', questionTo(heard, 'site'), [held(lease, [machine('u1')])])
    expect(holder.lease(id)).toMatchObject({ guest: 'g', openFor: 'g', properties: lease.properties })
    expect(holder.unit('u1')).toMatchObject({ guest: 'g', state: 'joining' })
  })

  test('asks whoever it has met, and whoever speaks while it recovers', () => {
    const holder = new Holder()
    holder.desk.rows.set('$peer', 'site-2', { id: 'site-2' })
    const { draft } = restored(holder, () => undefined)
    expect(questionTo(draft, 'site-2')).not.toBe('none')
    const update = {
      ...{ state: 'closing', term: { start: 1, end: 2 }, ticketId: 'none', units: [], image: '' },
      ...{ reason: '', extensionRefused: null },
    }
    expect(questionTo(holder.desk.tell('site-3', 'lease-update', 'lease-x', update), 'site-3')).not.toBe(
      'none',
    )
  })

  test('gives back a request that its broker alone remembers', () => {
    const holder = new Holder()
    let id = ''
    const { draft, later } = restored(holder, () => {
      id = holder.ask()
    })
    const answer = tells(holder, 'broker', questionTo(draft, 'broker'), [
      held(later(id), [], { ticket: null }),
    ])
    expect(answer.outgoing.map(({ kind, subject }) => [kind, subject])).toEqual([['relinquish', id]])
  })

  test('believes its own rows of those who stay silent, and has redeemed once more whose units only the site knows', () => {
    const holder = new Holder()
    const id = holder.active()
    restored(holder, () => undefined)
    holder.desk.now = [...holder.desk.rows.all('recovery')][0]!.due!
    const draft = holder.desk.due('recovery', 'recovery')
    expect(holder.lease(id)).toMatchObject({ leaseState: 'active' })
    expect(draft.outgoing.map(({ to, kind, subject }) => [to, kind, subject])).toEqual([
      ['site', 'redeem', id],
    ])
    expect(holder.ask()).not.toBe('none')
    holder.update(id, {}, [...holder.reports(id), holder.report('u9', 'active')])
    expect(holder.unit('u9').state).toBe('joining')
    expect(holder.lease(id).unsure).toBeUndefined()
  })

  test.each([
    ['in an answer', true],
    ['in an update', false],
  ])('gives no machine up whose lease stands at its site, %s, long after the end that it remembers', (_, isAsked) => {
    const holder = new Holder()
    const id = holder.active()
    const { draft } = restored(holder, () => undefined)
    const { term, graceMs } = holder.lease(id)
    holder.desk.now = term!.end + graceMs + 60 * MINUTE
    if (isAsked) for (const peer of ['broker', 'broker-2']) tells(holder, peer, questionTo(draft, peer), [])
    if (isAsked)
      tells(holder, 'site', questionTo(draft, 'site'), [held(holder.lease(id), holder.reports(id))])
    else holder.update(id, { term: { ...term!, end: holder.desk.now + MINUTE } })
    const kinds = () => holder.desk.due('lease', id).notes.map(({ kind }) => kind)
    expect([...kinds(), ...kinds()]).not.toContain('final word missing')
    expect(holder.lease(id).units.map((unit) => holder.unit(unit).state)).not.toContain('lost')
  })

  test('is no surer of a lease by what its site said before the store was put back', () => {
    const holder = new Holder()
    const id = holder.active()
    const said = holder.desk.now
    holder.desk.now += MINUTE
    restored(holder, () => undefined)
    const now = holder.desk.now
    holder.desk.now = said
    holder.update(id)
    holder.desk.now = now
    expect(holder.lease(id).unsure).toBe(true)
    holder.update(id)
    expect(holder.lease(id).unsure).toBeUndefined()
  })

  test('says that nothing is left of a lease only when its site has told what there is', () => {
    const holder = new Holder()
    const id = holder.active()
    restored(holder, () => undefined)
    holder.desk.now = [...holder.desk.rows.all('recovery')][0]!.due!
    holder.desk.due('recovery', 'recovery')
    holder.wish([{ kind: 'release', leaseId: id, reason: 'done' }])
    const left = holder.lease(id).units.map((unit) => holder.done(unit, 'leave'))
    expect(left.flatMap(kindsOf)).not.toContain('close')
    expect(holder.lease(id).leaseState).toBe('leaving')
    const told = holder.update(id, {}, [...holder.reports(id, 'suspect'), holder.report('u9', 'suspect')])
    expect([...told.intended.entries()].map(([key, effect]) => [key, effect?.verb])).toEqual([
      ['u9', 'leave'],
    ])
    expect(kindsOf(holder.done('u9', 'leave'))).toContain('close')
  })

  test('adopts nothing that no broker of ours has signed for us', () => {
    const holder = new Holder()
    let id = ''
    const { draft, later } = restored(holder, () => {
      id = holder.active()
    })
    const ticket = { ...later(id)?.ticket, units: 3 }
    tells(holder, 'broker', questionTo(draft, 'broker'), [held(later(id), [], { ticket })])
    expect(holder.lease(id)).toBeUndefined()
  })

  test('learns from the middleware whose a lease is, and nothing of it joins before', () => {
    const holder = new Holder()
    let id = ''
    const { draft, later } = restored(holder, () => {
      id = holder.active()
    })
    const lease = { ...later(id)!, properties: {} }
    const heard = tells(holder, 'broker', questionTo(draft, 'broker'), [held(lease)])
    tells(holder, 'site', questionTo(heard, 'site'), [held(lease, [machine('u1')])])
    expect([holder.lease(id).guest, holder.unit('u1').state]).toEqual(['', 'awaited'])
    const nodes = [{ name: 'node-u1', mark: { leaseId: id, unitId: 'u1' }, responding: false }]
    const traces = { startedAt: holder.desk.now, nodes, launchFailed: [] }
    const args = { guest: 'h', observation: undefined, failure: undefined, traces }
    holder.desk.give({ kind: 'command', name: 'look', args })
    expect([holder.lease(id).guest, holder.unit('u1').guest, holder.unit('u1').state]).toEqual([
      'h',
      'h',
      'joining',
    ])
  })
})
