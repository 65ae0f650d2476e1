import { lstatSync, rmSync } from 'node:fs'

/**
 * Removes the socket that a killed process left; false if something else stands there, which is somebody's. Whoever calls
 * knows that nobody listens at it.
 */
export function removeStaleSocket(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found?.isSocket() === false) return false
  rmSync(path, { force: true })
  return true
}
