/**
 * Operating errors: each has a code, a sentence, a cure, and says what the caller may do.
 * Programmer errors are ordinary `Error`s and stop the actor they happen in.
 */

/** What the one who receives the error may do with it. */
export type Recourse = 'retry' | 'give-up' | 'ask-operator'

/** Every code there is, with its recourse and its cure. `docs/errors.md` lists the same codes; a test compares. */
export const ERRORS = {
  // outside programs and machines
  'exec-failed': ['retry', 'Run the command by hand as the same user and look at what it prints.'],
  'exec-missing': ['ask-operator', 'Install the program, or correct its path in the configuration.'],
  'exec-timeout': [
    'retry',
    'Find out why the command hangs (a dead NFS mount? a dead daemon?), or raise its time limit.',
  ],
  'exec-output-too-large': ['give-up', 'Narrow the command, or raise its output bound in the configuration.'],
  'ssh-unreachable': [
    'retry',
    'Check that the machine is up, that sshd listens and that no firewall is between.',
  ],
  'ssh-host-key': [
    'ask-operator',
    'The machine shows another host key than the one agreed; find out why before trusting it.',
  ],
  'ssh-algorithms': [
    'ask-operator',
    'The machine speaks only old ssh: give it a newer sshd, or allow what it offers by name in ssh.algorithms.',
  ],
  'middleware-unreachable': ['retry', 'Check that the batch system runs and answers from this machine.'],
  'middleware-garbage': [
    'retry',
    'Look at the recorded output; if the batch system was upgraded, check that its version is supported.',
  ],
  'middleware-schema': [
    'ask-operator',
    'This version of the batch system is not known; upgrade Sublet or configure the text formats.',
  ],
  'middleware-refused': [
    'give-up',
    'Read the batch system’s own message; check the rights of the user Sublet runs as.',
  ],
  'node-not-ours': ['give-up', 'Sublet changes only nodes that it created; act on this node by hand.'],
  'node-name': [
    'ask-operator',
    'Have the site name its machines in lower case, as the head of the batch system resolves them.',
  ],
  'names-taken': [
    'retry',
    'Wait until a machine has left, or list more names in slurm.conf and in batch.names.',
  ],
  'node-busy': ['retry', 'Wait until the jobs on the node have ended.'],
  'machine-setup': ['retry', 'Read the machine’s console log in its work folder.'],
  'machine-unreachable': [
    'retry',
    'Check the machine’s console log; it is ended and replaced if it stays silent.',
  ],
  'machine-probe': ['retry', 'Run the named probe command on the machine by hand.'],
  'machine-unlike': [
    'ask-operator',
    'Correct the image of the machine as the sentence says; the unit is given up and another one is asked for.',
  ],
  'machine-teardown': [
    'ask-operator',
    'End the named processes and mounts by hand; the unit stays held until then.',
  ],
  'machine-taken': [
    'ask-operator',
    'Ask both sites whose machine that is; one of them lies, or its machines share a host key: each has to have its own.',
  ],
  'machine-moved': [
    'ask-operator',
    'Ask the site why the machine moved; let the unit leave if it is really elsewhere: another one is asked for.',
  ],
  'machine-busy': [
    'retry',
    'Work still runs on the machine; it ends by itself when the work has ended or the grace is over.',
  ],
  // configuration and the command line
  'config-invalid': ['ask-operator', 'Correct the named lines of the configuration file.'],
  'config-missing': ['ask-operator', 'Give an existing file with --config.'],
  usage: ['ask-operator', 'See `sublet --help`.'],
  'restart-needed': [
    'ask-operator',
    'Stop Sublet and start it with the changed configuration: leases and jobs go on meanwhile.',
  ],
  'not-running': [
    'ask-operator',
    'Start Sublet with `sublet start --config FILE`, or name its work folder with --dir.',
  ],
  overloaded: [
    'retry',
    'Wait and try again; if it stays so, look whether the disk of the work folder is slow or broken.',
  ],
  'already-running': [
    'ask-operator',
    'Another Sublet holds this pool or this work folder; end it first, with `sublet stop`.',
  ],
  'not-permitted': ['ask-operator', 'Ask the user who runs Sublet, or run the command as that user.'],
  'unknown-id': ['give-up', 'List the ids with `sublet leases`, `sublet nodes` or `sublet ledger`.'],
  'needs-root': ['ask-operator', 'Run as root, or use machines of kind “process”.'],
  'unsupported-platform': ['ask-operator', 'Use a Linux machine, or machines of kind “process”.'],
  // the store
  'store-corrupt': [
    'ask-operator',
    'See what `sublet repair --from-ledger` can rebuild, or go back to a backup with `sublet restore`.',
  ],
  'store-locked': ['ask-operator', 'Another process uses the database; stop it first.'],
  'store-lock-damaged': [
    'ask-operator',
    'Remove the file of the lock: it says nothing, and is made anew at the start. The database stays as it is.',
  ],
  'store-failed': ['ask-operator', 'Check the disk: is it full, read-only or broken? Then start again.'],
  'store-remote': [
    'ask-operator',
    'Put the work folder on a disk of this machine: `dir` in the configuration names it.',
  ],
  'backup-damaged': ['ask-operator', 'Take another backup; this one cannot be relied on.'],
  'key-damaged': [
    'ask-operator',
    'Put the named file back from a copy of `keys/`, or make a new key with `sublet keygen` and have each peer add it.',
  ],
  'clock-behind': [
    'ask-operator',
    'Set the clock of this machine right. If it is right now, and was wrong before, start with --believe-clock.',
  ],
  'store-newer': [
    'ask-operator',
    'The database was written by a newer Sublet; run that version or restore an older backup.',
  ],
  disproved: [
    'ask-operator',
    'Keep a copy of the work folder with its archive, then read the named lines; see “When verify says NOT verified” in docs/operate.md.',
  ],
  // messages between actors
  'message-forged': ['give-up', 'The signature does not fit the sender; check the keys of both actors.'],
  'message-misaddressed': ['give-up', 'The message names another receiver.'],
  'message-malformed': ['give-up', 'The sender does not speak this protocol version.'],
  'message-expired': [
    'give-up',
    'The message came after its deadline; the sender has given up or will ask anew.',
  ],
  'message-conflict': [
    'give-up',
    'The sender used one number for two different messages; its store may have been restored.',
  ],
  'message-unknown-peer': ['ask-operator', 'Add the peer’s key to the configuration if it is to be trusted.'],
  'message-unknown-key': [
    'ask-operator',
    'The sender shows a key that is not the one agreed; ask its operator, and approve it if it is right.',
  ],
  'message-key-expired': [
    'ask-operator',
    'The sender signs with a key outside of its time; its operator has to use the new one, or you to extend it.',
  ],
  'message-set-aside': [
    'ask-operator',
    'The message made the actor fail twice; report it with the ledger entry.',
  ],
  'too-fast': [
    'retry',
    'Nothing is lost: it is sent again, more slowly. If the peer means well and has so much to say, raise `peerRate` where it is refused.',
  ],
  'peer-silent': ['retry', 'Check that the peer runs and is reachable.'],
  'peer-unknown': [
    'ask-operator',
    'Add the peer with `sublet peer add`, or correct its name where the configuration gives it.',
  ],
  'peer-too-old': ['give-up', 'The peer speaks an older protocol that does not know this; upgrade it.'],
  'key-invalid': [
    'ask-operator',
    'A key is 43 characters of base64url, or the PEM of an Ed25519 key; copy it whole.',
  ],
  // leases
  'no-switch-group': [
    'retry',
    'Ask for fewer units, for `switchGroup: preferred`, or again when leases there have ended; the admin of the site may have to name the `switch` of its hosts.',
  ],
  'no-capacity': [
    'retry',
    'Ask for fewer units or another --start, or let fewer (--elastic) or a later start (--deadline) do.',
  ],
  'extension-pending': [
    'retry',
    'Wait until the last extension has begun, then ask for the next; `sublet explain lease` says when it begins.',
  ],
  'too-many-returned': [
    'retry',
    'Wait until terms of tickets that were given back are over, and ask for shorter terms.',
  ],
  'too-many-open': [
    'retry',
    'Wait until some of the open requests are answered, give back those that are no longer wanted, or ask for more units at once.',
  ],
  'recalled-too-often': [
    'ask-operator',
    'It is passed on ten seconds later, all in one. The site should recall less often, each time more units; if it goes on, it lies or is damaged.',
  ],
  'too-many-recalls': [
    'ask-operator',
    'The site has to settle earlier recalls by offers that are smaller: its operator has to look, it lies or is damaged.',
  ],
  'too-many-types': [
    'ask-operator',
    'The site offers ever more types: its operator has to look, it lies or is damaged.',
  ],
  'too-many-holdings': [
    'ask-operator',
    'The peer has more to say of what it holds than anybody can hold: its operator has to look; if it lies, take it off the peers with `sublet peer remove`.',
  ],
  'unknown-type': [
    'give-up',
    'Ask for a type that a site lends at present: `sublet query types` lists them.',
  ],
  'term-too-long': [
    'give-up',
    'Ask for a shorter term with --for, and extend it later; the sentence says how long the site lets one be.',
  ],
  'bad-property': ['give-up', 'Correct the named property of the request.'],
  'ticket-invalid': [
    'give-up',
    'The reason says what does not hold; where it is a key, compare with `sublet peer list` here and at the broker.',
  ],
  'unit-twice': [
    'ask-operator',
    'The site names one unit twice at once: its operator has to look, it lies or is damaged.',
  ],
  'name-twice': [
    'ask-operator',
    'The site gives two units of a lease one name: the second is taken when the first has ended; if it stays so, its operator has to look.',
  ],
  'beyond-ticket': [
    'ask-operator',
    'The site gives more units than the ticket is for: one more is taken when another has ended; if it stays so, its operator has to look.',
  ],
  'too-many-units': [
    'ask-operator',
    'The site names ever more units of one lease: its operator has to look why its machines die, or it lies; give the lease back and ask anew.',
  ],
  'lease-ended': ['give-up', 'The lease has ended; ask for a new one.'],
  'deadline-missed': ['retry', 'Ask again with a later deadline.'],
} as const satisfies Record<string, readonly [Recourse, string]>

