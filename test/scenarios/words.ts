import { someUnits } from '../../actors/leases/words.ts'
import type { Envelope } from '../../actors/runtime/envelope.ts'

/** Ids as a reader can follow them: the first lease that is spoken of is lease-1. */
export class Names {
  readonly #names = new Map<string, string>()
  readonly #counts = new Map<string, number>()

  of(id: string): string {
    const known = this.#names.get(id)
    if (known !== undefined) return known
    const kind = id.slice(0, id.indexOf('-'))
    const count = (this.#counts.get(kind) ?? 0) + 1
    this.#counts.set(kind, count)
    const name = `${kind}-${count}`
    this.#names.set(id, name)
    return name
  }

  /** The text with its ids and instants as a reader can follow them. */
  in(text: string, startedAt: number): string {
    return text
      .replace(/\b[a-z]+-[0-9a-hj-km-np-tv-z]{12}\b/g, (id) => this.of(id))
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, (iso) => clockText(Date.parse(iso) - startedAt))
  }
}

/** `01:02.500`: minutes, seconds and thousandths since the scene began. */
export function clockText(ms: number): string {
  const minutes = Math.floor(ms / 60_000)
  const seconds = ((ms - minutes * 60_000) / 1000).toFixed(3).padStart(6, '0')
  return `${String(minutes).padStart(2, '0')}:${seconds}`
}

type Said = Readonly<Record<string, unknown>>

interface SaidTicket {
  readonly id: string
  readonly units: number
  readonly type: string
  readonly term: { readonly start: number; readonly end: number }
}

/** What a message says, in one line. */
export function gist({ kind, body: said }: Envelope, startedAt: number): string {
  const body = said as Said
  const at = (instant: unknown): string => clockText(Number(instant) - startedAt)
  const ticket = (one: unknown): string => {
    if (one === null || one === undefined) return 'no ticket'
    const { id, units, type, term } = one as SaidTicket
    return `${id}: ${units} of ${type} from ${at(term.start)} to ${at(term.end)}`
  }
  const listed = (ids: unknown): string => (ids as readonly string[]).join(', ') || 'none'
  const some = (units: unknown): string => someUnits(Number(units))
  const seconds = (ms: unknown): string => `${Number(ms) / 1000} s`
  switch (kind) {
    case 'delegation':
      return `${body.units} of ${body.type} are lent`
    case 'recall-units':
      return `${body.units} of ${body.type} back by ${at(body.by)}`
    case 'ticket':
      return `${body.units} of ${body.type} for ${seconds(body.durationMs)} from ${at(body.start)}${manner(body.properties as Said)}`
    case 'extend-ticket':
      return `${some(body.units)} for ${seconds(body.durationMs)} after ${body.predecessor}${body.unitsMin === undefined ? '' : `, at least ${body.unitsMin}`}`
    case 'ticket-update':
      return body.outcome === 'granted' ? `granted ${ticket(body.ticket)}` : `${body.outcome}: ${body.reason}`
    case 'redeem':
      return ticket(body.ticket)
    case 'extend-lease':
      return `${ticket(body.ticket)}; victims: ${listed(body.victims)}`
    case 'modify-lease':
      return Object.entries(body.properties as Said)
        .map(([key, value]) => `${key}=${value}`)
        .join(', ')
    case 'vacate':
      return listed(body.units)
    case 'lease-update': {
      const units = (body.units as readonly Said[]).map(({ name, report }) => `${name} ${report}`)
      const refused = body.extensionRefused === null ? '' : `; extension refused: ${body.extensionRefused}`
      const { modified } = body as { modified?: { refused: string | null; failed: readonly string[] } | null }
      const changed =
        modified == null
          ? ''
          : `; modified${modified.refused === null ? '' : `: refused: ${modified.refused}`}${modified.failed.length > 0 ? `, not ${listed(modified.failed)}` : ''}`
      return `${body.state} until ${at((body.term as SaidTicket['term']).end)}: ${units.join(', ') || 'no units'}${refused}${changed}`
    }
    case 'recall':
      return `${some(body.units)} back by ${at(body.by)}${body.binding ? '' : ', as advice'}`
    case 'recall-plan':
      return `${some(body.units)} by ${at(body.by)}`
    case 'close':
    case 'relinquish':
      return String(body.reason)
    case 'return-extension':
      return String(body.ticketId)
    case 'tickets-returned':
      return listed((body.tickets as readonly Said[]).map(({ ticketId }) => ticketId))
    case 'query':
      return `${body.about}${body.type === undefined ? '' : ` of ${body.type}`}`
    case 'query-answer':
      if (body.refused !== null) return `refused: ${body.refused}`
      return (body.profile as readonly unknown[]).length > 0
        ? `${some(body.unitsNow)} now, ${body.earliest === null ? 'never as many as asked for' : `as many as asked for from ${at(body.earliest)} on`}`
        : (body.types as readonly Said[])
            .map(({ site, type, units, free }) => `${site} lends ${units} of ${type}, ${free} free`)
            .join(', ')
    case 'holdings':
      return `${(body.holdings as readonly unknown[]).length} leases`
    default:
      return ''
  }
}

function manner(properties: Said): string {
  const words = [
    properties.elastic === 'true' ? `elastic down to ${properties['units.min'] ?? 1}` : '',
    properties.deferrable === 'true' ? 'deferrable' : '',
    properties['group.id'] === undefined
      ? ''
      : `one of ${properties['group.size']} of group ${properties['group.id']}`,
  ].filter(Boolean)
  return words.length === 0 ? '' : `, ${words.join(', ')}`
}
