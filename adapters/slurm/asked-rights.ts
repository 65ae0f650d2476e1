import { type Commands, complaint } from './commands.ts'

/** A node that nobody has: the answer tells whether we might change one. */
export const NO_NODE = 'sublet-has-no-such-node'

/** Whether we may change nodes, which root, SlurmUser and Administrators of slurmdbd may; else in Slurm's own words why not. */
export async function askedRights(
  commands: Commands,
  signal: AbortSignal,
): Promise<{ readonly mayChange: boolean; readonly words: string }> {
  const done = await commands.run('scontrol', ['update', `NodeName=${NO_NODE}`, 'State=RESUME'], signal)
  return { mayChange: /Invalid node name/i.test(done.stderr), words: complaint(done) }
}
