import { SubletError } from '../../actors/runtime/errors.ts'
import { EXIT, print, printJson } from '../commands/terminal.ts'
import { table } from '../reports/show.ts'
import type { GuestSettings, Settings } from '../settings/config.ts'
import { loadConfig } from '../settings/settings-file.ts'
import type { Form } from './defaults.ts'
import { type Rights, type RightsAsk, rightsOf } from './rights.ts'

export interface RightsOptions extends RightsAsk {
  readonly config: string
  readonly guest?: string
  readonly form?: Form
  readonly json?: true
}

/** `sublet rights`: prints, and changes nothing. */
export function rights(options: RightsOptions): number {
  const { settings } = loadConfig(options.config)
  const found = rightsOf(settings, guestOf(settings, options.guest), options)
  if (options.json === true) printJson(found)
  else print((options.form === undefined ? howTo(found, options) : FORM[options.form](found)).trimEnd())
  return EXIT.done
}

const FORM: Readonly<Record<Form, (found: Rights) => string>> = {
  list: ({ list }) =>
    table(
      ['RIGHT', 'VERB', 'COMMAND', 'WHY'],
      list.map(({ right, verb, command, input, why }) => [
        right,
        verb,
        input === undefined ? command : `${command} ← ${input.join(' or ')}`,
        why,
      ]),
    ),
  wrapper: ({ wrapper }) => wrapper,
  sudoers: ({ sudoers }) => sudoers,
  'forced-command': ({ authorizedKeys }) => authorizedKeys,
}

/** One guest of those that there are. */
export function guestOf({ guests }: Settings, named: string | undefined): GuestSettings {
  const names = guests.map(({ name }) => name).join(', ')
  const [only] =
    named === undefined && guests.length === 1 ? guests : guests.filter(({ name }) => name === named)
  if (only !== undefined) return only
  throw named === undefined
    ? new SubletError('usage', `there are several guests: ${names}`, {
        cure: 'Name one of them with --guest.',
      })
    : new SubletError('unknown-id', `no guest is named ${named}; there is: ${names}`, {
        cure: 'Name one of these with --guest.',
      })
}

const howTo = (
  { guest, batch, list, sudoers, authorizedKeys, nodes }: Rights,
  ask: RightsAsk & { config: string },
): string => {
  const again = `sublet rights --config ${ask.config} --guest ${guest} --user ${ask.user}`
  const changes = list.filter(({ right }) => right === 'change').length
  return `# ${guest}: ${list.length} commands of ${batch}, ${changes} of which change something, and of nodes only ${nodes}.
# ${again} --form list   shows them.

# 1. As root, where the commands run: the wrapper that runs these and nothing else.
#      ${again} --form wrapper >${ask.wrapper}
#      chown root:root ${ask.wrapper}; chmod 755 ${ask.wrapper}
#    The user that it runs as has to be a manager, operator or administrator of ${batch}.

# 2. Either over ssh: in ~${ask.user}/.ssh/authorized_keys (OpenSSH before 7.2: no-pty,no-port-forwarding,
#    no-agent-forwarding,no-X11-forwarding instead of restrict), and guests[].batch.ssh in the configuration.
${authorizedKeys}
#    Or on this machine with sudo: in /etc/sudoers.d/sublet (check it with visudo -cf), and in the configuration
#    guests[].batch.through: [sudo, -n, ${ask.as === 'root' ? '' : `-u, ${ask.as}, `}${ask.wrapper}]
${sudoers}
# 3. sublet check middleware --config ${ask.config} --guest ${guest}
`
}
