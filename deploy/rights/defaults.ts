/** Where the wrapper looks for the programs of a batch system. */
export const PATH = '/usr/local/sbin:/usr/local/bin:/opt/pbs/sbin:/opt/pbs/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export const FORMS = ['list', 'wrapper', 'sudoers', 'forced-command'] as const
export type Form = (typeof FORMS)[number]
