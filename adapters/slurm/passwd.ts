/** A user as passwd or a directory has him. */
export interface UserOf {
  readonly uid: number
  readonly gid: number
  readonly home: string
}

/** More than any path has: who prints it may lie. */
const HOME_CHARS_MAX = 200

/** What `getent passwd` prints: name, password, uid, gid, comment, home and shell, with colons between. */
export function usersOf(lines: readonly string[]): ReadonlyMap<string, UserOf> {
  const found = new Map<string, UserOf>()
  for (const line of lines) {
    const [user, , uid, gid, , home] = line.split(':')
    if (user === undefined || home === undefined || found.has(user)) continue
    found.set(user, { uid: Number(uid), gid: Number(gid), home: home.slice(0, HOME_CHARS_MAX) })
  }
  return found
}
