import { z } from 'zod'
import { bodies } from '../../actors/leases/messages.ts'

const PAGE = `Signed messages between the actors of Sublet: service managers, brokers and site authorities.

A message is an envelope with a body; its answer says that it is on disk there, or why it never will be. Whatever is asked
or told is a message of its own, in both directions: the answer to a query, too, comes as a message. The bodies are listed
under components.schemas as \`body-KIND\`, where KIND is the \`kind\` of the envelope.`

/** What stands in the document beside the routes: the bodies of all kinds of messages. */
export const documentOf = () => ({
  openapi: '3.1.0' as const,
  info: { title: 'Sublet', description: PAGE, version: '2' },
  components: { schemas: schemasOfBodies() },
})

function schemasOfBodies(): Record<string, object> {
  return Object.fromEntries(
    Object.entries(bodies).map(([kind, body]) => {
      const { $schema: _, ...schema } = z.toJSONSchema(body, { io: 'input', unrepresentable: 'any' })
      return [`body-${kind}`, schema]
    }),
  )
}
