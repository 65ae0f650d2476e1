import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { type ErrorCode, inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import type { Log } from '../../actors/runtime/log.ts'
import { duration } from '../../actors/runtime/settings.ts'
import { onOneLine } from '../reports/printable.ts'
import { shapeOf } from '../settings/by-kind.ts'
import { complaintsOf } from '../settings/complaints.ts'
import { asAnswer } from './control-protocol.ts'

/**
 * What callers of the control socket are told when it does not work: a code, a sentence and a cure in our words, whoever
 * found the mistake.
 */

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  'not-permitted': 403,
  'unknown-id': 404,
  'unknown-type': 404,
  usage: 400,
  'no-capacity': 409,
  'extension-pending': 409,
  'term-too-long': 409,
  'ticket-invalid': 409,
  'bad-property': 400,
  'lease-ended': 409,
  'peer-unknown': 404,
  'peer-silent': 504,
  'deadline-missed': 504,
  'not-running': 503,
}

const WORDS: Readonly<Record<number, string>> = {
  400: 'the request is no JSON, or has a field of a name that may not stand there',
  408: 'the request took too long to come in',
  413: 'the request is too long',
  414: 'a part of the address is too long',
  415: 'the request is not JSON: expected content-type application/json',
  431: 'the headers of the request are too long',
}

const PARTS: Readonly<Record<string, string>> = {
  body: 'the request',
  querystring: 'what follows “?” in the address',
  params: 'the address',
}

const CURE = 'Use the commands of `sublet`, of the version that runs there; see `sublet --help`.'
const WORD_CHARS_MAX = 100

const usage = (sentence: string): SubletError => new SubletError('usage', sentence, { cure: CURE })

/** The first mistake of what was sent. */
export function misread(
  schema: z.ZodType,
  value: unknown,
  part: string | undefined,
  issues: readonly z.core.$ZodIssue[],
): SubletError {
  const first = issues[0]!
  // Of very many fields that nobody knows one will do.
  const one = first.code === 'unrecognized_keys' ? { ...first, keys: first.keys.slice(0, 1) } : first
  const [complaint] = complaintsOf([one], value, shapeOf(schema, duration))
  const where = PARTS[part ?? ''] ?? 'the request'
  if (complaint === undefined) return usage(`${where} has not the form that is expected`)
  const { path, sentence } = complaint
  const field = path.length === 0 ? '' : `: ${cut(path.map(String).join('.'))}`
  return usage(`${where}${field} ${sentence}`)
}

export const nowhere = ({ method, url }: FastifyRequest): SubletError =>
  usage(`nothing answers ${method} ${cut(url)}`)

export function answerError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Log,
): FastifyReply {
  if (error instanceof SubletError) return reply.code(STATUS[error.code] ?? 500).send(asAnswer(error))
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500
  if (status < 500) return reply.code(status).send(asAnswer(usage(wordsOf(status))))
  log.error({ request: `${request.method} ${request.url}`, err: error }, 'a command failed')
  return reply.code(500).send({
    error: {
      code: 'unexpected',
      sentence: `Sublet failed: ${inOneLine(error)}`,
      cure: 'Look into sublet.log.',
    },
  })
}

/** Of an address that cannot be read, before anybody answers for it. */
export const answerUnread = (reply: FastifyReply, code: string): FastifyReply =>
  code === 'FST_ERR_MAX_PARAM_LENGTH'
    ? reply.code(414).send(asAnswer(usage(wordsOf(414))))
    : reply.code(400).send(asAnswer(usage('the address is not one')))

const OF_HTTP: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
}

/** What is no HTTP, or comes too slowly. */
export function answerNoHttp({ code }: { readonly code?: string }, socket: Socket): void {
  if (!socket.writable) return void socket.destroy()
  const status = OF_HTTP[code ?? ''] ?? 400
  const words = status === 400 ? 'the request is no HTTP' : wordsOf(status)
  const body = JSON.stringify(asAnswer(usage(words)))
  const head = `content-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}`
  socket.end(`HTTP/1.1 ${status} Refused\r\nconnection: close\r\n${head}\r\n\r\n${body}`)
}

const wordsOf = (status: number): string =>
  WORDS[status] ?? 'the request has not the form that is expected here'

const cut = (text: string): string =>
  onOneLine(text.length > WORD_CHARS_MAX ? `${text.slice(0, WORD_CHARS_MAX)}…` : text)
