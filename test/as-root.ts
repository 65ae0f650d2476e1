/**
 * What only root can play: another user, a file system of its own. `.ci/run` runs these as root, by this word in
 * their names; `npm test` of an ordinary user leaves them out.
 */
export const AS_ROOT = '(needs root)'

export const cannotBeRoot = process.getuid?.() !== 0 && process.env.SUBLET_REAL !== '1'