export type ErrorCode = keyof typeof ERRORS

/** How a code travels in the sentence of a refusal: at its end, or before its cure. */
export const coded = (code: ErrorCode, sentence: string): string => `${sentence} (${code})`

/** The code in a sentence that somebody else has said, and the sentence without it. */
export function decoded(said: string): { readonly code: ErrorCode | undefined; readonly sentence: string } {
  for (const [whole, code = ''] of said.matchAll(/ \(([a-z-]+)\)/g))
    if (Object.hasOwn(ERRORS, code))
      return { code: code as ErrorCode, sentence: said.replace(whole, () => '') }
  return { code: undefined, sentence: said }
}

/** A message of ours was given up with this code, and nobody knows whether it came to its receiver: he refused nothing. */
export const isUnanswered = (code: string): boolean =>
  code === ('peer-silent' satisfies ErrorCode) || code === ('peer-unknown' satisfies ErrorCode)

/** An operating error. `message` is a sentence that names the thing; the cause is not repeated in it. */
export class SubletError extends Error {
  readonly code: ErrorCode
  readonly recourse: Recourse
  readonly cure: string

  constructor(code: ErrorCode, sentence: string, options: { cause?: unknown; cure?: string } = {}) {
    super(sentence, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'SubletError'
    this.code = code
    this.recourse = ERRORS[code][0]
    this.cure = options.cure ?? ERRORS[code][1]
  }
}

/** What a mind throws at a message that it cannot take now: nothing has come of it, and its sender is told to come again. */
export class ComeAgain extends Error {}

/** What a schema says; by its name, for who only tells errors loads no schemas. */
interface FormError extends Error {
  readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[]
}

const isOfForm = (error: Error): error is FormError =>
  error.name === 'ZodError' && 'issues' in error && Array.isArray(error.issues)

/** Its own message is all flaws as indented JSON; where the first one is says enough. */
function flawIn({ issues: [first, ...more], message }: FormError): string {
  if (first === undefined) return message
  const where = first.path.length === 0 ? '' : `${first.path.map(String).join('.')}: `
  return `${where}${first.message}${more.length > 0 ? `, and ${more.length} more` : ''}`
}

/** The sentences of an error and its causes, outermost first, on one line. */
export function inOneLine(error: unknown): string {
  const sentences: string[] = []
  for (
    let at: unknown = error;
    at !== undefined && sentences.length < 5;
    at = at instanceof Error ? at.cause : undefined
  )
    sentences.push(at instanceof Error ? (isOfForm(at) ? flawIn(at) : at.message) : String(at))
  return sentences
    .map((sentence, i) => (i < sentences.length - 1 ? sentence.replace(/\.$/, '') : sentence))
    .join(': ')
}
